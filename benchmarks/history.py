"""A long history for a store, made of true deals: one deal is carried by the hub, its rows are written again and again.

Every copy is a deal of its own: ids in the CRM, run ids, times, places in the log and external ids differ, so that
indexes are as selective as in life. All is written through the store's own `commit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks.company import Company, company, until
from benchmarks.peers.servers import free_port, fresh
from benchmarks.quote_to_cash import hub
from tieline.domain import KINDS
from tieline.engine.dispatch import PLACE
from tieline.engine.ports import Batch, Store
from tieline.engine.records import Cursor, Effect, EntityRow, JournalEntry, Reference, RunRow, RunState, Wait
from tieline.events import Event
from tieline.storage.sqlite import SqliteStore

DEALS_A_COMMIT = 20
NUMBERS = 1_000_000
"""More than there are copies: each is a second older than the next, and none lies in the future."""
NOWHERE = "http://127.0.0.1:9/intake/zuora"
OPEN = (RunState.QUEUED, RunState.READY, RunState.WAITING)


class Rows(msgspec.Struct):
    """Every row of one deal. The event at place n of the list has the place n + 1 in its log."""

    events: list[Event]
    runs: list[RunRow]
    journal: list[JournalEntry]
    effects: list[Effect]
    references: list[Reference]
    entities: list[EntityRow]
    waits: list[Wait]


class Pattern:
    """One deal to copy. `opportunity` and `account` are the ids that differ from copy to copy."""

    def __init__(self, rows: Rows, opportunity: str, account: str) -> None:
        self._packed = msgspec.msgpack.encode(rows)
        # the first 15 characters name a Salesforce record; the rest is a checksum that nobody here checks
        self._ids = [(name[:15].encode(), name[:5]) for name in (opportunity, account)]
        self.runs, self.events = len(rows.runs), len(rows.events)
        self.open = sum(1 for run in rows.runs if run.state in OPEN)

    def copy(self, number: int, base: int) -> Rows:
        """The deal number `number`, its first event at place `base` + 1 of the log."""
        packed = self._packed
        for old, prefix in self._ids:
            packed = packed.replace(old, f"{prefix}{number:010d}".encode())
        rows = msgspec.msgpack.decode(packed, type=Rows)
        names = {run.id: f"{run.process}:{run.event_seq + base}" for run in rows.runs}
        rows.events = [_renamed(event, names, number) for event in rows.events]
        ids = [event.id for event in rows.events]
        later = timedelta(seconds=number - NUMBERS)
        for run in rows.runs:
            run.started_at, run.ended_at = run.started_at + later, run.ended_at + later if run.ended_at else None
            run.event_id = ids[run.event_seq - 1]
            run.id, run.event_seq = names[run.id], run.event_seq + base
        for entry in rows.journal:
            entry.run_id = names[entry.run_id]
        for effect in rows.effects:
            effect.run_id = names.get(effect.run_id, effect.run_id)
            effect.version += base
            effect.intended_at += later
            effect.settled_at = effect.settled_at + later if effect.settled_at else None
            effect.external_id = f"{effect.external_id}-{number}" if effect.external_id else ""
        rows.references = [
            msgspec.structs.replace(r, external_id=f"{r.external_id}-{number}", display=f"{r.display}-{number}")
            for r in rows.references
        ]
        for wait in rows.waits:
            wait.run_id, wait.since_seq = names[wait.run_id], wait.since_seq + base
        return rows


def opportunity_of(number: int) -> str:
    """The opportunity id of a copy."""
    return f"006Aa{number:010d}IAA"


def _renamed(event: Event, names: dict[str, str], number: int) -> Event:
    def new(ident: str) -> str:
        run, slash, rest = ident.partition("/")
        return f"{names[run]}{slash}{rest}" if run in names else f"{ident}~{number}" if ident else ""

    return msgspec.structs.replace(event, id=new(event.id), causation_id=new(event.causation_id))


async def write(store: Store, pattern: Pattern, numbers: range) -> None:
    """Write copies behind what the log holds."""
    last = await store.events(limit=1, newest=True)
    base = last[0].seq if last else 0
    for batch in _batches(pattern, numbers, base):
        await store.commit(batch)


def _batches(pattern: Pattern, numbers: range, base: int) -> Iterator[Batch]:
    for at in range(0, len(numbers), DEALS_A_COMMIT):
        batch = Batch()
        for number in numbers[at : at + DEALS_A_COMMIT]:
            rows = pattern.copy(number, base)
            base += len(rows.events)
            for name in Rows.__struct_fields__:
                getattr(batch, name).extend(getattr(rows, name))
        # what is written was dispatched long ago: a worker that reads it again would begin runs for it
        batch.cursors = [Cursor(name=PLACE, value=str(base), updated_at=datetime.now(UTC))]
        yield batch


# --- where patterns come from -----------------------------------------------------------------------------------------


async def carried_deal(folder: Path, *, activates: bool) -> tuple[Pattern, Path]:
    """A deal with services as the hub carries it, to its end or (billing stays silent) to its wait; and the project."""
    port = free_port()
    async with company(fresh(folder), 40, f"http://127.0.0.1:{port}") as systems:
        if not activates:
            await systems.sandboxes.post("zuora", "/configure", {"callouts": {"url": NOWHERE}})
        systems.deals.sort(key=lambda deal: not deal.services)
        async with hub(systems, folder, port):
            await _at_rest(systems, folder, activates=activates)
    project = folder / "project"
    store = SqliteStore(project / "tieline.db", read_only=True)
    try:
        deal = systems.deals[0]
        rows = await _rows(store)
        return Pattern(rows if activates else _waiting_alone(rows), deal.opportunity_id, deal.account_id), project
    finally:
        await store.close()


async def _at_rest(systems: Company, folder: Path, *, activates: bool) -> None:
    deals = await systems.win(1)
    store = SqliteStore(folder / "project" / "tieline.db", read_only=True)

    async def finished() -> bool:
        return await systems.finished(deals) == 1

    async def waiting() -> bool:
        return any(wait.topic.startswith("SubscriptionActivated") for wait in await store.waits())

    if not await until(finished if activates else waiting, 30.0):
        raise SystemExit(f"the deal to copy was not carried; see {folder}/hub.log")
    await asyncio.sleep(2.5)
    await store.close()


async def _rows(store: Store) -> Rows:
    events = await store.events_after(0, 1_000)
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise SystemExit("the log of the deal to copy has gaps")
    runs = await store.runs()
    effects = await store.effects()
    named = {effect.canonical_id for effect in effects} | {run.correlation_id for run in runs}
    entities = [await store.find_entity(kind, name) for kind in KINDS for name in named]
    return Rows(
        events=[Event(**{f: getattr(e, f) for f in Event.__struct_fields__}) for e in events],
        runs=runs,
        journal=[entry for run in runs for entry in await store.journal(run.id)],
        effects=effects,
        references=[r async for page in store.rows(Reference) for r in page],
        entities=[entity for entity in entities if entity is not None],
        waits=await store.waits(),
    )


def _waiting_alone(rows: Rows) -> Rows:
    """The run that waits, what it was triggered by and what it did: a hundred thousand whole deals take too long."""
    (run,) = (r for r in rows.runs if r.state is RunState.WAITING)
    effects = [msgspec.structs.replace(e, version=1) for e in rows.effects if e.run_id == run.id]
    event = rows.events[run.event_seq - 1]
    journal = [entry for entry in rows.journal if entry.run_id == run.id]
    waits = [msgspec.structs.replace(w, since_seq=1) for w in rows.waits if w.run_id == run.id]
    alone = msgspec.structs.replace(run, event_seq=1)
    return Rows(events=[event], runs=[alone], journal=journal, effects=effects, references=[], entities=[], waits=waits)
