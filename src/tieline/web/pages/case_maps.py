"""Correcting a value map from a case that lacks an entry: what it would write and release, then the correction."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app import cases as use
from tieline.app import rules
from tieline.app.desk import Desk
from tieline.app.principal import Permission
from tieline.app.replay.decision import preview_decision
from tieline.app.views.case import CaseFile, Remedy, read_case
from tieline.app.views.resolve import NothingFound
from tieline.engine.cases import RETRY
from tieline.engine.records import CaseState
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.pages.case_bulk import progress_path
from tieline.web.pages.cases import case_path
from tieline.web.pages.corrections import heard
from tieline.web.pages.rules import title
from tieline.web.site import Section, WebRequest, go_to


@get("/cases/{case_id:str}/correct-map")
async def ask_map(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    case_id: FromPath[str],
    like: FromQuery[str] = "",
    reason: FromQuery[str] = "",
) -> Response[str]:
    """Which known word is meant; chosen, what the entry would be and what it releases."""
    principal.require(Permission.CORRECT)
    file, remedy = await _remedy(desk, case_id)
    plan = preview = None
    if like:
        plan = await rules.preview_correction(desk.rules, remedy.value_map, remedy.key, _row(desk, remedy, like))
        preview = await preview_decision(desk.project, desk.view, file.case, RETRY, {}, principal.name)
    return site.page(
        request,
        "cases/correct_map.html",
        file=file,
        case=file.case,
        remedy=remedy,
        like=like,
        reason=reason,
        plan=plan,
        preview=preview,
        map_title=title(remedy.value_map, "value_map"),
        case_path=case_path,
    )


@post("/cases/{case_id:str}/correct-map")
async def correct_map(request: WebRequest, desk: TheDesk, principal: Who, case_id: FromPath[str]) -> Redirect:
    """Record the entry; every case of the cause is tried again."""
    principal.require(Permission.CORRECT)
    form = await request.form()
    file, remedy = await _remedy(desk, case_id)
    cells, reason = _row(desk, remedy, str(form.get("like") or "")), str(form.get("reason") or "")
    made = len(desk.worker.resources.corrections.of(remedy.value_map))
    released = await rules.correct(
        desk.rules, desk.store, remedy.value_map, remedy.key, cells, by=principal, reason=reason, seen={}
    )
    desk.worker.events_arrived()
    await heard(desk, remedy.value_map, made)
    return go_to(progress_path(file.case.cause, len(released)))


async def _remedy(desk: Desk, case_id: str) -> tuple[CaseFile, Remedy]:
    file = await read_case(desk.project, desk.view, case_id, datetime.now(UTC))
    if file.case.state is not CaseState.OPEN:
        raise use.NotDecidable(f"case {file.case.id} is {file.case.state} already: {file.case.decision}")
    if file.remedy is None:
        raise NothingFound(f"no entry of a value map is known that would release {file.case.id}; look under Rules")
    return file, file.remedy


def _row(desk: Desk, remedy: Remedy, like: str) -> dict[str, str]:
    return use.like(rules.map_in_force(desk.rules, remedy.value_map), like)


SECTION = Section(title="", path="/cases", handlers=[ask_map, correct_map])
