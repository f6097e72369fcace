"""The demonstration's processes: the sandboxes and the hub, each on its own, so that one can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.demo.world import SECRETS
from tieline.errors import ConfigurationError

START_WITHIN_S = 60.0


class Server:
    """One child process that prints a line of JSON on standard output when it is ready."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log
        self._process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}

    async def start(self) -> dict[str, Any]:
        """Start and wait until it is ready. Raises ConfigurationError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, **SECRETS}
            )
        try:
            self.ready = await asyncio.wait_for(self._first_document(), START_WITHIN_S)
        except (TimeoutError, msgspec.DecodeError) as error:
            await self.stop()
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise ConfigurationError(f"{' '.join(self._command[1:4])} did not start:\n{tail}") from error
        return self.ready

    async def _first_document(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise ConfigurationError("the process was not started")
        text = b""
        while line := await self._process.stdout.readline():
            text += line
            if line.rstrip().endswith(b"}") and text.count(b"{") == text.count(b"}"):
                break
        document: dict[str, Any] = msgspec.json.decode(text)
        return document

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody says goodbye."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 15)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None


def sandbox_server(folder: Path, opens_on: date, seed: int) -> Server:
    """All four vendors in one process, on ports the system chooses."""
    command = [sys.executable, "-m", "tieline_sandbox", "--port", "0", "--seed", str(seed)]
    return Server([*command, "--start-date", f"{opens_on.isoformat()}T09:00:00+00:00"], folder / "sandbox.log")


def hub_server(folder: Path, project: Path, port: int) -> Server:
    """The hub of a project, as `tieline up` runs it."""
    command = [sys.executable, "-m", "tieline", "up", "--project", str(project), "--port", str(port), "--json"]
    return Server(command, folder / "hub.log")
