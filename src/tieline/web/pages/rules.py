"""Rules as finance reads them: the tables in force, their versions, who uses them, and corrections of value maps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from markupsafe import Markup, escape

from tieline.app import rules as use
from tieline.app.desk import Desk
from tieline.app.principal import Permission
from tieline.app.rulebook import RuleKind
from tieline.app.rules import CannotCorrect
from tieline.app.views import rules_read
from tieline.app.views.rules_read import RulesView
from tieline.web import present
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.site import HEADERS, Section, Site, WebRequest

HISTORY = 50
HEARD_S = 2.0
CELL = "cell."
SEEN = "seen."
"""How the fields of a form begin that hold an entry as it is to be, and as it was when it was looked at."""

KINDS = {
    RuleKind.MAPPING: "Mapping tables",
    RuleKind.VALUE_MAP: "Value maps",
    RuleKind.OWNERSHIP: "Ownership of fields",
    RuleKind.ROUTES: "Routes",
    RuleKind.VALIDATION: "Validation",
    RuleKind.APPROVALS: "Approvals",
    RuleKind.CATALOGUE: "Catalogue",
}
_NAMES = {
    RuleKind.OWNERSHIP: "Ownership of fields",
    RuleKind.ROUTES: "Routes",
    RuleKind.VALIDATION: "Validation rules",
    RuleKind.APPROVALS: "Approval rules",
    RuleKind.CATALOGUE: "Catalogue of owners",
}
_TICKS = re.compile(r"`([^`]*)`")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@get("/rules")
async def list_rules(
    request: WebRequest, desk: TheDesk, site: TheSite, kind: FromQuery[str] = "", q: FromQuery[str] = ""
) -> Response[str]:
    """Every table that is in force."""
    known = kind if kind in KINDS else ""
    lines = await rules_read.list_rules(_view(desk), kind=known, search=q)
    return site.page(request, "rules/list.html", lines=lines, kinds=KINDS, kind=known, q=q, title=title)


@get("/rules/export")
async def ask_export(request: WebRequest, desk: TheDesk, site: TheSite, done: FromQuery[str] = "") -> Response[str]:
    """What of the corrections is not in the files yet, and the button that writes it."""
    return site.page(
        request, "rules/export.html", plans=use.plan_export(_view(desk)), done=done, words=cells_in_words, title=title
    )


@post("/rules/export")
async def export(desk: TheDesk, principal: Who) -> Redirect:
    """Write corrections into the project's files."""
    await use.export(_view(desk), desk.store, by=principal)
    return _to("/rules/export?done=1")


@get("/rules/{name:str}")
async def show(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    version: FromQuery[str] = "",
    q: FromQuery[str] = "",
    after: FromQuery[str] = "",
    done: FromQuery[str] = "",
    released: FromQuery[int] = 0,
) -> Response[str]:
    """One table, in the version in force or an earlier one."""
    page = await rules_read.read_rule(_view(desk), name, label=version, search=q, after=after)
    return site.page(
        request,
        "rules/show.html",
        page=page,
        q=q,
        done=done,
        released=released,
        worded=worded,
        title=title,
        kinds=KINDS,
    )


@get("/rules/{name:str}/compare")
async def compare(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    before: FromQuery[str],
    after: FromQuery[str],
) -> Response[str]:
    """Two versions, entry by entry."""
    found = await rules_read.compare_versions(_view(desk), name, before, after)
    return site.page(request, "rules/compare.html", name=name, found=found, worded=worded, title=title)


@get("/rules/{name:str}/history")
async def history(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    key: FromQuery[str] = "",
    before: FromQuery[int] = 0,
) -> Response[str]:
    """The corrections of a value map, the last one first."""
    everything = rules_read.history_of(_view(desk), name, key)
    newest = {made.key: made.seq for made in reversed(everything)}
    made = [made for made in everything if not before or made.seq < before]
    return site.page(
        request,
        "rules/history.html",
        name=name,
        key=key,
        made=made[:HISTORY],
        more=made[HISTORY - 1].seq if len(made) > HISTORY else 0,
        newest=set(newest.values()),
        cells=cells_in_words,
        title=title,
    )


@get("/rules/{name:str}/correct")
async def ask_correct(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str], key: FromQuery[str] = ""
) -> Response[str]:
    """The form for an entry; filled in, what it would do and the button that does it."""
    principal.require(Permission.CORRECT)
    view, asked = _view(desk), request.query_params
    cells = _fields(asked, CELL)
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
    cells, seen = _fields(form, CELL), _fields(form, SEEN)
    made = len(desk.worker.resources.corrections.of(name))
    try:
        released = await use.correct(
            _view(desk),
            desk.store,
            name,
            key,
            cells,
            by=principal,
            reason=reason,
            seen=seen if "seen" in form else None,
        )
    except CannotCorrect as error:
        return _form(request, site, _view(desk), (name, key, cells, reason), None, str(error))
    await _heard(desk, name, made)
    return _to(f"/rules/{quote(name, safe='')}?done=corrected&released={len(released)}&{present.query({'q': key})}")


@get("/rules/{name:str}/undo")
async def ask_undo(
    request: WebRequest, desk: TheDesk, site: TheSite, principal: Who, name: FromPath[str], seq: FromQuery[int]
) -> Response[str]:
    """What taking a correction back would write, and the button for it."""
    principal.require(Permission.CORRECT)
    view = _view(desk)
    key, former = use.what_undo_sets(view, name, seq)
    plan = await use.preview_correction(view, name, key, former)
    return site.page(request, "rules/undo.html", name=name, seq=seq, plan=plan, title=title)


@post("/rules/{name:str}/undo")
async def undo(request: WebRequest, desk: TheDesk, principal: Who, name: FromPath[str]) -> Redirect:
    """Set an entry back, by a further correction."""
    form = await request.form()
    seq, reason = int(str(form.get("seq") or 0)), str(form.get("reason") or "")
    made = len(desk.worker.resources.corrections.of(name))
    released = await use.undo(_view(desk), desk.store, name, seq, by=principal, reason=reason)
    await _heard(desk, name, made)
    return _to(f"/rules/{quote(name, safe='')}?done=undone&released={len(released)}")


SECTION = Section(
    title="Rules",
    path="/rules",
    handlers=[list_rules, ask_export, export, show, compare, history, ask_correct, correct, ask_undo, undo],
)


def title(name: str, kind: str) -> str:
    """A table's name as people say it: `order -> netsuite.salesOrder` is "Order to NetSuite sales order"."""
    if (known := _NAMES.get(RuleKind(kind))) is not None:
        return known
    sides = [_side(side) for side in name.split(" -> ")] if kind == RuleKind.MAPPING else [_spaced(name)]
    words = " to ".join(sides)
    return words[:1].upper() + words[1:]


def worded(text: str) -> Markup:
    """A rule in words, its formulas set as such."""
    return Markup(_TICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def cells_in_words(cells: dict[str, str] | None) -> str:
    """An entry in one line."""
    if cells is None:
        return "not kept"
    if set(cells) == {"value"}:
        return cells["value"]
    return ", ".join(f"{column}: {cell}" for column, cell in cells.items()) or "no entry"


def _side(side: str) -> str:
    system, dot, record = side.partition(".")
    known = present.system(system)
    return f"{known} {_spaced(record)}" if dot and known != system else _spaced(side.replace(".", ", "))


def _spaced(name: str) -> str:
    first, _, rest = name.partition("_")
    known = present.system(first)
    words = _CAMEL.sub(" ", rest if known != first else name).replace("_", " ").lower()
    return f"{known} {words}" if known != first else words


def _view(desk: Desk) -> RulesView:
    view = desk.view
    return RulesView(
        project=desk.project,
        store=view.store,
        mappings=view.mappings,
        corrections=desk.worker.resources.corrections,
        operations=view.operations,
    )


def _fields(form: Mapping[str, Any], begin: str) -> dict[str, str]:
    return {name.removeprefix(begin): str(form[name]) for name in form if name.startswith(begin)}


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


async def _heard(desk: Desk, name: str, before: int) -> None:
    """Until the worker has read the correction in the log: the page that comes next shows it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HEARD_S):
            while len(desk.worker.resources.corrections.of(name)) == before:  # noqa: ASYNC110 - the log rings no bell
                await asyncio.sleep(0.01)


def _to(address: str) -> Redirect:
    return Redirect(address, status_code=303, headers=HEADERS)
