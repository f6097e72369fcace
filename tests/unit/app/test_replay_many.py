"""A thousand runs chosen by what they have in common, run again behind what happens now: nothing is written twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
import pytest_asyncio
from tests.support.engine import NOW, customer, decide, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem
from tests.support.views import view_on

from tieline.app.archive import archive_runs
from tieline.app.principal import local_principal
from tieline.app.project import Project, load_project
from tieline.app.replay import Wanted, plan_replay, progress_of, request_replay
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.app.views.resolve import NothingFound
from tieline.engine.cases import Problem
from tieline.engine.process import Process, process, registry
from tieline.engine.records import RunState
from tieline.engine.run import Run
from tieline.errors import ConfigurationError
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore
from tieline.storage.sqlite import SqliteStore

ADA = local_principal("ada")
DEALS = 1_000


@process("open", on=VendorNotified, key=lambda data: data.native_id, accepts=lambda data: data.kind != "state")
async def open_project(run: Run, hint: VendorNotified) -> None:
    if hint.kind == "large":
        await run.approval(Problem(case_class="approval", cause="large deal", message="large", actions=["approve"]))
    await run.ensure("erp", project(hint.native_id))


@process("state", on=VendorNotified, key=lambda _: "all", latest_wins=True, accepts=lambda data: data.kind == "state")
async def keep_state(run: Run, hint: VendorNotified) -> None:
    await run.ensure("erp", project("state", f"State {hint.stamp}"))


OWN: list[Process] = [open_project, keep_state]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("shop") / "p"
    make_project(folder)
    return msgspec.structs.replace(load_project(load_settings(folder, secrets=False)), processes=registry(OWN))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[SqliteStore, FakeSystem]]:
    """A thousand deals that were written, one of them after an approval; their runs are archived."""
    folder = tmp_path_factory.mktemp("deals")
    store, system = SqliteStore(folder / "tieline.db"), FakeSystem()
    async with working(store, OWN, system) as worker:
        await worker.append([notified(str(n), kind="large" if n == 7 else "deal") for n in range(DEALS)])
        await until_idle(worker, 60)
        await decide(worker, "approve")
        await until_idle(worker, 60)
        await worker.append([notified("all", n, kind="state") for n in range(3)])
        await until_idle(worker)
    rows = await store.runs(limit=2 * DEALS)
    moved = await archive_runs(store, store.archive, max(row.ended_at or NOW for row in rows) + timedelta(seconds=1))
    assert moved.runs == len(rows) >= DEALS
    assert await store.count_runs() == {}
    yield store, system
    await store.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_thousand_archived_deals_are_replayed_and_nothing_is_written(
    shop: Project, played: tuple[SqliteStore, FakeSystem]
) -> None:
    """The plan says so first, in documents and money; then the system has not had a single call more."""
    store, system = played
    plan = await plan_replay(shop, view_on(store), Wanted(process="open", limit=DEALS))
    assert (len(plan.runs), plan.sends, plan.more, plan.left_out) == (DEALS, 0, False, [])
    (nothing, decided) = sorted(plan.groups, key=lambda group: -group.documents)
    assert (nothing.action, nothing.system, nothing.kind, nothing.documents) == ("nothing", "erp", "project", DEALS)
    assert nothing.money == {"EUR": Decimal("1000.10") * DEALS}
    assert (decided.action, decided.documents) == ("decide", 1)
    before = (dict(system.documents), len(system.calls), system.probes, await store.count_effects())
    async with working(store, OWN, system) as worker:
        asked = await request_replay(store, plan, by=ADA, reason="test", now=NOW)
        worker.events_arrived()
        await until_idle(worker, 60)
    assert (system.documents, len(system.calls), system.probes, await store.count_effects()) == before
    assert set(system.count("project").values()) == {1}
    assert await progress_of(store, asked) == {"done": DEALS}
    assert len(await store.cases()) == 1, "nobody was asked twice"
    assert await progress_of(store, ["open:1:r1", "open:1:r999999"]) == {"not made": 1, "asked": 1}


@pytest.mark.asyncio(loop_scope="module")
async def test_runs_are_chosen_by_what_they_have_in_common(
    shop: Project, played: tuple[SqliteStore, FakeSystem]
) -> None:
    store, _ = played
    view, seventh = view_on(store), "open:8"

    async def chosen(**what: object) -> list[str]:
        plan = await plan_replay(shop, view, Wanted(**what))  # type: ignore[arg-type]
        return [run.first_run for run in plan.runs]

    assert await chosen(case_class="approval") == [seventh]
    assert await chosen(cause="large deal", process="open", state="done") == [seventh]
    first = await store.run("open:1")
    assert first is not None
    assert len(await chosen(process="open", since=first.started_at, limit=5)) == 5
    assert (await plan_replay(shop, view, Wanted(process="open", limit=5))).more
    assert [run.split(":")[0] for run in await chosen(process="state")] == ["state"]  # the newest, which won
    for nothing in ({"process": "open", "until": first.started_at}, {"process": "open", "state": "cancelled"}):
        with pytest.raises(NothingFound, match="no run matches"):
            await chosen(**nothing)
    for wrong, words in (
        ({"process": "opn"}, "no process 'opn'; it has: open, state"),
        ({"process": "open", "state": "waiting"}, "only runs that ended"),
        ({}, "name exactly one"),
        ({"run": "open:1", "process": "open"}, "name exactly one"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            await chosen(**wrong)


@process("slow", on=VendorNotified, key=lambda data: data.native_id)
async def slow(run: Run, hint: VendorNotified) -> None:
    await asyncio.sleep(0.03)
    await run.ensure("erp", project(hint.native_id))


async def test_what_happens_now_goes_before_a_thousand_replays(shop: Project) -> None:
    """Also a fresh event of a deal whose replay has not begun: it waits for that one, not for the others."""
    store, system, own = MemoryStore(), FakeSystem(), msgspec.structs.replace(shop, processes=registry([slow]))
    async with working(store, [slow], system) as worker:
        await worker.append([notified(str(n)) for n in range(400)])
        await until_idle(worker, 30)
        plan = await plan_replay(own, view_on(store), Wanted(process="slow"))
        asked = await request_replay(store, plan, by=ADA, reason="", now=NOW)
        await worker.append([notified("new"), notified("399", 1)])
        fresh = [event.seq for event in (await store.events(newest=True, limit=2))]
        while not all([(row := await store.run(f"slow:{seq}")) and row.state.ended for seq in fresh]):
            await worker.clock.sleep(0.005)
        done = (await progress_of(store, asked))[RunState.DONE.value]
        assert done <= 250, f"{done} of 400 replays were done before what happened now"
        await until_idle(worker, 30)
        assert await progress_of(store, asked) == {"done": 400}


@process("buyer", on=VendorNotified, key=lambda data: data.native_id)
async def write_customer(run: Run, hint: VendorNotified) -> None:
    await run.ensure("erp", customer(hint.native_id))


async def test_a_posting_goes_before_the_writes_of_replays(shop: Project) -> None:
    """Replays that do write, because ledger and system have lost all: one slot, and the fresh write has it next."""
    store, system = MemoryStore(), FakeSystem(slots=1)
    own = msgspec.structs.replace(shop, processes=registry([write_customer]))
    async with working(store, [write_customer], system) as worker:
        await worker.append([notified(str(n)) for n in range(40)])
        await until_idle(worker)
        store._effects.clear()
        store._references.clear()
        system.documents.clear()
        system.delay_s = 0.02
        plan = await plan_replay(own, view_on(store), Wanted(process="buyer"))
        assert (plan.sends, plan.groups[0].action, plan.groups[0].documents) == (40, "create", 40)
        await request_replay(store, plan, by=ADA, reason="", now=NOW)
        worker.events_arrived()
        while not system.documents:
            await worker.clock.sleep(0.005)
        await worker.append([notified("new")])
        while ("customer", "c-new") not in system.documents:
            await worker.clock.sleep(0.005)
        assert len(system.documents) < 15
        await until_idle(worker, 30)
    assert set(system.count("customer").values()) == {1}
    assert len(system.documents) == 41


async def test_no_fresh_run_gives_way_to_a_replay(shop: Project) -> None:
    """Of a process whose latest run wins, an old event that is replayed is not the latest."""
    store, system = MemoryStore(), FakeSystem()
    system.delay_s = 0.05
    async with working(store, OWN, system) as worker:
        await worker.append([notified("all", 1, kind="state")])
        await until_idle(worker)
        plan = await plan_replay(shop, view_on(store), Wanted(run="state:1"))
        await worker.append([notified("all", n, kind="state") for n in (2, 3)])
        await request_replay(store, plan, by=ADA, reason="", now=NOW)
        worker.events_arrived()
        await until_idle(worker)
    assert system.documents["project", "p-state"][-1]["title"] == "State 3"
    assert {row.id: row.state for row in await store.runs()}["state:3"] is RunState.DONE
