"""Deals: the list, found by any id or by what it knows of them; one deal; its documents, revision by revision."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from urllib.parse import quote

from litestar import Response, get
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from markupsafe import Markup, escape

from tieline.app.desk import Desk
from tieline.app.vendor_pages import vendor_page
from tieline.app.views.dealfile import DealFile, read_deal
from tieline.app.views.deals import Asked, DealPage, choices, find_deals
from tieline.app.views.revisions import read_revisions
from tieline.app.views.trace import effect_notes, took
from tieline.app.views.words import span
from tieline.errors import ConfigurationError
from tieline.web.given import TheDesk, TheSite
from tieline.web.site import Section, WebRequest, go_to
from tieline.web.svg.way import bar

_CASE = re.compile(r"\b(C-[0-9A-Za-z-]+)")
_LABEL = re.compile(r"(?P<name>.+) v\d+ \([0-9a-f]+\)")
_TONES = {
    "Paid": "good",
    "Needs attention": "bad",
    "Payment failed": "bad",
    "Cancelled": "bad",
    "Waiting for approval": "warn",
    "Not read": "warn",
}


@get("/deals")
async def deals(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[str] | Redirect:
    """The list, newest first; an id of one deal leads to it."""
    asked, view = _asked(request), desk.view
    problem, page = "", DealPage(deals=[])
    try:
        page = await find_deals(view, asked)
    except ConfigurationError as error:
        problem = str(error)
    if page.only:
        return go_to(deal_path(page.only))
    return site.page(
        request,
        "deals/list.html",
        asked=asked,
        page=page,
        problem=problem,
        choices=await choices(view.store),
        customer=_customer_name(asked, page),
        tone=tone,
        deal_path=deal_path,
    )


@get("/deals/{deal:str}")
async def deal(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    deal: FromPath[str],
    until: FromQuery[int] = 0,
    everything: FromQuery[bool] = False,
) -> Response[str]:
    """One deal, from its first notice to now."""
    view = desk.view
    found = await read_deal(view, deal, datetime.now(UTC), until=until, everything=everything)
    return site.page(
        request,
        "deals/deal.html",
        file=found,
        everything=everything,
        until=until,
        since=_micros(found.changed_at),
        at_vendor=_at_vendor(desk),
        bars=_bars(found),
        explainable={(c, k) for c, k, action in view.operations if action == "ensure"},
        explain_path=explain_path,
        document_path=document_path,
        deal_path=deal_path,
        effect_notes=effect_notes,
        took=took,
        span=span,
        tone=tone,
        case_links=case_links,
    )


@get("/deals/{deal:str}/news")
async def news(
    request: WebRequest, desk: TheDesk, site: TheSite, deal: FromPath[str], since: FromQuery[int]
) -> Response[str]:
    """Whether anything happened to the deal since a moment (microseconds since 1970)."""
    listed = await desk.view.store.listed_deals([deal])
    fresh = [line for line in listed if _micros(line.changed_at) > since]
    return site.part(request, "deals/news.html", fresh=bool(fresh), since=since, deal=deal, deal_path=deal_path)


@get("/deals/{deal:str}/documents/{connection:str}/{kind:str}/{document:str}")
async def document(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    deal: FromPath[str],
    connection: FromPath[str],
    kind: FromPath[str],
    document: FromPath[str],
    action: FromQuery[str] = "ensure",
) -> Response[str]:
    """A document in a system: what was sent, what came back, what changed from one revision to the next."""
    view = desk.view
    found = await read_revisions(view, connection, kind, document, action)
    return site.page(
        request,
        "deals/document.html",
        deal=found.deal or deal,
        connection=connection,
        kind=kind,
        action=action,
        document=document,
        found=found,
        explainable=(connection, kind, action) in view.operations and action == "ensure",
        at_vendor=_at_vendor(desk),
        explain_path=explain_path,
        deal_path=deal_path,
        rule_path=rule_path,
        span=span,
    )


SECTION = Section(title="Deals", path="/deals", handlers=[deals, deal, news, document])


def deal_path(deal: str) -> str:
    """The address of a deal's page."""
    return f"/deals/{quote(deal, safe='')}"


def document_path(deal: str, connection: str, kind: str, canonical_id: str, action: str = "ensure") -> str:
    """The address of a document's page."""
    parts = "/".join(quote(part, safe="") for part in (connection, kind, canonical_id))
    return f"{deal_path(deal)}/documents/{parts}" + ("" if action == "ensure" else f"?action={quote(action)}")


def explain_path(connection: str, kind: str, canonical_id: str, field: str = "") -> str:
    """The address where a document, or one field of it, is explained."""
    path = "/".join(quote(part, safe="") for part in ("explain", connection, kind, canonical_id))
    return f"/{path}" + (f"?field={quote(field)}" if field else "")


def rule_path(label: str) -> str:
    """The address of a table of rules in the version that a label names; "" for what is no label."""
    known = _LABEL.fullmatch(label)
    return f"/rules/{quote(known['name'], safe='')}?version={quote(label)}" if known else ""


def tone(status: str) -> str:
    """The class of a status's badge."""
    return f"badge badge-{_TONES.get(status, 'info')}"


def case_links(text: str) -> Markup:
    """A text with the cases that it names as links: `case approval C-12: …`."""
    return Markup(_CASE.sub(r'<a href="/cases/\1">\1</a>', str(escape(text))))  # noqa: S704 - escaped first


def _asked(request: WebRequest) -> Asked:
    given = {name: value.strip() for name, value in request.query_params.items() if name in Asked.__struct_fields__}
    before = given.pop("before", "")
    return Asked(**given, before=int(before) if before.isdecimal() else 0)


def _customer_name(asked: Asked, page: DealPage) -> str:
    return page.deals[0].customer_name if asked.customer and page.deals else asked.customer


def _at_vendor(desk: Desk) -> Callable[..., str]:
    return partial(vendor_page, desk.project)


def _bars(found: DealFile) -> list[Markup]:
    """A bar for each stage, before what it is to reach: the stage before it."""
    most = max((stage.amount for stage in found.stages), default=Decimal(0))
    before = [Decimal(0), *(stage.amount for stage in found.stages)]
    return [bar(s.amount, of, most, differs=s.differs) for s, of in zip(found.stages, before, strict=False)]


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
