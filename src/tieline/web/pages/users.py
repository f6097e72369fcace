"""Users: who may come in and what they are here. Everybody may look, an admin may change."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.datastructures import FormMultiDict
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app.access import User, people
from tieline.app.access.links import PASSWORD_FOR
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal, Role
from tieline.errors import TielineError
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.session import own_address
from tieline.web.site import Section, Site, WebRequest, go_to

PAGE = 50
ROLE_WORDS = {
    Role.VIEWER: "looks at everything",
    Role.OPERATOR: "also decides cases, replays, pauses and resumes systems",
    Role.STEWARD: "also corrects value maps",
    Role.APPROVER: "looks at everything; approves and refuses what others made",
    Role.ADMIN: "everything, and users; never approves what they made themselves",
}
DONE = {
    "roles": "The roles are changed.",
    "disabled": "The user cannot sign in any more; their sessions have ended and their tokens work no more.",
    "enabled": "The user may sign in again.",
    "revoked": "The token works no more.",
}


@get("/users")
async def list_users(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    q: FromQuery[str] = "",
    after: FromQuery[str] = "",
) -> Response[str]:
    """Users by name."""
    return _list(request, desk, site, q=q, after=after)


@post("/users")
async def add(request: WebRequest, desk: TheDesk, site: TheSite, principal: Who) -> Response[str]:
    """Add a user; their link is shown this once."""
    principal.require(Permission.ADMINISTER)
    form = await request.form()
    name, email = str(form.get("name") or ""), str(form.get("email") or "")
    try:
        user = await people.add_user(desk.store, desk.access, name, email, _roles(form), by=principal)
    except TielineError as error:
        return _list(request, desk, site, error=str(error), name=name, email=email, chosen=_roles(form))
    return await _link(request, desk, site, user.name, principal)


@get("/users/{name:str}")
async def show(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    name: FromPath[str],
    done: FromQuery[str] = "",
) -> Response[str]:
    """One user."""
    return _one(request, desk, site, name, done=DONE.get(done, ""))


@post("/users/{name:str}/roles")
async def roles(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    name: FromPath[str],
) -> Response[Any]:
    """What the user is here."""
    principal.require(Permission.ADMINISTER)
    form = await request.form()
    try:
        user = await people.set_roles(desk.store, desk.access, name, _roles(form), by=principal)
    except TielineError as error:
        return _one(request, desk, site, name, error=str(error))
    return _done(user, "roles")


@post("/users/{name:str}/link")
async def link(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    name: FromPath[str],
) -> Response[str]:
    """A one-time link to hand over, shown this once."""
    return await _link(request, desk, site, name, principal)


@get("/users/{name:str}/disable")
async def ask_disable(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    name: FromPath[str],
) -> Response[str]:
    """What disabling would do, and the button for it."""
    principal.require(Permission.ADMINISTER)
    now, user = desk.access.now(), desk.access.users.get(name)
    return site.page(
        request,
        "users/disable.html",
        one=user,
        sessions=len(desk.access.sessions.list(user.name)),
        tokens=sum(token.stands(now) for token in desk.access.tokens.list(user.name)),
    )


@post("/users/{name:str}/disable")
async def disable(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    name: FromPath[str],
) -> Response[Any]:
    """The user may not come in any more."""
    principal.require(Permission.ADMINISTER)
    try:
        user = await people.set_disabled(desk.store, desk.access, name, disabled=True, by=principal)
    except TielineError as error:
        return _one(request, desk, site, name, error=str(error))
    return _done(user, "disabled")


@post("/users/{name:str}/enable")
async def enable(desk: TheDesk, principal: Who, name: FromPath[str]) -> Redirect:
    """The user may come in again."""
    user = await people.set_disabled(desk.store, desk.access, name, disabled=False, by=principal)
    return _done(user, "enabled")


@post("/users/{name:str}/tokens/{token:str}/revoke")
async def revoke(desk: TheDesk, principal: Who, name: FromPath[str], token: FromPath[str]) -> Redirect:
    """A token of the user works no more."""
    revoked = await people.revoke_token(desk.store, desk.access, token, by=principal)
    return _done(desk.access.users.get(revoked.user), "revoked")


SECTION = Section(
    title="",
    path="/users",
    handlers=[list_users, add, show, roles, link, ask_disable, disable, enable, revoke],
)


def _list(
    request: WebRequest,
    desk: Desk,
    site: Site,
    *,
    q: str = "",
    after: str = "",
    error: str = "",
    name: str = "",
    email: str = "",
    chosen: Collection[Role] = (),
) -> Response[str]:
    found = desk.access.users.list(q, after, PAGE + 1)
    return site.page(
        request,
        "users/users.html",
        status=422 if error else 200,
        users=found[:PAGE],
        more=found[PAGE - 1].name if len(found) > PAGE else "",
        after=after,
        q=q,
        role_words=ROLE_WORDS,
        error=error,
        name=name,
        email=email,
        chosen=chosen,
    )


def _one(request: WebRequest, desk: Desk, site: Site, name: str, *, done: str = "", error: str = "") -> Response[str]:
    user = desk.access.users.get(name)
    return site.page(
        request,
        "users/user.html",
        status=422 if error else 200,
        one=user,
        sessions=desk.access.sessions.list(user.name),
        tokens=desk.access.tokens.list(user.name),
        role_words=ROLE_WORDS,
        done=done,
        error=error,
    )


async def _link(request: WebRequest, desk: Desk, site: Site, name: str, principal: Principal) -> Response[str]:
    secret = await people.make_link(desk.store, desk.access, name, by=principal)
    address = f"{own_address(request, desk.project.settings.hub)}/welcome/{secret}"
    until = desk.access.now() + PASSWORD_FOR
    return site.page(request, "users/link.html", one=desk.access.users.get(name), address=address, until=until)


def _roles(form: FormMultiDict) -> list[Role]:
    return [Role(role) for role in form.getall("role", []) if role in set(Role)]


def _done(user: User, what: str) -> Redirect:
    return go_to(f"/users/{quote(user.name)}?done={what}")
