"""Deciding every open case of a cause at once, behind its preview, and how far the release is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import Redirect

from tieline.app import cases as use
from tieline.app.principal import Permission
from tieline.app.replay.decision import preview_decision
from tieline.app.views.resolve import NothingFound
from tieline.engine.cases import CORRECT_MAP
from tieline.engine.records import CaseFilter, CaseState
from tieline.errors import ConcurrencyConflict
from tieline.web import present
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.pages.cases import DANGEROUS, DEEDS, case_path, cause_path
from tieline.web.pages.rules import worded
from tieline.web.site import Section, WebRequest, go_to

LISTED = 20
_FOR_ALL = ("retry", "skip", "cancel", "create", "accept", "dismiss")
"""What may be decided for a whole cause at once: what needs nothing that is each case's own."""


@get("/cases/bulk")
async def ask_bulk(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    cause: FromQuery[str],
    action: FromQuery[str] = "",
) -> Response[str]:
    """What deciding all open cases of a cause would release."""
    principal.require(Permission.OPERATE)
    store = desk.view.store
    group = next(iter(await use.groups(store, CaseFilter(cause=cause), datetime.now(UTC), 1)), None)
    if group is None:
        raise NothingFound(f"no open case has the cause {cause!r} any more")
    shown = await use.page(store, CaseFilter(cause=cause, case_class=group.of.case_class), limit=LISTED)
    possible = [deed for deed in group.example.actions if deed in _FOR_ALL]
    chosen = action if action in possible else ""
    return site.page(
        request,
        "cases/bulk.html",
        group=group,
        listed=shown.cases,
        possible=possible,
        action=chosen,
        deeds=DEEDS,
        dangerous=DANGEROUS,
        correctable=CORRECT_MAP in group.example.actions,
        preview=await preview_decision(desk.project, desk.view, group.example, chosen, {}, principal.name)
        if chosen
        else None,
        case_path=case_path,
        worded=worded,
    )


@post("/cases/bulk")
async def bulk(request: WebRequest, desk: TheDesk, principal: Who) -> Redirect:
    """Decide all open cases of a cause and class, or none: not one more than the page showed."""
    principal.require(Permission.OPERATE)
    form = await request.form()
    cause, of_class, action, reason, shown = (
        str(form.get(name) or "") for name in ("cause", "class", "action", "reason", "shown")
    )
    if action not in _FOR_ALL:
        raise use.NotDecidable("each case of a cause is decided for itself with this; choose another way, or one case")
    held = [case for case in await use.chosen(desk.store, None, cause) if case.case_class == of_class]
    if not 0 < len(held) <= (int(shown) if shown.isdecimal() else 0):
        raise ConcurrencyConflict(f"{len(held)} cases of this cause are open by now; look at them, then decide")
    decided = await use.decide(desk.store, held, action, by=principal, reason=reason)
    desk.worker.events_arrived()
    return go_to(progress_path(cause, len(decided)))


@get("/cases/progress")
async def progress(
    request: WebRequest, desk: TheDesk, site: TheSite, cause: FromQuery[str], of: FromQuery[int] = 0
) -> Response[str]:
    """How far the release of a cause is; a piece of the page for who looks at it already."""
    counts = await desk.view.store.count_cases_of(cause)
    left = counts.get(CaseState.DECIDED, 0)
    shown: dict[str, Any] = {
        "cause": cause,
        "of": max(of, left),
        "done": max(of - left, 0),
        "left": left,
        "again": counts.get(CaseState.OPEN, 0),
        "here_path": progress_path(cause, of),
        "cause_path": cause_path,
    }
    if request.headers.get("hx-request"):
        return site.part(request, "cases/progress.html", **shown)
    return site.page(request, "cases/released.html", **shown)


SECTION = Section(title="", path="/cases/bulk", handlers=[ask_bulk, bulk, progress])


def progress_path(cause: str, of: int) -> str:
    """The address that says how far a release is."""
    return f"/cases/progress?{present.query({'cause': cause, 'of': of})}"
