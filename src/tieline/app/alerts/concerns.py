"""What needs somebody now: a list made anew at every look, from the store alone.

The invariant: a concern has the same key as long as it stands, whatever its number; so a look can be missed, repeated
or cut short, and nothing is lost or told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

import msgspec

from tieline.app.chain import NAME as VERIFIED
from tieline.app.chain import Verified
from tieline.app.views.traffic import Absence, absent_traffic
from tieline.app.views.words import APPROVAL, counted, figure
from tieline.engine.dispatch import PLACE
from tieline.engine.ports import Store
from tieline.engine.records import OPEN_RUNS, LaneStatus, OpenCase, RunRow
from tieline.policy import Catalogue

QUOTA_NEARLY = 0.9
"""The part of a day's calls after which somebody shall know."""
BEHIND_AFTER = timedelta(minutes=2)
MOST_LATE = 2_000
"""How many late runs are counted; more are "2,000 or more"."""
TECHNICAL = "default"
"""The class of the catalogue whose owner hears of systems, the hub and the log."""


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands and needs somebody. `people` are owners of the catalogue; `path` is its page.

    `facts` are sentences without names of persons: ids, amounts, numbers, times.
    """

    key: str
    title: str
    people: tuple[str, ...]
    since: datetime
    number: int = 1
    facts: tuple[str, ...] = ()
    path: str = "/"


async def standing(catalogue: Catalogue, store: Store, now: datetime, parked_for: timedelta) -> list[Concern]:
    """Everything that stands now."""
    cases = await store.open_cases()
    open_runs, who = await _open_runs(store, catalogue, now), technical(catalogue)
    return [
        *await broken_chain(store, who),
        *of_cases(cases),
        *late_runs(catalogue, open_runs, {case.run_id for case in cases}, now),
        *of_absence(await absent_traffic(store, catalogue, now), catalogue),
        *of_lanes(await store.lanes(), who, now, parked_for),
        *await behind(store, who, now),
    ]


# --- cases ------------------------------------------------------------------------------------------------------------


def of_cases(cases: Iterable[OpenCase]) -> list[Concern]:
    """Cases of one cause are one concern, those of them that were escalated another."""
    groups: dict[tuple[str, str, bool], list[OpenCase]] = {}
    for case in cases:
        groups.setdefault((case.case_class, case.cause, False), []).append(case)
        if case.escalated_at is not None:
            groups.setdefault((case.case_class, case.cause, True), []).append(case)
    return [_of_cause(case_class, cause, late, group) for (case_class, cause, late), group in groups.items()]


def _of_cause(case_class: str, cause: str, late: bool, group: list[OpenCase]) -> Concern:
    first = min(group, key=lambda case: case.opened_at)
    # whoever had a case before it was escalated was told then; it is not news to them
    people = sorted({case.owner for case in group if late or case.escalated_at is None})
    return Concern(
        key=f"{'overdue' if late else 'cases'}/{case_class}/{cause}",
        title=_case_title(case_class, len(group), late),
        people=tuple(people),
        since=min(case.escalated_at or case.opened_at for case in group) if late else first.opened_at,
        number=len(group),
        facts=tuple(filter(None, (at_stake(group), _clock(group), _examples(group), _next_step(first)))),
        path=_path(case_class, group),
    )


def _case_title(case_class: str, number: int, late: bool) -> str:
    if case_class == APPROVAL:
        return f"{counted(number, 'approval')} {'overdue' if late else 'waiting'}"
    return f"{counted(number, 'overdue case' if late else 'case')}: {case_class.replace('-', ' ').replace('_', ' ')}"


def at_stake(cases: Iterable[OpenCase]) -> str:
    """`At stake: 1,204,500.00 USD, 90,000.00 ZAR.`"""
    sums: dict[str, Decimal] = {}
    for case in cases:
        amount, _, currency = case.amount.partition(" ")
        with suppress(InvalidOperation):  # a process of a project may write what it likes there
            sums[currency] = sums.get(currency, Decimal(0)) + Decimal(amount.replace(",", ""))
    return f"At stake: {', '.join(f'{figure(sums[c])} {c}' for c in sorted(sums))}." if sums else ""


def _clock(cases: Sequence[OpenCase]) -> str:
    since, due = min(case.opened_at for case in cases), min(case.due_at for case in cases)
    oldest, first = ("Oldest since", "first due") if len(cases) > 1 else ("Since", "due")
    return f"{oldest} {moment(since)}, {first} {moment(due)}."


def _examples(cases: Sequence[OpenCase]) -> str:
    shown = ", ".join(case.id for case in cases[:3])
    more = f" and {len(cases) - 3:,} more" if len(cases) > 3 else ""
    return f"{'Case' if len(cases) == 1 else 'Cases'} {shown}{more}."


def _next_step(case: OpenCase) -> str:
    return f"Next: {case.next_step}." if case.next_step else ""


def _path(case_class: str, cases: Sequence[OpenCase]) -> str:
    if case_class == APPROVAL:
        return "/approvals"
    return f"/cases/{cases[0].id}" if len(cases) == 1 else f"/cases?{urlencode({'class': case_class})}"


# --- runs -------------------------------------------------------------------------------------------------------------


async def _open_runs(store: Store, catalogue: Catalogue, now: datetime) -> list[RunRow]:
    shortest = min((entry.slo_hours for entry in catalogue.processes.values()), default=0)
    return (
        await store.runs(states=OPEN_RUNS, until=now - timedelta(hours=shortest), limit=MOST_LATE) if shortest else []
    )


def late_runs(catalogue: Catalogue, runs: Iterable[RunRow], with_case: set[str], now: datetime) -> list[Concern]:
    """Runs that are open for longer than their process promises. One that waits for a case was told as a case."""
    late: dict[str, list[RunRow]] = {}
    for run in runs:
        entry = catalogue.processes.get(run.process)
        if entry and run.id not in with_case and now - run.started_at > timedelta(hours=entry.slo_hours):
            late.setdefault(run.process, []).append(run)
    return [_of_process(catalogue, process, rows) for process, rows in sorted(late.items())]


def _of_process(catalogue: Catalogue, process: str, rows: list[RunRow]) -> Concern:
    entry, first = catalogue.processes[process], min(rows, key=lambda run: run.started_at)
    number = f"{len(rows):,} or more runs" if len(rows) >= MOST_LATE else counted(len(rows), "run")
    hours = counted(entry.slo_hours, "hour")
    return Concern(
        key=f"late/{process}",
        title=f"{number} of {process} late",
        people=tuple(sorted({entry.owner, entry.escalate_to} - {""})),
        since=first.started_at + timedelta(hours=entry.slo_hours),
        number=len(rows),
        facts=(f"They should end within {hours}; the oldest, {first.id}, began {moment(first.started_at)}.",),
        path=f"/processes/runs/{first.id}" if len(rows) == 1 else f"/processes/{process}",
    )


def of_absence(absences: Iterable[Absence], catalogue: Catalogue) -> list[Concern]:
    """Traffic that the catalogue expects and that did not come."""
    return [
        Concern(
            key=f"absent/{absence.process}",
            title=f"{absence.process}: expected traffic is absent",
            people=tuple(sorted({absence.owner, catalogue.processes[absence.process].escalate_to} - {""})),
            since=absence.since,
            facts=(
                f"{counted(absence.came, 'run')} since {moment(absence.since)}, at least {absence.expected} expected.",
                f"The last began {moment(absence.last_at)}." if absence.last_at else "None began in this time.",
            ),
            path=f"/processes/{absence.process}",
        )
        for absence in absences
    ]


# --- systems, hub, log ------------------------------------------------------------------------------------------------


class Technical(msgspec.Struct, frozen=True):
    """Who hears of systems, hub and log: the owner of the catalogue's default class, and who after so many hours."""

    owner: str
    escalate_to: str
    within: timedelta

    @property
    def everybody(self) -> tuple[str, ...]:
        return (self.owner, self.escalate_to) if self.escalate_to else (self.owner,)

    def people(self, since: datetime, now: datetime) -> tuple[str, ...]:
        """The owner; once the time is over, whom it goes to next as well."""
        return self.everybody if now - since > self.within else (self.owner,)


def technical(catalogue: Catalogue) -> Technical:
    entry = catalogue.case_class(TECHNICAL)
    return Technical(entry.owner, entry.escalate_to, timedelta(hours=entry.slo_hours))


def of_lanes(lanes: Iterable[LaneStatus], who: Technical, now: datetime, parked_for: timedelta) -> list[Concern]:
    """Systems that cannot be reached, and those whose calls of the day are nearly spent."""
    found = []
    for lane in lanes:
        if lane.per_day and lane.used_today >= QUOTA_NEARLY * lane.per_day:
            found.append(_quota(lane, who))
        elif lane.state == "parked" and now - lane.since > parked_for:
            found.append(_parked(lane, who, now))
    return found


def _quota(lane: LaneStatus, who: Technical) -> Concern:
    spent = "spent" if lane.used_today >= lane.per_day else "nearly spent"
    return Concern(
        key=f"quota/{lane.connection}",
        title=f"{lane.connection}: the day's calls are {spent}",
        people=(who.owner,),
        since=lane.updated_at,
        facts=(f"{lane.used_today:,} of {lane.per_day:,} calls in 24 hours; {lane.queued:,} wait.",),
        path=f"/systems/{lane.connection}",
    )


def _parked(lane: LaneStatus, who: Technical, now: datetime) -> Concern:
    waiting = f"{counted(lane.queued, 'call')} {'waits' if lane.queued == 1 else 'wait'}, and nothing is lost"
    return Concern(
        key=f"parked/{lane.connection}",
        title=f"{lane.connection} is parked",
        people=who.people(lane.since, now),
        since=lane.since,
        facts=(f"Since {moment(lane.since)}: {lane.reason[:200]}.", f"{waiting}."),
        path=f"/systems/{lane.connection}",
    )


async def behind(store: Store, who: Technical, now: datetime) -> list[Concern]:
    """Events that nothing was done about for a while."""
    place = await store.cursor(PLACE)
    reached = int(place.value) if place else 0
    waiting = await store.events_after(reached, 1)
    if not waiting or now - waiting[0].recorded_at < BEHIND_AFTER:
        return []
    last = await store.events(limit=1, newest=True)
    number = last[0].seq - reached
    return [
        Concern(
            key="behind",
            title="The hub is behind",
            people=who.people(waiting[0].recorded_at, now),
            since=waiting[0].recorded_at,
            facts=(f"{counted(number, 'event')} of the log since {moment(waiting[0].recorded_at)} not taken up yet.",),
            path="/",
        )
    ]


async def broken_chain(store: Store, who: Technical) -> list[Concern]:
    """The log does not follow from its beginning: somebody changed what is written, or lost it."""
    kept = await store.cursor(VERIFIED)
    state = msgspec.json.decode(kept.value, type=Verified) if kept else None
    if state is None or not state.broken_at:
        return []
    return [
        Concern(
            key="chain",
            title=f"The log's chain is broken at event {state.broken_at:,}",
            people=who.everybody,
            since=state.at,
            facts=(state.reason[:200],),
            path="/audit",
        )
    ]


# --- words ------------------------------------------------------------------------------------------------------------


def moment(at: datetime) -> str:
    """`23 Nov 20:10 UTC`"""
    return f"{at:%d %b %H:%M} UTC"
