"""The nursery from outside: start hubs, kill them, and know when they serve and when they are gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.demo.world import SECRETS
from tieline.app.torture.nursery import Order
from tieline.errors import ConfigurationError

SERVES_WITHIN_S = 60.0
DIES_WITHIN_S = 20.0


class Life:
    """One hub process, from its birth to its end. `serves` is False when it died before it served."""

    def __init__(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        self.pid, self.status = pid, None
        self.serves: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """As an operator stops it."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        await asyncio.wait_for(asyncio.shield(self.ended), DIES_WITHIN_S)

    def told(self, message: dict[str, Any]) -> None:
        """What the nursery says about it."""
        if "url" in message and not self.serves.done():
            self.serves.set_result(True)
        if "status" in message:
            self.ended.set_result(message["status"])
            if not self.serves.done():
                self.serves.set_result(False)


class Nursery:
    """A process that has a project loaded and forks hubs of it."""

    def __init__(self, project: Path, log: Path) -> None:
        self._project, self._log = project, log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._births: asyncio.Queue[Life | None] = asyncio.Queue()
        self._lives: dict[int, Life] = {}
        self._one_birth = asyncio.Lock()

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tieline.app.torture.nursery",
                str(self._project),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **SECRETS},
            )
        self._reader = asyncio.create_task(self._read())

    async def live(self, order: Order) -> Life:
        """Start a hub. Raises ConfigurationError when the nursery itself is gone."""
        if self._process is None or self._process.stdin is None:
            raise ConfigurationError("the nursery was not started")
        async with self._one_birth:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            life = await asyncio.wait_for(self._births.get(), SERVES_WITHIN_S)
        if life is None:
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise ConfigurationError(f"the hub's parent process ended; the end of {self._log}:\n{tail}")
        return life

    async def stop(self) -> None:
        for life in list(self._lives.values()):
            await life.kill()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        while line := await self._process.stdout.readline():
            message: dict[str, Any] = msgspec.json.decode(line)
            # a hub that is quick may speak before its parent tells of its birth
            if message["pid"] not in self._lives:
                life = self._lives[message["pid"]] = Life(message["pid"])
                self._births.put_nowait(life)
            self._lives[message["pid"]].told(message)
            if "status" in message:
                del self._lives[message["pid"]]
        for life in self._lives.values():  # their parent is gone, and cannot tell of their end any more
            life.told({"status": -signal.SIGKILL})
        self._births.put_nowait(None)
