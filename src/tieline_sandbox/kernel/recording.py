"""Record what clients and a sandbox say to one another, in memory, until it is fetched.

Nothing is written to disk by a call over HTTP. What vendors send by themselves, webhooks, is not recorded. The
invariant: a recording ends where it would become incomplete, and says so; it never loses an exchange in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.types import Scope

from tieline_sandbox.kernel.exchanges import About, Exchange, address_of, answered, asked
from tieline_sandbox.kernel.world import World

MOST_EXCHANGES = 100_000
MOST_BYTES = 200_000_000
_UNANSWERED = ("outage", "drop_request", "drop_response", "cut_response")


class Recording:
    """The recording of one vendor: at most one, and only while it is wanted."""

    def __init__(self, vendor: str, world: World) -> None:
        self._vendor, self._world = vendor, world
        self.on, self._full = False, False
        self._about: About | None = None
        self._lines: list[bytes] = []
        self._bytes = 0

    def start(self) -> None:
        """Forget an earlier recording and begin. Raises ValueError while one is going on."""
        if self.on:
            raise ValueError("a recording is going on; DELETE /_sandbox/recording ends it")
        now, clock = datetime.now(UTC).isoformat(timespec="seconds"), self._world.now().isoformat()
        self._about = About(1, self._vendor, now, version("tieline"), self._world.seed, clock)
        self._lines, self._bytes, self.on, self._full = [], 0, True, False

    def stop(self) -> None:
        self.on = False

    def note(
        self,
        scope: Scope,
        content: bytes,
        fault: str | None,
        status: int | None,
        headers: Mapping[str, str],
        answer: bytes,
    ) -> None:
        """Keep what was asked, and what reached the client of the answer; nothing while no recording is wanted."""
        if not self.on:
            return
        whole = status is not None and fault not in _UNANSWERED
        exchange = Exchange(
            self._world.now().isoformat(),
            asked(scope, content),
            answered(status, headers, answer, address_of(scope)) if status is not None and whole else None,
            fault,
        )
        self._keep(msgspec.json.encode(exchange) + b"\n")

    def _keep(self, line: bytes) -> None:
        if len(self._lines) == MOST_EXCHANGES or self._bytes + len(line) > MOST_BYTES:
            self.on, self._full = False, True
            return
        self._lines.append(line)
        self._bytes += len(line)

    def told(self) -> dict[str, Any]:
        """How it stands, for people and programs."""
        return {"on": self.on, "exchanges": len(self._lines), "bytes": self._bytes, "full": self._full}

    def lines(self) -> list[bytes]:
        """The recording so far, as JSON lines. Raises ValueError when none was ever begun."""
        if self._about is None:
            raise ValueError("nothing has been recorded; POST /_sandbox/recording begins")
        return [msgspec.json.encode(self._about) + b"\n", *self._lines]
