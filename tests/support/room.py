"""A person at the control room, for tests: signed in, with what a form needs at hand.

async with signed_in(company, Role.OPERATOR, name="ada") as ada:
    page = await ada.get("/cases")
    answer = await ada.post_form("/cases/C-1/decide", action="retry")
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx

from tieline.app.access import Access, new_token, new_user
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Role
from tieline.web.session import COOKIE, CSRF, cookie_name

PASSWORD = "correct horse battery"


class Hub(Protocol):
    """A hub that runs: tests.support.company.Company is one."""

    @property
    def desk(self) -> Desk: ...
    @property
    def hub_url(self) -> str: ...


class Visitor(httpx.AsyncClient):
    """A browser at the hub; redirects are not followed, so that a test sees them."""

    def cookie(self, name: str = COOKIE) -> str:
        """The hub's cookie of this kind, "" for none."""
        return next((cookie.value or "" for cookie in self.cookies.jar if cookie.name.startswith(f"{name}_")), "")

    async def post_form(self, path: str, fields: Mapping[str, object] | None = None, **more: object) -> httpx.Response:
        """Send a form as a page would; a list gives its field several times."""
        if not self.cookie(CSRF):
            await self.get("/sign-in")
        form = {"_csrf_token": self.cookie(CSRF), **(fields or {}), **more}
        return await self.post(path, data=form)


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """Somebody who has not signed in."""
    async with Visitor(base_url=url, timeout=30) as client:
        yield client


@asynccontextmanager
async def signed_in(hub: Hub, *roles: Role, name: str = "pat") -> AsyncIterator[Visitor]:
    """A user with these roles (default: operator), made where there is none of that name."""
    async with visitor(hub.hub_url) as client:
        access = hub.desk.access
        await make_user(access, name, *roles)
        cookie = await access.open_session(access.users.get(name).principal())
        client.cookies.set(cookie_name(hub.desk), cookie, domain=client.base_url.host)
        yield client


def text_of(page: str) -> str:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def make_user(access: Access, name: str, *roles: Role) -> None:
    """A user with these roles, whatever they were before."""
    if access.users.find(name) is None:
        await access.users.add(new_user(name, f"{name}@example.com", roles or (Role.OPERATOR,), datetime.now(UTC)))
    elif roles:
        await access.users.set_roles(name, roles)


async def bearer(hub: Hub, *scopes: Permission, roles: tuple[Role, ...] = (), name: str = "robot") -> str:
    """An API token of a user with these roles (default: every role); send it as `Authorization: Bearer …`."""
    await make_user(hub.desk.access, name, *(roles or tuple(Role)))
    now = datetime.now(UTC)
    token, secret = new_token(name, "test", scopes or tuple(Permission), 0, now, now + timedelta(days=1))
    await hub.desk.access.tokens.add(token, secret)
    return secret
