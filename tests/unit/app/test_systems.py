"""Stopping a system: who may, what must be said, what stands in the log, and what the commands say of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import NOW
from tests.support.views import DEAL, small_deal, view_on

from tieline.app.principal import NotAllowed, Principal, Role, local_principal
from tieline.app.project import Project, load_project
from tieline.app.settings import load_settings
from tieline.app.systems import System, get_system, hold, list_systems, release, would_wait
from tieline.app.template import make_project
from tieline.app.views.trace import trace
from tieline.cli import main
from tieline.engine.ports import Batch
from tieline.engine.records import Cursor, Effect, EffectState, Hold, LaneStatus
from tieline.errors import ConcurrencyConflict, ConfigurationError
from tieline.events import VendorNotified, make_event
from tieline.storage.memory import MemoryStore
from tieline.storage.sqlite import SqliteStore

ADA = local_principal("Ada")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("systems") / "project"
    make_project(folder, port=0)
    return load_project(load_settings(folder, secrets=False))


async def zuora(project: Project, store: MemoryStore) -> System:
    return await get_system(project, store, {}, "zuora", NOW)


async def test_a_stop_needs_the_right_a_reason_and_a_system_that_is_there(project: Project) -> None:
    store, viewer = MemoryStore(), Principal(name="vic", roles=frozenset({Role.VIEWER}))
    with pytest.raises(NotAllowed, match="vic"):
        await hold(project, store, "zuora", drain=False, reason="because", by=viewer, now=NOW)
    with pytest.raises(ConfigurationError, match="say why zuora"):
        await hold(project, store, "zuora", drain=False, reason="  ", by=ADA, now=NOW)
    with pytest.raises(ConfigurationError, match="connections: salesforce, zuora"):
        await hold(project, store, "zuorra", drain=False, reason="because", by=ADA, now=NOW)
    with pytest.raises(NotAllowed):
        await release(project, store, "zuora", by=viewer, now=NOW)
    assert await store.events() == []


async def test_a_stop_holds_until_it_is_taken_back(project: Project) -> None:
    """Whoever comes second hears who was first; a pause may become a drain."""
    store = MemoryStore()
    await hold(project, store, "zuora", drain=False, reason="closing", by=ADA, now=NOW)
    assert (await zuora(project, store)).state == "paused"
    with pytest.raises(ConcurrencyConflict, match=r"paused by Ada since .* because: closing"):
        await hold(project, store, "zuora", drain=False, reason="me too", by=ADA, now=NOW)
    await hold(project, store, "zuora", drain=True, reason="let it finish", by=ADA, now=NOW)
    assert (await zuora(project, store)).state == "draining"
    ended = await release(project, store, "zuora", by=ADA, now=NOW)
    assert ended.reason == "let it finish"
    assert (await zuora(project, store)).hold is None
    with pytest.raises(ConcurrencyConflict, match="nothing to resume"):
        await release(project, store, "zuora", by=ADA, now=NOW)


async def test_a_system_says_what_it_does_and_what_would_wait(project: Project) -> None:
    """Of a hub that is at work the lane's own word; of one that stopped, that it did."""
    store = MemoryStore()
    lane = LaneStatus(connection="zuora", state="parked", reason="HTTP 503", queued=3, since=NOW, updated_at=NOW)
    hint = VendorNotified(connection="zuora", kind="invoice", native_id="1")
    swept = make_event(hint, source="zuora", id="poll/invoice/1", time=NOW)
    effects = [
        Effect(
            connection="zuora",
            kind="customer",
            canonical_id=f"c-{number}",
            state=state,
            content_hash="",
            content=b"{}",
            run_id="r-1",
            intended_at=NOW,
        )
        for number, state in enumerate((EffectState.INTENDED, EffectState.IN_DOUBT, EffectState.APPLIED))
    ]
    cursor = Cursor(name="poll/zuora/invoices", value="2026-03-01", updated_at=NOW)
    await store.commit(Batch(lanes=[lane], effects=effects, cursors=[cursor], events=[swept]))
    found = await zuora(project, store)
    assert (found.state, found.reason, found.open_effects, found.webhook_at) == ("parked", "HTTP 503", 2, None)
    assert ("invoices", "2026-03-01") in [(sweep.stream, sweep.cursor) for sweep in found.sweeps]
    waits = await would_wait(store, found)
    assert (waits.effects, waits.runs, waits.queued, waits.more) == (2, 1, 3, False)
    later = await list_systems(project, store, {}, NOW + timedelta(minutes=1))
    assert {system.state for system in later} == {"stopped"}


def test_the_commands_pause_and_resume_beside_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And say what they did, in words and as JSON."""
    make_project(tmp_path / "project", port=0)

    async def nothing_yet() -> None:
        await SqliteStore(tmp_path / "project" / "tieline.db").close()

    asyncio.run(nothing_yet())
    tieline: Callable[..., Any] = lambda *words: _run(tmp_path / "project", monkeypatch, words)  # noqa: E731
    tieline("systems", "pause", "netsuite", "--reason", "closing", "--by", "Ada")
    assert "netsuite is paused by Ada since" in capsys.readouterr().out
    tieline("systems", "--json")
    (netsuite,) = [s for s in json.loads(capsys.readouterr().out) if s["name"] == "netsuite"]
    assert (netsuite["state"], netsuite["hold"]["reason"]) == ("paused", "closing")
    tieline("systems", "resume", "netsuite")
    assert "netsuite works again; it was paused by Ada" in capsys.readouterr().out


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["tieline", *words])
    try:
        main.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


async def test_a_deal_that_waits_for_a_stopped_system_says_who_stopped_it() -> None:
    """In the trace and on the deal's page alike, which are made of it."""
    store = MemoryStore()
    await small_deal(store)
    held = Hold(drain=False, by="Ada", reason="closing", at=NOW)
    lane = LaneStatus(connection="erp", state="paused", reason=held.words(), since=NOW, updated_at=NOW)
    open_write = Effect(
        connection="erp",
        kind="order",
        canonical_id="late",
        content_hash="",
        content=b"{}",
        correlation_id=DEAL,
        intended_at=NOW,
    )
    await store.commit(Batch(lanes=[lane], effects=[open_write]))
    waits = (await trace(view_on(store), DEAL, NOW)).waits_for
    assert any("erp is paused by Ada since 01 Mar 12:00 UTC, because: closing" in wait.what for wait in waits)
