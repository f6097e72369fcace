"""Rules of what an administrator sets up (items, subsidiaries, currencies, terms, periods…), and the first world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import missing, user_error
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.periods import monthly_periods
from tieline_sandbox.netsuite.store import Record

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

_LABELS = {"itemId": "Item Name/Number", "periodName": "Period Name", "acctName": "Name", "name": "Name"}


def prepare_setup(account: Account, draft: Draft) -> None:
    """A name, and no other record of this type with it."""
    new, name_field = draft.new, SPECS[draft.kind].name_field
    if not new.get(name_field):
        raise missing(_LABELS[name_field])
    holder = account.store.find_named(draft.kind, new[name_field])
    if holder is not None and holder.id != draft.id:
        raise user_error(f"Uniqueness error: {_LABELS[name_field]} '{new[name_field]}' is already in use.")
    new.setdefault("isInactive", False)


def prepare_item(account: Account, draft: Draft) -> None:
    prepare_setup(account, draft)
    draft.new.setdefault("displayName", draft.new["itemId"])


def prepare_currency(account: Account, draft: Draft) -> None:
    new = draft.new
    if not new.get("symbol"):
        raise missing("ISO Code")
    new.setdefault("name", new["symbol"])
    prepare_setup(account, draft)
    digits = (new.get("currencyPrecision") or {}).get("id") or ("0" if new["symbol"] in ("JPY", "KRW", "CLP") else "2")
    new["currencyPrecision"] = {"id": str(digits), "refName": str(digits)}
    new.setdefault("exchangeRate", 1)


def prepare_subsidiary(account: Account, draft: Draft) -> None:
    new = draft.new
    prepare_setup(account, draft)
    if not new.get("currency"):
        raise missing("Currency")
    new.setdefault("isElimination", False)


def prepare_period(account: Account, draft: Draft) -> None:
    new = draft.new
    lacking = [label for name, label in (("startDate", "Start Date"), ("endDate", "End Date")) if not new.get(name)]
    if lacking:
        raise missing(*lacking)
    prepare_setup(account, draft)
    for name in ["closed", "allLocked", "arLocked", "apLocked", "isAdjust", "isQuarter", "isYear", "allowNonGLChanges"]:
        new.setdefault(name, False)
    new.setdefault("isPosting", True)


def first_world() -> Iterator[tuple[str, list[Record]]]:
    """What an account holds before anybody seeds it: no subsidiaries, but all they need."""
    yield (
        "currency",
        [
            {"symbol": "USD", "name": "US Dollar", "isBaseCurrency": True},
            {"symbol": "EUR", "name": "Euro"},
            {"symbol": "GBP", "name": "British Pound"},
            {"symbol": "JPY", "name": "Japanese Yen"},
        ],
    )
    yield (
        "term",
        [
            {"name": "Due on receipt", "daysUntilNetDue": 0},
            *({"name": f"Net {days}", "daysUntilNetDue": days} for days in (0, 15, 30, 45, 60)),
        ],
    )
    yield "accountingPeriod", list(monthly_periods(2016, 2035))
    yield (
        "billingSchedule",
        [
            {"name": name, "frequency": {"id": code, "refName": name}}
            for name, code in (("Monthly", "MONTHLY"), ("Quarterly", "QUARTERLY"), ("Annual", "ANNUALLY"))
        ],
    )
    yield (
        "account",
        [
            {"acctNumber": number, "acctName": name, "acctType": {"id": kind, "refName": kind}}
            for number, name, kind in (
                ("1000", "Checking", "Bank"),
                ("1100", "Accounts Receivable", "AcctRec"),
                ("2200", "Deferred Revenue", "DeferRevenue"),
                ("4000", "Sales", "Income"),
                ("5000", "Bad Debt", "Expense"),
            )
        ],
    )
