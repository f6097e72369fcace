"""Correcting value maps: an entry, taking a correction back, and bringing corrections into the project's files."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app import rules as use
from tieline.app.desk import Desk
from tieline.app.principal import Permission
from tieline.app.rules import CannotCorrect
from tieline.app.views.rules_read import RulesView
from tieline.web import present
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.pages.rules import cells_in_words, title
from tieline.web.site import Section, Site, WebRequest, fields, go_to

HEARD_S = 2.0
CELL = "cell."
SEEN = "seen."
"""How the fields of a form begin that hold an entry as it is to be, and as it was when it was looked at."""


@get("/rules/export")
async def ask_export(request: WebRequest, desk: TheDesk, site: TheSite, done: FromQuery[str] = "") -> Response[str]:
    """What of the corrections is not in the files yet, and the button that writes it."""
    return site.page(
        request, "rules/export.html", plans=use.plan_export(desk.rules), done=done, words=cells_in_words, title=title
    )


@post("/rules/export")
async def export(desk: TheDesk, principal: Who) -> Redirect:
    """Write corrections into the project's files."""
    await use.export(desk.rules, desk.store, by=principal)
    return go_to("/rules/export?done=1")


@get("/rules/{name:str}/correct")
async def ask_correct(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str], key: FromQuery[str] = ""
) -> Response[str]:
    """The form for an entry; filled in, what it would do and the button that does it."""
    principal.require(Permission.CORRECT)
    view, asked = desk.rules, request.query_params
    cells = fields(asked, CELL)
    reason = str(asked.get("reason") or "")
    plan, error = await _tried(view, name, key, cells, reason) if cells else (None, "")
    return _form(request, site, view, (name, key, cells, reason), plan, error)


@post("/rules/{name:str}/correct")
async def correct(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str]
) -> Response[Any]:
    """Record the correction."""
    form = await request.form()
    key, reason = str(form.get("key") or ""), str(form.get("reason") or "")
    cells, seen = fields(form, CELL), fields(form, SEEN)
    made = len(desk.worker.resources.corrections.of(name))
    try:
        released = await use.correct(
            desk.rules,
            desk.store,
            name,
            key,
            cells,
            by=principal,
            reason=reason,
            seen=seen if "seen" in form else None,
        )
    except CannotCorrect as error:
        return _form(request, site, desk.rules, (name, key, cells, reason), None, str(error))
    await heard(desk, name, made)
    return go_to(f"/rules/{quote(name, safe='')}?done=corrected&released={len(released)}&{present.query({'q': key})}")


@get("/rules/{name:str}/undo")
async def ask_undo(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str], seq: FromQuery[int]
) -> Response[str]:
    """What taking a correction back would write, and the button for it."""
    principal.require(Permission.CORRECT)
    view = desk.rules
    key, former = use.what_undo_sets(view, name, seq)
    plan = await use.preview_correction(view, name, key, former)
    return site.page(request, "rules/undo.html", name=name, seq=seq, plan=plan, title=title)


@post("/rules/{name:str}/undo")
async def undo(request: WebRequest, desk: TheDesk, principal: Who, name: FromPath[str]) -> Redirect:
    """Set an entry back, by a further correction."""
    form = await request.form()
    asked, reason = str(form.get("seq") or ""), str(form.get("reason") or "")
    seq = int(asked) if asked.isdecimal() else 0
    made = len(desk.worker.resources.corrections.of(name))
    released = await use.undo(desk.rules, desk.store, name, seq, by=principal, reason=reason)
    await heard(desk, name, made)
    return go_to(f"/rules/{quote(name, safe='')}?done=undone&released={len(released)}")


SECTION = Section(title="", path="/rules/export", handlers=[ask_export, export, ask_correct, correct, ask_undo, undo])


async def _tried(
    view: RulesView, name: str, key: str, cells: dict[str, str], reason: str
) -> tuple[use.CorrectionPreview | None, str]:
    try:
        plan = await use.preview_correction(view, name, key, cells)
    except CannotCorrect as error:
        return None, str(error)
    return plan, "" if reason.strip() else "say why: the reason is kept with the correction"


def _form(
    request: WebRequest,
    site: Site,
    view: RulesView,
    filled: tuple[str, str, dict[str, str], str],
    plan: use.CorrectionPreview | None,
    error: str,
) -> Response[str]:
    name, key, cells, reason = filled
    value_map = use.map_in_force(view, name)
    held = value_map.cells(key)
    return site.page(
        request,
        "rules/correct.html",
        status=422 if error else 200,
        name=name,
        key=key,
        is_new=not held,
        columns=use.columns_of(value_map),
        cells={**held, **cells},
        reason=reason,
        plan=None if error else plan,
        error=error,
        title=title,
    )


async def heard(desk: Desk, name: str, before: int) -> None:
    """Until the worker has read the correction in the log: the page that comes next shows it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HEARD_S):
            while len(desk.worker.resources.corrections.of(name)) == before:  # noqa: ASYNC110 - the log rings no bell
                await asyncio.sleep(0.01)
