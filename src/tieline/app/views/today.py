"""The money of today, read from the log as it grows: booked, billed, credited, posted, paid, by currency.

A day is a day in UTC. The invariant: a document counts once, with what it was told to be last; told again on a later
day, only the difference counts, so that the days add up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tieline.app.views.traffic import first_event_since
from tieline.domain import Money
from tieline.engine.lanes import cancel
from tieline.engine.ports import Store
from tieline.errors import InvalidMessage
from tieline.events import (
    CreditNoteIssued,
    EventData,
    InvoiceIssued,
    InvoicePosted,
    LoggedEvent,
    OpportunityWon,
    PaymentPosted,
    decode_event,
)

PAGE = 100
PATIENCE_S = 0.05

STAGES: dict[str, tuple[type[EventData], Callable[[Any], Money]]] = {
    "booked": (OpportunityWon, lambda won: won.contract.value),
    "billed": (InvoiceIssued, lambda issued: issued.invoice.amount),
    "credited": (CreditNoteIssued, lambda issued: issued.credit_note.amount),
    "posted": (InvoicePosted, lambda posted: posted.amount),
    "paid": (PaymentPosted, lambda posted: posted.amount),
}
"""Stage of the money → the event that tells of it, and the amount that it tells."""


class MoneyOfDay(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one day in one currency."""

    currency: str
    booked: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    credited: Decimal = Decimal(0)
    posted: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)


class Today:
    """Follows the log: each call reads what came since the last one, whatever stands behind it."""

    def __init__(self) -> None:
        self._day = datetime.min.replace(tzinfo=UTC)
        self._seq: dict[str, int] = {}
        self._sums: dict[tuple[str, str], Decimal] = {}
        self._reading: asyncio.Task[None] | None = None

    async def money(self, store: Store, now: datetime) -> tuple[list[MoneyOfDay], bool]:
        """What today holds, by currency, and whether that is all: a long day is read on after the answer."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(store, now))
        await asyncio.wait({self._reading}, timeout=PATIENCE_S)
        if is_all := self._reading.done():
            reading, self._reading = self._reading, None
            reading.result()
        return self._by_currency(), is_all

    async def close(self) -> None:
        """Read no further."""
        if self._reading is not None:
            await cancel(self._reading)

    async def _read(self, store: Store, now: datetime) -> None:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight != self._day:
            place = await first_event_since(store, midnight)
            self._day, self._sums = midnight, defaultdict(Decimal)
            self._seq = dict.fromkeys(STAGES, place.seq - 1 if place else 0)
        for stage, (kind, _) in STAGES.items():
            while events := await store.events(type=kind.__name__, after_seq=self._seq[stage], limit=PAGE):
                await self._add(store, stage, events)
                self._seq[stage] = events[-1].seq
                await asyncio.sleep(0)  # a long day is read beside the work, not before it

    async def _add(self, store: Store, stage: str, events: Sequence[LoggedEvent]) -> None:
        first = await store.first_events(list({event.topic for event in events}))
        changes: list[tuple[Money, int]] = []
        for event in events:
            again = first[event.topic].seq != event.seq
            before = await _told_before(store, STAGES[stage][0].__name__, event) if again else None
            for told, sign in ((before, -1), (event, 1)):
                if told is not None and (amount := _amount(stage, told)) is not None:
                    changes.append((amount, sign))
        for amount, sign in changes:  # all of a page or nothing: what could not be read to its end is read again
            self._sums[stage, amount.currency] += sign * amount.amount

    def _by_currency(self) -> list[MoneyOfDay]:
        currencies = sorted({currency for _, currency in self._sums})
        return [
            MoneyOfDay(currency=c, **{stage: self._sums.get((stage, c), Decimal(0)) for stage in STAGES})
            for c in currencies
        ]


async def _told_before(store: Store, name: str, event: LoggedEvent) -> LoggedEvent | None:
    """What the log said of the same document last before this event."""
    told = await store.events(type=name, subject=event.subject, before_seq=event.seq, limit=1, newest=True)
    return told[0] if told else None


def _amount(stage: str, event: LoggedEvent) -> Money | None:
    try:
        return STAGES[stage][1](decode_event(event))
    except InvalidMessage:
        return None  # a message of another version: the log keeps it, a case tells of it
