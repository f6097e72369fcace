"""What needs somebody now, the worst first: one line each, with the page where it is dealt with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from tieline.app.views.now import NowView, ProcessNow, SystemNow
from tieline.app.views.traffic import Absence
from tieline.app.views.words import APPROVAL, span

BAD, WARN, INFO = "bad", "warn", "info"
NEARLY_SPENT = 0.8
FAR_BEHIND = 1_000
"""So many events without runs are more than the moment that dispatching takes."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """`level` is bad, warn or info; `words` say what, `detail` what else one wants to know, `where` is the page.

    Where `system` is named, it is what the words are about.
    """

    level: str
    system: str = ""
    words: str
    detail: str = ""
    where: str


def needs(view: NowView) -> list[Need]:
    """Everything that waits for a person, or that a person should know before somebody calls."""
    found = [*_hub(view), *_people(view), *_systems(view), *map(_silent, view.absent), *_late(view)]
    return sorted(found, key=lambda need: (BAD, WARN, INFO).index(need.level))


def _hub(view: NowView) -> Iterator[Need]:
    if view.failure:
        detail = f"{view.failure}. Nothing is done until the hub is started again"
        yield Need(level=BAD, words="The worker has stopped", detail=detail, where="/systems")
    if view.chain_broken_at:
        words = f"The log does not hold together at event {view.chain_broken_at:,}"
        yield Need(level=BAD, words=words, detail="somebody changed it, or its file is damaged", where="/audit")
    if view.behind > FAR_BEHIND:
        yield Need(level=WARN, words=f"{view.behind:,} events have no runs yet", where="/processes")


def _people(view: NowView) -> Iterator[Need]:
    if overdue := view.cases.overdue:
        words = _some(overdue, "case is", "cases are") + " overdue"
        yield Need(level=BAD, words=words, detail=_most(view.cases.overdue_of), where="/cases?overdue=1")
    if view.approvals:
        yield Need(level=WARN, words=_some(view.approvals, "approval waits", "approvals wait"), where="/approvals")
    if view.cases_open:
        words = _some(view.cases_open, "case waits", "cases wait") + " for a person"
        classes = {name: number for name, number in view.cases.by_class.items() if name != APPROVAL}
        yield Need(level=WARN, words=words, detail=_most(classes), where="/cases")
    if view.in_doubt:
        words = _some(view.in_doubt, "document is", "documents are") + " in doubt"
        yield Need(
            level=WARN, words=words, detail="the systems are asked before anything is sent again", where="/systems"
        )


def _systems(view: NowView) -> Iterator[Need]:
    for system in view.held_up:
        yield Need(
            level=WARN if system.lane.state == "throttled" or system.lane.is_held else BAD,
            system=system.name,
            words=f"is {system.lane.state}",
            detail=_behind(system, view.at),
            where=f"/systems/{system.name}",
        )
    for system in view.systems:
        used = system.quota_used
        if used is not None and used >= NEARLY_SPENT:
            words = f"has used {used:.0%} of its calls of the day"
            yield Need(level=WARN, system=system.name, words=words, where=f"/systems/{system.name}")


def _behind(system: SystemNow, now: datetime) -> str:
    lane = system.lane
    drains = f", about {span(system.drains_in)} of work" if system.drains_in else ""
    waits = f"; {_some(lane.queued, 'call waits', 'calls wait')}{drains}" if lane.queued else ""
    return f"for {span(now - lane.since)}{waits}. {lane.reason}".removesuffix(". ")


def _silent(absence: Absence) -> Need:
    few = f"only {absence.came:,} of {absence.expected:,}" if absence.came else "none"
    return Need(
        level=BAD,
        words=f"{absence.process}: nothing comes" if not absence.came else f"{absence.process}: too little comes",
        detail=f"{few} began since {absence.since:%a %d %b %H:%M} UTC; ask {absence.owner} whether that can be",
        where=f"/processes/{absence.process}",
    )


def _late(view: NowView) -> Iterator[Need]:
    for process in view.processes:
        if process.late:
            yield Need(
                level=WARN,
                words=f"{_number(process)} of {process.name} {'is' if process.late == 1 else 'are'} late",
                detail=f"they should be over within {process.slo_hours} h; {process.owner} owns the process",
                where=f"/processes/{process.name}",
            )


def _number(process: ProcessNow) -> str:
    return ("at least " if process.late_at_least else "") + _some(process.late, "run", "runs")


def _most(numbers: Mapping[str, int]) -> str:
    """`finance 12, revops 3`: the largest first, and not all of many."""
    return ", ".join(f"{name} {number:,}" for name, number in Counter(numbers).most_common(4))


def _some(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
