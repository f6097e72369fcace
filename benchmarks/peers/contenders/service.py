"""What every contender shares: its command line, its configuration and the three paths it answers.

`POST /deals` is answered with 202 once the engine has the deal durably; `GET /pending` counts what is not finished;
`GET /health` says that it works. The protocol is that of `tieline torture --contender`, docs/proof.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from benchmarks.peers.deal import QuoteToCash
from benchmarks.peers.servers import free_port
from benchmarks.peers.vendors import Json, Vendors


class Given:
    """The configuration file and the options of one contender."""

    def __init__(self, parser: argparse.ArgumentParser | None = None) -> None:
        parser = parser or argparse.ArgumentParser()
        parser.add_argument("config", type=Path)
        parser.add_argument("--keys", action=argparse.BooleanOptionalAction, default=True)
        self.options = parser.parse_args()
        self.config: Json = json.loads(self.options.config.read_text(encoding="utf-8"))
        self.folder = Path(self.config["folder"])
        self.keys: bool = self.options.keys

    def process(self) -> tuple[QuoteToCash, Vendors]:
        """The hand-written steps, and the connections to close at the end."""
        vendors = Vendors(self.config)
        return QuoteToCash(self.config, vendors, keys=self.keys), vendors


class Contender(ABC):
    """An engine that carries deals."""

    @abstractmethod
    async def accept(self, opportunity_id: str) -> None:
        """Return once the deal will be carried out whatever happens."""

    @abstractmethod
    async def pending(self) -> int:
        """Accepted deals that are neither finished nor given up."""


async def serve(given: Given, contender: Contender) -> None:
    """Answer until SIGTERM."""

    async def deals(request: web.Request) -> web.Response:
        await contender.accept(str((await request.json())["opportunity_id"]))
        return web.Response(status=202)

    async def pending(_: web.Request) -> web.Response:
        return web.json_response({"pending": await contender.pending()})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"name": given.config["name"]})

    app = web.Application()
    app.add_routes([web.post("/deals", deals), web.get("/pending", pending), web.get("/health", health)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listen = given.config["listen"]
    await web.TCPSite(runner, listen["host"], listen["port"], shutdown_timeout=1.0).start()
    await stop.wait()
    with suppress(asyncio.CancelledError):
        await runner.cleanup()


def lasting_server(folder: Path, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
    """A server as on another machine: in its own session, alive over our deaths, its pid told in `pids`."""
    told = folder / f"{name}.pid"
    if told.exists() and _alive(int(told.read_text(encoding="utf-8"))):
        return
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            list(command), stdout=log, stderr=log, start_new_session=True, env={**os.environ, **environment}, cwd=folder
        )
    with (folder / "pids").open("a", encoding="utf-8") as pids:
        pids.write(f"{process.pid}\n")
    told.write_text(str(process.pid), encoding="utf-8")


def lasting_ports(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """Ports chosen in the first life and kept in all others."""
    path = folder / "ports.json"
    if not path.exists():
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({name: free_port() for name in names}), encoding="utf-8")
        draft.rename(path)
    ports: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return ports


def _alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return True
    return False
