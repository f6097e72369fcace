"""A replay repeats no finished write, never doubles a lost one, and counts no money twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.engine import NOW, decide, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem
from tests.support.views import view_on

from tieline.app.principal import local_principal
from tieline.app.project import Project, load_project
from tieline.app.replay import ReplayPlan, Wanted, plan_replay, request_replay
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.app.views.resolve import NothingFound
from tieline.domain import Money
from tieline.engine.cases import Problem
from tieline.engine.process import Process, process, registry
from tieline.engine.records import RunState
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.errors import ConfigurationError
from tieline.events import InvoicePosted, ReplayRequested, VendorNotified, make_event
from tieline.storage.memory import MemoryStore

ADA = local_principal("ada")
PRICE = Money(project(1).budget.amount, "EUR")


@process("open", on=VendorNotified, key=lambda data: data.native_id)
async def open_project(run: Run, hint: VendorNotified) -> None:
    """Ask when told to, write a project, tell of it."""
    if hint.kind == "large":
        await run.approval(Problem(case_class="approval", cause="c", message="large", actions=["approve", "refuse"]))
    title: str = await run.step(title_of, hint)
    standing = await run.ensure("erp", project(hint.native_id, title))
    posted = InvoicePosted(
        contract="k-1", connection="erp", document=hint.native_id, external_id=standing.external_id, amount=PRICE
    )
    await run.publish(posted)


def title_of(hint: VendorNotified) -> str:
    return f"Project {hint.stamp}"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A project of the template, with one process of our own."""
    make_project(tmp_path / "p")
    loaded = load_project(load_settings(tmp_path / "p", secrets=False))
    own: list[Process] = [open_project]
    return msgspec.structs.replace(loaded, processes=registry(own))


async def replayed(shop: Project, worker: Worker, **what: Any) -> ReplayPlan:
    """Plan a replay, ask for it, and let the worker do it."""
    plan = await plan_replay(shop, view_on(worker.store), Wanted(**what))
    await request_replay(worker.store, plan, by=ADA, reason="test", now=NOW)
    worker.events_arrived()
    await until_idle(worker)
    return plan


async def test_a_finished_run_is_replayed_without_a_single_call(shop: Project) -> None:
    """The ledger answers for every write; nothing is told again, so no sum counts it twice."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        calls, probes, told = len(system.calls), system.probes, len(await store.events(type="InvoicePosted"))
        plan = await replayed(shop, worker, run="open:1")
        assert [(a.action, a.system) for a in plan.runs[0].actions] == [("nothing", "erp")]
        assert plan.sends == 0
        assert (len(system.calls), system.probes) == (calls, probes)
        assert len(await store.events(type="InvoicePosted")) == told == 1
    runs = {r.id: r.state for r in await store.runs()}
    assert runs == {"open:1": RunState.DONE, "open:1:r3": RunState.DONE}


async def test_a_replay_names_who_asked_and_why(shop: Project) -> None:
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        await replayed(shop, worker, event="1")
    request = (await store.events(type="ReplayRequested"))[0]
    data = msgspec.json.decode(request.data)
    assert (data["process"], data["event_seq"], data["by"], data["reason"]) == ("open", 1, "ada", "test")


@pytest.mark.parametrize("lost", ["effects", "effects and references"])
async def test_a_lost_effect_is_looked_for_before_it_is_written(shop: Project, lost: str) -> None:
    """The ledger forgot, the system did not: what stands there is recognised, and stands there once."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        store._effects.clear()
        if lost != "effects":
            store._references.clear()
        calls = len(system.calls)
        plan = await replayed(shop, worker, run="open:1")
        assert plan.runs[0].actions[0].action == ("update" if lost == "effects" else "create")
        assert len(system.calls) == calls
        assert system.count("project") == {"p-1": 1}
        effect = (await store.effects(kind="project"))[0]
        assert (effect.settled_by, effect.external_id) == ("probe", "X-p-1")


async def test_a_lost_effect_whose_document_is_gone_too_is_written_again(shop: Project) -> None:
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        store._effects.clear()
        store._references.clear()
        system.documents.clear()
        await replayed(shop, worker, run="open:1")
        assert system.count("project") == {"p-1": 1}


async def test_an_old_event_does_not_overwrite_newer_content(shop: Project) -> None:
    """The replay of the first event finds the content of the second, and leaves it."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        for number in (1, 2):
            await worker.append([notified("1", number)])
            await until_idle(worker)
        plan = await replayed(shop, worker, run="open:1")
        assert [a.why for a in plan.runs[0].actions] == ["newer content stands there"]
        assert system.documents["project", "p-1"][-1]["title"] == "Project 2"


async def test_what_people_decided_is_not_asked_again(shop: Project) -> None:
    """A replay of an approved run takes the approval it has."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1", kind="large")])
        await until_idle(worker)
        await decide(worker, "approve")
        await until_idle(worker)
        plan = await replayed(shop, worker, run="open:1")
        assert [(a.action, a.what.split(" decided")[0]) for a in plan.runs[0].actions] == [
            ("decide", "as ada"),
            ("nothing", "project Project 0"),
        ]
        assert len(await store.cases()) == 1
        assert {r.state for r in await store.runs()} == {RunState.DONE}


async def test_a_refused_write_would_be_sent_again(shop: Project) -> None:
    """The preview says what a person skipped or the system refused, and that it would be tried."""
    store, system = MemoryStore(), FakeSystem()
    system.trouble.append("refuse")
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        await decide(worker, "skip")
        await until_idle(worker)
        plan = await plan_replay(shop, view_on(store), Wanted(run="open:1"))
    assert (plan.runs[0].actions[0].action, plan.sends) == ("create", 1)
    assert "Item 4711" in plan.runs[0].actions[0].why


async def test_a_run_that_has_not_ended_is_left_alone(shop: Project) -> None:
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1", kind="large")])
        await until_idle(worker)
        plan = await plan_replay(shop, view_on(store), Wanted(run="open:1"))
    assert plan.runs == []
    assert plan.left_out[0].startswith("open:1 is still waiting")


async def test_a_request_for_what_is_not_there_stops_nothing(shop: Project) -> None:
    """A process that the project has no more, an event that never was: the hub goes on."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        for process_name, seq in (("gone", 1), ("open", 99)):
            asked = ReplayRequested(process=process_name, event_seq=seq, contract="", by="ada")
            await worker.append([make_event(asked, source="people", id=process_name, time=NOW)])
        await worker.append([notified("1")])
        await until_idle(worker)
        assert worker.failure is None
    assert [r.id for r in await store.runs()] == ["open:3"]


async def test_a_replay_survives_a_restart(shop: Project) -> None:
    """Asked for while no hub works, it is done by the next one."""
    store, system = MemoryStore(), FakeSystem()
    async with working(store, [open_project], system) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
    plan = await plan_replay(shop, view_on(store), Wanted(run="open:1"))
    asked = await request_replay(store, plan, by=ADA, reason="", now=NOW)
    async with working(store, [open_project], system) as worker:
        await until_idle(worker)
    done = await store.run(asked[0])
    assert done is not None
    assert (done.state, done.event_seq) == (RunState.DONE, 1)


async def test_a_replay_must_name_one_thing_that_exists(shop: Project) -> None:
    view = view_on(MemoryStore())
    with pytest.raises(ConfigurationError, match="exactly one"):
        await plan_replay(shop, view, Wanted(run="a", deal="b"))
    with pytest.raises(NothingFound, match="open:9"):
        await plan_replay(shop, view, Wanted(run="open:9"))
    with pytest.raises(NothingFound, match="'77'"):
        await plan_replay(shop, view, Wanted(event="77"))
