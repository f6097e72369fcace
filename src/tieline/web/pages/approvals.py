"""Approvals: what waits for a yes and why, one of them, several together behind a step that lists them, and my own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app import approvals as use
from tieline.app.cases import NotDecidable
from tieline.app.desk import Desk
from tieline.app.principal import Principal
from tieline.engine.cases import APPROVE, REFUSE
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.pages.deals import deal_path
from tieline.web.site import Section, Site, WebRequest, go_to

DONE = {APPROVE: "approved", REFUSE: "refused"}
FEW_LINES = 12
"""Lines of a deal that the list shows; the page of one approval shows them all."""


@get("/approvals")
async def approvals(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    after: FromQuery[str] = "",
    done: FromQuery[str] = "",
    number: FromQuery[int] = 1,
) -> Response[str]:
    """What waits, the oldest first."""
    page = await use.waiting(desk.view.store, principal, after=_place(after))
    return site.page(
        request,
        "approvals/list.html",
        page=page,
        older=_cursor(page.after),
        after=after,
        done=done if done in DONE.values() else "",
        number=number,
        most_lines=FEW_LINES,
        **_PATHS,
    )


@get("/approvals/mine")
async def mine(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, before: FromQuery[int] = 0
) -> Response[str]:
    """What I approved and refused."""
    page = await use.decided_by(desk.view.store, principal, before=before)
    return site.page(request, "approvals/mine.html", page=page, before=before, said=DONE, **_PATHS)


@get("/approvals/several")
async def several(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, case: FromQuery[list[str] | None] = None
) -> Response[str]:
    """Those that were ticked, with what they come to, before anything is decided."""
    return await _several(request, desk, site, principal, case or [])


@get("/approvals/{case_id:str}")
async def approval(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, case_id: FromPath[str]
) -> Response[str]:
    """One of them whole."""
    return await _one(request, desk, site, principal, case_id)


@post("/approvals/decide", status_code=200)
async def decide(request: WebRequest, desk: TheDesk, site: TheSite, principal: Who) -> Response[str] | Redirect:
    """Approve or refuse what was shown: one, or several together."""
    form = await request.form()
    ids, action = [str(each) for each in form.getall("case", [])], str(form.get("action") or "")
    reason = str(form.get("reason") or "")
    found = await use.get_approvals(desk.view.store, ids, principal)
    try:
        await use.decide(desk.store, found, action, by=principal, reason=reason)
    except NotDecidable as error:  # told where the form stands, with what was written in it
        if len(found) == 1:
            return await _one(request, desk, site, principal, found[0].case.id, problem=str(error), reason=reason)
        return await _several(request, desk, site, principal, ids, problem=str(error), reason=reason)
    desk.worker.events_arrived()
    to = approval_path(found[0].case.id) if len(found) == 1 else f"/approvals?done={DONE[action]}&number={len(found)}"
    return go_to(to)


SECTION = Section(title="Approvals", path="/approvals", handlers=[approvals, mine, several, approval, decide])


def approval_path(case_id: str) -> str:
    """The address of an approval's page."""
    return f"/approvals/{quote(case_id, safe='')}"


def rule_path(rule: str) -> str:
    """The address of an approval rule: its row in the table of approval rules."""
    return f"/rules/approvals#{quote(rule.replace(' ', '_'), safe='')}"


def lines_of(places: Sequence[int]) -> str:
    """Places of lines as people count them: `line 1`, `lines 1, 2 and 4`."""
    numbers = [str(place + 1) for place in places]
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"lines {', '.join(numbers[:-1])} and {numbers[-1]}" if numbers else ""


_PATHS: dict[str, Any] = {
    "deal_path": deal_path,
    "approval_path": approval_path,
    "rule_path": rule_path,
    "lines_of": lines_of,
}


async def _one(
    request: WebRequest,
    desk: Desk,
    site: Site,
    principal: Principal,
    case_id: str,
    *,
    problem: str = "",
    reason: str = "",
) -> Response[str]:
    found = await use.get_approval(desk.view.store, case_id, principal)
    decision = await use.decision_of(desk.view.store, found)
    return site.page(
        request,
        "approvals/one.html",
        status=422 if problem else 200,
        one=found,
        decision=decision,
        comments=await use.comments_on(desk.view.store, found),
        said=DONE,
        problem=problem,
        reason=reason,
        **_PATHS,
    )


async def _several(
    request: WebRequest,
    desk: Desk,
    site: Site,
    principal: Principal,
    ids: Sequence[str],
    *,
    problem: str = "",
    reason: str = "",
) -> Response[str]:
    found = await use.get_approvals(desk.view.store, ids, principal)
    return site.page(
        request,
        "approvals/several.html",
        status=422 if problem else 200,
        free=[each for each in found if each.open and not each.blocked],
        held=[each for each in found if not each.open or each.blocked],
        totals=use.totals([each for each in found if each.open and not each.blocked]),
        problem=problem,
        reason=reason,
        **_PATHS,
    )


def _cursor(place: tuple[datetime, str] | None) -> str:
    return f"{place[0].isoformat()}~{place[1]}" if place else ""


def _place(cursor: str) -> tuple[datetime, str] | None:
    """Where a page begins; the first one for what is no cursor."""
    moment, _, case_id = cursor.partition("~")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (at, case_id) if at.tzinfo else None
