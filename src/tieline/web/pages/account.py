"""One's own account: who I am here, my sessions, my API tokens, my password."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from tieline.app.access import people, session_id
from tieline.app.access.passwords import LEAST
from tieline.app.access.signing_in import SignInFailed
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal
from tieline.errors import TielineError
from tieline.web.given import TheDesk, TheSite, Who
from tieline.web.session import caller
from tieline.web.site import Section, Site, WebRequest, go_to

SCOPE_WORDS = {
    Permission.READ: "look at everything",
    Permission.OPERATE: "decide cases, replay, pause and resume systems",
    Permission.CORRECT: "correct value maps",
    Permission.APPROVE: "approve and refuse",
    Permission.ADMINISTER: "change users, roles and tokens",
}
TOKEN_DAYS = (30, 90, 180, 366)
DONE = {
    "password": "Your password is changed, and your other sessions have ended.",
    "session": "The session has ended.",
    "others": "All your other sessions have ended.",
    "revoked": "The token works no more.",
}


@get("/account")
async def show(
    request: WebRequest,
    desk: TheDesk,
    site: TheSite,
    principal: Who,
    done: FromQuery[str] = "",
) -> Response[str]:
    """The account of whoever looks."""
    return _page(request, desk, site, principal, done=DONE.get(done, ""))


@post("/account/password")
async def password(request: WebRequest, desk: TheDesk, site: TheSite, principal: Who) -> Response[Any]:
    """Choose another password."""
    form = await request.form()
    current, new, again = (str(form.get(key) or "") for key in ("current", "password", "again"))
    try:
        if new != again:
            raise SignInFailed("the two new passwords are not the same; type them again")
        await people.change_password(
            desk.store,
            desk.access,
            current,
            new,
            session=str(request.auth),
            address=caller(request).address,
            by=principal,
        )
    except TielineError as error:
        return _page(request, desk, site, principal, status=422, error=str(error))
    return _done("password")


@post("/account/sessions/{session:str}/end")
async def end(desk: TheDesk, principal: Who, session: FromPath[str]) -> Redirect:
    """End one of one's sessions."""
    await people.end_session(desk.store, desk.access, session, by=principal)
    return _done("session")


@post("/account/sessions/end-others")
async def end_others(request: WebRequest, desk: TheDesk, principal: Who) -> Redirect:
    """End all of one's sessions but this one."""
    await people.end_other_sessions(desk.store, desk.access, str(request.auth), by=principal)
    return _done("others")


@post("/account/tokens")
async def issue(request: WebRequest, desk: TheDesk, site: TheSite, principal: Who) -> Response[Any]:
    """Make a token and show it, this once."""
    form = await request.form()
    scopes = [Permission(scope) for scope in form.getall("scope", []) if scope in set(Permission)]
    days = str(form.get("days") or "")
    try:
        token, secret = await people.issue_token(
            desk.store,
            desk.access,
            str(form.get("label") or ""),
            scopes,
            int(days) if days.isdecimal() else 0,
            by=principal,
        )
    except TielineError as error:
        return _page(request, desk, site, principal, status=422, error=str(error))
    return site.page(request, "account/token.html", token=token, secret=secret)


@post("/account/tokens/{token:str}/revoke")
async def revoke(desk: TheDesk, principal: Who, token: FromPath[str]) -> Redirect:
    """A token works no more."""
    await people.revoke_token(desk.store, desk.access, token, by=principal)
    return _done("revoked")


SECTION = Section(title="", path="/account", handlers=[show, password, end, end_others, issue, revoke])


def _page(
    request: WebRequest,
    desk: Desk,
    site: Site,
    principal: Principal,
    *,
    status: int = 200,
    done: str = "",
    error: str = "",
) -> Response[str]:
    access = desk.access
    return site.page(
        request,
        "account/account.html",
        status=status,
        me=access.users.find(principal.name),
        rights={right: words for right, words in SCOPE_WORDS.items() if principal.may(right)},
        sessions=access.sessions.list(principal.name),
        this=session_id(str(request.auth)),
        tokens=access.tokens.list(principal.name),
        days=TOKEN_DAYS,
        least=LEAST,
        done=done,
        error=error,
    )


def _done(what: str) -> Redirect:
    return go_to(f"/account?done={what}")
