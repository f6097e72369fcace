"""Find deals: by any id of any system, by a name, or by what the list of deals knows of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.resolve import Match, quick_matches
from tieline.engine.ports import Store
from tieline.engine.records import DealFilter, ListedDeal
from tieline.errors import ConfigurationError
from tieline.storage.searching import fold

PAGE = 50
MOST_AMOUNT = Decimal(10) ** 14
"""Nobody sells for more, and ten-thousandths of it still fit the database."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks the list for, as it stands in the address of the page."""

    q: str = ""
    customer: str = ""
    status: str = ""
    currency: str = ""
    amount_from: str = ""
    amount_to: str = ""
    won_from: str = ""
    won_to: str = ""
    before: int = 0


class DealPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deals, newest first; `older` is where the next one begins, 0 for none.

    `matches` is what goes by the id that was asked for, where that is none but a name.
    """

    deals: list[ListedDeal]
    older: int = 0
    matches: list[Match] = []

    @property
    def only(self) -> str:
        """The one deal that goes by the id, "" where there are several or none."""
        deals = {deal for match in self.matches for deal in match.deals}
        return deals.pop() if len(deals) == 1 else ""


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the list can be narrowed to, how many deals that are, and how many wait to be listed."""

    statuses: dict[str, int]
    currencies: dict[str, int]
    listed: int
    to_list: int


async def find_deals(view: View, asked: Asked) -> DealPage:
    """An id first, then names. Raises ConfigurationError for an amount or a day that is none."""
    wanted, text = filter_of(asked), asked.q.strip()
    matches = await quick_matches(view, text) if text and not asked.before else []
    if deals := list(dict.fromkeys(deal for match in matches for deal in match.deals)):
        return DealPage(deals=await view.store.listed_deals(deals), matches=matches)
    found = await view.store.deals(wanted, before=asked.before or None, limit=PAGE + 1)
    return DealPage(deals=found[:PAGE], older=found[PAGE - 1].seq if len(found) > PAGE else 0, matches=matches)


async def choices(store: Store) -> Choices:
    """From counts that are kept, not counted."""
    counts = await store.count_deals()
    statuses: dict[str, int] = {}
    currencies: dict[str, int] = {}
    for (status, currency), number in counts.items():
        statuses[status] = statuses.get(status, 0) + number
        currencies[currency] = currencies.get(currency, 0) + number
    return Choices(
        statuses=dict(sorted(statuses.items())),
        currencies=dict(sorted(currencies.items())),
        listed=sum(counts.values()),
        to_list=await store.count_changed_deals(),
    )


def filter_of(asked: Asked) -> DealFilter:
    """Raises ConfigurationError for an amount or a day that is none."""
    return DealFilter(
        words=fold(asked.q),
        customer=asked.customer or None,
        status=asked.status or None,
        currency=asked.currency or None,
        amount_from=_amount(asked.amount_from),
        amount_to=_amount(asked.amount_to),
        won_from=_day(asked.won_from),
        won_to=_day(asked.won_to),
    )


def _amount(text: str) -> int | None:
    """In ten-thousandths: `1,200.50` → 12005000."""
    plain = text.replace(",", "").replace(" ", "")
    if not plain:
        return None
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        raise ConfigurationError(f"{text!r} is no amount; write it like 1,200.50") from None
    if not amount.is_finite() or abs(amount) > MOST_AMOUNT:
        raise ConfigurationError(f"{text!r} is no amount that a deal can have")
    return int(amount.scaleb(4).to_integral_value())


def _day(text: str) -> str | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ConfigurationError(f"{text!r} is no day; write it like 2026-11-23") from None
