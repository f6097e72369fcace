"""A real HTTP server between a connector and its sandbox, which lies as vendors, gateways and proxies do.

A lie either strikes after the vendor has done the work, so that only the answer is false, or instead of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from tieline.connectors.sdk.contract.account import Account, Refusal

LATE_S = 0.6
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to continue.</body></html>"

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "server", "date"}


class Truth(msgspec.Struct, frozen=True):
    """What the vendor really answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self, **changes: Any) -> web.Response:
        given = {"status": self.status, "headers": self.headers, "body": self.body, **changes}
        return web.Response(**given)


_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)

Telling = Callable[[web.Request, Truth], Awaitable[web.StreamResponse]]


class Lie(msgspec.Struct, frozen=True, kw_only=True):
    """`acted`: the vendor did the work before the lie is told. `knowable`: the answer says that nothing was done.

    `slow`: only a time-out ends it.
    """

    name: str
    tell: Telling
    acted: bool = True
    knowable: bool = False
    slow: bool = False


# --- lies about an answer ---------------------------------------------------------------------------------------------


def _said(status: int, body: bytes, media: str = "application/json", **headers: str) -> Telling:
    async def tell(_: web.Request, __: Truth) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Content-Type": media, **headers})

    return tell


def _bent(change: Callable[[bytes], bytes]) -> Telling:
    async def tell(_: web.Request, true: Truth) -> web.StreamResponse:
        return true.response(body=change(true.body))

    return tell


async def _reset(request: web.Request, _: Truth) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, true: Truth) -> web.StreamResponse:
    response = web.StreamResponse(status=true.status, headers=true.headers)
    response.content_length = len(true.body) + 64
    await response.prepare(request)
    await response.write(true.body[: len(true.body) // 2] or b"{")
    return await _reset(request, true)


async def _late(_: web.Request, true: Truth) -> web.StreamResponse:
    await asyncio.sleep(LATE_S)
    return true.response()


async def _drip(request: web.Request, true: Truth) -> web.StreamResponse:
    response = web.StreamResponse(status=true.status, headers=true.headers)
    response.content_length = len(true.body) + 1000
    await response.prepare(request)
    for place in range(int(LATE_S / 0.05)):
        await response.write(true.body[place : place + 1] or b" ")
        await asyncio.sleep(0.05)
    return await _reset(request, true)


async def _no_gzip(_: web.Request, true: Truth) -> web.StreamResponse:
    return true.response(headers={**true.headers, "Content-Encoding": "gzip"}, body=true.body or b"{}")


async def _other_type(_: web.Request, true: Truth) -> web.StreamResponse:
    headers = {name: value for name, value in true.headers.items() if name.lower() != "content-type"}
    return true.response(headers={**headers, "Content-Type": "text/plain; charset=utf-16"})


LOST = Lie(name="no answer", tell=_reset)
DROPPED = Lie(name="never arrived", tell=_reset, acted=False)
LATE = Lie(name="answer comes too late", tell=_late, slow=True)

LIES: tuple[Lie, ...] = (
    LOST,
    DROPPED,
    LATE,
    Lie(name="slow drip", tell=_drip, slow=True),
    Lie(name="cut in the middle", tell=_cut),
    Lie(name="half of the JSON", tell=_bent(lambda body: body[: len(body) // 2])),
    Lie(name="empty body", tell=_bent(lambda _: b"")),
    Lie(name="broken gzip", tell=_no_gzip),
    Lie(name="wrong content type", tell=_other_type),
    Lie(name="sign-in page with 200", tell=_said(200, HTML, "text/html"), acted=False),
    Lie(name="nothing with 200", tell=_said(200, b""), acted=False),
    Lie(name="null with 200", tell=_said(200, b"null"), acted=False),
    Lie(name="empty object with 200", tell=_said(200, b"{}"), acted=False),
    Lie(name="empty list with 200", tell=_said(200, b"[]"), acted=False),
    Lie(name="a number with 200", tell=_said(200, b"42"), acted=False),
    Lie(name="NaN with 200", tell=_said(200, b'{"id": NaN, "total": NaN}'), acted=False),
    Lie(
        name="error inside 200",
        tell=_said(200, b'{"success": false, "errors": [{"message": "An unexpected error occurred"}]}'),
        acted=False,
    ),
    Lie(name="accepted, not done", tell=_said(202, b""), acted=False),
    Lie(name="gateway page", tell=_said(502, HTML, "text/html"), acted=False),
    Lie(name="gateway page after the work", tell=_said(504, HTML, "text/html")),
    Lie(name="internal error after the work", tell=_said(500, b"")),
    Lie(name="redirect to sign-in", tell=_said(302, HTML, "text/html", Location="/login"), acted=False, knowable=True),
    Lie(
        name="redirect to another host",
        tell=_said(307, b"", Location="http://127.0.0.2:9/steal"),
        acted=False,
        knowable=True,
    ),
    Lie(name="out of order", tell=_said(503, HTML, "text/html"), acted=False, knowable=True),
    Lie(name="firewall page", tell=_said(403, HTML, "text/html"), acted=False, knowable=True),
    Lie(name="429 without Retry-After", tell=_said(429, b""), acted=False, knowable=True),
)


# --- lies about lists -------------------------------------------------------------------------------------------------


def _json(change: Callable[[Any], Any]) -> Telling:
    def bent(body: bytes) -> bytes:
        try:
            return _encoder.encode(change(_decoder.decode(body)))
        except msgspec.DecodeError:
            return body

    return _bent(bent)


def _doubled(page: Any) -> Any:
    """The records of a page twice over."""
    if not isinstance(page, dict):
        return page
    return {name: _twice(inside) if name != "links" else inside for name, inside in page.items()}


def _twice(value: Any) -> Any:
    return value * 2 if isinstance(value, list) else value


def _endless(request: web.Request, value: Any) -> Any:
    """Whatever the vendor's way of paging: there is more, and it is here again."""
    here = str(request.rel_url)
    more = {
        "done": False,
        "nextRecordsUrl": here,
        "hasMore": True,
        "count": 10**9,
        "totalResults": 10**9,
        "totalSize": 10**9,
        "nextPage": "again" if "object-query" in here else here,
        "next": here,
        "next_cursor": "again",
    }
    is_page = isinstance(value, dict) and any(isinstance(v, list) for name, v in value.items() if name != "links")
    return {**value, **more} if is_page else value


async def _pages_without_end(request: web.Request, true: Truth) -> web.StreamResponse:
    return await _json(lambda value: _endless(request, value))(request, true)


_STAMP = re.compile(rb'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|[+-]\d\d:?\d\d)"')

STAMPS_WITHOUT_ZONE = Lie(name="stamps without a zone", tell=_bent(lambda body: _STAMP.sub(rb'\1"', body)))

READ_LIES: tuple[Lie, ...] = (
    *(lie for lie in LIES if lie is not DROPPED),
    Lie(name="every record twice", tell=_json(_doubled)),
    Lie(name="pages without end", tell=_pages_without_end),
)


# --- lies about tokens ------------------------------------------------------------------------------------------------

TOKEN_LIES: tuple[Lie, ...] = tuple(
    lie for lie in LIES if lie.name in ("sign-in page with 200", "redirect to another host", "gateway page")
)
DEAD_TOKEN = Lie(name="a token that died before its time", tell=_said(401, b""), acted=False, knowable=True)


def lifetime(told: bytes) -> Lie:
    """The token endpoint names a lifetime that is none; the token itself is good."""

    def bent(body: bytes) -> bytes:
        answer: dict[str, Any] = msgspec.json.decode(body)
        return msgspec.json.encode({**answer, "expires_in": msgspec.Raw(told)})

    return Lie(name="lifetime", tell=_bent(bent))


# --- a choice ---------------------------------------------------------------------------------------------------------

_WORST = frozenset(
    {
        "no answer",
        "half of the JSON",
        "sign-in page with 200",
        "empty object with 200",
        "error inside 200",
        "accepted, not done",
        "gateway page",
        "redirect to sign-in",
        "every record twice",
        "pages without end",
    }
)

WORST: tuple[Lie, ...] = tuple(lie for lie in LIES if lie.name in _WORST)
"""One of each family, where every lie would only repeat what the tests of creating and probing show."""
WORST_READ: tuple[Lie, ...] = tuple(lie for lie in READ_LIES if lie.name in _WORST)


def throttled(refusal: Refusal, retry_after: str = "") -> Lie:
    """The vendor's own "too much", with Retry-After as told: "+7" is the date in seven seconds."""
    headers = dict(refusal.headers)
    if retry_after.startswith("+"):
        moment = datetime.now(UTC) + timedelta(seconds=int(retry_after[1:]))
        headers["Retry-After"] = format_datetime(moment, usegmt=True)
    elif retry_after:
        headers["Retry-After"] = retry_after
    tell = _said(refusal.status, refusal.body, **headers)
    return Lie(name="throttled", tell=tell, acted=False, knowable=True)


# --- the server -------------------------------------------------------------------------------------------------------


class Liar:
    """Passes requests on, and lies about those that `strikes` names. `times` 0: about all of them."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        target: str,
        lie: Lie | None,
        strikes: Callable[[str, str], bool],
        times: int = 0,
    ) -> None:
        self._http, self._target, self._lie, self._strikes = http, target, lie, strikes
        self._left = times or 10**9
        self.url = ""
        self.requests = 0
        self.told = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        lie = self._lie
        if lie is None or self._left <= 0 or not self._strikes(request.method, request.path):
            return (await self._pass_on(request)).response()
        self._left -= 1
        self.told += 1
        true = await self._pass_on(request) if lie.acted else Truth(200, {}, b"")
        return await lie.tell(request, true)

    async def _pass_on(self, request: web.Request) -> Truth:
        body = await request.read()
        # Host stays the one the connector signed
        async with self._http.request(
            request.method,
            self._target + request.raw_path,
            data=body or None,
            headers={n: v for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP},
            allow_redirects=False,
        ) as answer:
            headers = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP}
            return Truth(answer.status, headers, await answer.read())


@asynccontextmanager
async def through(
    account: Account, lie: Lie | None = None, *, writes: bool | None = None, tokens: bool = False, times: int = 0
) -> AsyncIterator[Liar]:
    """A liar before the account. `writes` true strikes writes, false reads, None whatever is no token request."""

    def strikes(method: str, path: str) -> bool:
        if account.is_token(path):
            return tokens
        return not tokens and (writes is None or account.is_write(method, path) is writes)

    once = 1 if lie in (LOST, DROPPED) and not times else times
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        liar = Liar(http, account.url, lie, strikes, once)
        runner = web.ServerRunner(web.Server(liar.answer), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        liar.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield liar
        finally:
            await runner.cleanup()
