"""Processes and runs on the memory store: what a run promises, whatever happens to it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.support.engine import customer, decide, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine.cases import Problem
from tieline.engine.process import Process, process
from tieline.engine.records import CaseState, EffectKey, EffectState, RunState
from tieline.engine.run import Run
from tieline.events import CustomerCreated, VendorNotified
from tieline.storage.memory import MemoryStore


def deal(data: VendorNotified) -> str:
    return data.native_id


@process("open-project", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
async def open_project(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", project(data.native_id))


async def test_an_event_becomes_a_document_that_stands() -> None:
    erp, store = FakeSystem(), MemoryStore()
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        effect = await store.find_effect(EffectKey("erp", "project", "p-1"))
        assert effect is not None
        assert (effect.state, effect.external_id, effect.settled_by) == (EffectState.APPLIED, "X-p-1", "answer")
        assert [r.state for r in await store.runs()] == [RunState.DONE]
    assert erp.count("project") == {"p-1": 1}


async def test_the_same_event_again_and_the_same_content_write_nothing() -> None:
    """Neither a redelivery nor another event with the same content reaches the system."""
    erp, store = FakeSystem(), MemoryStore()
    async with working(store, [open_project], erp) as worker:
        for number in (0, 0, 1, 2):
            await worker.append([notified("1", number)])
        await until_idle(worker)
    assert sum(erp.calls) == 1


async def test_a_lost_answer_is_settled_by_asking() -> None:
    """The system did it, the answer was lost: asked, it says so; nothing is sent again."""
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("lose")
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        effect = await store.find_effect(EffectKey("erp", "project", "p-1"))
        assert effect is not None
        assert (effect.settled_by, effect.attempts) == ("probe", 1)
    assert (sum(erp.calls), erp.probes) == (1, 1)


async def test_a_lost_request_is_sent_again_after_asking() -> None:
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("drop")
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
    assert (sum(erp.calls), erp.probes, erp.count("project")) == (2, 1, {"p-1": 1})


async def test_an_outage_spends_no_attempts_and_stops_no_other_lane() -> None:
    """While the ERP is closed its effects wait; the PSA's go on; afterwards all stands once."""
    erp, psa, store = FakeSystem("erp"), FakeSystem("psa"), MemoryStore()
    erp.trouble.extend(["down"] * 10_000)

    @process("both", on=VendorNotified, key=deal)
    async def both(run: Run, data: VendorNotified) -> None:
        await run.ensure("psa" if int(data.native_id) % 2 else "erp", project(data.native_id))

    async with working(store, [both], erp, psa) as worker:
        await worker.append([notified(str(n)) for n in range(10)])
        async with asyncio.timeout(10):
            while len(psa.count("project")) < 5:  # noqa: ASYNC110 - a system tells nobody what it takes
                await asyncio.sleep(0.01)
        assert erp.count("project") == {}
        erp.trouble.clear()
        await until_idle(worker)
        effects = await store.effects(connection="erp")
    assert {e.attempts for e in effects} == {1}
    assert len(erp.count("project")) == 5


async def test_concurrent_effects_of_one_kind_travel_together() -> None:
    """Written one at a time, sent in bulk; each gets its own answer."""
    erp, store = FakeSystem(), MemoryStore()
    erp.delay_s = 0.02
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified(str(n)) for n in range(200)])
        await until_idle(worker)
    assert sum(erp.calls) == 200
    assert len(erp.calls) <= 20
    assert set(erp.count("project").values()) == {1}


async def test_the_accounts_slots_are_never_exceeded() -> None:
    erp, store = FakeSystem(slots=3), MemoryStore()
    erp.delay_s = 0.005

    @process("customers", on=VendorNotified, key=deal)
    async def customers(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", customer(data.native_id))

    async with working(store, [customers], erp) as worker:
        await worker.append([notified(str(n)) for n in range(40)])
        await until_idle(worker)
    assert erp.most_at_once == 3


async def test_a_refusal_is_a_case_and_retry_goes_on() -> None:
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("refuse")
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        (case,) = await store.cases(states=[CaseState.OPEN])
        assert case.case_class == "project-rejected"
        assert "Please enter a value for Item" in case.message
        assert (case.owner, case.amount) == ("finance", "1000.10 EUR")
        assert case.cause == "erp: Please enter a value for Item #"
        await decide(worker, "retry")
        await until_idle(worker)
        (closed,) = await store.cases()
        assert closed.state is CaseState.CLOSED
        assert [e.state for e in await store.effects()] == [EffectState.REJECTED, EffectState.APPLIED]
    assert erp.count("project") == {"p-1": 1}


async def test_a_correction_changes_the_document_that_is_sent() -> None:
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("refuse")
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        await decide(worker, "correct", title="Right title")
        await until_idle(worker)
    assert erp.documents["project", "p-1"][-1]["title"] == "Right title"


async def test_linking_takes_what_stands_there_already() -> None:
    erp, store = FakeSystem(), MemoryStore()
    erp.trouble.append("refuse")
    async with working(store, [open_project], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        await decide(worker, "link", external_id="4711")
        await until_idle(worker)
        effect = await store.find_effect(EffectKey("erp", "project", "p-1"))
        assert effect is not None
        assert (effect.external_id, effect.settled_by) == ("4711", "linked by ada")
        assert [r.state for r in await store.runs()] == [RunState.DONE]
    assert erp.count("project") == {}


async def test_cancelling_compensates_what_was_done() -> None:
    """The deeds registered by the run are done in reverse, as effects of their own."""
    erp, store = FakeSystem(), MemoryStore()

    @process("two", on=VendorNotified, key=deal)
    async def two(run: Run, data: VendorNotified) -> None:
        first = project("first")
        await run.ensure("erp", first)
        run.compensate_with(lambda: run.perform("erp", "withdraw", first))
        await run.ensure("erp", customer("second"))

    erp.trouble.extend(["fine", "refuse"])
    async with working(store, [two], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        await decide(worker, "cancel")
        await until_idle(worker)
        assert [r.state for r in await store.runs()] == [RunState.CANCELLED]
    assert erp.deeds == [("withdraw", "p-first")]


async def test_runs_of_one_key_go_one_after_another() -> None:
    seen: list[tuple[str, str]] = []

    @process("ordered", on=VendorNotified, key=deal)
    async def ordered(run: Run, data: VendorNotified) -> None:
        seen.append(("in", data.stamp))
        await asyncio.sleep(0.002)
        seen.append(("out", data.stamp))

    store = MemoryStore()
    async with working(store, [ordered]) as worker:
        await worker.append([notified("1", n) for n in range(5)])
        await until_idle(worker)
    assert seen == [(way, str(n)) for n in range(5) for way in ("in", "out")]


async def test_latest_wins_drops_what_waits_behind() -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    @process("latest", on=VendorNotified, key=deal, latest_wins=True)
    async def latest(run: Run, data: VendorNotified) -> None:
        seen.append(data.stamp)
        await gate.wait()

    store = MemoryStore()
    async with working(store, [latest]) as worker:
        await worker.append([notified("1", 0)])
        await asyncio.sleep(0.05)
        for n in range(1, 5):
            await worker.append([notified("1", n)])
            await asyncio.sleep(0.01)
        gate.set()
        await until_idle(worker)
        states = [r.state for r in await store.runs()]
    assert seen == ["0", "4"]
    assert states.count(RunState.SUPERSEDED) == 3


async def test_an_older_event_never_overwrites_a_newer_one() -> None:
    """A run of an old event that comes late finds the newer document and leaves it alone."""
    erp, store = FakeSystem(), MemoryStore()
    hold = asyncio.Event()

    @process("titled", on=VendorNotified, key=lambda d: d.stamp)
    async def titled(run: Run, data: VendorNotified) -> None:
        if data.stamp == "0":
            await hold.wait()
        await run.ensure("erp", project("1", title=f"title {data.stamp}"))

    async with working(store, [titled], erp) as worker:
        await worker.append([notified("1", 0), notified("1", 1)])
        await asyncio.sleep(0.05)
        hold.set()
        await until_idle(worker)
    assert erp.documents["project", "p-1"][-1]["title"] == "title 1"
    assert sum(erp.calls) == 1


async def test_a_wait_is_answered_by_an_event_before_or_after() -> None:
    erp, store = FakeSystem(), MemoryStore()
    answers: list[str] = []

    @process("asks", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
    async def asks(run: Run, data: VendorNotified) -> None:
        reply = await run.wait(VendorNotified, f"crm/reply/{data.native_id}", timedelta(days=1))
        answers.append(f"{data.native_id}:{reply.stamp if reply else None}")

    async with working(store, [asks], erp) as worker:
        await worker.append([notified("early", 7, "reply"), notified("early"), notified("late")])
        await until_idle(worker)
        assert answers == ["early:7"]
        await worker.append([notified("late", 8, "reply")])
        await until_idle(worker)
    assert answers == ["early:7", "late:8"]


async def test_a_wait_ends_at_its_deadline() -> None:
    store = MemoryStore()
    answers: list[object] = []

    @process("asks", on=VendorNotified, key=deal)
    async def asks(run: Run, data: VendorNotified) -> None:
        answers.append(await run.wait(VendorNotified, "crm/reply/never", timedelta(seconds=0.05)))

    async with working(store, [asks]) as worker:
        await worker.append([notified("1")])
        await asyncio.sleep(0.15)
        await until_idle(worker)
    assert answers == [None]


async def test_a_child_waits_until_its_parent_stands() -> None:
    erp, store = FakeSystem(), MemoryStore()

    @process("child", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "child")
    async def child(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", customer("child"), after=[EffectKey("erp", "project", "p-parent")])

    async with working(store, [child, open_project], erp) as worker:
        await worker.append([notified("1", kind="child")])
        await until_idle(worker)
        assert erp.documents == {}
        await worker.append([notified("parent")])
        await until_idle(worker)
    assert list(erp.documents) == [("project", "p-parent"), ("customer", "c-child")]


async def test_a_process_that_fails_becomes_a_case_and_can_be_tried_again() -> None:
    store = MemoryStore()
    broken = True

    @process("fails", on=VendorNotified, key=deal)
    async def fails(run: Run, data: VendorNotified) -> None:
        await run.step(tally)
        if broken:
            raise ZeroDivisionError("division by zero in line 7")

    counted: list[int] = []

    def tally() -> int:
        counted.append(1)
        return len(counted)

    async with working(store, [fails]) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        (case,) = await store.cases()
        assert case.case_class == "process-stopped"
        assert "ZeroDivisionError: division by zero" in case.message
        broken = False
        await decide(worker, "retry")
        await until_idle(worker)
        assert [r.state for r in await store.runs()] == [RunState.DONE]
        assert [c.state for c in await store.cases()] == [CaseState.CLOSED]
    assert counted == [1], "the finished step was not done again"


async def test_a_new_worker_goes_on_where_the_old_one_stopped() -> None:
    """Killed anywhere: finished steps answer from the journal, waits and cases are still waited for."""
    erp, store = FakeSystem(), MemoryStore()
    steps: list[str] = []

    def first() -> str:
        steps.append("first")
        return "one"

    @process("long", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
    async def long(run: Run, data: VendorNotified) -> None:
        assert await run.step(first) == "one"
        await run.wait(VendorNotified, "crm/reply/1", timedelta(days=1))
        decision = await run.case(Problem(case_class="ask", cause="ask", message="?", actions=["approve"]))
        await run.ensure("erp", project(decision.action))
        await run.publish(CustomerCreated(contract="k", connection="erp", document="c", external_id="1"))

    processes: list[Process] = [long]
    async with working(store, processes, erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
    async with working(store, processes, erp) as worker:
        await worker.append([notified("1", kind="reply")])
        await until_idle(worker)
        assert [c.case_class for c in await store.cases()] == ["ask"]
    async with working(store, processes, erp) as worker:
        await decide(worker, "approve")
        await until_idle(worker)
    async with working(store, processes, erp) as worker:
        await until_idle(worker)
        assert [r.state for r in await store.runs()] == [RunState.DONE]
        assert len(await store.events(type="CustomerCreated")) == 1
    assert steps == ["first"]
    assert erp.count("project") == {"p-approve": 1}


async def test_a_changed_process_that_does_not_fit_its_journal_is_stopped() -> None:
    """It never guesses: the run waits for a person instead of doing something else."""
    erp, store = FakeSystem(), MemoryStore()

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    @process("changing", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
    async def old(run: Run, data: VendorNotified) -> None:
        await run.step(one)
        await run.wait(VendorNotified, "crm/reply/1", timedelta(days=1))

    @process("changing", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
    async def new(run: Run, data: VendorNotified) -> None:
        await run.step(two)
        await run.ensure("erp", project("wrong"))

    async with working(store, [old], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
    async with working(store, [new], erp) as worker:
        await worker.append([notified("1", kind="reply")])
        await until_idle(worker)
        (case,) = await store.cases()
        assert "wants step 'two' there" in case.message
    assert erp.documents == {}


async def test_what_waits_long_is_put_out_of_memory_and_comes_back(monkeypatch: object) -> None:
    """More waiting runs than fit: the oldest sleep on disk until their event arrives."""
    from tieline.engine import worker as module

    store = MemoryStore()
    ended: list[str] = []

    @process("waits", on=VendorNotified, key=deal, accepts=lambda d: d.kind == "deal")
    async def waits(run: Run, data: VendorNotified) -> None:
        await run.wait(VendorNotified, f"crm/reply/{data.native_id}", timedelta(days=1))
        ended.append(data.native_id)

    monkeypatch.setattr(module, "MOST_IN_MEMORY", 20)  # type: ignore[attr-defined]
    async with working(store, [waits]) as worker:
        await worker.append([notified(str(n)) for n in range(100)])
        await asyncio.sleep(0.2)
        await until_idle(worker)
        assert len(worker._tasks) <= 20
        await worker.append([notified(str(n), kind="reply") for n in range(100)])
        await asyncio.sleep(0.2)
        await until_idle(worker)
    assert sorted(ended, key=int) == [str(n) for n in range(100)]


async def test_a_changed_process_undoes_nothing_by_halves() -> None:
    """Cancelled after a release that no longer fits the journal: a person is told, nothing is undone in silence."""
    erp, store = FakeSystem(), MemoryStore()

    @process("sold", on=VendorNotified, key=deal)
    async def old(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("1"))
        run.compensate_with(lambda: run.perform("erp", "withdraw", project("1")))
        await run.case(Problem(case_class="ask", cause="ask", message="?", actions=["approve", "cancel"]))

    @process("sold", on=VendorNotified, key=deal)
    async def new(run: Run, data: VendorNotified) -> None:
        await run.ensure("erp", project("2"))

    async with working(store, [old], erp) as worker:
        await worker.append([notified("1")])
        await until_idle(worker)
        (question,) = await store.cases(states=[CaseState.OPEN])
    async with working(store, [new], erp) as worker:
        await decide(worker, "cancel", case_id=question.id)
        await until_idle(worker)
        for _ in range(2):  # the process does not fit its journal; nor does what a cancellation would have to undo
            (stopped,) = [c for c in await store.cases(states=[CaseState.OPEN]) if c.case_class == "process-stopped"]
            assert "wants effect" in stopped.message
            assert not any(run.state is RunState.CANCELLED for run in await store.runs())
            await decide(worker, "cancel", case_id=stopped.id)
            await until_idle(worker)
        assert [run.state for run in await store.runs()] == [RunState.CANCELLED], "a person said twice to leave it"
    assert erp.count("project") == {"p-1": 1}
    assert erp.deeds == []
