"""The control room as one router: its sections, what their handlers are given, and what happens when they fail."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.middleware import DefineMiddleware
from litestar.static_files import create_static_files_router
from litestar.types import ExceptionHandler

from tieline.app.desk import Desk
from tieline.app.principal import NotAllowed, Principal
from tieline.app.views.resolve import NothingFound
from tieline.errors import ConcurrencyConflict, TielineError, TransientError
from tieline.web.pages import (
    account,
    approvals,
    audit,
    case_bulk,
    case_maps,
    cases,
    corrections,
    deals,
    explain,
    now,
    processes,
    rules,
    sign_in,
    systems,
    users,
)
from tieline.web.session import OPEN, SessionAuthentication, way_in
from tieline.web.site import HEADERS, HERE, Section, Site, WebRequest, go_to

_log = structlog.get_logger("tieline.web")

SECTIONS: tuple[Section, ...] = (
    now.SECTION,
    deals.SECTION,
    cases.SECTION,
    case_bulk.SECTION,
    case_maps.SECTION,
    approvals.SECTION,
    rules.SECTION,
    corrections.SECTION,
    processes.SECTION,
    systems.SECTION,
    audit.SECTION,
    explain.SECTION,
    sign_in.SECTION,
    account.SECTION,
    users.SECTION,
)


def site_of(desk: Desk) -> Site:
    """What draws the pages of a hub."""
    return Site(desk.project.settings.name, SECTIONS, demo=desk.demo)


def control_room(desk: Desk, site: Site) -> list[Router]:
    """The routers of the pages and of their styles and scripts."""

    def the_desk() -> Desk:
        return desk

    def the_site() -> Site:
        return site

    failed = no_such_page(site)
    pages = Router(
        path="/",
        route_handlers=[handler for section in SECTIONS for handler in section.handlers],
        dependencies={
            "desk": Provide(the_desk, sync_to_thread=False),
            "site": Provide(the_site, sync_to_thread=False),
            "principal": Provide(_principal, sync_to_thread=False),
        },
        middleware=[DefineMiddleware(SessionAuthentication)],
        exception_handlers={
            NotAuthorizedException: _to_sign_in,
            HTTPException: failed,
            TielineError: failed,
            Exception: failed,
        },
        include_in_schema=False,
    )
    static = create_static_files_router(
        path="/static", directories=[HERE / "static"], opt={OPEN: True}, include_in_schema=False
    )
    return [pages, static]


def no_such_page(site: Site) -> ExceptionHandler[Any]:
    """What answers where something failed, and for addresses that no handler has."""
    return lambda request, error: _failed(site, request, error)


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal: Principal = request.user
    return principal


def _to_sign_in(request: Request[Any, Any, Any], error: NotAuthorizedException) -> Response[Any]:
    if request.headers.get("hx-request"):  # a piece of a page: the whole page goes to sign in
        return Response("", status_code=401, headers={**HEADERS, "HX-Redirect": "/sign-in"}, media_type="text/html")
    return go_to(way_in(request))


_SAID: list[tuple[type[Exception], int, str]] = [
    (NotAllowed, 403, "You may not do this"),
    (NothingFound, 404, "Nothing was found"),
    (ConcurrencyConflict, 409, "Somebody else was first"),
    (TransientError, 503, "Not now"),
    (TielineError, 422, "This cannot be done"),
]


def _failed(site: Site, request: WebRequest, error: Exception) -> Response[str]:
    """What happened, as a page or, for htmx, as a note in its place."""
    status, title, detail = _words(error)
    if status == 500:
        _log.error("a page broke", path=request.url.path, exc_info=error)
    if request.headers.get("hx-request"):
        return site.part(request, "partials/error.html", status=status, title=title, detail=detail)
    return site.page(request, "error.html", status=status, title=title, detail=detail)


_NOT_OURS = (
    "It was not sent from a page of this hub, or from one of long ago. Nothing was changed: load the page again and "
    "send it once more."
)


def _words(error: Exception) -> tuple[int, str, str]:
    for kind, status, title in _SAID:
        if isinstance(error, kind):
            return status, title, str(error)
    if isinstance(error, PermissionDeniedException):
        return 403, "This form was not taken", _NOT_OURS
    if isinstance(error, HTTPException) and error.status_code == 404:
        return 404, "There is no such page", "Its address may be mistyped, or what it showed is gone."
    if isinstance(error, HTTPException) and error.status_code < 500:
        return error.status_code, "This request was not understood", str(error.detail)
    return 500, "Something broke here", "The log of the hub says what; nothing was changed halfway."
