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
    return DealRows(
        deal=deal,
        events=events,
        runs=runs,
        effects=effects,
        cases=cases,
        references=references,
        won=newest_won(events),
    )


def newest_won(events: list[LoggedEvent]) -> OpportunityWon | None:
    """What was told of the deal last."""
    return next((d for e in reversed(events) if isinstance(d := _data(e, OpportunityWon), OpportunityWon)), None)


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
    return await store.cases(correlation_id="", run_ids=run_ids) if run_ids else []


def money_of(rows: DealRows) -> DealMoney | None:
    """The way of the money; None where the deal was never read. Each document counts once, as it was told last."""
    if rows.contract is None:
        return None
    sums = _sums(rows.events)
    return DealMoney(
        currency=rows.contract.currency,
        booked=rows.contract.value.amount,
        billed=sums[InvoiceIssued],
        credited=sums[CreditNoteIssued],
        posted=sums[InvoicePosted],
        credited_posted=sums[CreditNotePosted],
        paid=sums[PaymentPosted],
    )


_TOLD = (InvoiceIssued, CreditNoteIssued, InvoicePosted, CreditNotePosted, PaymentPosted)
_Told = InvoiceIssued | CreditNoteIssued | InvoicePosted | CreditNotePosted | PaymentPosted


def _sums(events: list[LoggedEvent]) -> dict[type[_Told], Decimal]:
    """What each kind of event adds up to, in one pass: a deal may have thousands."""
    kinds: dict[str, type[_Told]] = {kind.__name__: kind for kind in _TOLD}
    amounts: dict[type[_Told], dict[str, Decimal]] = {kind: {} for kind in _TOLD}
    for event in events:
        if (kind := kinds.get(event_name(event.type))) is not None:
            amounts[kind][event.subject] = _amount(decode_event(event))
    return {kind: sum(found.values(), Decimal(0)) for kind, found in amounts.items()}


def _amount(data: object) -> Decimal:
    if isinstance(data, InvoiceIssued):
        return data.invoice.amount.amount
    if isinstance(data, CreditNoteIssued):
        return data.credit_note.amount.amount
    assert isinstance(data, InvoicePosted | CreditNotePosted | PaymentPosted)  # noqa: S101 - one of _TOLD
    return data.amount.amount


def _data(event: LoggedEvent, kind: type) -> object | None:
    return decode_event(event) if event_name(event.type) == kind.__name__ else None
