"""Deals: found, traced, their money at each stage, and where a field of their documents comes from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

import tieline
from tieline.api.v1.operations import LONGEST, reads
from tieline.api.v1.paging import CursorText, Limit, Page, page_of, place
from tieline.app.desk import Desk
from tieline.app.views.deal import gather, money_of
from tieline.app.views.deals import Asked, filter_of
from tieline.app.views.explain import Lineage, Step, explain_document
from tieline.app.views.reading import View
from tieline.app.views.resolve import Match, NothingFound, quick_matches, resolve
from tieline.app.views.trace import Trace, trace_deal
from tieline.engine.records import ListedDeal
from tieline.errors import ConfigurationError

TAG = "Deals"
_PACKAGES = Path(tieline.__file__).parents[1]
_DAY = {"format": "date"}
_AMOUNT = r"^\d{1,12}(\.\d{1,4})?$"


class DealLine(msgspec.Struct, frozen=True, kw_only=True):
    """A deal of the list: `amount` is what was booked, in `currency`; `waits_for` is empty where nothing is open."""

    id: str
    number: str
    name: str
    customer: str
    customer_name: str
    currency: str
    amount: str
    status: str
    detail: str
    waits_for: str
    won_on: str
    changed_at: datetime


class MoneyOfDeal(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a deal's money, in its currency: booked without tax, everything else with it."""

    currency: str
    booked: Decimal
    billed: Decimal
    credited: Decimal
    posted: Decimal
    credited_posted: Decimal
    paid: Decimal
    not_posted: Decimal
    owed: Decimal


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """What goes by an id."""

    matches: list[Match]


@reads("/deals", tag=TAG)
async def list_deals(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    text: Annotated[str, QueryParameter(name="q", max_length=LONGEST, description="Part of a name or number.")] = "",
    customer: Annotated[
        str, QueryParameter(max_length=LONGEST, description="Only of this customer (canonical id).")
    ] = "",
    status: Annotated[str, QueryParameter(max_length=LONGEST, description="Only with this status.")] = "",
    currency: Annotated[str | None, QueryParameter(pattern="^[A-Z]{3}$", description="Only in this currency.")] = None,
    amount_from: Annotated[str | None, QueryParameter(pattern=_AMOUNT, description="Booked at least this.")] = None,
    amount_to: Annotated[str | None, QueryParameter(pattern=_AMOUNT, description="Booked at most this.")] = None,
    won_from: Annotated[date | None, QueryParameter(schema_extra=_DAY, description="Won on this day or later.")] = None,
    won_to: Annotated[date | None, QueryParameter(schema_extra=_DAY, description="Won on this day or before.")] = None,
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[DealLine]]:
    """List deals, the newest first.

    The list follows the log by about a second; a deal itself is read as it stands.
    """
    held = place("deals", cursor, tuple[int])
    asked = Asked(
        q=text,
        customer=customer,
        status=status,
        currency=currency or "",
        amount_from=amount_from or "",
        amount_to=amount_to or "",
        won_from=won_from.isoformat() if won_from else "",
        won_to=won_to.isoformat() if won_to else "",
    )
    rows = await view.store.deals(filter_of(asked), before=held[0] if held else None, limit=limit + 1)
    return page_of(request, "deals", rows, limit, lambda deal: (deal.seq,), _line)


def _line(deal: ListedDeal) -> DealLine:
    return DealLine(**{name: getattr(deal, name) for name in DealLine.__struct_fields__})


@reads("/resolve", tag=TAG)
async def resolve_id(
    view: NamedDependency[View],
    ident: Annotated[
        str, QueryParameter(name="id", min_length=1, max_length=LONGEST, description="Any id or number of any system.")
    ],
) -> Matches:
    """Find what goes by an id: documents, deals, cases, runs, events.

    Ids of parts of documents (a line, a charge) are found by `tieline trace`, which reads more of the log.
    """
    found = await quick_matches(view, ident.strip())
    if not found:
        raise NothingFound(f"nothing here goes by {ident!r}")
    return Matches(matches=found)


@reads("/deals/{ident:str}", tag=TAG)
async def get_deal(view: NamedDependency[View], ident: FromPath[str]) -> Trace:
    """Get a deal by the id of any document of it: its state, its money, what it waits for, all that happened."""
    return await trace_deal(view, await resolve(view, ident, quick=True), datetime.now(UTC))


@reads("/deals/{ident:str}/money", tag=TAG)
async def get_deal_money(view: NamedDependency[View], ident: FromPath[str]) -> MoneyOfDeal:
    """Get the money of a deal at each stage, and what is missing between them."""
    found = await resolve(view, ident, quick=True)
    money = money_of(await gather(view, found.deal)) if found.deal else None
    if money is None:
        raise NothingFound(f"{ident!r} leads to no deal that was read yet")
    return MoneyOfDeal(**msgspec.structs.asdict(money), not_posted=money.not_posted, owed=money.owed)


@reads("/explain/{connection:str}/{kind:str}/{ident:str}", tag=TAG)
async def explain(
    desk: NamedDependency[Desk],
    view: NamedDependency[View],
    connection: FromPath[str],
    kind: FromPath[str],
    ident: FromPath[str],
    field: Annotated[
        str, QueryParameter(max_length=LONGEST, description="A path, the end of one, or a common name; default: all.")
    ] = "",
) -> Lineage:
    """Explain the fields of a document in a system: each value, the rule that made it, and its way back to the CRM."""
    try:
        found = await explain_document(view, connection, kind, ident, field)
    except ConfigurationError as error:  # a system, kind or field that there is not
        raise NothingFound(str(error)) from error
    return _without_folders(found, desk.project.settings.root)


def _without_folders(lineage: Lineage, root: Path) -> Lineage:
    """Files as the project or the package names them: where they stand on this machine is nobody's business."""

    def told(step: Step) -> Step:
        file = step.file.removeprefix(f"{root}/").removeprefix(f"{_PACKAGES}/")
        return msgspec.structs.replace(step, file=file)

    fields = [msgspec.structs.replace(field, steps=[told(step) for step in field.steps]) for field in lineage.fields]
    return msgspec.structs.replace(lineage, fields=fields)


HANDLERS = [list_deals, resolve_id, get_deal, get_deal_money, explain]
