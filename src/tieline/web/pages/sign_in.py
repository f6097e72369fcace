"""Coming in and going out: the sign-in page, the identity provider's answer, one-time links.

The invariant: what a person may learn before they are in is that the name or the password is wrong, and no more.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from tieline.app.access.links import FIRST_ADMIN
from tieline.app.access.oidc import Begun, Provider
from tieline.app.access.passwords import LEAST
from tieline.app.access.signing_in import SignInFailed, admit, sign_in, sign_out, use_link
from tieline.app.access.throttle import TooManyAttempts
from tieline.app.desk import Desk
from tieline.app.views.resolve import NothingFound
from tieline.errors import TielineError, TransientError
from tieline.web.given import TheDesk, TheSite
from tieline.web.session import OPEN, caller, cookie_name, own_address, own_path, private_cookie, session_cookie
from tieline.web.site import Section, Site, WebRequest, go_to

BEGUN = "tieline_begun"
BEGUN_FOR = timedelta(minutes=15)


@get("/sign-in", opt={OPEN: True})
async def show(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[Any]:
    """The way in; whoever is in goes on to where they wanted to go."""
    wanted = request.query_params.get("next", "/")
    if request.user is not None:
        return go_to(own_path(wanted))
    return _form(request, desk, site, wanted)


@post("/sign-in", opt={OPEN: True})
async def enter(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[Any]:
    """With name and password."""
    form = await request.form()
    name, password, wanted = (str(form.get(key) or "") for key in ("name", "password", "next"))
    try:
        secret = await sign_in(desk.store, desk.access, name, password, caller(request))
    except (SignInFailed, TooManyAttempts) as error:
        return _form(request, desk, site, wanted, name=name, error=error)
    return await _come_in(request, desk, secret, wanted)


@get("/sign-in/provider", opt={OPEN: True})
async def ask(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[Any]:
    """Go to the identity provider."""
    wanted = own_path(request.query_params.get("next", "/"))
    try:
        address, begun = await _provider(desk).begin(_back(request, desk), wanted)
    except (SignInFailed, TransientError) as error:
        return _form(request, desk, site, wanted, error=error)
    cookie = private_cookie(desk, BEGUN, _sealed(desk, begun), int(BEGUN_FOR.total_seconds()))
    return go_to(address, cookie)


@get("/sign-in/provider/answer", opt={OPEN: True})
async def answer(request: WebRequest, desk: TheDesk, site: TheSite) -> Response[Any]:
    """Back from the identity provider."""
    provider = _provider(desk)
    try:
        begun = _opened(desk, request.cookies.get(cookie_name(desk, BEGUN), ""))
        said = {key: str(value) for key, value in request.query_params.items()}
        identity = await provider.finish(said, begun, _back(request, desk))
        groups = provider.settings.role_map
        secret = await admit(desk.store, desk.access, identity, groups, caller(request))
    except TielineError as error:
        return _form(request, desk, site, "/", error=error)
    response = await _come_in(request, desk, secret, begun.next)
    response.set_cookie(private_cookie(desk, BEGUN, "", 0))
    return response


@post("/sign-out", opt={OPEN: True})
async def leave(request: WebRequest, desk: TheDesk) -> Response[Any]:
    """End this session."""
    await sign_out(desk.store, desk.access, str(request.auth or ""))
    cookie = session_cookie(desk, "")
    return go_to("/sign-in", cookie)


@get("/welcome/{link:str}", opt={OPEN: True})
async def welcome(request: WebRequest, desk: TheDesk, site: TheSite, link: FromPath[str]) -> Response[Any]:
    """What a one-time link opens: choose a password, and as the first admin a name. Opening does not spend it."""
    return _welcome(request, desk, site, link)


@post("/welcome/{link:str}", opt={OPEN: True})
async def choose(request: WebRequest, desk: TheDesk, site: TheSite, link: FromPath[str]) -> Response[Any]:
    """Spend the link and come in."""
    desk.access.links.find(link)
    form = await request.form()
    name, password, again = (str(form.get(key) or "") for key in ("name", "password", "again"))
    try:
        if password != again:
            raise SignInFailed("the two passwords are not the same; type them again")
        secret = await use_link(desk.store, desk.access, link, name, password, caller(request))
    except TielineError as error:
        return _welcome(request, desk, site, link, name=name, error=str(error))
    return await _come_in(request, desk, secret, "/")


SECTION = Section(title="", path="/sign-in", handlers=[show, enter, ask, answer, leave, welcome, choose])


def _form(
    request: WebRequest, desk: Desk, site: Site, wanted: str, *, name: str = "", error: Exception | None = None
) -> Response[str]:
    late = isinstance(error, TransientError)
    page = site.page(
        request,
        "sign_in/sign_in.html",
        status=200 if error is None else 429 if isinstance(error, TooManyAttempts) else 503 if late else 401,
        next=own_path(wanted),
        name=name,
        error="" if error is None else str(error),
        provider=desk.provider.name if desk.provider else "",
        nobody=not desk.access.users.has_admin(),
    )
    if isinstance(error, TooManyAttempts):
        page.headers["Retry-After"] = str(int(error.retry_after_s))
    return page


def _welcome(
    request: WebRequest, desk: Desk, site: Site, link: str, *, name: str = "", error: str = ""
) -> Response[str]:
    found = desk.access.links.find(link)
    return site.page(
        request,
        "sign_in/welcome.html",
        status=422 if error else 200,
        link=link,
        first=found.user == FIRST_ADMIN,
        name=found.user or name,
        until=found.expires_at,
        least=LEAST,
        error=error,
    )


async def _come_in(request: WebRequest, desk: Desk, secret: str, wanted: str) -> Redirect:
    """A new session in the place of the one this browser may have had."""
    await desk.access.sessions.close(str(request.auth or ""))
    cookie = session_cookie(desk, secret)
    return go_to(own_path(wanted), cookie)


def _provider(desk: Desk) -> Provider:
    if desk.provider is None:
        raise NothingFound("this hub has no identity provider; [access.oidc] in tieline.toml names one")
    return desk.provider


def _back(request: WebRequest, desk: Desk) -> str:
    return f"{own_address(request, desk.project.settings.hub)}/sign-in/provider/answer"


def _sealed(desk: Desk, begun: Begun) -> str:
    """What the browser carries to the identity provider and back; signed, so that nobody can plant another."""
    until = int((desk.access.now() + BEGUN_FOR).timestamp())
    return jwt.encode({"alg": "HS256"}, {**msgspec.to_builtins(begun), "exp": until}, _key(desk))


def _opened(desk: Desk, carried: str) -> Begun:
    try:
        claims = jwt.decode(carried, _key(desk), algorithms=["HS256"]).claims
        begun = msgspec.convert(claims, Begun)
    except (JoseError, ValueError) as error:
        raise SignInFailed("this browser began no sign-in at the identity provider; begin here") from error
    if datetime.fromtimestamp(claims["exp"], desk.access.now().tzinfo) <= desk.access.now():
        raise SignInFailed("the sign-in took too long; begin again")
    return begun


def _key(desk: Desk) -> OctKey:
    return OctKey.import_key(hashlib.sha256(f"begun {desk.access.secret}".encode()).digest())
