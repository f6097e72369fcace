"""Who looks at the pages: the session's cookie becomes a Principal; whoever has none is shown the way in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar.connection import ASGIConnection, Request
from litestar.exceptions import NotAuthorizedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from tieline.app.access import Access

COOKIE = "tieline_session"
OPEN = "open"
"""Handlers with this option are for everybody: signing in, styles, health."""


class SessionAuthentication(AbstractAuthenticationMiddleware):
    """Finds the principal of a request. Raises NotAuthorizedException where there must be one and is none."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        access: Access = connection.app.state.desk.access
        cookie = connection.cookies.get(COOKIE, "")
        principal = await access.principal(cookie) if cookie else None
        if principal is None and not connection.route_handler.opt.get(OPEN):
            raise NotAuthorizedException("sign in first")
        return AuthenticationResult(user=principal, auth=None)


def way_in(request: Request[Any, Any, Any]) -> str:
    """The address of the sign-in page, which leads back to where one wanted to go."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(wanted)}" if request.method == "GET" else "/sign-in"
