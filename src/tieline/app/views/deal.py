"""Everything Tieline holds about one deal, gathered once: its events with their causes, runs, effects, cases, money."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.resolve import runs_of_event
from tieline.domain import Contract, Customer
from tieline.engine.ports import Store
from tieline.engine.records import CaseRow, Effect, Reference, RunRow
from tieline.events import (
    CreditNoteIssued,
    CreditNotePosted,
    InvoiceIssued,
    InvoicePosted,
    LoggedEvent,
    OpportunityWon,
    PaymentPosted,
    VendorNotified,
    decode_event,
    event_name,
)

MOST = 100_000


class DealRows(msgspec.Struct, kw_only=True):
    """The rows of a deal. `won` is the newest news of the deal itself; None where it was never read."""

    deal: str
    events: list[LoggedEvent]
    runs: list[RunRow]
    effects: list[Effect]
    cases: list[CaseRow]
    references: dict[tuple[str, str, str], Reference]
    won: OpportunityWon | None = None

    @property
    def contract(self) -> Contract | None:
        return self.won.contract if self.won else None

    @property
    def customer(self) -> Customer | None:
        return self.won.customers[-1] if self.won and self.won.customers else None


class DealMoney(msgspec.Struct, frozen=True, kw_only=True):
    """The way of the money, in the deal's currency.

    booked    the contract's lines, without tax          billed   invoices that billing issued, with tax
    posted    those of them that stand in the ERP        credited credit notes that billing issued
    paid      payments that stand in the ERP, the deal's share
    """

    currency: str
    booked: Decimal
    billed: Decimal
    credited: Decimal
    posted: Decimal
    credited_posted: Decimal
    paid: Decimal

    @property
    def not_posted(self) -> Decimal:
        """What billing issued and the ERP does not show yet."""
        return self.billed - self.posted - (self.credited - self.credited_posted)

    @property
    def owed(self) -> Decimal:
        """What the customer still owes of what was billed."""
        return self.billed - self.credited - self.paid


async def gather(view: View, deal: str) -> DealRows:
    """All rows of a deal, and of what systems told that led to its events."""
    store = view.store
    events = await store.events(correlation_id=deal, limit=MOST)
    causes = await _causes(view, events)
    runs = await store.runs(correlation_id=deal, limit=MOST)
    seen = {run.id for run in runs}
    for cause in causes:
        runs += [run for run in await runs_of_event(store, cause.seq) if run.id not in seen]
    cases = await store.cases(correlation_id=deal) + await _cases_without_deal(store, {run.id for run in runs})
    return await _rows(store, deal, sorted([*causes, *events], key=lambda e: e.seq), runs, cases)


async def gather_notice(view: View, seq: int) -> DealRows:
    """What became of something a system told that belongs to no deal (yet)."""
    store = view.store
    first = (await store.events_after(seq - 1, 1))[0]
    events = await store.events(type=event_name(first.type), subject=first.subject, limit=MOST)
    runs = [run for event in events for run in await runs_of_event(store, event.seq)]
    return await _rows(store, "", events, runs, await _cases_without_deal(store, {run.id for run in runs}))


async def _rows(
    store: Store, deal: str, events: list[LoggedEvent], runs: list[RunRow], cases: list[CaseRow]
) -> DealRows:
    effects = await store.effects(correlation_id=deal, limit=MOST) if deal else []
    references = await store.references(list(dict.fromkeys(effect.key[:3] for effect in effects)))
    won = [data for e in events if isinstance(data := _data(e, OpportunityWon), OpportunityWon)]
    return DealRows(
        deal=deal,
        events=events,
        runs=runs,
        effects=effects,
        cases=cases,
        references=references,
        won=won[-1] if won else None,
    )


async def _causes(view: View, events: Iterable[LoggedEvent]) -> list[LoggedEvent]:
    """The events behind these that belong to no deal themselves, and what else the systems told of those records."""
    known = {event.id for event in events}
    found: dict[int, LoggedEvent] = {}
    wanted = {event.causation_id for event in events if event.causation_id} - known
    while wanted:
        causes = [c for ident in wanted for source in view.sources if (c := await view.store.find_event(source, ident))]
        fresh = [c for c in causes if c.seq not in found]
        found |= {cause.seq: cause for cause in fresh}
        wanted = {c.causation_id for c in fresh if c.causation_id} - known
    for subject in {c.subject for c in found.values() if event_name(c.type) == VendorNotified.__name__}:
        again = await view.store.events(type=VendorNotified.__name__, subject=subject)
        found |= {event.seq: event for event in again}
    return list(found.values())


async def _cases_without_deal(store: Store, run_ids: set[str]) -> list[CaseRow]:
    """Cases of runs that stopped before they knew which deal they were about."""
    return [case for case in await store.cases(correlation_id="") if case.run_id in run_ids]


def money_of(rows: DealRows) -> DealMoney | None:
    """The way of the money; None where the deal was never read. Each document counts once, as it was told last."""
    if rows.contract is None:
        return None
    return DealMoney(
        currency=rows.contract.currency,
        booked=rows.contract.value.amount,
        billed=_sum(rows, InvoiceIssued),
        credited=_sum(rows, CreditNoteIssued),
        posted=_sum(rows, InvoicePosted),
        credited_posted=_sum(rows, CreditNotePosted),
        paid=_sum(rows, PaymentPosted),
    )


_Told = InvoiceIssued | CreditNoteIssued | InvoicePosted | CreditNotePosted | PaymentPosted


def _sum(rows: DealRows, kind: type[_Told]) -> Decimal:
    amounts: dict[str, Decimal] = {}
    for event in rows.events:
        data = _data(event, kind)
        if isinstance(data, InvoiceIssued):
            amounts[event.subject] = data.invoice.amount.amount
        elif isinstance(data, CreditNoteIssued):
            amounts[event.subject] = data.credit_note.amount.amount
        elif isinstance(data, InvoicePosted | CreditNotePosted | PaymentPosted):
            amounts[event.subject] = data.amount.amount
    return sum(amounts.values(), Decimal(0))


def _data(event: LoggedEvent, kind: type) -> object | None:
    return decode_event(event) if event_name(event.type) == kind.__name__ else None
