"""Who looks at the pages: the session's cookie becomes a Principal; whoever has none is shown the way in.

The invariant: no handler runs without a Principal unless it is marked open, and none for another site's page: requests
name our host, and what changes something comes from a page of ours.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from tieline.app.access.file import fingerprint
from tieline.app.access.signing_in import Caller
from tieline.app.desk import Desk
from tieline.app.principal import Principal, Role
from tieline.app.settings import HubSettings

COOKIE = "tieline_session"
CSRF = "tieline_csrf"
OPEN = "open"
"""Handlers with this option are for everybody: signing in, styles, health."""

VISITOR = Principal(name="demo", roles=frozenset(Role), email="demo@example.com")
"""Everybody who looks at a demonstration."""

_CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


class SessionAuthentication(AbstractAuthenticationMiddleware):
    """Finds the principal of a request. Raises NotAuthorizedException where there must be one and is none."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        desk: Desk = connection.app.state.desk
        _refuse_others(connection, desk.project.settings.hub)
        cookie = connection.cookies.get(cookie_name(desk), "")
        principal = await desk.access.principal(cookie) if cookie else None
        if principal is None and desk.demo:
            principal = VISITOR
        if principal is None and not connection.route_handler.opt.get(OPEN):
            raise NotAuthorizedException("sign in first")
        return AuthenticationResult(user=principal, auth=cookie)


def cookie_name(desk: Desk, name: str = COOKIE) -> str:
    """A cookie's name at this hub; over https with the prefix that binds it to this host and to https.

    Cookies know no ports: two hubs on one machine, or a demonstration and the next, would take each other's.
    """
    own = f"{name}_{fingerprint(desk.access.secret)[:8]}"
    return f"__Host-{own}" if desk.project.settings.hub.secure else own


def session_cookie(desk: Desk, secret: str) -> Cookie:
    """The cookie of a session; with "" the one that ends it."""
    return private_cookie(desk, COOKIE, secret, None if secret else 0)


def private_cookie(desk: Desk, name: str, value: str, max_age: int | None) -> Cookie:
    """A cookie that no script reads and no other site's form sends."""
    return Cookie(
        key=cookie_name(desk, name),
        value=value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="lax",
        secure=desk.project.settings.hub.secure,
    )


def caller(request: Request[Any, Any, Any]) -> Caller:
    """Where a request comes from."""
    address = request.client.host if request.client else ""
    return Caller(address=address, browser=request.headers.get("user-agent", ""))


def own_address(request: Request[Any, Any, Any], hub: HubSettings) -> str:
    """What stands before a path in a link that somebody opens elsewhere."""
    return hub.public_url.rstrip("/") or str(request.base_url).rstrip("/")


def way_in(request: Request[Any, Any, Any]) -> str:
    """The address of the sign-in page, which leads back to where one wanted to go."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(wanted)}" if request.method == "GET" and wanted != "/" else "/sign-in"


def own_path(address: str) -> str:
    """Where to go after signing in: a path of ours, whatever somebody wrote into the link; else the start."""
    # a browser reads "//host", "/\host" and a tab in between as another site's address
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain and "\\" not in address and not urlsplit(address).netloc else "/"


def _refuse_others(connection: ASGIConnection[Any, Any, Any, Any], hub: HubSettings) -> None:
    host = connection.headers.get("host", "")
    if _host_name(host) not in hub.names:
        # DNS rebinding: a stranger's name that points at this machine reads our pages as its own
        raise HTTPException(
            status_code=421,
            detail=f"this hub is not {host or 'nameless'}: open it under {hub.public_url or 'its own address'}",
        )
    origin = connection.headers.get("origin")
    if connection.scope.get("method") in _CHANGING and origin and urlsplit(origin).netloc not in _ours(host, hub):
        raise PermissionDeniedException("this form was sent from another site")


def _ours(host: str, hub: HubSettings) -> set[str]:
    """Where our own forms come from: another port is another site, although it gets the same cookies."""
    return {host, urlsplit(hub.public_url).netloc or host}


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
