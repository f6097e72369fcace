"""The durable ground a run stands on: its journal, its waits, its cases, its end.

The invariant: every durable operation takes the next position of the journal. After a crash the function runs again;
an operation whose position is journaled answers from the journal and touches nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tieline.engine.cases import Problem, case_id
from tieline.engine.measures import Stopwatch, waiting_for_others
from tieline.engine.ports import Batch
from tieline.engine.records import CaseRow, CaseState, EffectKey, EffectState, JournalEntry, RunRow, RunState, Wait
from tieline.engine.replays import first_run
from tieline.errors import ConfigurationError
from tieline.events import Event, EventData, LoggedEvent, decode_event, make_event, topic

if TYPE_CHECKING:
    from tieline.engine.worker import Worker


class Decision(msgspec.Struct, frozen=True):
    """What a person decided about a case."""

    action: str
    by: str
    reason: str = ""
    arguments: dict[str, Any] = {}


class RunCancelled(Exception):
    """A person cancelled the run; compensation follows."""


class JournalMismatch(ConfigurationError):
    """The process does not fit what a run has done; `position` is where in its journal."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.position = position


class EndOfJournal(Exception):
    """Retracing has come to what was not done yet."""


class DurableRun:
    """What every operation of a run is made of. `Run` adds the operations."""

    def __init__(
        self,
        worker: Worker,
        row: RunRow,
        event: LoggedEvent,
        journal: Sequence[JournalEntry],
        fresh: bool = False,
    ) -> None:
        """`fresh`: this is the run's first life, so that nothing of it can be found anywhere but here."""
        self._worker, self.row, self.event = worker, row, event
        self._journal = {entry.position: entry for entry in journal}
        self._position = 0
        self._compensations: list[Callable[[], Awaitable[Any]]] = []
        self._branches: set[asyncio.Task[Any]] = set()
        self._retracing = False
        self.fresh = fresh
        self.watch: Stopwatch | None = None
        """How long it waited for others; None where nobody measures."""

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def key(self) -> str:
        return self.row.key

    @property
    def process_name(self) -> str:
        return self.row.process

    @property
    def correlation_id(self) -> str:
        return self.row.correlation_id

    # --- life ---------------------------------------------------------------------------------------------------------

    async def alone(self, work: Awaitable[Any]) -> None:
        """Carry the process function. When it ends, so do its branches: none goes on behind the back of a case."""
        try:
            await work
        finally:
            mine = asyncio.current_task()
            branches = [b for b in self._branches if b is not mine and not b.done()]
            for branch in branches:
                branch.cancel()
            await asyncio.gather(*branches, return_exceptions=True)
            self._branches.clear()

    async def retrace(self, work: Awaitable[Any]) -> Exception | None:
        """Go through the journal without doing anything, so that what was registered for undoing is known.

        Returns what ended it: EndOfJournal, what the process raised, None where the process came to its end.
        Raises JournalMismatch when the process has changed: half of what is to be undone must not pass for all of it.
        """
        self._retracing = True
        try:
            await self.alone(work)
        except JournalMismatch:
            raise
        except Exception as end:  # noqa: BLE001 - where the journal ends, or where the process failed in its first life
            return end
        finally:
            self._retracing = False
        return None

    async def stopped(self, turn: int, problem: Problem | None) -> Decision:
        """The process failed: a case at no position of its own. Raises RunCancelled for a cancellation."""
        return await self._decided(-1, turn, problem)

    async def end(self, state: RunState, error: str) -> None:
        """The run is over, and with it every case it opened."""
        now = self._worker.clock.now()
        mine = [] if self.fresh else await self._open_cases()
        closed = [msgspec.structs.replace(c, state=CaseState.CLOSED, closed_at=now) for c in mine]
        self.row.state, self.row.error, self.row.waits_for, self.row.ended_at = state, error, "", now
        await self._worker.store.commit(Batch(runs=[self.row], cases=closed))

    async def _open_cases(self) -> list[CaseRow]:
        states = [CaseState.OPEN, CaseState.DECIDED]
        found = await self._worker.store.cases(states=states, correlation_id=self.correlation_id, limit=1_000_000)
        return [case for case in found if case.run_id == self.id]

    def compensate_with(self, deed: Callable[[], Awaitable[Any]]) -> None:
        """If the run is cancelled later, do this; the last registered is done first."""
        self._compensations.append(deed)

    async def compensate(self) -> None:
        """Undo what was registered, last first; each deed is an effect of its own."""
        while self._compensations:
            await self._compensations.pop()()

    # --- journal ------------------------------------------------------------------------------------------------------

    def _next(self, kind: str, name: str) -> tuple[int, JournalEntry | None]:
        if (task := asyncio.current_task()) is not None:
            self._branches.add(task)
        position, self._position = self._position, self._position + 1
        entry = self._journal.get(position)
        if entry is not None and (entry.kind, entry.name) != (kind, name):
            raise JournalMismatch(
                f"run {self.id} did {entry.kind} {entry.name!r} at position {position}; "
                f"process {self.process_name} now wants {kind} {name!r} there",
                position,
            )
        if entry is None and self._retracing and kind != "case":
            raise EndOfJournal
        return position, entry

    def _entry(self, position: int, kind: str, name: str, payload: bytes) -> JournalEntry:
        return JournalEntry(
            run_id=self.id, position=position, kind=kind, name=name, payload=payload, at=self._worker.clock.now()
        )

    def _event(self, position: int, data: EventData) -> Any:
        return make_event(
            data,
            source="tieline",
            id=f"{self.id}/{position}",
            time=self._worker.clock.now(),
            causation_id=self.event.id,
        )

    # --- waits and cases ----------------------------------------------------------------------------------------------

    async def _awaited(
        self, position: int, address: str, within: timedelta, what: str, parent: EffectKey | None = None
    ) -> LoggedEvent | Any | None:
        """What arrives at a topic, or None when the deadline passes first. Durable: the wait survives a crash."""
        store, now = self._worker.store, self._worker.clock.now()
        if (there := await self._already(address, parent)) is not None:
            return there
        held = [w for w in await store.waits([address]) if (w.run_id, w.position) == (self.id, position)]
        wait = held[0] if held else Wait(run_id=self.id, position=position, topic=address, due_at=now + within)
        arrival = self._worker.expect(self.id, address)
        try:
            self.row.state, self.row.waits_for = RunState.WAITING, what
            await store.commit(Batch(waits=[] if held else [wait], runs=[self.row]))
            found = await self._already(address, parent)
            if found is not None:
                return found
            with waiting_for_others():
                return await self._worker.arrival(arrival, wait.due_at)
        finally:
            self._worker.expect_no_more(self.id, address, arrival)

    async def _already(self, address: str, parent: EffectKey | None) -> Any | None:
        if parent is None:
            return await self._worker.store.first_event(address)
        effect = await self._worker.store.find_effect(parent)
        return effect if effect is not None and effect.state is EffectState.APPLIED else None

    def _awake(self, position: int, batch: Batch) -> Batch:
        self.row.state, self.row.waits_for = RunState.READY, ""
        batch.waits_over.append((self.id, position))
        batch.runs.append(self.row)
        return batch

    def _case_id(self, position: int, turn: int) -> str:
        return case_id(self.id, position, turn)

    async def _decided(self, position: int, turn: int, problem: Problem | None) -> Decision:
        """The decision about the `turn`-th case at a position; opens it when it is not open yet."""
        ident = self._case_id(position, turn)
        if self._retracing and await self._worker.store.first_event(topic("CaseDecided", ident)) is None:
            raise EndOfJournal
        arrived = await self._decided_before(position, turn, problem)
        if arrived is None:
            if await self._worker.store.case(ident) is None:
                if problem is None:
                    raise AssertionError(f"no problem to open case {ident} with")
                self.fresh = False
                await self._worker.open_case(self, ident, position, problem)
            arrived = await self._awaited(
                position, topic("CaseDecided", ident), timedelta(days=3650), f"a decision on case {ident}"
            )
            await self._worker.store.commit(self._awake(position, Batch()))
        if not isinstance(arrived, Event):
            raise JournalMismatch(f"case {ident} waits longer than it was told to")  # ten years
        data: Any = decode_event(arrived)
        if data.action == "cancel":
            await self._close_cases(position, turn + 1)
            raise RunCancelled(data.reason or f"cancelled by {data.by}")
        return Decision(data.action, data.by, data.reason, data.arguments)

    async def _nothing_asked(self, position: int, turn: int) -> bool:
        """Whether no case was opened at this place yet, in this life or an earlier one."""
        return self.fresh or await self._worker.store.case(case_id(self.id, position, turn)) is None

    async def _decided_before(self, position: int, turn: int, problem: Problem | None) -> LoggedEvent | None:
        """In a replay: what a person said at this place of the first run, when it was about the same."""
        first = first_run(self.id)
        if not first or problem is None:
            return None
        ident = case_id(first, position, turn)
        case = await self._worker.store.case(ident)
        if case is None or (case.case_class, case.message) != (problem.case_class, problem.message):
            return None
        return await self._worker.store.first_event(topic("CaseDecided", ident))

    async def _close_cases(self, position: int, turns: int) -> None:
        closed: list[CaseRow] = []
        for turn in range(turns):
            case = await self._worker.store.case(self._case_id(position, turn))
            if case is not None and case.state is not CaseState.CLOSED:
                case.state, case.closed_at = CaseState.CLOSED, self._worker.clock.now()
                closed.append(case)
        if closed:
            await self._worker.store.commit(Batch(cases=closed))
