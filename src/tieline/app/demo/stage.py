"""The running systems and hub of a demonstration, and when they have come to rest."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import date
from pathlib import Path
from typing import Any, Protocol, Self

import aiohttp

from tieline.app.demo.servers import hub_server, sandbox_server
from tieline.app.demo.world import Sandboxes, furnish
from tieline.app.template import make_project
from tieline.engine.records import RunState
from tieline.errors import TielineError
from tieline.storage.sqlite import SqliteStore

SETTLE_WITHIN_S = 240.0
STATES = [RunState.QUEUED, RunState.READY, RunState.WAITING]


class Hub(Protocol):
    """A hub in a process of its own."""

    @property
    def alive(self) -> bool: ...

    async def start(self) -> object: ...

    async def kill(self) -> None: ...

    async def stop(self) -> None: ...


class Stage:
    """The running systems and hub of a demonstration; everything is stopped at the end, whatever happens."""

    def __init__(self, folder: Path, seed: int, opens_on: date, poll_s: float = 5.0, port: int = 0) -> None:
        self.folder, self.project, self._poll_s = folder, folder / "project", poll_s
        self.vendors = sandbox_server(folder, opens_on, seed)
        self.port = _free_port(port)
        self.hub = self.new_hub()
        self.kills = 0

    def new_hub(self) -> Hub:
        """A hub that is not started yet."""
        return hub_server(self.folder, self.project, self.port)

    async def __aenter__(self) -> Self:
        urls = await self.vendors.start()
        self.sandboxes, self.http = Sandboxes(urls), aiohttp.ClientSession()
        try:
            make_project(self.project, urls=urls, poll_s=self._poll_s, port=self.port, demo=True)
            await furnish(self.sandboxes, f"http://127.0.0.1:{self.port}")
            await self.begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def begin(self) -> None:
        """Everything is furnished: start the hub."""
        await self.hub.start()
        self.store = SqliteStore(self.project / "tieline.db")

    async def __aexit__(self, *_: object) -> None:
        await self.hub.stop()
        if hasattr(self, "store"):
            await self.store.close()
        await self.http.close()
        await self.sandboxes.close()
        await self.vendors.stop()

    async def kill_hub(self) -> None:
        """kill -9, then start again on the same file."""
        await self.hub.kill()
        self.kills += 1
        self.hub = self.new_hub()
        await self.hub.start()

    async def requests(self) -> int:
        """Requests the systems have seen so far."""
        counts = await asyncio.gather(*(self.sandboxes.get(vendor, "/health") for vendor in self.sandboxes.urls))
        return sum(c["requests"] for c in counts)

    async def settled(self, quiet_s: float = 2.0, within_s: float = SETTLE_WITHIN_S) -> None:
        """Wait until no run can go on by itself and no webhook is under way, and stays so. Raises TielineError."""
        end, quiet_since = time.monotonic() + within_s, None
        while True:
            busy = await self.busy()
            now = time.monotonic()
            quiet_since = None if busy else quiet_since or now
            if quiet_since is not None and now - quiet_since >= quiet_s:
                return
            if now > end:
                raise TielineError(f"the systems did not settle in {within_s:g} s: {busy}; see {self.folder}/hub.log")
            if not self.hub.alive:
                raise TielineError(f"the hub stopped; see {self.folder}/hub.log")
            await asyncio.sleep(0.2)

    async def busy(self) -> str:
        """What still moves, "" for nothing."""
        runs = await self.store.runs(states=STATES, limit=100_000)
        moving = [r for r in runs if not (r.state is RunState.WAITING and _waits_for_person(r.waits_for))]
        moving = [r for r in moving if not (r.state is not RunState.WAITING and _behind(r, runs))]
        if moving:
            first = moving[0]
            return f"{len(moving)} runs, e.g. {first.process} of {first.key} ({first.waits_for or first.state})"
        pending = [v for v in ("salesforce", "zuora") if not await self.sandboxes.webhooks_idle(v)]
        if pending:
            return f"webhooks of {', '.join(pending)}"
        cursor = await self.store.cursor("worker")
        behind = await self.store.events_after(int(cursor.value) if cursor else 0, 1)
        return "events not yet dispatched" if behind else ""


def _waits_for_person(waits_for: str) -> bool:
    return waits_for.startswith("a decision on case")


def _behind(row: Any, runs: list[Any]) -> bool:
    """Whether a run is behind one that waits for a person."""
    heads = {(r.process, r.key) for r in runs if r.state is RunState.WAITING and _waits_for_person(r.waits_for)}
    return (row.process, row.key) in heads


def _free_port(wanted: int) -> int:
    """The wanted port where it is free, else any."""
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
