"""Processes as their owners ask about them: the catalogue with its health, one process with its flow, one run.

The invariant: figures come from kept counts, or from a bounded number of rows; a figure that was cut off says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.app.project import Project
from tieline.app.views.processes_flow import FlowStep, flow_of, systems_of
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound, resolve
from tieline.engine.ports import Store
from tieline.engine.process import Process
from tieline.engine.records import (
    OPEN_RUNS,
    CaseRow,
    CaseState,
    Effect,
    InFlight,
    JournalEntry,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConfigurationError
from tieline.events import LoggedEvent

MOST_LATE = 500
MOST_CASES = 500
MOST_DONE = 1_000
SAMPLE = 100
"""How many of the newest runs the counts of a flow are of."""


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A process and how it does. `late`, `cases` and `done_today` are what was found; `cut` names those with more."""

    name: str
    summary: str
    triggers: list[str]
    version: str
    owner: str
    slo_hours: int
    escalate_to: str
    states: dict[str, int]
    late: int
    cases: int
    done_today: int
    versions: list[InFlight]
    cut: frozenset[str]

    @property
    def in_flight(self) -> int:
        return sum(number for state, number in self.states.items() if state in OPEN_RUNS)


class FlowCount(msgspec.Struct, frozen=True, kw_only=True):
    """A step, how many of the sampled runs did it, and the systems it went to. None where the journal cannot tell."""

    step: FlowStep
    runs: int | None
    systems: list[str]


class VersionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a process. `first_seen_at` is None before its first run."""

    version: str
    current: bool
    runs: int
    oldest_at: datetime | None
    first_seen_at: datetime | None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, newest first; `before` is the cursor of the next page, "" at the end."""

    runs: list[RunRow]
    before: str


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One run with everything it did."""

    row: RunRow
    event: LoggedEvent | None
    journal: list[JournalEntry]
    effects: list[Effect]
    waits: list[Wait]
    cases: list[CaseRow]


async def catalogue(project: Project, store: Store, now: datetime) -> list[ProcessHealth]:
    """Every process of the project, in the order of the catalogue."""
    figures = await _Figures.look(store, now)
    known = list(project.catalogue.processes)
    order = sorted(project.processes, key=lambda name: (known.index(name) if name in known else len(known), name))
    return [await _health(project, store, project.processes[name], figures, now) for name in order]


async def health_of(project: Project, store: Store, name: str, now: datetime) -> ProcessHealth:
    """Raises NothingFound for a process the project does not have."""
    definition = get_process(project, name)
    return await _health(project, store, definition, await _Figures.look(store, now), now)


def get_process(project: Project, name: str) -> Process:
    """Raises NothingFound, naming those there are."""
    found = project.processes.get(name)
    if found is None:
        raise NothingFound(f"the project has no process {name!r}; it has: {', '.join(sorted(project.processes))}")
    return found


async def flow_counts(store: Store, definition: Process) -> tuple[list[FlowCount], int]:
    """What a process does, and how many of its newest runs did each thing; how many runs were looked at."""
    rows = await store.runs(process=definition.name, limit=SAMPLE, newest=True)
    journals = await store.journals([row.id for row in rows]) if rows else {}
    return [_counted(step, journals) for step in flow_of(definition)], len(rows)


async def versions_of(store: Store, definition: Process) -> list[VersionSeen]:
    """The current version first, then those that runs in flight began with, the newest seen first."""
    flying = {f.version: f for f in await store.runs_in_flight() if f.process == definition.name}
    seen = {v.version: v.first_seen_at for v in await store.process_versions() if v.process == definition.name}
    others = sorted((v for v in {*flying, *seen} if v != definition.version), key=lambda v: str(seen.get(v, "")))
    return [
        VersionSeen(
            version=version,
            current=version == definition.version,
            runs=flying[version].runs if version in flying else 0,
            oldest_at=flying[version].oldest_at if version in flying else None,
            first_seen_at=seen.get(version),
        )
        for version in [definition.version, *reversed(others)]
    ]


async def runs_page(
    view: View, name: str, *, state: str = "", deal: str = "", before: str = "", limit: int = 50
) -> RunPage:
    """Runs of a process, newest first. Raises NothingFound, ConfigurationError."""
    correlation = (await resolve(view, deal)).deal or "-" if deal else None
    rows = await view.store.runs(
        process=name,
        states=_states(state),
        correlation_id=correlation,
        before=_cursor(before) if before else None,
        limit=limit + 1,
        newest=True,
    )
    shown = rows[::-1][:limit]
    return RunPage(runs=shown, before=f"{shown[-1].event_seq}.{shown[-1].id}" if len(rows) > limit else "")


async def run_detail(store: Store, run_id: str) -> RunDetail:
    """Raises NothingFound."""
    row = await store.run(run_id)
    if row is None:
        raise NothingFound(f"there is no run {run_id!r}; it may have just been asked for: look again in a moment")
    events = await store.events_after(row.event_seq - 1, 1)
    journal, waits = await store.kept_of([run_id])
    return RunDetail(
        row=row,
        event=events[0] if events and events[0].seq == row.event_seq else None,
        journal=journal or await store.journal(run_id),
        effects=await _effects(store, row),
        waits=waits,
        cases=await _cases(store, row),
    )


# --- figures ----------------------------------------------------------------------------------------------------------


class _Figures(msgspec.Struct, frozen=True):
    """What is read once for all processes."""

    states: dict[str, dict[str, int]]
    cases: Counter[str]
    done: Counter[str]
    flying: list[InFlight]
    cut: frozenset[str]

    @classmethod
    async def look(cls, store: Store, now: datetime) -> _Figures:
        states: dict[str, dict[str, int]] = {}
        for (process, state), number in (await store.count_runs()).items():
            states.setdefault(process, {})[state] = number
        cases = await store.cases(states=[CaseState.OPEN], limit=MOST_CASES)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        done = await store.ended_runs(now + timedelta(days=1), MOST_DONE, since=today)
        full = {"cases": len(cases) == MOST_CASES, "done_today": len(done) == MOST_DONE}
        return cls(
            states,
            Counter(case.run_id.partition(":")[0] for case in cases),
            Counter(row.process for row in done if row.state is RunState.DONE),
            await store.runs_in_flight(),
            frozenset(name for name, is_full in full.items() if is_full),
        )


async def _health(
    project: Project, store: Store, definition: Process, figures: _Figures, now: datetime
) -> ProcessHealth:
    name, entry = definition.name, project.catalogue.processes.get(definition.name)
    late: list[RunRow] = []
    if entry is not None:
        began_before = now - timedelta(hours=entry.slo_hours)
        late = await store.runs(process=name, states=OPEN_RUNS, until=began_before, limit=MOST_LATE)
    return ProcessHealth(
        name=name,
        summary=(definition.function.__doc__ or "").strip().partition("\n")[0],
        triggers=[trigger.__name__ for trigger in definition.triggers],
        version=definition.version,
        owner=entry.owner if entry else "",
        slo_hours=entry.slo_hours if entry else 0,
        escalate_to=entry.escalate_to if entry else "",
        states=figures.states.get(name, {}),
        late=len(late),
        cases=figures.cases[name],
        done_today=figures.done[name],
        versions=[flying for flying in figures.flying if flying.process == name],
        cut=figures.cut | ({"late"} if len(late) == MOST_LATE else frozenset()),
    )


def _counted(step: FlowStep, journals: Mapping[str, Sequence[JournalEntry]]) -> FlowCount:
    told = step.does != "case" and bool(step.name)
    did = [entries for entries in journals.values() if any(step.is_of(entry) for entry in entries)]
    systems = systems_of(step, [entry for entries in did for entry in entries]) if step.does in _AT_SYSTEMS else []
    return FlowCount(step=step, runs=len(did) if told else None, systems=systems)


_AT_SYSTEMS = ("ensure", "perform", "link")


# --- runs -------------------------------------------------------------------------------------------------------------


def _states(name: str) -> Sequence[RunState]:
    if name in ("", "open"):
        return OPEN_RUNS if name else ()
    try:
        return [RunState(name)]
    except ValueError:
        known = ", ".join(state.value for state in RunState)
        raise ConfigurationError(f"there is no state {name!r}; known: open, {known}") from None


def _cursor(text: str) -> tuple[int, str]:
    seq, _, run_id = text.partition(".")
    if not seq.isdigit():
        raise ConfigurationError(f"{text!r} is no place in a list of runs; begin at its first page")
    return int(seq), run_id


async def _effects(store: Store, row: RunRow) -> list[Effect]:
    """What a run wrote, by its deal; nothing is kept of a run that belongs to none but its journal."""
    if not row.correlation_id:
        return []
    return [e for e in await store.effects(correlation_id=row.correlation_id, limit=5_000) if e.run_id == row.id]


async def _cases(store: Store, row: RunRow) -> list[CaseRow]:
    """Those of before it knew which deal it is about, too."""
    deals = dict.fromkeys(["", row.correlation_id])
    return [case for deal in deals for case in await store.cases(correlation_id=deal, run_ids=[row.id])]
