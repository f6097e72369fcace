"""Serve vendors on loopback, one port each, in one process and one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from tieline_sandbox.kernel.app import build_app
from tieline_sandbox.kernel.vendor import Vendor


@asynccontextmanager
async def serving(vendors: Sequence[Vendor], ports: Mapping[str, int] | None = None) -> AsyncIterator[dict[str, str]]:
    """Serve until the block ends; yields name → base URL. A port left out is chosen by the system.

    Raises OSError when a port is taken, before anything is served.
    """
    async with serving_on(vendors, listening((v.name for v in vendors), ports or {})) as urls:
        yield urls


def listening(names: Iterable[str], ports: Mapping[str, int]) -> dict[str, socket.socket]:
    """A socket for each name. Raises OSError when a port is taken."""
    return {name: _listen(ports.get(name, 0)) for name in names}


@asynccontextmanager
async def serving_on(
    vendors: Sequence[Vendor], sockets: Mapping[str, socket.socket], certificate: Path | None = None
) -> AsyncIterator[dict[str, str]]:
    """Serve on sockets that are bound already, and close them when the block ends; over TLS with a certificate."""
    async with serving_apps({v.name: build_app(v) for v in vendors}, sockets, certificate) as urls:
        try:
            yield urls
        finally:
            for vendor in vendors:
                await vendor.webhooks.close()
                vendor.close()


@asynccontextmanager
async def serving_apps(
    apps: Mapping[str, ASGIApp], sockets: Mapping[str, socket.socket], certificate: Path | None
) -> AsyncIterator[dict[str, str]]:
    """Serve applications by name, as `serving_on` does."""
    servers = {name: _Server(_config(app, certificate)) for name, app in apps.items()}
    tasks = [asyncio.create_task(server.serve([sockets[name]])) for name, server in servers.items()]
    try:
        while not all(server.started for server in servers.values()):  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.01)
        scheme = "https" if certificate else "http"
        yield {name: f"{scheme}://127.0.0.1:{sock.getsockname()[1]}" for name, sock in sockets.items()}
    finally:
        for server in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)


def _listen(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms for an ACK
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop: several servers share it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: ASGIApp, certificate: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        http="httptools",
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        ssl_certfile=certificate,
    )
