"""Replay: show what running processes again would do, in documents and money, then ask the hub to run them again.

The hub runs replays behind whatever happens now: they take the lanes' lowest priority and a bounded place in memory.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.app.project import Project
from tieline.app.replay.choose import Wanted, choose
from tieline.app.replay.preview import Planned, RunPlan, preview
from tieline.app.views.reading import View
from tieline.engine.dispatch import PLACE
from tieline.engine.ports import Batch, Store
from tieline.engine.records import JournalEntry, RunRow
from tieline.engine.replays import replay_id, request_of
from tieline.events import ReplayRequested, make_event

__all__ = [
    "ASKED",
    "Group",
    "Planned",
    "ReplayPlan",
    "RunPlan",
    "Wanted",
    "plan_replay",
    "progress_of",
    "request_replay",
]

SENDS = ("create", "update", "ask")
"""The planned actions that go to a system; `ask` asks it first and may end there."""
ASKED, NOT_MADE = "asked", "not made"
REQUESTS_AT_ONCE = 1_000
JOURNALS_AT_ONCE = 200


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The same thing planned for many documents: how many, and how much money they are about, by currency."""

    action: str
    system: str
    kind: str
    documents: int
    money: dict[str, Decimal]


class ReplayPlan(msgspec.Struct, kw_only=True):
    """Every run that would be repeated, oldest event first; `left_out` says what is not and why.

    `more`: the filter matches others, which its limit leaves out.
    """

    runs: list[RunPlan]
    left_out: list[str] = []
    more: bool = False

    @property
    def sends(self) -> int:
        """How many writes would go to systems, as far as can be foreseen."""
        return sum(action.action in SENDS for run in self.runs for action in run.actions)

    @property
    def groups(self) -> list[Group]:
        """What would be done, what goes to systems first."""
        found: dict[tuple[str, str, str], list[Planned]] = {}
        for action in (action for run in self.runs for action in run.actions):
            found.setdefault((action.action, action.system, action.kind), []).append(action)
        groups = [_group(*key, planned) for key, planned in found.items()]
        return sorted(groups, key=lambda g: (g.action == "nothing", g.action not in SENDS, g.system, g.kind, g.action))

    @property
    def unforeseen(self) -> Counter[str]:
        """Why a preview does not see to the end → of how many runs."""
        return Counter(run.unforeseen for run in self.runs if run.unforeseen)


def _group(action: str, system: str, kind: str, planned: Sequence[Planned]) -> Group:
    money: dict[str, Decimal] = {}
    for amount in (p.money for p in planned if p.money is not None):
        money[amount.currency] = money.get(amount.currency, Decimal(0)) + amount.amount
    return Group(action=action, system=system, kind=kind, documents=len(planned), money=money)


async def plan_replay(
    project: Project, view: View, wanted: Wanted, looked_at: Callable[[int], None] = lambda _: None
) -> ReplayPlan:
    """What a replay would do; `looked_at` is told of each run. Raises NothingFound, ConfigurationError."""
    chosen = await choose(project, view, wanted)
    plan = ReplayPlan(runs=[], more=chosen.more)
    journals: dict[str, list[JournalEntry]] = {}
    for at, row in enumerate(chosen.rows):
        if at % JOURNALS_AT_ONCE == 0:
            journals = await view.store.journals([r.id for r in chosen.rows[at : at + JOURNALS_AT_ONCE]])
        if why := _not_again(project, row):
            plan.left_out.append(f"{row.id} {why}")
        else:
            plan.runs.append(await preview(project, view, row, journals[row.id]))
        looked_at(1)
    return plan


def _not_again(project: Project, row: RunRow) -> str:
    if not row.state.ended:
        return f"is still {row.state.value}: it goes on by itself, or by the decision of its case"
    return "" if row.process in project.processes else f"is of {row.process!r}, which the project has no more"


async def request_replay(store: Store, plan: ReplayPlan, *, by: Principal, reason: str, now: datetime) -> list[str]:
    """Ask the hub to run them again; returns the ids of the runs it will make, at once or when it starts.

    Raises NotAllowed.
    """
    by.require(Permission.OPERATE)
    asked: list[str] = []
    for at in range(0, len(plan.runs), REQUESTS_AT_ONCE):
        runs = plan.runs[at : at + REQUESTS_AT_ONCE]
        events = [
            make_event(
                ReplayRequested(
                    process=run.process, event_seq=run.event_seq, contract=run.deal, by=by.name, reason=reason
                ),
                source=PEOPLE,
                id=f"replay/{run.process}:{run.event_seq}/{uuid.uuid4()}",
                time=now,
            )
            for run in runs
        ]
        results = await store.commit(Batch(events=events))
        asked += [
            replay_id(run.process, run.event_seq, result.event.seq) for run, result in zip(runs, results, strict=True)
        ]
    return asked


async def progress_of(store: Store, asked: Sequence[str]) -> Counter[str]:
    """Where the runs stand that were asked for: state → number.

    `asked` are those that the hub has not come to yet, `not made` those that it could not make: its log says why.
    """
    cursor = await store.cursor(PLACE)
    place = int(cursor.value) if cursor else 0
    stand: Counter[str] = Counter()
    for run_id in asked:
        row = await store.run(run_id) if request_of(run_id) <= place else None
        stand[row.state.value if row else ASKED if request_of(run_id) > place else NOT_MADE] += 1
    return stand
