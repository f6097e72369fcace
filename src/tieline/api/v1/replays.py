"""Replays: what running processes again would do, and asking the hub to do it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody

from tieline.api.v1.answers import Once
from tieline.api.v1.operations import Reason, takes
from tieline.api.v1.problems import FieldError, Refusal
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal
from tieline.app.replay import Group, ReplayPlan, RunPlan, Wanted, plan_replay, request_replay
from tieline.app.views.reading import View
from tieline.engine.records import RunState

TAG = "Replays"
MOST_RUNS = 200
"""A plan is made beside the hub's own work: larger ones are for the command line, which is a process of its own."""
Ident = Annotated[str, msgspec.Meta(max_length=200)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ReplayWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs: exactly one of `run`, `event` and `deal`, or a filter of which all that is given must match.

    `since` and `until` (not included) are about when a run began; `deals` are any ids of deals.
    """

    run: Ident = ""
    event: Ident = ""
    deal: Ident = ""
    process: Ident = ""
    state: RunState | None = None
    since: Moment | None = None
    until: Moment | None = None
    deals: Annotated[list[Ident], msgspec.Meta(max_length=100)] = []
    case_class: Ident = ""
    cause: Annotated[str, msgspec.Meta(max_length=400)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RUNS)] = 100

    def wanted(self) -> Wanted:
        """Raises Refusal where it says nothing, or two things."""
        given = {name: getattr(self, name) for name in ReplayWanted.__struct_fields__}
        found = Wanted(**{**given, "state": self.state.value if self.state else ""})
        if sum(map(bool, (found.run, found.event, found.deal, found.is_filter))) != 1:
            message = "give exactly one of run, event and deal, or a filter"
            raise Refusal("invalid-request", "", [FieldError(where="body", message=message)])
        return found


class ReplayRequest(ReplayWanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs to repeat, and why."""

    reason: Reason


class ReplayPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay would do: by kind of document with its money, run by run, and what is left out and why.

    `sends` is how many writes would go to systems, as far as can be foreseen; `more`: others match, beyond `limit`.
    """

    sends: int
    groups: list[Group]
    runs: list[RunPlan]
    left_out: list[str]
    more: bool


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that the hub was asked for; `GET /v1/runs/{run_id}` answers once it has made them."""

    runs: list[str]
    left_out: list[str]


@takes("/replays/plan", tag=TAG, needs=Permission.READ)
async def plan_replays(
    desk: NamedDependency[Desk], view: NamedDependency[View], data: JSONBody[ReplayWanted]
) -> ReplayPreview:
    """Preview a replay: nothing is written, no system is asked."""
    plan = await _plan(desk, view, data)
    return ReplayPreview(sends=plan.sends, groups=plan.groups, runs=plan.runs, left_out=plan.left_out, more=plan.more)


@takes("/replays", tag=TAG, needs=Permission.OPERATE)
async def request_replays(
    desk: NamedDependency[Desk],
    view: NamedDependency[View],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    data: JSONBody[ReplayRequest],
) -> Response[Asked]:
    """Run processes again, behind whatever happens now; no finished effect is repeated."""
    data.wanted()

    async def ask() -> Asked:
        plan = await _plan(desk, view, data)
        now = datetime.now(UTC)
        runs = await request_replay(desk.store, plan, by=principal, reason=data.reason, now=now)
        return Asked(runs=runs, left_out=plan.left_out)

    return await once(ask)


async def _plan(desk: Desk, view: View, data: ReplayWanted) -> ReplayPlan:
    return await plan_replay(desk.project, view, data.wanted())


HANDLERS = [plan_replays, request_replays]
