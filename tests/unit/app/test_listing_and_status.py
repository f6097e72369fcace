"""Lists keep to their filters, the chain check finds the broken link, and the status tells trouble from calm."""

from __future__ import annotations

import fcntl
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.support.engine import NOW, notified
from tests.support.views import DEAL, Ledger, contract, small_deal, view_on

from tieline.app.views.listing import (
    cloud_event,
    event_line,
    list_effects,
    list_events,
    list_runs,
    verify_chain,
)
from tieline.app.views.status import hub_status, lock_holder
from tieline.engine.ports import Batch
from tieline.engine.records import Cursor, EffectState, LaneStatus, RunState
from tieline.errors import ConfigurationError
from tieline.storage.memory import MemoryStore

# --- lists ------------------------------------------------------------------------------------------------------------


async def test_events_are_listed_by_type_deal_and_place() -> None:
    """Without a place the newest come, with one those behind it; any id of a deal will do."""
    store = MemoryStore()
    await small_deal(store)
    view = view_on(store)
    assert [e.seq for e in await list_events(view, limit=2)] == [3, 4]
    assert [e.seq for e in await list_events(view, after=1, limit=2)] == [2, 3]
    assert [e.seq for e in await list_events(view, event_type="InvoiceIssued")] == [3]
    assert [e.seq for e in await list_events(view, deal="INV1")] == [2, 3, 4]


async def test_a_misspelled_event_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="InvoiceIssued"):
        await list_events(view_on(MemoryStore()), event_type="InvoiceIsued")


async def test_an_event_is_printed_as_a_cloudevent_with_its_place() -> None:
    store = MemoryStore()
    await small_deal(store)
    event = (await store.events(type="InvoiceIssued"))[0]
    printed = cloud_event(event)
    assert (printed["specversion"], printed["type"], printed["sequence"]) == ("1.0", "tieline.InvoiceIssued.v1", "3")
    assert printed["correlationid"] == DEAL
    assert event_line(event).words == "Invoice INV1 issued: 100.00 EUR, due 2026-03-31"


async def test_effects_and_runs_keep_to_their_filters() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    await ledger.wrote("billing", "customer", contract(), "", state=EffectState.IN_DOUBT, settled_at=None)
    view = view_on(store)
    assert [e.kind for e in await list_effects(view, connection="erp", limit=2)] == ["order", "invoice"]
    assert [e.connection for e in await list_effects(view, state="in-doubt")] == ["billing"]
    assert [r.process for r in await list_runs(view, deal=DEAL)] == ["quote-to-cash"]
    assert await list_runs(view, state="waiting") == []
    with pytest.raises(ConfigurationError, match="waiting, done"):
        await list_runs(view, state="sleeping")
    with pytest.raises(ConfigurationError, match="crm, billing, erp"):
        await list_effects(view, connection="sap")


# --- the chain --------------------------------------------------------------------------------------------------------


async def chain(store: MemoryStore) -> None:
    await store.commit(Batch(events=[notified(str(n)) for n in range(6)]))


async def test_a_whole_chain_is_proven() -> None:
    store = MemoryStore()
    await chain(store)
    found = await verify_chain(view_on(store))
    assert (found.ok, found.events, found.last_hash) == (True, 6, (await store.events_after(5))[0].hash)


@pytest.mark.parametrize("field", ["data", "subject", "time", "causation_id", "recorded_at"])
async def test_a_changed_row_is_found(field: str) -> None:
    """Whatever was edited in the database, the check names the row."""
    store = MemoryStore()
    await chain(store)
    row = store._events[3]
    other = {"data": b"{}", "time": NOW + timedelta(days=1), "recorded_at": NOW}.get(field, "x")
    store._events[3] = msgspec.structs.replace(row, **{field: other})
    found = await verify_chain(view_on(store))
    assert (found.ok, found.broken_at, found.events) == (False, 4, 3)


async def test_a_removed_row_is_found() -> None:
    store = MemoryStore()
    await chain(store)
    del store._events[2]
    found = await verify_chain(view_on(store))
    assert (found.ok, found.broken_at) == (False, 4)
    assert found.reason == "event 3 is missing"


# --- status -----------------------------------------------------------------------------------------------------------


def lane(connection: str, state: str = "open", **fields: object) -> LaneStatus:
    return LaneStatus(connection=connection, state=state, since=NOW, updated_at=NOW, **fields)  # type: ignore[arg-type]


async def test_the_status_counts_what_needs_a_person_first(tmp_path: Path) -> None:
    """Cases by class and owner with how many are late; effects in doubt stand beside the applied ones."""
    store = MemoryStore()
    ledger = Ledger(store)
    late = NOW - timedelta(hours=1)
    await ledger.case("C-1", "p:1")
    await ledger.case("C-2", "p:2", due_at=late)
    await ledger.case("C-3", "p:3", case_class="approval", owner="finance")
    await ledger.wrote("erp", "invoice", contract(), "", state=EffectState.IN_DOUBT, settled_at=None)
    found = await hub_status(view_on(store, tmp_path / "t.db"), NOW + timedelta(minutes=5))
    assert [(c.case_class, c.owner, c.open, c.overdue) for c in found.cases] == [
        ("unknown-product", "revops", 2, 1),
        ("approval", "finance", 1, 0),
    ]
    assert [(e.connection, e.kind, e.in_doubt) for e in found.effects] == [("erp", "invoice", 1)]


async def test_the_oldest_open_run_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    for native in "12":
        event = await ledger.notice("opportunity", native)
        await ledger.ran("p", event, state=RunState.WAITING, ended_at=None, waits_for="a decision")
    found = await hub_status(view_on(store, tmp_path / "t.db"), NOW + timedelta(hours=1))
    assert found.oldest is not None
    assert (found.oldest.id, found.oldest.waits_for) == ("p:1", "a decision")
    assert found.runs == {"p": {"waiting": 2}}


async def test_a_hub_is_working_stopped_or_silent(tmp_path: Path) -> None:
    """The lock says whether a process holds the store, the lanes whether it is heard of."""
    store, database = MemoryStore(), tmp_path / "t.db"
    await store.commit(Batch(lanes=[lane("erp")]))
    await store.commit(Batch(events=[notified("1")], cursors=[Cursor(name="worker", value="0", updated_at=NOW)]))
    view = view_on(store, database)
    assert (await hub_status(view, NOW)).hub.state == "stopped"
    with (tmp_path / "t.db.lock").open("w") as handle:
        handle.write("4711")
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert lock_holder(database) == "4711"
        now = await hub_status(view, NOW + timedelta(seconds=1))
        assert (now.hub.state, now.hub.process, now.hub.behind) == ("working", "4711", 1)
        assert (await hub_status(view, NOW + timedelta(minutes=1))).hub.state == "silent"
    assert lock_holder(database) is None
