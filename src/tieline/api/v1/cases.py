"""Cases and approvals: what waits for a person, and deciding it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tieline.api.v1.answers import Once
from tieline.api.v1.operations import LONGEST, DealFilter, deal_of, reads, takes
from tieline.api.v1.paging import CursorText, Limit, Page, page_of, place
from tieline.app import cases as use
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.app.views.words import APPROVAL
from tieline.engine.cases import APPROVE, REFUSE
from tieline.engine.records import CaseRow, CaseState

CASES, APPROVALS = "Cases", "Approvals"
Why = Annotated[str, msgspec.Meta(max_length=2_000)]


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """The place of a case in a list."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    id: str


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about a case: one of its `actions`, with what that action takes (`link`: `external_id`; `correct`:
    the fields of the document, by path)."""

    action: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    reason: Why = ""
    arguments: dict[str, Any] = {}


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether what waits for approval may go on."""

    approved: bool
    reason: Why = ""


class Comment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something said about a case."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom a case is given: a person by name, or a team."""

    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    reason: Why = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The cases that were decided; their runs go on at once."""

    cases: list[str]


@reads("/cases", tag=CASES)
async def list_cases(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    in_state: Annotated[CaseState, QueryParameter(name="state", description="Only in this state.")] = CaseState.OPEN,
    case_class: Annotated[
        str, QueryParameter(name="class", max_length=LONGEST, description="Only of this class.")
    ] = "",
    cause: Annotated[str, QueryParameter(max_length=400, description="Only of this cause.")] = "",
    deal: DealFilter = "",
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[CaseRow]]:
    """List cases, the one that was opened first at the beginning; open ones where no state is given."""
    rows = await view.store.cases(
        states=[in_state],
        case_class=case_class or None,
        cause=cause or None,
        correlation_id=await deal_of(view, deal),
        after=_behind(place("cases", cursor, Opened)),
        limit=limit + 1,
    )
    return page_of(request, "cases", rows, limit, lambda case: (case.opened_at, case.id), lambda case: case)


@reads("/approvals", tag=APPROVALS)
async def list_approvals(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    deal: DealFilter = "",
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[CaseRow]]:
    """List what waits for approval, the longest first."""
    rows = await view.store.cases(
        states=[CaseState.OPEN],
        case_class=APPROVAL,
        correlation_id=await deal_of(view, deal),
        after=_behind(place("approvals", cursor, Opened)),
        limit=limit + 1,
    )
    return page_of(request, "approvals", rows, limit, lambda case: (case.opened_at, case.id), lambda case: case)


def _behind(last: Opened | None) -> tuple[datetime, str] | None:
    return (last.at, last.id) if last else None


@reads("/cases/{case_id:str}", tag=CASES)
async def get_case(view: NamedDependency[View], case_id: FromPath[str]) -> CaseRow:
    """Get a case: what happened, the document, candidates, and what may be done."""
    return await _case(view, case_id)


@takes("/cases/{case_id:str}/decision", tag=CASES, needs=Permission.OPERATE)
async def decide_case(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    case_id: FromPath[str],
    data: JSONBody[Decision],
) -> Response[Decided]:
    """Decide a case, with one of the actions that are safe for it.

    An approval is given or refused by `POST /v1/approvals/{case_id}/decision`, which takes another right.
    """
    case = await _case(desk.view, case_id)
    return await once(lambda: _decided(desk, case, data.action, principal, data.reason, data.arguments))


@takes("/approvals/{case_id:str}/decision", tag=APPROVALS, needs=Permission.APPROVE)
async def decide_approval(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    case_id: FromPath[str],
    data: JSONBody[Approval],
) -> Response[Decided]:
    """Approve or refuse what waits for approval."""
    case = await _case(desk.view, case_id)
    action = APPROVE if data.approved else REFUSE
    return await once(lambda: _decided(desk, case, action, principal, data.reason, {}))


@takes("/cases/{case_id:str}/comments", tag=CASES, needs=Permission.OPERATE)
async def comment_case(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    case_id: FromPath[str],
    data: JSONBody[Comment],
) -> Response[CaseRow]:
    """Say something about a case, which stays in its history and in the trace of its deal."""
    return await once(lambda: _commented(desk, case_id, data.text, principal))


@takes("/approvals/{case_id:str}/comments", tag=APPROVALS, needs=Permission.APPROVE)
async def comment_approval(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    case_id: FromPath[str],
    data: JSONBody[Comment],
) -> Response[CaseRow]:
    """Say something about what waits for approval."""
    return await once(lambda: _commented(desk, case_id, data.text, principal))


async def _commented(desk: Desk, case_id: str, text: str, by: Principal) -> CaseRow:
    case = await _case(desk.view, case_id)
    await use.comment(desk.store, case, text, by=by)
    return case


@takes("/cases/{case_id:str}/assignment", tag=CASES, needs=Permission.OPERATE)
async def assign_case(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    case_id: FromPath[str],
    data: JSONBody[Assignment],
) -> Response[CaseRow]:
    """Give an open case to somebody; its deadline stays as it is."""

    async def given() -> CaseRow:
        case = await _case(desk.view, case_id)
        await use.assign(desk.store, case, data.owner, by=principal, reason=data.reason)
        return await _case(desk.view, case_id)

    return await once(given)


async def _decided(
    desk: Desk, case: CaseRow, action: str, by: Principal, reason: str, arguments: dict[str, Any]
) -> Decided:
    return Decided(cases=await use.decide(desk.store, [case], action, by=by, reason=reason, arguments=arguments))


async def _case(view: View, case_id: str) -> CaseRow:
    case = await view.store.case(case_id.upper())
    if case is None:
        raise NothingFound(f"there is no case {case_id!r}")
    return case


HANDLERS = [
    list_cases,
    list_approvals,
    get_case,
    decide_case,
    decide_approval,
    comment_case,
    comment_approval,
    assign_case,
]
