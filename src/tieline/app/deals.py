"""Keeps the list of deals: follows what changed, computes each deal's line from the log and the ledger, and writes it.

The invariant: a line says what the deal's own page said at the moment it was read, because the same functions say it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog

from tieline.app.views.deal import MOST, DealRows, newest_won
from tieline.app.views.dealfile import moments
from tieline.app.views.standing import standing
from tieline.app.views.trace import waiting
from tieline.engine.ports import Batch, Store
from tieline.engine.records import OPEN_RUNS, ChangedDeal, ListedDeal
from tieline.errors import TielineError
from tieline.events import OpportunityWon, event_name
from tieline.storage.searching import fold

AFTER_S = 0.5
"""So long the changes of a deal gather before its line is made: a burst is one line."""
AT_ONCE = 25
REST = 2.0
"""After each page of lines the follower rests so many times as long as it worked: runs come first."""
LONGEST = 300

_log = structlog.get_logger("tieline.deals")


async def list_deals_forever(store: Store, reader: Store) -> None:
    """Bring the list up to date, again and again, until cancelled. Reads through `reader`, writes through `store`."""
    while True:
        try:
            worked = await list_changed_deals(store, reader, datetime.now(UTC) - timedelta(seconds=AFTER_S))
        except TielineError as error:
            _log.error("the list of deals stands still", reason=str(error))
            worked = 0.0
        await asyncio.sleep(worked * REST if worked else AFTER_S)


async def list_changed_deals(store: Store, reader: Store, before: datetime) -> float:
    """List a page of deals that changed before; the seconds it took, 0.0 when there was nothing to do."""
    started, changed = time.monotonic(), await reader.changed_deals(before, AT_ONCE)
    if not changed:
        return 0.0
    lines = []
    for deal in changed:
        lines.append(await _line_or_none(reader, deal))
        await asyncio.sleep(0)  # whoever else has something to do is not kept waiting by a page of deals
    await store.commit(
        Batch(deals=[line for line in lines if line], deals_listed=[(c.deal, c.changes) for c in changed])
    )
    return time.monotonic() - started


async def list_anew(store: Store, reader: Store) -> int:
    """Make the whole list anew, and say how many deals that were."""
    await store.commit(Batch(list_anew=True))
    return await reader.count_changed_deals()


async def _line_or_none(reader: Store, changed: ChangedDeal) -> ListedDeal | None:
    try:
        return await line_of(reader, changed.deal)
    except TielineError as error:
        _log.error("a deal cannot be listed", deal=changed.deal, reason=str(error))
        return None


async def line_of(store: Store, deal: str) -> ListedDeal | None:
    """The line of a deal; None for what is no deal, or was never read."""
    events = await store.events(correlation_id=deal, limit=MOST)
    won = [event for event in events if event_name(event.type) == OpportunityWon.__name__]
    if not won:
        return None
    rows = DealRows(
        deal=deal,
        events=events,
        runs=await store.runs(correlation_id=deal, states=OPEN_RUNS, limit=MOST),
        effects=await store.effects(correlation_id=deal, limit=MOST),
        cases=await store.cases(correlation_id=deal),
        references={},
        won=newest_won(won),
    )
    status, detail = await standing(rows)
    return _line(rows, won[0].seq, status, detail)


def _line(rows: DealRows, seq: int, status: str, detail: str) -> ListedDeal:
    contract, customer = rows.contract, rows.customer
    assert contract is not None  # noqa: S101 - it was won
    name = customer.name if customer else ""
    waits = waiting(rows, {}, datetime.now(UTC))
    return ListedDeal(
        id=rows.deal,
        seq=seq,
        number=contract.number,
        name=contract.name,
        customer=contract.customer,
        customer_name=name,
        customer_folded=fold(name),
        currency=contract.currency,
        amount=str(contract.value.amount),
        amount_e4=int(contract.value.amount.scaleb(4).to_integral_value()),
        status=status,
        detail=detail,
        waits_for=waits[0].what[:LONGEST] if waits else "",
        won_on=f"{contract.won_on:%Y-%m-%d}",
        changed_at=max(moments(rows)),
    )
