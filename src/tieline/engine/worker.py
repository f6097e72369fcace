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
from tieline.engine.effects import Connection, Ledger, Translator
from tieline.engine.lanes import Priority, cancel
from tieline.engine.ports import Appended, AppendResult, Batch, Clock, Store
from tieline.engine.process import Process
from tieline.engine.records import CaseRow, CaseState, Cursor, EffectKey, RunRow, RunState, Wait
from tieline.engine.run import Run, RunCancelled, applied_topic
from tieline.errors import ConfigurationError, InvalidMessage, TielineError
from tieline.events import CaseOpened, Event, EventData, LoggedEvent, decode_event, event_name, make_event

PLACE = "worker"
APPLIED = "applied:"
MOST_IN_MEMORY = 5_000
DISPATCH_AT_ONCE = 500
LOOK_EVERY_S = 0.2
STATUS_EVERY_S = 1.0

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
        self._keys: dict[tuple[str, str], deque[RunRow]] = {}
        self._asleep: dict[str, RunRow] = {}
        self._evicted: set[str] = set()
        self._topics: dict[str, dict[str, asyncio.Future[Any] | None]] = {}
        self._arrived = asyncio.Event()
        self._place = 0
        self._loops: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None

    def connection(self, name: str) -> Connection:
        return self.ledger.connection(name)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was left open, then follow the log."""
        place = await self.store.cursor(PLACE)
        self._place = int(place.value) if place else 0
        await self._take_up()
        self._loops = [asyncio.create_task(self._guard(loop())) for loop in (self._follow, self._keep_time)]

    async def stop(self) -> None:
        """Stop cleanly: calls under way are settled, runs continue at the next start."""
        for loop in self._loops:
            await cancel(loop)
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=10)
        for connection in self._connections.values():
            await connection.lane.close()

    async def append(self, events: Iterable[Event], cursors: Iterable[Cursor] = ()) -> list[AppendResult]:
        """Put events into the log; returns once they are durable. The same id with other content opens a case."""
        results = await self.store.commit(Batch(events=list(events), cursors=list(cursors)))
        for result in results:
            if result.outcome is Appended.CONFLICT:
                _log.warning(
                    "event told twice with other content", event_id=result.event.id, source=result.event.source
                )
        self.events_arrived()
        return results

    def events_arrived(self) -> None:
        self._arrived.set()

    async def idle(self) -> None:
        """Wait until the log is dispatched and no run can go on by itself (tests, dry runs)."""
        while True:
            behind = await self.store.events_after(self._place, 1)
            if not behind and not self._ready and all(self._is_waiting(run_id) for run_id in self._tasks):
                return
            await asyncio.sleep(0.005)

    def _is_waiting(self, run_id: str) -> bool:
        return any((f := waiting.get(run_id)) is not None and not f.done() for waiting in self._topics.values())

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
        waits: dict[str, list[Wait]] = {}
        for wait in await self.store.waits():
            waits.setdefault(wait.run_id, []).append(wait)
        after = (-1, "")
        while page := await self.store.runs(states=_OPEN, after=after, limit=5_000):
            for row in page:
                first = self._queue(row)
                if first and row.state is RunState.WAITING and await self._sleeps(row, waits.get(row.id, [])):
                    self._ready.pop()
            after = (page[-1].event_seq, page[-1].id)
        self._start_ready()

    async def _sleeps(self, row: RunRow, waits: list[Wait]) -> bool:
        """Leave a waiting run on disk until what it waits for arrives. False when it cannot be left alone."""
        if not waits or any(w.topic.startswith(APPLIED) for w in waits):
            return False
        for wait in waits:
            if await self.store.first_event(wait.topic, 0) is not None:
                return False
        for wait in waits:
            self._topics.setdefault(wait.topic, {})[row.id] = None
        self._asleep[row.id] = row
        return True

    # --- following the log --------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            self._arrived.clear()
            events = await self.store.events_after(self._place, DISPATCH_AT_ONCE)
            if not events:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), LOOK_EVERY_S)
                continue
            await self._dispatch(events)

    async def _dispatch(self, events: list[LoggedEvent]) -> None:
        rows = [row for event in events for row in await self._runs_for(event)]
        superseded = self._supersede(rows)
        self._place = events[-1].seq
        place = Cursor(name=PLACE, value=str(self._place), updated_at=self.clock.now())
        await self.store.commit(Batch(runs=[*superseded, *rows], cursors=[place]))
        for row in rows:
            if row.state is not RunState.SUPERSEDED:
                self._queue(row)
        for event in events:
            self._observe(event)
        for event in events:
            self._wake(event.topic, event)
        self._start_ready()

    async def _runs_for(self, event: LoggedEvent) -> list[RunRow]:
        name = event_name(event.type)
        interested = [p for p in self._processes.values() if any(t.__name__ == name for t in p.triggers)]
        if not interested:
            return []
        try:
            data = decode_event(event)
        except InvalidMessage as error:
            _log.error("event cannot be read", event_id=event.id, error=str(error))
            return []
        return [self._row(p, event, data) for p in interested if p.triggered_by(data)]

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
        while self._ready:
            if len(self._tasks) >= MOST_IN_MEMORY:
                self._evict(MOST_IN_MEMORY // 10)
                return
            row = self._ready.popleft()
            if row.id not in self._tasks:
                self._tasks[row.id] = asyncio.create_task(self._execute(row))

    def _evict(self, number: int) -> None:
        """Put the runs that have waited longest out of memory; their journal brings them back."""
        waiting = [run_id for run_id in self._tasks if run_id not in self._evicted and self._is_waiting(run_id)]
        for run_id in waiting[:number]:
            self._evicted.add(run_id)
            self._tasks[run_id].cancel()

    async def _execute(self, row: RunRow) -> None:
        try:
            await self._until_ended(row)
        except asyncio.CancelledError:
            if row.id not in self._evicted:
                raise
            self._evicted.discard(row.id)
            self._tasks.pop(row.id, None)
            waits = [w for w in await self.store.waits() if w.run_id == row.id]
            if not await self._sleeps(row, waits):
                self._ready.append(row)
            self._start_ready()
            return
        except BaseException as error:
            self.failure = error
            _log.error("run broke the worker", run=row.id, error=repr(error))
            raise
        finally:
            self._tasks.pop(row.id, None)
        self._next_in_line(row)

    def _next_in_line(self, row: RunRow) -> None:
        queue = self._keys[row.process, row.key]
        queue.popleft()
        if queue:
            self._ready.append(queue[0])
        else:
            del self._keys[row.process, row.key]
        self._start_ready()

    async def _until_ended(self, row: RunRow) -> None:
        """Run the process until it ends. What stops it becomes a case; the person's decision starts it again."""
        turn = 0
        while True:
            run = await self._load(row)
            try:
                await self._attempt(run)
                return await run.end(RunState.DONE, "", turn)
            except RunCancelled as cancelled:
                return await run.end(RunState.CANCELLED, str(cancelled), turn)
            except Exception as error:  # noqa: BLE001 - whatever stops a process is shown to a person
                if not isinstance(error, TielineError):
                    _log.error("process failed", run=row.id, exc_info=error)
                problem = cases.stopped(row.process, error)
            try:
                await run.stopped(turn, problem)
            except RunCancelled as cancelled:
                return await run.end(RunState.CANCELLED, str(cancelled), turn + 1)
            turn += 1

    async def _attempt(self, run: Run) -> None:
        definition = self._processes.get(run.process_name)
        if definition is None:
            raise ConfigurationError(f"the project has no process {run.process_name!r} any more")
        try:
            await definition.function(run, decode_event(run.event))
        except RunCancelled:
            await run.compensate()
            raise

    async def _load(self, row: RunRow) -> Run:
        events = await self.store.events_after(row.event_seq - 1, 1)
        definition = self._processes.get(row.process)
        priority = definition.priority if definition else Priority.POSTING
        return Run(self, row, events[0], await self.store.journal(row.id), priority)

    # --- waiting and waking -------------------------------------------------------------------------------------------

    def expect(self, run_id: str, address: str) -> asyncio.Future[Any]:
        """A run begins to wait at a topic."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._topics.setdefault(address, {})[run_id] = future
        return future

    def expect_no_more(self, run_id: str, address: str) -> None:
        waiting = self._topics.get(address, {})
        waiting.pop(run_id, None)
        if not waiting:
            self._topics.pop(address, None)

    async def arrival(self, future: asyncio.Future[Any], due_at: datetime | None) -> Any | None:
        """What arrives, or None at the deadline."""
        if due_at is None:
            return await future
        left = (due_at - self.clock.now()).total_seconds()
        if left <= 0:
            return None
        try:
            return await asyncio.wait_for(future, min(left, 10_000_000))
        except TimeoutError:
            return None

    def _wake(self, address: str, what: Any) -> None:
        for run_id, future in list(self._topics.get(address, {}).items()):
            if future is None:
                self._rouse(run_id)
            elif not future.done():
                future.set_result(what)

    def _rouse(self, run_id: str) -> None:
        """A run that sleeps on disk is read back and runs again from its journal."""
        row = self._asleep.pop(run_id, None)
        if row is None:
            return
        for address in [a for a, waiting in self._topics.items() if run_id in waiting]:
            self.expect_no_more(run_id, address)
        self._ready.append(row)

    def _document_stands(self, key: EffectKey) -> None:
        self._wake(applied_topic(key), key)

    # --- cases --------------------------------------------------------------------------------------------------------

    async def open_case(self, run: Run, ident: str, position: int, problem: Problem) -> CaseRow:
        """Open a case and tell it in the log, in one commit."""
        policy = problem.policy or self._policy_of(problem.case_class)
        now = self.clock.now()
        row = CaseRow(
            id=ident,
            case_class=problem.case_class,
            cause=problem.cause,
            owner=policy.owner,
            message=problem.message,
            next_step=policy.next_step,
            actions=problem.actions,
            details=problem.details,
            run_id=run.id,
            position=position,
            correlation_id=run.correlation_id,
            amount=problem.amount,
            opened_at=now,
            due_at=now + policy.within,
            escalate_to=policy.escalate_to,
        )
        opened = CaseOpened(case=ident, case_class=row.case_class, contract=row.correlation_id, message=row.message)
        event = make_event(opened, source="tieline", id=f"{ident}/opened", time=now, causation_id=run.event.id)
        await self.store.commit(Batch(cases=[row], events=[event]))
        self.events_arrived()
        return row

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            await self._escalate()
            for wait in await self.store.due_waits(self.clock.now()):
                self._rouse(wait.run_id)
            self._start_ready()
            lanes = [connection.lane.status() for connection in self._connections.values()]
            await self.store.commit(Batch(lanes=lanes))
            await self.clock.sleep(STATUS_EVERY_S)

    async def _escalate(self) -> None:
        now = self.clock.now()
        late = [
            c for c in await self.store.cases(states=[CaseState.OPEN]) if c.due_at <= now and c.escalated_at is None
        ]
        for case in late:
            case.owner, case.escalated_at = case.escalate_to or case.owner, now
            _log.warning("case escalated", case=case.id, to=case.owner)
        if late:
            await self.store.commit(Batch(cases=late))
