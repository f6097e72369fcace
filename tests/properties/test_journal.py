"""Any program of durable operations, in as many lives as chance will have: what was recorded stays, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from structlog.testing import capture_logs
from tests.support.engine import customer, notified, project
from tests.support.fake_system import FakeSystem, PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, Watch

from tieline.app.cases import decide
from tieline.app.principal import local_principal
from tieline.domain import Entity
from tieline.engine.cases import CasePolicy, Problem
from tieline.engine.clock import SystemClock
from tieline.engine.connection import Connection
from tieline.engine.lanes import Lane
from tieline.engine.process import Process, process, registry
from tieline.engine.records import CaseState, JournalEntry, RunState
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.events import OrderPosted, VendorNotified, event_name
from tieline.storage.memory import MemoryStore

T = TypeVar("T")
MOST_LIVES = 50
ASK = Problem(case_class="ask", cause="ask", message="go on?", actions=["approve"])


class Op(NamedTuple):
    """One durable operation of a program."""

    name: str
    number: int


ops = st.builds(
    Op,
    st.sampled_from(["step", "ensure", "ensure all", "publish", "record", "wait", "case"]),
    st.integers(1, 3),
)


def document(number: int) -> Entity:
    return project(number) if number % 2 else customer(number)


class JournalMachine(RuleBasedStateMachine):
    """One run of a program, on a disk and beside a system that outlive the workers."""

    @initialize(program=st.lists(ops, min_size=3, max_size=8))
    def begin(self, program: list[Op]) -> None:
        self.loop = asyncio.new_event_loop()
        self.disk, self.system = MemoryStore(), FakeSystem("erp")
        self.watch = Watch(self.disk)
        self.program, self.told = program, [notified("1")]
        self.returned: dict[int, Any] = {}
        self.journal: dict[int, JournalEntry] = {}
        self.changed: list[str] = []
        self.done = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with capture_logs():
            return self.loop.run_until_complete(work)

    # --- the program --------------------------------------------------------------------------------------------------

    def process(self) -> Process:
        @process("program", on=VendorNotified, key=lambda data: data.native_id, accepts=lambda d: d.kind == "deal")
        async def program(run: Run, data: VendorNotified) -> None:
            for place, op in enumerate(self.program):
                result = await self.perform(run, place, op)
                if self.returned.setdefault(place, result) != result:
                    self.changed.append(f"{op} at {place}: {self.returned[place]} became {result}")

        return program

    async def perform(self, run: Run, place: int, op: Op) -> Any:
        """Do one operation; what it returns must be the same in every later life."""
        if op.name == "step":
            return await run.step(self.something_new)
        if op.name == "ensure":
            return (await run.ensure("erp", document(op.number))).external_id
        if op.name == "ensure all":
            standing = await asyncio.gather(*(run.ensure("erp", document(n)) for n in range(1, op.number + 1)))
            return [one.external_id for one in standing]
        if op.name == "publish":
            return await run.publish(self.news(place))
        if op.name == "record":
            return await run.record(project(place, f"title {op.number}"), lambda: self.news(place))
        if op.name == "wait":
            came = await run.wait(VendorNotified, f"crm/reply/{op.number}", timedelta(days=1))
            return None if came is None else came.stamp
        return (await run.case(ASK)).action

    def something_new(self) -> int:
        """Another number each time it is really done."""
        self.done += 1
        return self.done

    @staticmethod
    def news(place: int) -> OrderPosted:
        return OrderPosted(contract="k-1", connection="erp", document=f"o-{place}", external_id="77")

    # --- lives --------------------------------------------------------------------------------------------------------

    async def live(self, ends_at: int | None) -> None:
        """One life of a worker, to a boundary or until the run can go no further by itself."""
        life = Life(ends_at)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        worker = Worker(
            MortalStore(self.disk, life),
            registry([self.process()]),
            {"erp": link},
            PlainTranslator(),
            lambda _: CasePolicy(owner="finance"),
            SystemClock(),
        )
        work = asyncio.create_task(self.work(worker))
        end = asyncio.create_task(life.over.wait())
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert life.over.is_set() or work.done(), "neither at rest nor dead"
        if work.done() and not life.over.is_set():
            work.result()
            with suppress(TimeoutError):
                await asyncio.wait_for(worker.stop(), 5)
        await life.bury()

    async def work(self, worker: Worker) -> None:
        await worker.start()
        await worker.append(self.told)  # whoever tells something tells it again until it is acknowledged
        await worker.idle()

    @rule(ends_at=st.integers(1, 40))
    def a_life_that_ends(self, ends_at: int) -> None:
        self.run(self.live(ends_at))

    @rule()
    def a_life_that_comes_to_rest(self) -> None:
        self.run(self.live(None))

    @rule(number=st.integers(1, 3))
    def somebody_replies(self, number: int) -> None:
        """Before or after the run waits for it; the first reply is the one that counts."""
        self.told.append(notified(str(number), len(self.told), kind="reply"))

    @rule(what=st.lists(st.sampled_from(["lose", "drop", "refuse", "down", "fine"]), min_size=1, max_size=3))
    def trouble(self, what: list[str]) -> None:
        self.system.trouble.extend(what)

    @precondition(lambda self: self.disk._cases)
    @rule()
    def a_person_decides(self) -> None:
        self.run(self.decide_all())

    async def decide_all(self) -> None:
        for case in await self.disk.cases(states=[CaseState.OPEN]):
            action = "approve" if "approve" in case.actions else "retry"
            await decide(self.disk, [case], action, by=local_principal("ada"))

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def what_was_recorded_stays(self) -> None:
        """Each position once, in order, and no entry ever changes."""
        entries = {position: entry for (_, position), entry in self.disk._journal.items()}
        assert {p: entries.get(p) for p in self.journal} == self.journal
        self.journal = dict(entries)

    @invariant()
    def what_was_returned_stays(self) -> None:
        assert self.changed == []

    @invariant()
    def nothing_stands_or_is_told_twice(self) -> None:
        assert self.watch.violations == []
        assert all(len(found) <= 1 for found in self.system.documents.values())
        news = [event.subject for event in self.disk._events if event_name(event.type) == "OrderPosted"]
        assert len(news) == len(set(news))

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.system.trouble.clear()
        for number in (1, 2, 3):
            self.somebody_replies(number)
        for _ in range(MOST_LIVES):
            if self.ended():
                break
            self.run(self.live(None))
            self.run(self.decide_all())
            self.what_was_recorded_stays()
            self.what_was_returned_stays()
        self.nothing_stands_or_is_told_twice()
        self.all_is_done()
        self.loop.close()

    def ended(self) -> bool:
        runs = list(self.disk._runs.values())
        return bool(runs) and all(run.state is RunState.DONE for run in runs)

    def all_is_done(self) -> None:
        """As if nothing had ever happened on the way."""
        assert self.ended()
        assert sorted(self.returned) == list(range(len(self.program)))
        wanted = {op.number for op in self.program if op.name == "ensure"}
        wanted |= {n for op in self.program if op.name == "ensure all" for n in range(1, op.number + 1)}
        assert {document_id for _, document_id in self.system.documents} == {document(n).id for n in wanted}
        publishing = {f"o-{place}" for place, op in enumerate(self.program) if op.name in ("publish", "record")}
        told = [e for e in self.disk._events if event_name(e.type) == "OrderPosted"]
        assert len(told) == len(publishing)
        assert self.disk._waits == {}
        assert {case.state for case in self.disk._cases.values()} <= {CaseState.CLOSED}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    from tieline.engine import lanes

    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(lanes, "LONGEST_PAUSE_S", 0.0005)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=65,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes: a failure is shown as it was found
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
