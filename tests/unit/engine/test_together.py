"""Branches, cancellation, eviction and the end of a worker: what happens to a run when something else happens too."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.engine import NOW, customer, decide, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine import worker
from tieline.engine.cases import Problem
from tieline.engine.ports import Batch
from tieline.engine.process import process
from tieline.engine.records import CaseState, EffectKey, EffectState, JournalEntry, RunState
from tieline.engine.run import Run
from tieline.events import VendorNotified, make_event
from tieline.storage.memory import MemoryStore
from tieline.storage.sqlite import SqliteStore


def deal(data: VendorNotified) -> str:
    return data.native_id


def is_deal(data: VendorNotified) -> bool:
    return data.kind == "deal"


ASK = Problem(case_class="ask", cause="ask", message="go on?", actions=["approve", "cancel"])
PARENT = EffectKey("erp", "project", "p-parent")


async def until_ended(store: MemoryStore) -> None:
    """A run whose branches wait and work at the same time is idle only when it has ended."""
    async with asyncio.timeout(5):
        while not all(run.state.ended for run in await store.runs()):  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.002)


# --- branches ---------------------------------------------------------------------------------------------------------


async def test_two_branches_that_wait_for_one_parent_both_go_on() -> None:
    """Also after a restart: positions do not depend on which parent came first."""
    erp, store = FakeSystem(), MemoryStore()

    @process("children", on=VendorNotified, key=deal, accepts=is_deal)
    async def children(run: Run, data: VendorNotified) -> None:
        await asyncio.gather(*(run.ensure("erp", customer(n), after=[PARENT]) for n in (1, 2)))

    @process("parent", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "parent")
    async def parent(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("parent"))

    async with working(store, [children, parent], erp) as first:
        await first.append([notified("1")])
        await until_idle(first)
        assert erp.documents == {}
    async with working(store, [children, parent], erp) as second:
        await second.append([notified("1", kind="parent")])
        await until_idle(second)
    assert erp.count("customer") == {"c-1": 1, "c-2": 1}
    assert {run.state for run in await store.runs()} == {RunState.DONE}
    assert await store.cases() == []


async def test_a_branch_does_not_go_on_behind_the_back_of_a_cancelled_run() -> None:
    """One branch waits for news, the other is cancelled by a person: the news must not write any more."""
    erp, store = FakeSystem(), MemoryStore()

    @process("branches", on=VendorNotified, key=deal, accepts=is_deal)
    async def branches(run: Run, data: VendorNotified) -> None:
        async def after_news() -> None:
            await run.wait(VendorNotified, "crm/reply/1", timedelta(days=1))
            await run.ensure("erp", project("late"))

        await asyncio.gather(run.case(ASK), after_news())

    async with working(store, [branches], erp) as hub:
        await hub.append([notified("1")])
        await until_idle(hub)
        await decide(hub, "cancel")
        await until_ended(store)
        await hub.append([notified("1", kind="reply")])
        await until_idle(hub)
        await asyncio.sleep(0.02)
    assert [run.state for run in await store.runs()] == [RunState.CANCELLED]
    assert erp.documents == {}


async def test_every_case_of_a_run_is_closed_with_it() -> None:
    """Two branches ask; one answer cancels: nobody is asked the other question any more."""
    store = MemoryStore()

    @process("asks", on=VendorNotified, key=deal)
    async def asks(run: Run, data: VendorNotified) -> None:
        await asyncio.gather(run.case(ASK), run.case(ASK))

    async with working(store, [asks]) as hub:
        await hub.append([notified("1")])
        await until_idle(hub)
        assert len(await store.cases(states=[CaseState.OPEN])) == 2
        await decide(hub, "cancel")
        await until_ended(store)
    assert {case.state for case in await store.cases()} == {CaseState.CLOSED}


# --- cases ------------------------------------------------------------------------------------------------------------


async def test_a_correction_of_a_field_that_is_not_there_can_be_corrected() -> None:
    """A typing error of a person is another case, not a run that can never go on."""
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("refuse")

    @process("opens", on=VendorNotified, key=deal)
    async def opens(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("1"))

    async with working(store, [opens], erp) as hub:
        await hub.append([notified("1")])
        await until_idle(hub)
        await decide(hub, "correct", **{"lines.7.titel": "x"})
        await until_idle(hub)
        (case,) = await store.cases(states=[CaseState.OPEN])
        assert "the document has no field 'lines.7.titel'" in case.message
        await decide(hub, "correct", title="Right")
        await until_idle(hub)
    assert [run.state for run in await store.runs()] == [RunState.DONE]
    assert erp.documents["project", "p-1"][-1]["title"] == "Right"


async def test_a_parent_that_never_comes_is_asked_about_each_time_it_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """`retry` waits for the parent again; it does not write the child without it."""
    from tieline.engine import run as module

    monkeypatch.setattr(module, "PARENT_WITHIN", timedelta(seconds=0.02))
    erp, store = FakeSystem(), MemoryStore()

    @process("child", on=VendorNotified, key=deal)
    async def child(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", customer(1), after=[PARENT])

    async with working(store, [child], erp) as hub:
        await hub.append([notified("1")])
        for number in (1, 2, 3):
            await asyncio.sleep(0.05)
            await until_idle(hub)
            assert len(await store.cases()) == number
            assert erp.documents == {}
            await decide(hub, "retry" if number < 3 else "cancel")
        await until_idle(hub)
    assert [run.state for run in await store.runs()] == [RunState.CANCELLED]
    assert {case.state for case in await store.cases()} == {CaseState.CLOSED}


async def test_an_undoing_that_fails_is_a_case_and_stops_nobody_else() -> None:
    """The hub goes on; a person may let the undoing be."""
    store = MemoryStore()

    async def cannot() -> None:
        raise KeyError("nothing to undo")

    @process("fails", on=VendorNotified, key=deal, accepts=is_deal)
    async def fails(run: Run, data: VendorNotified) -> None:
        run.compensate_with(cannot)
        raise ZeroDivisionError("line 7")

    with capture_logs():
        async with working(store, [fails]) as hub:
            await hub.append([notified("1")])
            await until_idle(hub)
            await decide(hub, "cancel")
            await until_idle(hub)
            (case,) = await store.cases(states=[CaseState.OPEN])
            assert "KeyError" in case.message
            assert hub.failure is None
            await decide(hub, "cancel")
            await until_idle(hub)
    assert [run.state for run in await store.runs()] == [RunState.CANCELLED]


async def test_an_event_that_breaks_a_process_of_the_project_does_not_stop_the_log() -> None:
    """A key that cannot be computed is a case; later events are dispatched, and a restart does not fall over it."""
    store, seen = MemoryStore(), list[str]()

    @process("picky", on=VendorNotified, key=lambda d: str(1 / int(d.native_id)))
    async def picky(run: Run, data: VendorNotified) -> None:
        seen.append(data.native_id)

    async with working(store, [picky]) as hub:
        await hub.append([notified("0"), notified("1")])
        await until_idle(hub)
        (case,) = await store.cases()
        assert (case.case_class, case.run_id, case.actions) == ("message-not-understood", "", ["dismiss"])
        assert "division by zero" in case.message
    async with working(store, [picky]) as hub:
        await until_idle(hub)
    assert seen == ["1"]
    assert len(await store.cases()) == 1


async def test_a_case_is_not_opened_again_by_who_read_it_before_the_decision() -> None:
    """Escalation reads, a person decides, escalation writes: the decision stays."""
    store = MemoryStore()

    @process("asks", on=VendorNotified, key=deal)
    async def asks(run: Run, data: VendorNotified) -> None:
        await run.case(ASK)

    async with working(store, [asks]) as hub:
        await hub.append([notified("1")])
        await until_idle(hub)
        (stale,) = await store.cases()
        await decide(hub, "approve")
        await store.commit(Batch(cases=[stale]))
        (case,) = await store.cases()
        assert case.state is not CaseState.OPEN


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_a_run_put_out_of_memory_while_a_branch_still_writes_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One branch asks a person, the other's call is under way: its answer is settled and not asked for again."""
    monkeypatch.setattr(worker, "MOST_IN_MEMORY", 1)
    erp, store = FakeSystem(), MemoryStore()
    erp.delay_s = 0.05

    @process("branches", on=VendorNotified, key=deal, accepts=is_deal)
    async def branches(run: Run, data: VendorNotified) -> None:
        await asyncio.gather(run.case(ASK), run.ensure("erp", project(data.native_id)))

    async with working(store, [branches], erp) as hub:
        await hub.append([notified("1"), notified("2")])
        for _ in range(50):
            await asyncio.sleep(0.005)
            if await store.cases(states=[CaseState.OPEN]):
                await decide(hub, "approve")
        await until_ended(store)
        assert {run.state for run in await store.runs()} == {RunState.DONE}
        assert {case.case_class for case in await store.cases()} == {"ask"}
    assert erp.count("project") == {"p-1": 1, "p-2": 1}
    assert sum(erp.calls) == 2


async def test_children_that_wait_do_not_keep_their_parents_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """More children than fit into memory, and the parent's event comes last."""
    monkeypatch.setattr(worker, "MOST_IN_MEMORY", 4)
    erp, store = FakeSystem(), MemoryStore()

    @process("child", on=VendorNotified, key=deal, accepts=is_deal)
    async def child(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", customer(data.native_id), after=[PARENT])

    @process("parent", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "parent")
    async def parent(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("parent"))

    async with working(store, [child, parent], erp) as hub:
        await hub.append([*(notified(str(n)) for n in range(30)), notified("x", kind="parent")])
        for _ in range(100):
            if len(erp.count("customer")) == 30:
                break
            await asyncio.sleep(0.02)
        await until_idle(hub)
    assert len(erp.count("customer")) == 30


async def test_the_ledger_forgets_the_locks_nobody_uses() -> None:
    erp, store = FakeSystem(), MemoryStore()
    erp.delay_s = 0.01
    locks: list[dict[EffectKey, object]] = []

    @process("opens", on=VendorNotified, key=lambda d: d.stamp)
    async def opens(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("same"))

    async with working(store, [opens], erp) as hub:
        locks.append(hub.ledger._locks)  # type: ignore[arg-type]
        await hub.append([notified("1", n) for n in range(5)])
        await asyncio.sleep(0.005)
    assert locks == [{}]


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_stopping_settles_what_was_answered(tmp_path: Path) -> None:
    """Calls under way when the hub stops are settled on disk before the store closes: nothing is left in doubt."""
    erp, store = FakeSystem(), SqliteStore(tmp_path / "tieline.db")
    erp.delay_s = 0.03

    @process("opens", on=VendorNotified, key=deal)
    async def opens(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project(data.native_id))

    async with working(store, [opens], erp) as hub:
        await hub.append([notified(str(n)) for n in range(20)])
        while not erp.calls:  # noqa: ASYNC110 - the fake system has no event for it
            await asyncio.sleep(0.002)
    await store.close()
    again = SqliteStore(tmp_path / "tieline.db")
    effects = await again.effects()
    await again.close()
    sent = set(erp.count("project"))
    assert sent
    assert {e.canonical_id for e in effects if e.state is EffectState.APPLIED} == sent
    assert {e.settled_by for e in effects if e.state is EffectState.APPLIED} == {"answer"}


async def test_a_closed_store_takes_nothing_and_says_so(tmp_path: Path) -> None:
    from tieline.errors import ConfigurationError

    store = SqliteStore(tmp_path / "tieline.db")
    await store.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await asyncio.wait_for(store.commit(Batch(events=[notified("1")])), 1)


async def test_a_journal_written_by_an_earlier_life_a_moment_ago_is_taken_over() -> None:
    """The run loads it and goes on; it does not become a case."""
    store = MemoryStore()
    late = JournalEntry(run_id="step:1", position=0, kind="step", name="number", payload=b"7", at=NOW)
    seen: list[int] = []

    async def number() -> int:
        if not await store.journal("step:1"):
            await store.commit(Batch(journal=[late]))
        return 8

    @process("step", on=VendorNotified, key=deal)
    async def step(run: Run, data: VendorNotified) -> None:
        seen.append(await run.step(number))

    async with working(store, [step]) as hub:
        await hub.append([notified("1")])
        await until_idle(hub)
    assert seen == [7]
    assert await store.cases() == []


async def test_an_answer_to_a_case_may_take_longer_than_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that ends is not a deadline that passed."""
    monkeypatch.setattr(worker, "LONGEST_TIMER_S", 0.005)
    store = MemoryStore()

    @process("asks", on=VendorNotified, key=deal)
    async def asks(run: Run, data: VendorNotified) -> None:
        await run.case(ASK)

    async with working(store, [asks]) as hub:
        await hub.append([notified("1")])
        await asyncio.sleep(0.05)
        await decide(hub, "approve")
        await until_idle(hub)
    assert [(run.state, run.error) for run in await store.runs()] == [(RunState.DONE, "")]


async def test_an_event_told_twice_with_other_content_is_one_case() -> None:
    """Without a run; told a third time it is the same case."""
    store = MemoryStore()
    other = make_event(
        VendorNotified(connection="crm", kind="deal", native_id="1", stamp="other"),
        source="crm",
        id="deal/1/0",
        time=NOW,
    )
    async with working(store, []) as hub:
        for event in (notified("1"), other, other, notified("1")):
            await hub.append([event])
        await until_idle(hub)
    (case,) = await store.cases()
    assert (case.case_class, case.run_id, case.position, case.actions) == (
        "event-conflict",
        "",
        0,
        ["accept", "dismiss"],
    )
    assert (case.details["known"]["stamp"], case.details["told"]["stamp"]) == ("0", "other")


async def test_a_run_cancelled_while_the_worker_was_down_does_nothing_more() -> None:
    """The process failed, the worker stopped, a person cancelled: the next life must not try first."""
    erp, store = FakeSystem(), MemoryStore()
    broken = True

    @process("fails", on=VendorNotified, key=deal)
    async def fails(run: Run, data: VendorNotified) -> None:
        if broken:
            raise ZeroDivisionError("line 7")
        await run.ensure("erp", project("1"))

    with capture_logs():
        async with working(store, [fails], erp) as first:
            await first.append([notified("1")])
            await until_idle(first)
    broken = False
    await decide(first, "cancel")
    async with working(store, [fails], erp) as second:
        await until_ended(store)
        await until_idle(second)
    assert [run.state for run in await store.runs()] == [RunState.CANCELLED]
    assert erp.documents == {}
