"""The worker: reads the event log, starts and wakes runs, and keeps them in order.

One loop moves through the log. For each event it creates the runs that the event triggers and wakes the runs that
wait for it; the new runs and the place reached are committed together, so an event is dispatched once and never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog

from tieline.engine import cases
from tieline.engine.cases import PolicyOf, Problem
from tieline.engine.durable import DurableRun
from tieline.engine.effects import Connection, Ledger, Translator
from tieline.engine.lanes import Priority, cancel
from tieline.engine.ports import Appended, AppendResult, Batch, Clock, Store
from tieline.engine.process import Process
from tieline.engine.records import Cursor, EffectKey, RunRow, RunState
from tieline.engine.replays import replay_id
from tieline.engine.run import Run, RunCancelled, case_id
from tieline.engine.waiting import APPLIED, Arrival, WaitingRoom, applied_topic
from tieline.errors import ConcurrencyConflict, ConfigurationError, TielineError
from tieline.events import Event, EventData, LoggedEvent, ReplayRequested, decode_event, event_name

PLACE = "worker"
MOST_IN_MEMORY = 5_000
DISPATCH_AT_ONCE = 500
LOOK_EVERY_S = 0.2
STATUS_EVERY_S = 1.0
LONGEST_TIMER_S = 86_400.0
MOST_CONFLICTS = 5

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
        self._processes, self._connections, self._policy_of = processes, connections, policy_of
        self._observe = observe or (lambda _: None)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ready: deque[RunRow] = deque()
        self._first_lives: dict[str, LoggedEvent] = {}
        self._keys: dict[tuple[str, str], deque[RunRow]] = {}
        self._room = WaitingRoom()
        self._evicted: dict[str, list[str]] = {}
        self._stopping = False
        self._arrived = asyncio.Event()
        self._place = 0
        self._loops: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None

    def connection(self, name: str) -> Connection:
        return self.ledger.connection(name)

    @property
    def at_work(self) -> int:
        """How many runs are in memory."""
        return len(self._tasks)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was left open, then follow the log."""
        place = await self.store.cursor(PLACE)
        self._place = int(place.value) if place else 0
        await self._take_up()
        self._loops = [asyncio.create_task(self._guard(loop())) for loop in (self._follow, self._keep_time)]

    async def stop(self) -> None:
        """Stop cleanly: calls under way are settled, runs continue at the next start."""
        self._stopping = True
        for loop in self._loops:
            await cancel(loop)
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=10)
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
        batch = Batch()
        for name, problem, event in found:
            ident = case_id(name, 0, 0)
            if await self.store.case(ident) is None:
                self._add_case(batch, ident, problem, event)
        if batch.cases:
            await self.store.commit(batch)

    def _add_case(self, batch: Batch, ident: str, problem: Problem, event: Event) -> None:
        """A case about an event that belongs to no run."""
        policy, now = self._policy_of(problem.case_class), self.clock.now()
        row = cases.case_row(ident, problem, policy, now, run_id="", position=0, correlation_id=event.correlation_id)
        batch.cases.append(row)
        batch.events.append(cases.opened(row, event.id))
        _log.warning("case opened", case=ident, case_class=row.case_class, message=row.message)

    def events_arrived(self) -> None:
        self._arrived.set()

    async def idle(self) -> None:
        """Wait until the log is dispatched and no run can go on by itself (tests, dry runs)."""
        while True:
            behind = await self.store.events_after(self._place, 1)
            if not behind and not self._ready and all(self._room.is_waiting(run_id) for run_id in self._tasks):
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
            for row in page:
                first = self._queue(row)
                if first and row.state is RunState.WAITING and await self._sleeps(row, waits.get(row.id, [])):
                    self._ready.pop()
            after = (page[-1].event_seq, page[-1].id)
        self._start_ready()

    async def _sleeps(self, row: RunRow, topics: list[str]) -> bool:
        """Leave a waiting run on disk until what it waits for arrives. False when it cannot be left alone."""
        if not topics or any(t.startswith(APPLIED) for t in topics):
            return False
        # asleep first, then the look: what arrives in between finds the sleeper
        self._room.put_to_sleep(row, topics)
        for address in topics:
            if await self.store.first_event(address, 0) is not None:
                return self._room.rouse(row.id) is None
        return True

    # --- following the log --------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            self._arrived.clear()
            events = await self.store.events_after(self._place, DISPATCH_AT_ONCE)
            if not events:
                # not wait_for: before Python 3.12 it loses a cancellation that comes together with the event
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._arrived.wait()
                continue
            await self._dispatch(events)

    async def _dispatch(self, events: list[LoggedEvent]) -> None:
        batch = Batch()
        rows = [row for event in events for row in (*self._runs_for(event, batch), *await self._replays(event))]
        batch.runs = [*self._supersede(rows), *rows]
        self._place = events[-1].seq
        batch.cursors.append(Cursor(name=PLACE, value=str(self._place), updated_at=self.clock.now()))
        await self.store.commit(batch)
        by_seq = {event.seq: event for event in events}
        for row in rows:
            if row.state is not RunState.SUPERSEDED:
                if row.event_seq in by_seq:
                    self._first_lives[row.id] = by_seq[row.event_seq]
                self._queue(row)
        for event in events:
            self._observe(event)
        for event in events:
            self._wake(event.topic, event)
        self._start_ready()

    def _runs_for(self, event: LoggedEvent, batch: Batch) -> list[RunRow]:
        """The runs an event triggers. One that cannot be read becomes a case in `batch`: it must not stop the log."""
        name = event_name(event.type)
        rows: list[RunRow] = []
        for definition in self._processes.values():
            if not any(trigger.__name__ == name for trigger in definition.triggers):
                continue
            try:
                data = decode_event(event)
                if definition.triggered_by(data):
                    rows.append(self._row(definition, event, data))
            except Exception as error:  # noqa: BLE001 - a process of the project may fail in any way
                ident = case_id(f"{definition.name}:{event.seq}", -2, 0)
                self._add_case(batch, ident, cases.unreadable(event, definition.name, error), event)
        return rows

    async def _replays(self, request: LoggedEvent) -> list[RunRow]:
        """The run that a request asks for: on the original event, under an id of its own."""
        asked = decode_event(request) if event_name(request.type) == ReplayRequested.__name__ else None
        if not isinstance(asked, ReplayRequested):
            return []
        found = await self.store.events_after(asked.event_seq - 1, 1)
        definition = self._processes.get(asked.process)
        if definition is None or not found:
            _log.warning("replay of what is not there", request=request.id)
            return []
        row = self._row(definition, found[0], decode_event(found[0]))
        row.id = replay_id(definition.name, found[0].seq, request.seq)
        return [row]

    def _row(self, definition: Process, event: LoggedEvent, data: EventData) -> RunRow:
        return RunRow(
            id=f"{definition.name}:{event.seq}",
            process=definition.name,
            version=definition.version,
            key=definition.key(data),
            state=RunState.READY,
            event_seq=event.seq,
            event_id=event.id,
            correlation_id=event.correlation_id or data.correlation(),
            started_at=self.clock.now(),
        )

    def _supersede(self, rows: list[RunRow]) -> list[RunRow]:
        """Of runs that say `latest_wins`, those that wait behind another of their key give way to the newer."""
        gone: list[RunRow] = []
        newest: dict[tuple[str, str], RunRow] = {}
        for row in rows:
            if self._processes[row.process].latest_wins:
                older = newest.get((row.process, row.key))
                if older is not None:
                    older.state, older.ended_at = RunState.SUPERSEDED, self.clock.now()
                newest[row.process, row.key] = row
        for key, row in newest.items():
            queue = self._keys.get(key)
            for waiting in list(queue)[1:] if queue else []:
                waiting.state, waiting.ended_at = RunState.SUPERSEDED, row.started_at
                queue.remove(waiting)  # type: ignore[union-attr]
                self._first_lives.pop(waiting.id, None)
                gone.append(waiting)
        return gone

    # --- order and start ----------------------------------------------------------------------------------------------

    def _queue(self, row: RunRow) -> bool:
        """Put a run behind the others of its key; the first of a key is ready. Returns whether it is the first."""
        queue = self._keys.setdefault((row.process, row.key), deque())
        queue.append(row)
        if queue[0] is row:
            self._ready.append(row)
        return queue[0] is row

    def _start_ready(self) -> None:
        while self._ready and not self._stopping:
            if len(self._tasks) >= self._most_in_memory():
                self._evict(MOST_IN_MEMORY // 10)
                return
            row = self._ready.popleft()
            if row.id not in self._tasks:
                self._tasks[row.id] = asyncio.create_task(self._execute(row))

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

    async def _execute(self, row: RunRow) -> None:
        try:
            await self._until_ended(row)
        except asyncio.CancelledError:
            if row.id not in self._evicted or self._stopping:
                raise
            await self._leave_memory(row)
            return
        except BaseException as error:
            self.failure = error
            _log.error("run broke the worker", run=row.id, error=repr(error))
            raise
        finally:
            self._tasks.pop(row.id, None)
            self._evicted.pop(row.id, None)
        self._next_in_line(row)

    async def _leave_memory(self, row: RunRow) -> None:
        topics = self._evicted.pop(row.id)
        self._tasks.pop(row.id, None)
        if not await self._sleeps(row, topics):
            self._ready.append(row)
        self._start_ready()

    def _next_in_line(self, row: RunRow) -> None:
        queue = self._keys[row.process, row.key]
        queue.popleft()
        if queue:
            self._ready.append(queue[0])
        else:
            del self._keys[row.process, row.key]
        self._start_ready()

    async def _until_ended(self, row: RunRow) -> None:
        """Run the process until it ends. What stops it becomes a case; the person's decision starts it again.

        Turn by turn: a case that was opened in an earlier life is decided before the process runs again.
        """
        turn, cancelled = 0, ""
        while True:
            run, problem = await self._load(row), None
            if run.fresh or await self.store.case(case_id(row.id, -1, turn)) is None:
                problem = await self._try(run, cancelled)
                if problem is None:
                    break
            try:
                await run.stopped(turn, problem)
            except RunCancelled as decided:
                if cancelled:  # even the undoing failed, and a person says to leave it
                    await run.end(RunState.CANCELLED, cancelled)
                    break
                cancelled = str(decided)
            turn += 1

    async def _try(self, run: Run, cancelled: str) -> Problem | None:
        """Carry the run to its end: forward, or back where it was cancelled. Returns what stopped it."""
        conflicts = 0
        while True:
            try:
                if cancelled:
                    await self._undo(run)
                    await run.end(RunState.CANCELLED, cancelled)
                else:
                    await self._attempt(run)
                    await run.end(RunState.DONE, "")
            except RunCancelled as error:
                await run.end(RunState.CANCELLED, str(error))
                return None
            except ConcurrencyConflict as error:
                # an earlier life of this run wrote a moment ago what this one wanted to write: load that and go on
                conflicts += 1
                if conflicts > MOST_CONFLICTS:
                    return cases.stopped(run.process_name, error)
                run = await self._load(run.row)
            except Exception as error:  # noqa: BLE001 - whatever stops a process is shown to a person
                if not isinstance(error, TielineError):
                    _log.error("process failed", run=run.id, exc_info=error)
                return cases.stopped(run.process_name, error)
            else:
                return None

    async def _attempt(self, run: Run) -> None:
        try:
            await run.alone(self._definition(run).function(run, decode_event(run.event)))
        except RunCancelled:
            await run.compensate()
            raise

    async def _undo(self, run: Run) -> None:
        """What the journal holds is gone through once more, to know what it registered to be undone; then undo it."""
        await run.retrace(self._definition(run).function(run, decode_event(run.event)))
        await run.compensate()

    def _definition(self, run: Run) -> Process:
        definition = self._processes.get(run.process_name)
        if definition is None:
            raise ConfigurationError(f"the project has no process {run.process_name!r} any more")
        return definition

    async def _load(self, row: RunRow) -> Run:
        definition = self._processes.get(row.process)
        priority = definition.priority if definition else Priority.POSTING
        event = self._first_lives.pop(row.id, None)
        if event is not None:
            return Run(self, row, event, [], priority, fresh=True)
        events = await self.store.events_after(row.event_seq - 1, 1)
        return Run(self, row, events[0], await self.store.journal(row.id), priority)

    # --- waiting and waking -------------------------------------------------------------------------------------------

    def expect(self, run_id: str, address: str) -> Arrival:
        """A run begins to wait at a topic, and may make room for another."""
        if self._ready:
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
        self._ready.extend(self._room.wake(address, what))

    def _document_stands(self, key: EffectKey) -> None:
        self._wake(applied_topic(key), key)

    # --- cases --------------------------------------------------------------------------------------------------------

    async def open_case(self, run: DurableRun, ident: str, position: int, problem: Problem) -> None:
        """Open a case of a run and tell it in the log, in one commit."""
        policy = problem.policy or self._policy_of(problem.case_class)
        row = cases.case_row(
            ident,
            problem,
            policy,
            self.clock.now(),
            run_id=run.id,
            position=position,
            correlation_id=run.correlation_id,
        )
        await self.store.commit(Batch(cases=[row], events=[cases.opened(row, run.event.id)]))
        self.events_arrived()

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            await self._escalate()
            for wait in await self.store.due_waits(self.clock.now()):
                row = self._room.rouse(wait.run_id)
                if row is not None:
                    self._ready.append(row)
            self._start_ready()
            lanes = [connection.lane.status() for connection in self._connections.values()]
            await self.store.commit(Batch(lanes=lanes))
            await self.clock.sleep(STATUS_EVERY_S)

    async def _escalate(self) -> None:
        now = self.clock.now()
        late = await self.store.late_cases(now)
        for case in late:
            case.owner, case.escalated_at = case.escalate_to or case.owner, now
            _log.warning("case escalated", case=case.id, to=case.owner)
        if late:
            await self.store.commit(Batch(cases=late))
