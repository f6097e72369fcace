"""Whether a run in flight can go on with another version of its process, found out without doing anything.

The invariant: a version fits when, asked for everything the run has done and has under way, it asks for the same at
the same positions; then nothing is done twice, nothing is left out, and no answer is taken for another question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from tieline.engine.cases import case_id
from tieline.engine.clock import SystemClock
from tieline.engine.durable import EndOfJournal, JournalMismatch, RunCancelled
from tieline.engine.ports import AppendResult, Batch, Store
from tieline.engine.process import Process
from tieline.engine.records import CaseRow, EffectState, JournalEntry, RunRow, Wait
from tieline.engine.run import Run
from tieline.errors import TielineError
from tieline.events import EventData, LoggedEvent, decode_event

if TYPE_CHECKING:
    from tieline.engine.worker import Worker

WITHIN_S = 10.0
"""How long a version may take to come to the end of a journal."""
SIDE_BY_SIDE = 64
"""So many operations of a run, called together, are looked through for cases behind its journal."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. `reason` is "" where the version fits, else why it does not, at `position` of the journal.

    `stale` are waits that the version does not ask for: they end with the move. `next` is what it would do next.
    """

    position: int = -1
    reason: str = ""
    stale: list[Wait] = []
    next: str = ""


class Fitting:
    """Checks of many runs, on one look at what is under way in the store."""

    def __init__(self, store: Store, resources: Any, waits: Sequence[Wait], writing: dict[str, str]) -> None:
        """`writing`: run id → what it has intended and not settled."""
        self._store, self._resources, self._writing = store, resources, writing
        self._waits: dict[str, list[Wait]] = {}
        for wait in waits:
            self._waits.setdefault(wait.run_id, []).append(wait)

    @classmethod
    async def look(cls, store: Store, resources: Any) -> Fitting:
        open_states = (EffectState.INTENDED, EffectState.IN_DOUBT)
        unsettled = [effect for s in open_states for effect in await store.effects(state=s, limit=1_000_000)]
        return cls(store, resources, await store.waits(), {e.run_id: str(e.key) for e in unsettled})

    async def check(self, row: RunRow, version: Process) -> Fit:
        """Whether the run can go on with this version."""
        if row.id in self._writing:
            return Fit(reason=f"{self._writing[row.id]} is being written: what became of it must be known first")
        event = (await self._store.events_after(row.event_seq - 1, 1))[0]
        try:
            data = decode_event(event)
            if reason := _another_start(row, version, data):
                return Fit(reason=reason)
        except Exception as error:  # noqa: BLE001 - a process of the project may fail in any way
            return Fit(reason=f"it fails on the event of the run: {_words(error)}")
        return await self._gone_through(row, version, event, data)

    async def _gone_through(self, row: RunRow, version: Process, event: LoggedEvent, data: EventData) -> Fit:
        journal = await self._store.journal(row.id)
        run = _Retraced(self._store, self._resources, row, event, journal)
        try:
            async with asyncio.timeout(WITHIN_S):
                end = await run.retrace(version.function(run, data))
        except TimeoutError:
            return Fit(position=run.reached, reason=f"it does not come to the end of the journal in {WITHIN_S:g} s")
        except Exception as error:  # noqa: BLE001 - a process of the project may fail in any way
            end = error
        if run.mismatch is not None:
            return Fit(position=run.mismatch.position, reason=_difference(run, journal, run.mismatch.position))
        left = [entry for entry in journal if entry.position not in run.asked]
        if left:
            return Fit(position=left[0].position, reason=_left_out(left[0], end))
        if end is not None and not isinstance(end, EndOfJournal | RunCancelled):
            return Fit(position=run.reached, reason=f"it fails there: {_words(end)}")
        return await self._with_what_is_open(row, run, end)

    async def _with_what_is_open(self, row: RunRow, run: _Retraced, end: Exception | None) -> Fit:
        waits = self._waits.get(row.id, [])
        behind = max([-1, *run.asked, *(wait.position for wait in waits)]) + 1
        for position in range(behind + SIDE_BY_SIDE):
            case = await self._store.case(case_id(row.id, position, 0))
            asked = run.asked.get(position)
            if case is not None and not _asks_the_same(case, asked):
                there = f"{asked[0]} {asked[1]!r}" if asked else "nothing"
                reason = f"a person was asked there (case {case.id}, {case.case_class}); it wants {there}"
                return Fit(position=position, reason=reason)
        stale = [wait for wait in waits if _stale(wait, run.asked.get(wait.position))]
        return Fit(stale=stale, next=run.next() if isinstance(end, EndOfJournal) else "undo" if end else "end")


class _Retraced(Run):
    """A run that only goes through its journal. `asked`: position → the operation that the version asks for there."""

    def __init__(
        self, store: Store, resources: Any, row: RunRow, event: LoggedEvent, journal: Sequence[JournalEntry]
    ) -> None:
        bystander = cast("Worker", _Bystander(store, resources))
        super().__init__(bystander, msgspec.structs.replace(row), event, journal)
        self.asked: dict[int, tuple[str, str]] = {}
        self.mismatch: JournalMismatch | None = None

    @property
    def reached(self) -> int:
        return max(self.asked, default=0)

    def next(self) -> str:
        """What comes behind the journal."""
        return " ".join(self.asked[max(set(self.asked) - set(self._journal))])

    def _next(self, kind: str, name: str) -> tuple[int, JournalEntry | None]:
        self.asked[self._position] = (kind, name)
        try:
            return super()._next(kind, name)
        except JournalMismatch as mismatch:
            self.mismatch = self.mismatch or mismatch  # the process may catch it
            raise

    async def pause(self, within_s: float) -> None:
        """What is only gone through waits for nothing."""


class _Bystander:
    """What a run asks of its worker, without systems behind it and without the right to write."""

    def __init__(self, store: Store, resources: Any) -> None:
        self.store, self.clock, self.resources = LooksOnly(store), SystemClock(), resources

    def connection(self, name: str) -> Any:
        raise TielineError(f"it asks {name} outside of a step, and what it would hear is not in the journal")


class LooksOnly:
    """A store that may be read; what a run would write about its place is dropped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Batch) -> list[AppendResult]:
        return []


def _another_start(row: RunRow, version: Process, data: EventData) -> str:
    if not version.triggered_by(data):
        return "it would not take the event that the run began with"
    key = version.key(data)
    return "" if key == row.key else f"its runs go by another key: {key!r} where the run has {row.key!r}"


def _difference(run: _Retraced, journal: Sequence[JournalEntry], position: int) -> str:
    did = next(entry for entry in journal if entry.position == position)
    kind, name = run.asked[position]
    return f"the run did {did.kind} {did.name!r} there; it wants {kind} {name!r}"


def _left_out(entry: JournalEntry, end: Exception | None) -> str:
    did = f"the run did {entry.kind} {entry.name!r} there"
    if end is None:
        return f"{did}; it ends before"
    return f"{did}; it goes another way before" if isinstance(end, EndOfJournal) else f"{did}; it fails: {_words(end)}"


def _asks_the_same(case: CaseRow, asked: tuple[str, str] | None) -> bool:
    kind, name = asked or ("", "")
    if kind == "case":
        return name == case.case_class
    about = case.details.get("effect")
    return kind in ("effect", "applied") and (about == name or case.case_class == "parent-missing")


def _stale(wait: Wait, asked: tuple[str, str] | None) -> bool:
    """A wait for an event that is not asked for. Waits of cases and effects belong to what was compared before."""
    kind, name = asked or ("", "")
    return wait.position >= 0 and (kind not in ("case", "effect", "applied")) and (kind, name) != ("wait", wait.topic)


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, TielineError) else f"{type(error).__name__}: {error}"
