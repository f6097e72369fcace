"""The world the sandboxes live in: one clock, one source of chance, for all vendors of a process.

The clock runs with real time and can be moved forward; moving it plays every midnight on the way, in order,
so that a year of bill runs happens as it would have, only sooner. A world that is served by a process of its own can
also be remembered as it is now, and brought back (`branches.py`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

Daily = Callable[[datetime], Awaitable[None]]


class Turn(StrEnum):
    """What ends one serving of a world: its end, or that it is to be remembered, or brought back."""

    STOP = "stop"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"


class World:
    """One clock (aware UTC), one seeded `Random`, and the daily jobs of every vendor."""

    def __init__(self, start: datetime | None = None, seed: int = 0) -> None:
        self.seed, self.random = seed, random.Random(seed)
        self.turn: Callable[[Turn, str], None] | None = None
        self.snapshots: list[str] = []
        self.branch = 0
        self._daily: list[Daily] = []
        self._moving = asyncio.Lock()
        self.set(start or datetime.now(UTC))

    def set(self, now: datetime) -> None:
        """Put the clock at `now` without playing the days between."""
        self._origin = now.astimezone(UTC)
        self._started = time.monotonic()

    def now(self) -> datetime:
        return self._origin + timedelta(seconds=time.monotonic() - self._started)

    def every_day(self, job: Daily) -> None:
        """Call `job(midnight)` for each midnight that `advance` crosses, in the order of registration."""
        self._daily.append(job)

    async def advance(self, to: datetime) -> datetime:
        """Move forward to `to`, playing each midnight crossed. Moving backward is refused with ValueError."""
        async with self._moving:
            if to < self.now():
                raise ValueError(f"the clock only moves forward: it is {self.now():%Y-%m-%d %H:%M} already")
            while (midnight := _next_midnight(self.now())) <= to:
                self.set(midnight)
                for job in self._daily:
                    await job(midnight)
            self.set(max(to, self.now()))
            return self.now()


def _next_midnight(now: datetime) -> datetime:
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
