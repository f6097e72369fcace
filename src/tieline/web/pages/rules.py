"""Rules as finance reads them: the tables in force, their versions, who uses them, what was corrected and when."""

from __future__ import annotations

import re

from litestar import Response, get
from litestar.params import FromPath, FromQuery
from markupsafe import Markup, escape

from tieline.app.rulebook import RuleKind
from tieline.app.views import rules_read
from tieline.web import present
from tieline.web.given import TheDesk, TheSite
from tieline.web.site import Section, WebRequest

HISTORY = 50
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
    lines = await rules_read.list_rules(desk.rules, kind=known, search=q)
    return site.page(request, "rules/list.html", lines=lines, kinds=KINDS, kind=known, q=q, title=title)


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
    page = await rules_read.read_rule(desk.rules, name, label=version, search=q, after=after)
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
    found = await rules_read.compare_versions(desk.rules, name, before, after)
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
    everything = rules_read.history_of(desk.rules, name, key)
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


SECTION = Section(title="Rules", path="/rules", handlers=[list_rules, show, compare, history])


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
