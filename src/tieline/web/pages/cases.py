"""Cases: by cause or one by one; one case with what deciding it takes, each decision behind its preview."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect

from tieline.app import cases as use
from tieline.app.desk import Desk
from tieline.app.principal import Permission
from tieline.app.replay.decision import preview_decision
from tieline.app.views.case import leaves, read_case
from tieline.app.views.resolve import NothingFound
from tieline.app.views.words import APPROVAL
from tieline.engine.cases import APPROVE, CORRECT, CORRECT_MAP, LINK, REFUSE
from tieline.engine.records import CaseFilter, CaseRow, CaseState
from tieline.web import present
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.pages.approvals import approval_path
from tieline.web.pages.deals import deal_path, document_path
from tieline.web.pages.rules import worded
from tieline.web.site import Section, WebRequest, fields, go_to

FIELD = "field."
"""How the fields of a corrected document begin in a form."""
DEEDS = {
    "retry": ("Try again", "The cause was mended elsewhere. What is in doubt is asked about first."),
    "correct": ("Correct the document", "Change fields of this one document, then try again."),
    "link": ("Link it", "The record stands there already: it is taken as this document and updated from now on."),
    "create": ("Create a new one", "None of the candidates is meant."),
    "send-again": ("Send it again", "You looked there, and it does not stand there."),
    "skip": ("Go on without it", "The document is not wanted there; what depends on it may wait."),
    "cancel": ("Cancel the run", "The deal or document is off: what the run did is taken back."),
    "accept": ("Take the second telling", "What was told second counts from now on."),
    "dismiss": ("Leave it", "What was told is left aside."),
    "correct-map": ("Correct the value map", "Say once what the word means: every case of the cause is tried again."),
    "approve": ("Approve", "It goes on."),
    "refuse": ("Refuse", "The run ends."),
}
"""What the decisions are called, and when each is the right one."""
DANGEROUS = ("cancel", "skip", "send-again")


@get("/cases")
async def cases(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    view: FromQuery[str] = "",
    owner: FromQuery[str] = "",
    of_class: Annotated[str, QueryParameter(name="class")] = "",
    cause: FromQuery[str] = "",
    in_state: Annotated[str, QueryParameter(name="state")] = "open",
    overdue: FromQuery[str] = "",
    after: FromQuery[str] = "",
) -> Response[str]:
    """What waits for a person."""
    at, store = datetime.now(UTC), desk.view.store
    wanted = CaseFilter(
        state=CaseState(in_state) if in_state in tuple(CaseState) else CaseState.OPEN,
        case_class=of_class or None,
        cause=cause or None,
        owner=owner or None,
        due_by=at if overdue else None,
    )
    each = view == "each" or wanted.state is CaseState.CLOSED  # what is closed is history: newest first
    counts, groups = await asyncio.gather(
        store.count_open_cases(at), _none() if each else use.groups(store, wanted, at)
    )
    return site.page(
        request,
        "cases/list.html",
        each=each,
        wanted=wanted,
        overdue=bool(overdue),
        counts=counts,
        owners=_owners(desk),
        groups=groups,
        page=await use.page(store, wanted, after) if each else use.CasePage(cases=[]),
        after=after,
        most=use.GROUPS,
        case_path=case_path,
        worded=worded,
        cause_path=cause_path,
    )


@get("/cases/{case_id:str}")
async def case(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    case_id: FromPath[str],
    done: FromQuery[str] = "",
) -> Response[Any]:
    """One case whole."""
    found = await read_case(desk.project, desk.view, case_id, datetime.now(UTC))
    if found.case.case_class == APPROVAL:
        return go_to(approval_path(found.case.id))
    return site.page(
        request,
        "cases/case.html",
        file=found,
        case=found.case,
        done=done,
        deeds=DEEDS,
        dangerous=DANGEROUS,
        owners=_owners(desk),
        answer=_answer(found.effect.response if found.effect else b""),
        case_path=case_path,
        worded=worded,
        cause_path=cause_path,
        deal_path=deal_path,
        document_path=document_path,
    )


@get("/cases/{case_id:str}/next")
async def what_next(request: WebRequest, desk: TheDesk, site: TheSite, case_id: FromPath[str]) -> Response[str]:
    """What became of a decision so far: a piece of the page."""
    found = await read_case(desk.project, desk.view, case_id, datetime.now(UTC))
    others = await desk.view.store.cases(states=[CaseState.OPEN], correlation_id=found.case.correlation_id, limit=20)
    again = [other for other in others if other.run_id == found.case.run_id and found.case.run_id]
    return site.part(
        request, "cases/next.html", file=found, case=found.case, again=again, case_path=case_path, deal_path=deal_path
    )


@get("/cases/{case_id:str}/decide")
async def ask(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    case_id: FromPath[str],
    action: FromQuery[str],
    external_id: FromQuery[str] = "",
    reason: FromQuery[str] = "",
) -> Response[Any]:
    """What a decision would write, before it is made; for a correction, first the form for its fields."""
    principal.require(Permission.OPERATE)
    held = await _open(desk, case_id)
    if action == CORRECT_MAP:
        return go_to(f"{case_path(held.id)}/correct-map")
    if action not in held.actions or action in (APPROVE, REFUSE):
        raise NothingFound(f"case {held.id} cannot be decided with {action!r}; it can: {', '.join(held.actions)}")
    document = dict(leaves(held.details.get("document") or {}))
    given = fields(request.query_params, FIELD)
    arguments = _arguments(action, external_id, {name: value for name, value in given.items() if name in document})
    arguments = _changed(arguments, document) if action == CORRECT else arguments
    ready = bool(arguments) if action in (CORRECT, LINK) else True
    return site.page(
        request,
        "cases/decide.html",
        case=held,
        action=action,
        deeds=DEEDS,
        dangerous=action in DANGEROUS,
        arguments=arguments,
        document=document,
        given=given,
        external_id=external_id,
        reason=reason,
        preview=await preview_decision(desk.project, desk.view, held, action, arguments, principal.name)
        if ready
        else None,
        asked=bool(given) or bool(external_id),
        case_path=case_path,
        worded=worded,
    )


@post("/cases/{case_id:str}/decide")
async def decide(request: WebRequest, desk: TheDesk, principal: Who, case_id: FromPath[str]) -> Redirect:
    """Decide one case."""
    form = await request.form()
    action, reason, external_id = (str(form.get(name) or "") for name in ("action", "reason", "external_id"))
    held = await _known(desk, case_id)
    arguments = _arguments(action, external_id, fields(form, FIELD))
    await use.decide(desk.store, [held], action, by=principal, reason=reason, arguments=arguments)
    desk.worker.events_arrived()
    return go_to(f"{case_path(held.id)}?done={quote(action)}")


@post("/cases/{case_id:str}/comment")
async def comment(request: WebRequest, desk: TheDesk, principal: Who, case_id: FromPath[str]) -> Redirect:
    """Say something about it."""
    text = str((await request.form()).get("text") or "")
    held = await _known(desk, case_id)
    await use.comment(desk.store, held, text, by=principal)
    return go_to(f"{case_path(held.id)}?done=comment#history")


@post("/cases/{case_id:str}/assign")
async def assign(request: WebRequest, desk: TheDesk, principal: Who, case_id: FromPath[str]) -> Redirect:
    """Give it to somebody."""
    form = await request.form()
    held = await _known(desk, case_id)
    owner, reason = str(form.get("owner") or ""), str(form.get("reason") or "")
    await use.assign(desk.store, held, owner, by=principal, reason=reason)
    return go_to(f"{case_path(held.id)}?done=assign")


SECTION = Section(title="Cases", path="/cases", handlers=[cases, case, what_next, ask, decide, comment, assign])


def case_path(case_id: str) -> str:
    """The address of a case's page."""
    return f"/cases/{quote(case_id, safe='')}"


def cause_path(cause: str, **more: str) -> str:
    """The address of the page that decides a cause; with `view`, of the list of its cases."""
    return f"/cases{'' if 'view' in more else '/bulk'}?{present.query({'cause': cause, **more})}"


async def _none() -> list[use.CaseGroup]:
    return []


async def _known(desk: Desk, case_id: str) -> CaseRow:
    held = await desk.view.store.case(case_id.upper())
    if held is None:
        raise NothingFound(f"there is no case {case_id!r}")
    return held


async def _open(desk: Desk, case_id: str) -> CaseRow:
    held = await _known(desk, case_id)
    if held.state is not CaseState.OPEN:
        raise use.NotDecidable(f"case {held.id} is {held.state} already: {held.decision} by {held.decided_by}")
    return held


def _arguments(action: str, external_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    if action == LINK:
        return {"external_id": external_id.strip()} if external_id.strip() else {}
    return dict(fields) if action == CORRECT else {}


def _changed(fields: Mapping[str, str], document: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value != document[name]}


def _owners(desk: Desk) -> list[str]:
    """Whom a case may be given to: the teams of the catalogue, and people who have an account."""
    classes = desk.project.catalogue.cases.values()
    return sorted({*(c.owner for c in classes), *(c.escalate_to for c in classes if c.escalate_to)})


def _answer(response: bytes) -> str:
    return present.pretty(response) if response else ""
