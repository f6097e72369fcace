"""Carry one run to its end: forward, through its cases, or back where a person cancelled it.

The invariant: a run ends in one commit, as done or as cancelled; whatever else stops it is a case, never an end.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

import structlog

from tieline.engine import cases
from tieline.engine.cases import Problem, case_id
from tieline.engine.lanes import Caller, Priority, asking
from tieline.engine.measures import Stopwatch, waiting
from tieline.engine.records import RunRow, RunState
from tieline.engine.replays import first_run
from tieline.engine.run import Run, RunCancelled
from tieline.engine.versions import Versions
from tieline.errors import ConcurrencyConflict, StoreFailed, TielineError
from tieline.events import LoggedEvent, decode_event

if TYPE_CHECKING:
    from tieline.engine.worker import Worker

MOST_CONFLICTS = 5

_log = structlog.get_logger("tieline.worker")


class Execution:
    """Executes the runs of one worker. `first_lives` holds the events of runs that have not lived yet."""

    def __init__(self, worker: Worker, versions: Versions) -> None:
        self._worker, self._versions = worker, versions
        self.first_lives: dict[str, LoggedEvent] = {}
        self.not_first: set[str] = set()
        """Of those, the ones that stood behind others of their line: how long that took says nothing."""

    async def until_ended(self, row: RunRow) -> None:
        """Run the process until it ends. What stops it becomes a case; the person's decision starts it again.

        Turn by turn: a case that was opened in an earlier life is decided before the process runs again.
        """
        turn, cancelled = 0, ""
        while True:
            run, problem = await self._load(row), None
            if run.fresh or await self._worker.store.case(case_id(row.id, -1, turn)) is None:
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
            except StoreFailed:
                raise  # whatever is written next may still fit: a case of it would outlive the full disk
            except Exception as error:  # noqa: BLE001 - whatever stops a process is shown to a person
                if not isinstance(error, TielineError):
                    _log.error("process failed", run=run.id, correlation_id=run.correlation_id, exc_info=error)
                return cases.stopped(run.process_name, error)
            else:
                return None

    async def _attempt(self, run: Run) -> None:
        try:
            await run.alone(await self._function(run))
        except RunCancelled:
            await run.compensate()
            raise

    async def _undo(self, run: Run) -> None:
        """What the journal holds is gone through once more, to know what it registered to be undone; then undo it."""
        await run.retrace(await self._function(run))
        await run.compensate()

    async def _function(self, run: Run) -> Awaitable[None]:
        """The call of the process function, of the version that the run is on. Raises VersionLost, InvalidMessage."""
        definition = await self._versions.get(run.process_name, run.row.version)
        priority = Priority.BACKGROUND if first_run(run.id) else definition.priority
        asking.set(Caller(run.process_name, run.id, priority))
        waiting.set(run.watch)
        return definition.function(run, decode_event(run.event))

    async def _load(self, row: RunRow) -> Run:
        event = self.first_lives.pop(row.id, None)
        if event is not None:
            run = Run(self._worker, row, event, [], fresh=True)
            run.watch = None if row.id in self.not_first else Stopwatch()
            self.not_first.discard(row.id)
            return run
        events = await self._worker.store.events_after(row.event_seq - 1, 1)
        return Run(self._worker, row, events[0], await self._worker.store.journal(row.id))
