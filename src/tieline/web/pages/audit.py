"""Audit: what people and systems did, filtered and exported, and whether the log is still what was recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, time, timedelta

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream

from tieline.app import audit as use
from tieline.app.desk import Desk
from tieline.app.principal import PEOPLE
from tieline.app.views.listing import event_line
from tieline.app.views.resolve import NothingFound
from tieline.app.views.words import event_words
from tieline.errors import ConfigurationError
from tieline.events import EVENTS, LoggedEvent
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.site import HEADERS, Section, WebRequest, go_to

Pages = AsyncIterator[list[LoggedEvent]]
_FORMATS: dict[str, tuple[str, Callable[[Pages], AsyncIterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", use.as_csv),
    "jsonl": ("application/jsonl; charset=utf-8", use.as_jsonl),
}


@get("/audit")
async def audit(request: WebRequest, desk: TheDesk, site: TheSite, before: FromQuery[int] = 0) -> Response[str]:
    """The log, newest first."""
    asked = _asked(request)
    problem, page = "", use.AuditPage(events=[], before=0, looked_at=0)
    try:
        page = await use.audit_page(desk.view, _filter(asked), before=before)
    except (NothingFound, ConfigurationError) as error:
        problem = str(error)
    return site.page(
        request,
        "audit/list.html",
        page=page,
        lines=[(event_line(event), use.whose(event)) for event in page.events],
        problem=problem,
        asked=asked,
        before=before,
        types=sorted(EVENTS),
        whos=[*desk.view.vendors, "tieline", PEOPLE],
        chain=desk.chain,
    )


@get("/audit/export")
async def export(request: WebRequest, desk: TheDesk, form: FromQuery[str] = "csv") -> Stream:
    """The same rows as a file, all of them."""
    if form not in _FORMATS:
        raise NothingFound(f"rows are exported as csv or jsonl, not as {form!r}")
    media_type, written = _FORMATS[form]
    rows = use.audit_rows(desk.view, _filter(_asked(request)))
    first: list[LoggedEvent] = await anext(rows, [])  # what is wrong with the filter is said before the answer begins
    name = f"tieline-audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.{form}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(written(_again(first, rows)), media_type=media_type, headers=headers)


@get("/audit/events/{seq:int}")
async def event(request: WebRequest, desk: TheDesk, site: TheSite, seq: FromPath[int]) -> Response[str]:
    """One event, and what it led to."""
    store = desk.view.store
    found = await use.get_event(store, seq)
    previous, following = await use.neighbours(store, seq)
    led_to = await use.consequences(store, found)
    return site.page(
        request,
        "audit/event.html",
        event=found,
        line=event_line(found),
        who=use.whose(found),
        document=msgspec.json.encode(use.audit_row(found)),
        cause=await _cause(desk, found),
        previous=previous,
        following=following,
        led_to=led_to,
        lines=[event_line(one) for one in led_to.events],
        chain=desk.chain,
    )


@post("/audit/verify")
async def verify(request: WebRequest, desk: TheDesk, principal: Who) -> Redirect:
    """Go through the whole log once more, beside the hub's work."""
    desk.chain.again(principal)
    return go_to("/audit/chain")


@get("/audit/chain")
async def chain(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[str]:
    """Whether every row follows from the one before, and how far the look is; for htmx, only that."""
    found = await desk.view.store.events(limit=1, newest=True)
    last = found[0].seq if found else 0
    if request.headers.get("hx-request"):
        return site.part(request, "audit/progress.html", chain=desk.chain, last=last)
    return site.page(request, "audit/verify.html", chain=desk.chain, last=last)


def _asked(request: WebRequest) -> dict[str, str]:
    return {key: request.query_params.get(key, "").strip() for key in ("who", "type", "deal", "since", "until", "text")}


def _filter(asked: dict[str, str]) -> use.AuditFilter:
    """Days are whole ones, UTC; `until` includes its own. Raises ConfigurationError."""
    until = _day(asked["until"])
    return use.AuditFilter(
        who=asked["who"],
        type=asked["type"],
        deal=asked["deal"],
        since=_day(asked["since"]),
        until=until + timedelta(days=1) if until else None,
        text=asked["text"],
    )


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no day; write it as 2026-03-31") from None


async def _cause(desk: Desk, found: LoggedEvent) -> tuple[int, str] | None:
    """The event behind this one: its place and what it says."""
    if not found.causation_id:
        return None
    for source in desk.view.sources:
        if (behind := await desk.view.store.find_event(source, found.causation_id)) is not None:
            return behind.seq, event_words(behind)
    return None


async def _again(first: list[LoggedEvent], rest: Pages) -> Pages:
    yield first
    async for page in rest:
        yield page


SECTION = Section(title="Audit", path="/audit", handlers=[audit, export, event, verify, chain])
