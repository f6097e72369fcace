"""Accounting periods: which one a date falls in, and whether it takes postings.

A period is shut to a posting when it is closed, wholly locked, or (for receivables) A/R locked.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import NetSuiteError, invalid_value, user_error
from tieline_sandbox.netsuite.store import Entry, Record, Store

FREE_OF_LEDGER = frozenset({"memo", "otherRefNum", "message", "email", "toBeEmailed", "toBePrinted", "externalId"})


def monthly_periods(first_year: int, last_year: int) -> Iterator[Record]:
    for year in range(first_year, last_year + 1):
        for month in range(1, 13):
            first = date(year, month, 1)
            last = first.replace(day=monthrange(year, month)[1])
            yield {
                "periodName": f"{first:%b %Y}",
                "startDate": first.isoformat(),
                "endDate": last.isoformat(),
            }


class Calendar:
    """Base periods by date. Quarters and years are left out: nothing posts to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._starts: list[str] = []
        self._entries: list[Entry] = []

    def rebuild(self) -> None:
        base = [
            entry
            for entry in self._store.kinds["accountingPeriod"].values()
            if not (entry.doc.get("isQuarter") or entry.doc.get("isYear"))
        ]
        self._entries = sorted(base, key=lambda entry: str(entry.doc["startDate"]))
        self._starts = [entry.doc["startDate"] for entry in self._entries]

    def find(self, on: str) -> Record | None:
        """The period that holds the date (YYYY-MM-DD)."""
        at = bisect_right(self._starts, on) - 1
        if at < 0:
            return None
        doc = self._entries[at].doc
        return doc if on <= doc["endDate"] else None

    def through(self, month: str) -> list[Entry]:
        """Periods that begin in `month` (YYYY-MM) or before."""
        return self._entries[: bisect_right(self._starts, f"{month}-31")]

    def since(self, month: str) -> list[Entry]:
        return [entry for entry in self._entries if entry.doc["startDate"] >= f"{month}-01"]


def is_shut(period: Record) -> bool:
    return bool(period.get("closed") or period.get("allLocked") or period.get("arLocked"))


def date_refused() -> NetSuiteError:
    return user_error("The transaction date you specified is not within the date range of your accounting period.")


def settle_period(draft: Draft, store: Store, calendar: Calendar, *, strict_dates: bool) -> None:
    """Put the posting period on the draft, or refuse. A period given by the request beats the one of the date."""
    new, old = draft.new, draft.old
    if draft.seeding and "postingPeriod" not in new:
        _post_by_date(new, calendar, refuse_shut=False)
        return
    if old is not None:
        refuse_shut_change(draft, store)
    if new.get("postingPeriod") and ("postingPeriod" in draft.changed or "tranDate" not in draft.changed):
        period = store.get("accountingPeriod", new["postingPeriod"]["id"])
        if is_shut(period) and (old is None or "postingPeriod" in draft.changed):
            raise invalid_value(period["id"], "postingperiod", "postingPeriod")
        outside = not period["startDate"] <= new["tranDate"] <= period["endDate"]
        if strict_dates and outside:
            raise date_refused()
    else:
        _post_by_date(new, calendar, refuse_shut=True)


def refuse_shut_change(draft: Draft, store: Store) -> None:
    """In a shut period only what leaves the ledger alone may change, and only where the period allows that."""
    posted = (draft.old or {}).get("postingPeriod")
    if not posted:
        return
    period = store.get("accountingPeriod", posted["id"])
    if not is_shut(period):
        return
    harmless = all(name in FREE_OF_LEDGER or name.startswith("cust") for name in draft.changed - {"customer"})
    if not (harmless and period.get("allowNonGLChanges")):
        raise user_error("You cannot edit or delete a transaction that posts to a closed or locked accounting period.")


def _post_by_date(new: Record, calendar: Calendar, *, refuse_shut: bool) -> None:
    period = calendar.find(new["tranDate"])
    if period is None or (refuse_shut and is_shut(period)):
        raise date_refused()
    new["postingPeriod"] = {"id": period["id"], "refName": period["periodName"]}
