"""The session of all connectors: what a caller may conclude from a connection that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tieline.connectors.sdk import Session, TokenAuth
from tieline.errors import AuthorizationFailed, OutcomeUnknown, VendorUnavailable

Answer = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Speaks just enough HTTP to break it: `answers` decides what becomes of the n-th request."""

    def __init__(self, answers: list[str]) -> None:
        self.answers, self.requests = answers, 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"content-length: 2" in head.lower():
                    await reader.readexactly(2)
                self.requests += 1
                answer = self.answers.pop(0) if self.answers else "ok"
                if answer == "reset":
                    break
                writer.write(OK)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def against(*answers: str) -> AsyncIterator[tuple[Session, Server]]:
    server = Server(list(answers))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    session = Session(server.url, TokenAuth("t"), lambda _: None, timeout_s=5)
    try:
        yield session, server
    finally:
        await session.close()
        listening.close()
        await listening.wait_closed()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_a_write_on_a_kept_alive_connection_that_breaks_is_sent_once(method: str) -> None:
    """The HTTP library would send PUT and DELETE again by itself: what is unknown must reach the ledger as unknown."""
    async with against("ok", "reset") as (session, server):
        await session.request("GET", "/", writes=False)
        with pytest.raises(OutcomeUnknown):
            await session.request(method, "/document", writes=True, data=b"{}")
        assert server.requests == 2


async def test_a_read_that_breaks_is_asked_again_once() -> None:
    async with against("ok", "reset", "ok") as (session, server):
        await session.request("GET", "/", writes=False)
        assert (await session.request("GET", "/", writes=False)).status == 200
        assert server.requests == 3


async def test_a_read_that_breaks_again_says_the_system_is_unavailable() -> None:
    async with against("reset", "reset", "reset") as (session, _):
        with pytest.raises(VendorUnavailable):
            await session.request("GET", "/", writes=False)


async def test_nobody_listening_means_that_nothing_was_done() -> None:
    """Also for a write: the connection was never made."""
    session = Session("http://127.0.0.1:9", TokenAuth("t"), lambda _: None)
    with pytest.raises(VendorUnavailable):
        await session.request("PUT", "/document", writes=True, data=b"{}")
    await session.close()


async def test_secrets_go_to_no_other_host() -> None:
    """A next-page address of another host is refused, whatever the vendor says."""
    async with against() as (session, server):
        with pytest.raises(AuthorizationFailed):
            await session.request("GET", "http://127.0.0.2/steal", writes=False)
        assert server.requests == 0
