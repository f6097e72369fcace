"""Versions of processes: which there are, which runs go on with them, and moving runs from one to another.

The invariant: nothing is moved here. Runs are checked by going through their journals, the hub is asked in the log,
and the hub checks again before it moves a run.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count

import msgspec

from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.app.project import Project
from tieline.app.settings import Settings
from tieline.app.wiring import make_resources, open_reader
from tieline.engine.cases import case_id
from tieline.engine.fitting import Fitting
from tieline.engine.ports import Batch, Store
from tieline.engine.process import Process
from tieline.engine.records import OPEN_RUNS, CaseState, InFlight, RunRow
from tieline.engine.versions import Versions, to_keep
from tieline.errors import ConfigurationError
from tieline.events import MoveRequested, make_event
from tieline.storage.memory import MemoryStore

CURRENT = "current"
_Key = tuple[str, str]


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a process. `first_seen_at` is when its first run began, None before and where it was not kept."""

    process: str
    version: str
    current: bool
    runs: int
    oldest_at: datetime | None
    first_seen_at: datetime | None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One run and whether it can move. `case` is one that stopped it and still waits for a decision."""

    run: str
    deal: str
    key: str
    from_version: str
    fits: bool
    position: int
    reason: str
    next: str
    case: str


class MovePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The runs in flight that are not on the version, oldest first."""

    process: str
    to_version: str
    moves: list[Move]

    @property
    def fitting(self) -> list[Move]:
        return [move for move in self.moves if move.fits]


async def list_versions(project: Project) -> list[VersionLine]:
    """The current version of every process, then those that runs in flight began with. Raises ConfigurationError."""
    flying, seen = await _in_flight(project.settings), await _first_seen(project.settings)
    current = [(p.name, p.version) for p in project.processes.values()]
    names = sorted({name for name, _ in [*current, *flying]})
    keys = [key for name in names for key in _of(name, current, flying)]
    return [_line(key, key in current, flying.get(key), seen.get(key)) for key in keys]


async def left_behind(project: Project) -> list[InFlight]:
    """Runs in flight that will not go on with the code of the project as it is now. Raises ConfigurationError."""
    flying = await _in_flight(project.settings)
    current = {(p.name, p.version) for p in project.processes.values()}
    return [f for key, f in flying.items() if key not in current]


async def plan_moves(
    project: Project, store: Store, *, process: str = "", run: str = "", from_version: str = "", to: str = CURRENT
) -> MovePlan:
    """Which runs in flight could go on with a version. Raises ConfigurationError for what is not there."""
    rows = await _chosen(store, process, run)
    process = process or rows[0].process
    known = await _known(project, store, process)
    target = _one_of(known, to, process) if to != CURRENT else _current(project, process)
    source = _one_of(known, from_version, process) if from_version else ""
    version = await Versions(store, project.processes).get(process, target)
    fitting = await Fitting.look(store, make_resources(project, {}))
    moves = [
        await _move(store, fitting, row, version)
        for row in rows
        if row.version != target and source in ("", row.version)
    ]
    return MovePlan(process=process, to_version=target, moves=moves)


async def request_moves(
    project: Project, store: Store, plan: MovePlan, *, by: Principal, reason: str, now: datetime
) -> list[str]:
    """Ask the hub to move the runs that fit; returns their ids. The version goes along. Raises NotAllowed."""
    by.require(Permission.OPERATE)
    version = await Versions(store, project.processes).get(plan.process, plan.to_version)
    events = [
        make_event(
            MoveRequested(
                process=plan.process,
                run=move.run,
                contract=move.deal,
                to_version=plan.to_version,
                by=by.name,
                reason=reason,
            ),
            source=PEOPLE,
            id=f"move/{move.run}/{uuid.uuid4()}",
            time=now,
        )
        for move in plan.fitting
    ]
    if events:
        await store.commit(Batch(events=events, versions=[to_keep(version, now)]))
    return [move.run for move in plan.fitting]


# --- inside -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncIterator[Store]:
    """The project's store, or an empty one where no hub has worked yet."""
    store: Store = open_reader(settings) if settings.database.is_file() else MemoryStore()
    try:
        yield store
    finally:
        await store.close()


async def _in_flight(settings: Settings) -> dict[_Key, InFlight]:
    async with _reading(settings) as store:
        return {(f.process, f.version): f for f in await store.runs_in_flight()}


async def _first_seen(settings: Settings) -> dict[_Key, datetime]:
    async with _reading(settings) as store:
        return {(v.process, v.version): v.first_seen_at for v in await store.process_versions()}


def _of(name: str, *sources: Iterable[_Key]) -> list[_Key]:
    return list(dict.fromkeys(key for source in sources for key in source if key[0] == name))


def _line(key: _Key, current: bool, flying: InFlight | None, seen: datetime | None) -> VersionLine:
    return VersionLine(
        process=key[0],
        version=key[1],
        current=current,
        runs=flying.runs if flying else 0,
        oldest_at=flying.oldest_at if flying else None,
        first_seen_at=seen,
    )


async def _chosen(store: Store, process: str, run: str) -> list[RunRow]:
    if run:
        row = await store.run(run)
        if row is None or row.state.ended:
            raise ConfigurationError(f"run {run!r} {'has ended' if row else 'is not there'}; `tieline runs` lists them")
        if process not in ("", row.process):
            raise ConfigurationError(f"run {run} is one of {row.process}, not of {process}")
        return [row]
    if not process:
        raise ConfigurationError("name a process with --process, or a run with --run")
    return await store.runs(process=process, states=OPEN_RUNS, limit=1_000_000)


async def _known(project: Project, store: Store, process: str) -> list[str]:
    """Every version of a process that can be named."""
    kept = [v.version for v in await store.process_versions() if v.process == process]
    flying = [f.version for f in await store.runs_in_flight() if f.process == process]
    current = [project.processes[process].version] if process in project.processes else []
    return list(dict.fromkeys([*kept, *flying, *current]))


def _current(project: Project, process: str) -> str:
    definition = project.processes.get(process)
    if definition is None:
        known = ", ".join(sorted(project.processes))
        raise ConfigurationError(f"the project has no process {process!r}; it has: {known}")
    return definition.version


def _one_of(known: list[str], given: str, process: str) -> str:
    """A version by its beginning. Raises ConfigurationError."""
    found = [version for version in known if version.startswith(given)]
    if len(found) != 1:
        what = "several versions begin" if found else "no version begins"
        raise ConfigurationError(f"{what} with {given!r}; {process} has: {', '.join(known) or 'none'}")
    return found[0]


async def _move(store: Store, fitting: Fitting, row: RunRow, version: Process) -> Move:
    fit = await fitting.check(row, version)
    return Move(
        run=row.id,
        deal=row.correlation_id,
        key=row.key,
        from_version=row.version,
        fits=not fit.reason,
        position=fit.position,
        reason=fit.reason,
        next=fit.next,
        case=await _stopped_by(store, row),
    )


async def _stopped_by(store: Store, row: RunRow) -> str:
    """The open case that stopped a run, "" where none did."""
    for turn in count():
        case = await store.case(case_id(row.id, -1, turn))
        if case is None:
            return ""
        if case.state is CaseState.OPEN:
            return case.id
    raise AssertionError
