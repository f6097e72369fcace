"""Serve vendors on loopback, one port each, in one process and one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn

from tieline_sandbox.kernel.app import build_app
from tieline_sandbox.kernel.vendor import Vendor


@asynccontextmanager
async def serving(vendors: Sequence[Vendor], ports: Mapping[str, int] | None = None) -> AsyncIterator[dict[str, str]]:
    """Serve until the block ends; yields name → base URL. A port left out is chosen by the system.

    Raises OSError when a port is taken, before anything is served.
    """
    async with serving_on(vendors, listening(vendors, ports or {})) as urls:
        yield urls


def listening(vendors: Sequence[Vendor], ports: Mapping[str, int]) -> dict[str, socket.socket]:
    """A socket for each vendor. Raises OSError when a port is taken."""
    return {v.name: _listen(ports.get(v.name, 0)) for v in vendors}


@asynccontextmanager
async def serving_on(
    vendors: Sequence[Vendor], sockets: Mapping[str, socket.socket], certificate: Path | None = None
) -> AsyncIterator[dict[str, str]]:
    """Serve on sockets that are bound already, and close them when the block ends; over TLS with a certificate."""
    servers = [_Server(_config(v, certificate)) for v in vendors]
    tasks = [
        asyncio.create_task(server.serve([sockets[vendor.name]]))
        for server, vendor in zip(servers, vendors, strict=True)
    ]
    try:
        while not all(server.started for server in servers):  # noqa: ASYNC110 - uvicorn offers no event to wait for
            await asyncio.sleep(0.01)
        scheme = "https" if certificate else "http"
        yield {name: f"{scheme}://127.0.0.1:{sock.getsockname()[1]}" for name, sock in sockets.items()}
    finally:
        for vendor in vendors:
            await vendor.webhooks.close()
            vendor.close()
        for server in servers:
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


def _config(vendor: Vendor, certificate: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(vendor),
        log_level="critical",
        access_log=False,
        http="httptools",
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        ssl_certfile=certificate,
    )
