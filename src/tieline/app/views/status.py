"""How the hub does: whether it works, what runs, what waits, how each system answers, what needs a person."""

from __future__ import annotations

import fcntl
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.words import event_words
from tieline.engine.dispatch import PLACE
from tieline.engine.ports import Store
from tieline.engine.records import CaseRow, CaseState, EffectState, LaneStatus, RunRow, RunState

FRESH = timedelta(seconds=5)
"""A worker writes how its lanes do about once a second; silence of this length means that it hangs."""


class HubStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is working, stopped, or silent (it holds the lock and has not been heard of)."""

    state: str
    process: str
    heard_at: datetime | None
    behind: int
    """Events in the log that no run was made for yet."""


class WaitingRun(msgspec.Struct, frozen=True, kw_only=True):
    """The open run that began first."""

    id: str
    process: str
    state: RunState
    waits_for: str
    started_at: datetime
    deal: str


class CasesOfClass(msgspec.Struct, frozen=True, kw_only=True):
    """Open cases of one class and owner."""

    case_class: str
    owner: str
    open: int
    overdue: int
    oldest_at: datetime


class EffectsOfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Effects of one kind in one system, by state."""

    connection: str
    kind: str
    applied: int
    rejected: int
    intended: int
    in_doubt: int


class LastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log."""

    seq: int
    recorded_at: datetime
    words: str


class HubView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `tieline status` shows. `runs` is process → state → number."""

    at: datetime
    hub: HubStatus
    last_event: LastEvent | None
    runs: dict[str, dict[str, int]]
    oldest: WaitingRun | None
    lanes: list[LaneStatus]
    cases: list[CasesOfClass]
    effects: list[EffectsOfKind]


async def hub_status(view: View, now: datetime) -> HubView:
    """The state of the hub of a project, from its database and lock alone."""
    store = view.store
    lanes = await store.lanes()
    last = await store.events(limit=1, newest=True)
    return HubView(
        at=now,
        hub=await _hub(store, view.database, lanes, last[0].seq if last else 0, now),
        last_event=LastEvent(seq=last[0].seq, recorded_at=last[0].recorded_at, words=event_words(last[0]))
        if last
        else None,
        runs=_by_process(await store.count_runs()),
        oldest=await _oldest(store),
        lanes=lanes,
        cases=_by_class(await store.cases(states=[CaseState.OPEN]), now),
        effects=_by_kind(await store.count_effects()),
    )


async def _hub(store: Store, database: Path, lanes: list[LaneStatus], last: int, now: datetime) -> HubStatus:
    holder = lock_holder(database)
    heard_at = max((lane.updated_at for lane in lanes), default=None)
    fresh = heard_at is not None and now - heard_at < FRESH
    place = await store.cursor(PLACE)
    return HubStatus(
        state="stopped" if holder is None else "working" if fresh else "silent",
        process=holder or "",
        heard_at=heard_at,
        behind=last - (int(place.value) if place else 0),
    )


def lock_holder(database: Path) -> str | None:
    """The process that works on a store, None where none does. Nothing is locked by asking."""
    path = database.with_name(f"{database.name}.lock")
    try:
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return handle.read().strip() or "unknown"
    except OSError:
        return None
    return None


async def _oldest(store: Store) -> WaitingRun | None:
    rows: list[RunRow] = await store.runs(states=[RunState.QUEUED, RunState.READY, RunState.WAITING], limit=1)
    if not rows:
        return None
    row = rows[0]
    return WaitingRun(
        id=row.id,
        process=row.process,
        state=row.state,
        waits_for=row.waits_for,
        started_at=row.started_at,
        deal=row.correlation_id,
    )


def _by_process(counts: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (process, state), number in sorted(counts.items()):
        found.setdefault(process, {})[state] = number
    return found


def _by_class(cases: list[CaseRow], now: datetime) -> list[CasesOfClass]:
    """The most overdue first."""
    groups: dict[tuple[str, str], list[CaseRow]] = {}
    for case in cases:
        groups.setdefault((case.case_class, case.owner), []).append(case)
    found = [
        CasesOfClass(
            case_class=case_class,
            owner=owner,
            open=len(group),
            overdue=sum(case.due_at < now for case in group),
            oldest_at=min(case.opened_at for case in group),
        )
        for (case_class, owner), group in groups.items()
    ]
    return sorted(found, key=lambda c: (-c.overdue, c.oldest_at))


def _by_kind(counts: dict[tuple[str, str, str], int]) -> list[EffectsOfKind]:
    kinds: dict[tuple[str, str], Counter[str]] = {}
    for (connection, kind, state), number in counts.items():
        kinds.setdefault((connection, kind), Counter())[state] += number
    return [
        EffectsOfKind(
            connection=connection,
            kind=kind,
            applied=states[EffectState.APPLIED.value],
            rejected=states[EffectState.REJECTED.value],
            intended=states[EffectState.INTENDED.value],
            in_doubt=states[EffectState.IN_DOUBT.value],
        )
        for (connection, kind), states in sorted(kinds.items())
    ]
