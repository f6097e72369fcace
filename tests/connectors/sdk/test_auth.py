"""Tokens: had once however many ask, renewed once when they die, and never sent to anybody else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tieline.connectors.sdk import (
    ApiKey,
    Auth,
    BasicAuth,
    ClientCredentials,
    RefreshToken,
    Session,
    TokenAuth,
)
from tieline.errors import AuthorizationFailed, VendorUnavailable

FORM = {"client_id": "tieline", "client_secret": "hush-hush"}


class Vendor:
    """Gives tokens, and takes only the latest one."""

    def __init__(self) -> None:
        self.given = self.refused = 0
        self.calls: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.extra: dict[str, object] = {}
        self.answer: web.Response | None = None
        self.dead_on_arrival = False
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        self.given += 1
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        await asyncio.sleep(0.01)
        if self.answer is not None:
            return self.answer
        return web.json_response({"access_token": f"t{self.given}", "expires_in": 3600, **self.extra})

    async def resource(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        self.calls.append(authorization)
        good = not self.dead_on_arrival and authorization == f"Bearer t{self.given}"
        if not good:
            # refusals come one after another: the last of them long after the token was renewed
            self.refused += 1
            await asyncio.sleep(0.001 * self.refused)
        return web.json_response({}, status=200 if good else 401)

    def expire(self) -> None:
        """From now on only a token that is had after this is good."""
        self.given += 1


@asynccontextmanager
async def vendor() -> AsyncIterator[Vendor]:
    one = Vendor()
    app = web.Application()
    app.router.add_post("/token", one.token)
    app.router.add_get("/resource", one.resource)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


@asynccontextmanager
async def session(one: Vendor, auth: Auth | None = None) -> AsyncIterator[Session]:
    made = Session(one.url, auth or ClientCredentials(f"{one.url}/token", FORM), lambda _: None, connections=64)
    try:
        yield made
    finally:
        await made.close()


async def get(made: Session) -> int:
    return (await made.request("GET", "/resource", writes=False)).status


async def test_fifty_calls_at_once_have_one_token() -> None:
    async with vendor() as one, session(one) as made:
        assert set(await asyncio.gather(*(get(made) for _ in range(50)))) == {200}
        assert one.given == 1


async def test_fifty_calls_that_find_the_token_dead_renew_it_once() -> None:
    """Late refusals of the old token must not throw the new one away."""
    async with vendor() as one, session(one) as made:
        await get(made)
        one.expire()
        forms = len(one.forms)
        assert set(await asyncio.gather(*(get(made) for _ in range(50)))) == {200}
        assert len(one.forms) - forms == 1


async def test_a_token_that_never_works_is_asked_for_once_more_and_no_more() -> None:
    async with vendor() as one, session(one) as made:
        one.dead_on_arrival = True
        assert await get(made) == 401
        assert one.given == 2
        assert len(one.calls) == 2


async def test_a_token_is_renewed_ahead_of_its_end() -> None:
    """A second before its end, a token would die on the way."""
    async with vendor() as one, session(one) as made:
        one.extra = {"expires_in": 0.02}
        await get(made)
        await asyncio.sleep(0.02)
        await get(made)
        assert one.given == 2


async def test_a_redirected_token_request_is_not_followed() -> None:
    """The secret would travel to an address nobody configured."""
    async with vendor() as one, vendor() as other, session(one) as made:
        one.answer = web.Response(status=307, headers={"Location": f"{other.url}/token"})
        with pytest.raises((AuthorizationFailed, VendorUnavailable)):
            await get(made)
        assert other.forms == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b'{"error": "invalid_client", "error_description": "secret hush-hush is wrong"}', AuthorizationFailed),
        (b'{"access_token": null}', AuthorizationFailed),
        (b'{"access_token": ""}', AuthorizationFailed),
        (b'["access_token"]', AuthorizationFailed),
        (b"<html>Sign in</html>", VendorUnavailable),
        (b'{"access_token": "t', VendorUnavailable),
    ],
)
async def test_an_answer_without_a_token_is_told_without_the_secret(answer: bytes, error: type[Exception]) -> None:
    async with vendor() as one, session(one) as made:
        one.answer = web.Response(status=200, body=answer)
        with pytest.raises(error) as refused:
            await get(made)
        assert "hush-hush" not in str(refused.value)
        assert one.calls == []


async def test_a_refresh_token_that_rotates_is_handed_on_at_once() -> None:
    """The old one is dead with its first use: whoever keeps it must hear of the new one."""
    async with vendor() as one:
        kept: list[str] = []
        auth = RefreshToken(f"{one.url}/token", FORM, "r0", kept.append)
        async with session(one, auth) as made:
            one.extra = {"refresh_token": "r1"}
            await get(made)
            one.expire()
            await get(made)
        assert kept == ["r1"]
        assert [form["refresh_token"] for form in one.forms] == ["r0", "r1"]
        assert {form["grant_type"] for form in one.forms} == {"refresh_token"}


async def test_keys_that_never_change_stand_in_their_header() -> None:
    async with vendor() as one, session(one) as made:
        http = made.http()
        key = await ApiKey("X-Api-Key", "k").headers(http, "GET", one.url)
        bearer = await TokenAuth("t").headers(http, "GET", one.url)
        basic = await BasicAuth("me", "pass:word").headers(http, "GET", one.url)
    assert key == {"X-Api-Key": "k"}
    assert bearer == {"Authorization": "Bearer t"}
    assert base64.b64decode(basic["Authorization"].removeprefix("Basic ")) == b"me:pass:word"
