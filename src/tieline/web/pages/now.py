"""The first page: what needs somebody, how the systems do, what runs, the money of today. It goes on by itself.

Who looks follows one stream of events. The invariant: however many look, the hub looks and draws once a second, and a
stream ends with its session and with the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from litestar import Response, get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from tieline.app.desk import Desk
from tieline.app.views.hour import Chart, Hour, last_hour
from tieline.app.views.needs import needs
from tieline.app.views.now import Board, NowView
from tieline.web.given import TheDesk, TheSite
from tieline.web.site import HEADERS, Section, Site, WebRequest, reader_locale
from tieline.web.svg.spark import spark

EVERY_S = 1.0
FIGURES_EVERY_S = 60.0
"""The lines of the last hour get a new point a minute."""
AGAIN_MS = 1_000
"""How soon a browser comes back after a stream broke off."""


@get("/")
async def now_page(desk: TheDesk, site: TheSite, request: WebRequest) -> Response[str]:
    """How things are."""
    view = await desk.board.look()
    hour = last_hour(desk.worker.measures.systems, view.at)
    return site.page(request, "now/now.html", **_shown(view), hour=hour, rows=lambda chart: _rows(hour, chart))


@get("/now/figures")
async def figures(desk: TheDesk) -> Response[bytes]:
    """The lines of the last hour."""
    return Response(_figures(desk), media_type="application/json", headers=HEADERS)


@get("/now/live")
async def live(desk: TheDesk, site: TheSite, request: WebRequest) -> ServerSentEvent:
    """What changes, as it changes."""
    return ServerSentEvent(_news(desk, site, request), headers=HEADERS)


SECTION = Section(title="Now", path="/", handlers=[now_page, figures, live])


class _Drawn:
    """The moving part of the page of one hub, drawn once for all who look and write numbers the same way."""

    def __init__(self) -> None:
        self._view: NowView | None = None
        self._texts: dict[str, str] = {}

    def text(self, site: Site, view: NowView, locale: str) -> str:
        if view is not self._view:
            self._view, self._texts = view, {}
        if locale not in self._texts:
            self._texts[locale] = site.shared("now/live.html", locale, **_shown(view))
        return self._texts[locale]


_drawn: WeakKeyDictionary[Board, _Drawn] = WeakKeyDictionary()


async def _news(desk: Desk, site: Site, request: WebRequest) -> AsyncIterator[ServerSentEventMessage]:
    drawn, locale = _drawn.setdefault(desk.board, _Drawn()), reader_locale(request)
    told, figures_at = "", monotonic() + FIGURES_EVERY_S
    while not desk.closing.is_set():
        if not _goes_on(desk, request):
            yield ServerSentEventMessage(data="sign in again", event="ended")
            return
        text = drawn.text(site, await desk.board.look(), locale)
        if text != told:
            yield ServerSentEventMessage(data=text, retry=AGAIN_MS)
            told = text
        if monotonic() >= figures_at:
            yield ServerSentEventMessage(data=_figures(desk), event="figures")
            figures_at = monotonic() + FIGURES_EVERY_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await desk.closing.wait()


def _goes_on(desk: Desk, request: WebRequest) -> bool:
    """Whether who looks may still look. An open page is no use of a session: it would never end."""
    cookie: str = request.auth
    return not cookie or desk.access.goes_on(cookie)


def _figures(desk: Desk) -> bytes:
    return msgspec.json.encode(last_hour(desk.worker.measures.systems, desk.worker.clock.now()))


def _rows(hour: Hour, chart: Chart) -> list[tuple[str | float | None, ...]]:
    """A chart as a table, the newest minute first."""
    minutes = [f"{datetime.fromtimestamp(minute, UTC):%H:%M}" for minute in hour.minutes]
    return list(zip(minutes, *(line.values for line in chart.lines), strict=True))[::-1]


def _shown(view: NowView) -> dict[str, Any]:
    return {"view": view, "needs": needs(view), "spark": spark}
