"""The worker: follows the event log, starts and wakes runs, and holds what they need while they live.

Which runs an event triggers is `dispatch.py`, their order `lines.py`, the life of one run `execution.py`. The
invariant: a run has one task at most; it is in memory, asleep in the waiting room, or behind another in its line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog

from tieline.engine import cases
from tieline.engine.casebook import CaseBook
from tieline.engine.cases import PolicyOf, Problem
from tieline.engine.connection import Connection
from tieline.engine.dispatch import Dispatcher
from tieline.engine.durable import DurableRun
from tieline.engine.effects import Ledger, Translator
from tieline.engine.execution import Execution
from tieline.engine.holds import Holds
from tieline.engine.lanes import KEPT_AT_LEAST, cancel
from tieline.engine.lines import Lines
from tieline.engine.measures import Measures
from tieline.engine.moving import Mover
from tieline.engine.ports import Appended, AppendResult, Batch, Clock, Store
from tieline.engine.process import Process
from tieline.engine.records import Cursor, EffectKey, RunRow, RunState
from tieline.engine.restore import notice_restore
from tieline.engine.versions import Versions
from tieline.engine.waiting import APPLIED, AT_LANE, Arrival, WaitingRoom, applied_topic, lane_topic
from tieline.events import Event, LoggedEvent, MoveRequested, type_name

MOST_IN_MEMORY = 5_000
REPLAYS_AT_ONCE = 100
"""How many replays are at work beside what happens now; those that wait for something do not count."""
LOOK_EVERY_S = 0.2
STATUS_EVERY_S = 1.0
STOP_WITHIN_S = 10.0
"""How long a run that is to stop may take for it."""
MOVE_REQUESTED = type_name(MoveRequested)
LONGEST_TIMER_S = 86_400.0

_log = structlog.get_logger("tieline.worker")
_OPEN = (RunState.QUEUED, RunState.READY, RunState.WAITING)


class Worker:
    """Runs the processes of one store. Exactly one worker owns a store file (app takes the lock)."""

    def __init__(
        self,
        store: Store,
        processes: dict[str, Process],
        connections: dict[str, Connection],
        translator: Translator,
        policy_of: PolicyOf,
        clock: Clock,
        resources: Any = None,
        observe: Callable[[LoggedEvent], None] | None = None,
    ) -> None:
        """`resources` is handed to the runs; `observe` is told of every event, in order, before runs see it."""
        self.store, self.clock, self.resources = store, clock, resources
        self.ledger = Ledger(store, connections, translator, clock, self._document_stands)
        self._connections, self._book = connections, CaseBook(store, policy_of, clock)
        self.measures = Measures({name: connection.lane.measures for name, connection in connections.items()})
        self._lines = Lines()
        self._versions = Versions(store, processes)
        self._dispatcher = Dispatcher(store, processes, self._versions, self._lines, self._book, clock)
        self._execution = Execution(self, self._versions)
        self._mover = Mover(self, self._versions)
        self._holds = Holds(store, connections)
        self._observe = observe or (lambda _: None)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._of_deal: dict[str, set[str]] = {}
        self._room = WaitingRoom()
        self._evicted: dict[str, list[str]] = {}
        self._held: set[str] = set()
        self._replaying: set[str] = set()
        self._stopping = False
        self._arrived = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None

    def connection(self, name: str) -> Connection:
        return self.ledger.connection(name)

    @property
    def at_work(self) -> int:
        """How many runs are in memory."""
        return len(self._tasks)

    @property
    def replays_waiting(self) -> int:
        """How many replays have not begun."""
        return len(self._lines.replays)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was left open, then follow the log."""
        if (restored := await notice_restore(self.store, self.clock)) is not None:
            _log.warning(
                "the database was put back from a backup; what was done since is looked for before it is done again",
                backup_reaches_event=restored.backup_seq,
                log_had_reached_event=restored.lost_seq,
            )
        await self.ledger.take_over()
        for kept in await self.store.lanes():
            if kept.connection in self._connections:
                self._connections[kept.connection].lane.restore(kept)
        await self._holds.take_up()
        await self._dispatcher.take_up()
        await self._mover.take_up()
        await self._take_up()
        loops = (self._follow, self._keep_time, self._mover.follow)
        self._loops = [asyncio.create_task(self._guard(loop())) for loop in loops]

    async def stop(self) -> None:
        """Stop cleanly: calls under way are settled, runs continue at the next start."""
        self._stopping = True
        for loop in self._loops:
            await cancel(loop)
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=STOP_WITHIN_S)
        await asyncio.gather(*(connection.lane.close() for connection in self._connections.values()))
        await self.ledger.close()

    async def append(self, events: Iterable[Event], cursors: Iterable[Cursor] = ()) -> list[AppendResult]:
        """Put events into the log; returns once they are durable. The same id with other content opens a case."""
        told = list(events)
        results = await self.store.commit(Batch(events=told, cursors=list(cursors)))
        conflicts = [(r.event, e) for r, e in zip(results, told, strict=True) if r.outcome is Appended.CONFLICT]
        if conflicts:
            await self.report(
                (f"{told.source}/{told.id}/{told.content_hash()}", cases.told_differently(known, told), known)
                for known, told in conflicts
            )
        self.events_arrived()
        return results

    async def report(self, found: Iterable[tuple[str, Problem, Event]]) -> None:
        """Open cases that belong to no run: (what names it, problem, the event it is about). Named before: known."""
        await self._book.report(found)

    def events_arrived(self) -> None:
        self._arrived.set()

    async def idle(self) -> None:
        """Wait until the log is dispatched and no run can go on by itself (tests, dry runs)."""
        while True:
            behind = await self.store.events_after(self._dispatcher.place, 1)
            ready = self._lines.ready or self._lines.replays or self._room.is_owed_a_turn or not self._mover.idle
            if not behind and not ready and all(self._room.is_waiting(run_id) for run_id in self._tasks):
                return
            await asyncio.sleep(0.005)

    async def _guard(self, loop: Any) -> None:
        """A loop that dies takes the worker down visibly, never silently."""
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failure = error
            _log.error("worker stopped", error=str(error))
            raise

    async def _take_up(self) -> None:
        waits: dict[str, list[str]] = {}
        for wait in await self.store.waits():
            waits.setdefault(wait.run_id, []).append(wait.topic)
        after = (-1, "")
        while page := await self.store.runs(states=_OPEN, after=after, limit=5_000):
            waiting = [row for row in page if self._lines.join(row) and row.state is RunState.WAITING]
            self._lines.withdraw(await self._asleep([(row, waits.get(row.id, [])) for row in waiting]))
            after = (page[-1].event_seq, page[-1].id)
        self._start_ready()

    async def _asleep(self, waiting: list[tuple[RunRow, list[str]]]) -> set[str]:
        """Leave waiting runs on disk until what they wait for arrives. Returns those that can be left alone."""
        topics: dict[str, list[str]] = {}
        for row, addresses in waiting:
            if addresses and not any(address.startswith(APPLIED) for address in addresses):
                # asleep first, then the look: what arrives in between finds the sleeper
                self._room.put_to_sleep(row, addresses)
                topics[row.id] = [address for address in addresses if not address.startswith(AT_LANE)]
        arrived = await self.store.first_events([address for wanted in topics.values() for address in wanted])
        late = [run_id for run_id, wanted in topics.items() if any(address in arrived for address in wanted)]
        roused = {run_id for run_id in late if self._room.rouse(run_id) is not None}
        return topics.keys() - roused

    # --- following the log --------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            self._arrived.clear()
            events = await self._dispatcher.news()
            if not events:
                # not wait_for: before Python 3.12 it loses a cancellation that comes together with the event
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._arrived.wait()
                continue
            await self._dispatch(events)

    async def _dispatch(self, events: list[LoggedEvent]) -> None:
        rows, gone = await self._dispatcher.dispatch(events)
        first_lives = self._execution.first_lives
        for row in gone:
            first_lives.pop(row.id, None)
            self._execution.not_first.discard(row.id)
        by_seq = {event.seq: event for event in events}
        for row in rows:
            if row.event_seq in by_seq:
                first_lives[row.id] = by_seq[row.event_seq]
            if not self._lines.join(row) and row.id in first_lives:
                self._execution.not_first.add(row.id)
        for event in events:
            self.measures.observe(event)
            self._observe(event)
            self._holds.observe(event)
            if event.type == MOVE_REQUESTED:
                self._mover.asked()
        for event in events:
            self._wake(event.topic, event)
        self._start_ready()

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _start_ready(self) -> None:
        self._replaying.update(self._lines.let_replays(REPLAYS_AT_ONCE - len(self._replaying)))
        while self._lines.ready and not self._stopping:
            if len(self._tasks) >= self._most_in_memory():
                self._evict(MOST_IN_MEMORY // 10)
                return
            row = self._lines.ready.popleft()
            if row.id not in self._tasks and row.id not in self._held:
                self._of_deal.setdefault(row.correlation_id, set()).add(row.id)
                self._tasks[row.id] = asyncio.create_task(self._execute(row))

    async def hold_still(self, run_ids: set[str]) -> set[str]:
        """Nothing of these runs goes on until they are let go, and what they wrote is on disk.

        Returns those of which something goes on all the same: a call under way, or code that does not stop.
        """
        self._held |= run_ids
        tasks = {run_id: self._tasks[run_id] for run_id in run_ids if run_id in self._tasks}
        for task in tasks.values():
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await asyncio.gather(*(cancel(task) for task in tasks.values()))
                await self.ledger.settled(run_ids)
        for run_id in run_ids:
            self._room.rouse(run_id)
            if run_id in tasks and tasks[run_id].done():
                self._tasks.pop(run_id, None)  # one that never began took nothing away itself
        self._lines.withdraw(run_ids)
        await self.store.commit(Batch())  # done when all that was to be written before it is
        return {run_id for run_id in run_ids if run_id in self._tasks or self.ledger.writes_for(run_id)}

    def let_go(self, rows: Iterable[RunRow]) -> None:
        """The runs that were held still go on as these rows say."""
        self._held.clear()
        for row in rows:
            if row.id not in self._tasks:
                self._lines.let_go(row)
        self._start_ready()

    def _most_in_memory(self) -> int:
        # runs that wait for a parent stay in memory, and must not keep the parent's own run out of it
        return MOST_IN_MEMORY + self._room.on_parents

    def _evict(self, number: int) -> None:
        """Put the runs that have waited longest out of memory; their journal brings them back."""
        if self._evicted:
            return
        for run_id in self._room.longest_waiting(number):
            self._evicted[run_id] = self._room.topics(run_id)
            self._tasks[run_id].cancel()
        if not self._evicted:
            self._withdraw(number)

    def _withdraw(self, number: int) -> None:
        """Runs that would wait for long at a lane make room for those that need another system."""
        stuck = [connection.lane for connection in self._connections.values() if connection.lane.is_stuck()]
        lane = max(stuck, key=lambda lane: lane.queued, default=None)
        for run_id in lane.withdraw(number) if lane else []:
            if run_id in self._tasks:
                events = [topic for topic in self._room.topics(run_id) if not topic.startswith(APPLIED)]
                self._evicted[run_id] = [lane_topic(lane.connection), *events]  # type: ignore[union-attr]
                self._tasks[run_id].cancel()

    def _call_back(self) -> None:
        """A lane whose line has become short gets back runs that it let go of."""
        for connection in self._connections.values():
            lane, room = connection.lane, MOST_IN_MEMORY - len(self._tasks)
            if lane.queued < KEPT_AT_LEAST:
                number = KEPT_AT_LEAST if lane.is_stuck() else max(room, MOST_IN_MEMORY // 10)
                self._lines.ready.extend(self._room.call_back(lane_topic(lane.connection), number))

    async def _execute(self, row: RunRow) -> None:
        try:
            await self._execution.until_ended(row)
        except asyncio.CancelledError:
            if row.id not in self._evicted or self._stopping:
                raise
            await self._leave_memory(row)
            return
        except BaseException as error:
            self.failure = error
            _log.error("run broke the worker", run=row.id, correlation_id=row.correlation_id, error=repr(error))
            raise
        finally:
            self._tasks.pop(row.id, None)
            self._evicted.pop(row.id, None)
            self._replaying.discard(row.id)
            self._forget(row)
        self._lines.leave(row)
        self._start_ready()

    def _forget(self, row: RunRow) -> None:
        mine = self._of_deal.get(row.correlation_id, set())
        mine.discard(row.id)
        if not mine:
            self._of_deal.pop(row.correlation_id, None)

    def others_move(self, row: RunRow) -> bool:
        """Whether another run of the same deal goes on at this moment, waiting for nothing."""
        others = self._of_deal.get(row.correlation_id, set()) - {row.id}
        return any(run_id in self._tasks and not self._room.is_waiting(run_id) for run_id in others)

    async def _leave_memory(self, row: RunRow) -> None:
        topics = self._evicted.pop(row.id)
        self._tasks.pop(row.id, None)
        if not await self._asleep([(row, topics)]):
            self._lines.ready.append(row)
        self._start_ready()

    # --- waiting and waking -------------------------------------------------------------------------------------------

    def expect(self, run_id: str, address: str) -> Arrival:
        """A run begins to wait at a topic, and may make room for another."""
        self._replaying.discard(run_id)
        if self._lines.ready or self._lines.replays:
            asyncio.get_running_loop().call_soon(self._start_ready)
        return self._room.expect(run_id, address)

    def expect_no_more(self, run_id: str, address: str, future: Arrival) -> None:
        self._room.expect_no_more(run_id, address, future)

    async def arrival(self, future: Arrival, due_at: datetime | None) -> Any | None:
        """What arrives, or None at the deadline."""
        if due_at is None:
            return await future
        while (left := (due_at - self.clock.now()).total_seconds()) > 0:
            # a timer of years is more than event loops promise to keep
            arrived, _ = await asyncio.wait([future], timeout=min(left, LONGEST_TIMER_S))
            if arrived:
                return future.result()
        return None

    def _wake(self, address: str, what: Any) -> None:
        self._lines.ready.extend(self._room.wake(address, what))

    def _document_stands(self, key: EffectKey) -> None:
        self._wake(applied_topic(key), key)

    # --- cases --------------------------------------------------------------------------------------------------------

    async def open_case(self, run: DurableRun, ident: str, position: int, problem: Problem) -> None:
        """Open a case of a run and tell it in the log."""
        await self._book.open(ident, problem, run.event, run_id=run.id, position=position, deal=run.correlation_id)
        self.events_arrived()

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            await self._book.escalate()
            for wait in await self.store.due_waits(self.clock.now()):
                row = self._room.rouse(wait.run_id)
                if row is not None:
                    self._lines.ready.append(row)
            self._call_back()
            self._start_ready()
            lanes = [connection.lane.status() for connection in self._connections.values()]
            await self.store.commit(Batch(lanes=lanes))
            await self.clock.sleep(STATUS_EVERY_S)
