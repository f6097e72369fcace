"""Keep so many runs in flight for so long, and say how many a second were finished. Used by every engine alike."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

WARM_UP_S = 0.5
LONGEST_S = 20.0
"""A slow engine gets so long to finish as many runs as are in flight, then what it finished counts."""

One = Callable[[int], Awaitable[Any]]
"""Start the run of this number and return when it is finished, durably."""


class Options:
    """What the command line of an engine's program says."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--folder", type=Path, required=True)
        parser.add_argument("--store", default="")
        parser.add_argument("--seconds", type=float, default=3.0)
        parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 32, 256])
        given = parser.parse_args()
        # told to stop, a program leaves its blocks, and so ends the servers that it started
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.folder: Path = given.folder
        self.store: str = given.store
        self.seconds: float = given.seconds
        self.in_flight: list[int] = given.in_flight


async def tell(options: Options, one: One) -> None:
    """Measure every level and print a line of JSON for each."""
    numbers = count()
    await _sustained(one, numbers, options.in_flight[0], WARM_UP_S)
    for level in options.in_flight:
        rate = await _sustained(one, numbers, level, options.seconds)
        print(json.dumps({"in_flight": level, "runs_per_s": round(rate, 1)}), flush=True)


async def _sustained(one: One, numbers: Iterator[int], level: int, seconds: float) -> float:
    """Runs finished a second, with `level` of them in flight all the time."""
    started = time.perf_counter()
    finished = 0

    async def lane() -> None:
        nonlocal finished
        while time.perf_counter() - started < seconds or finished < level:
            await one(next(numbers))
            finished += 1

    lanes = [asyncio.create_task(lane()) for _ in range(level)]
    await asyncio.wait(lanes, timeout=max(LONGEST_S, seconds))
    taken = time.perf_counter() - started
    for task in lanes:
        task.cancel()
    for outcome in await asyncio.gather(*lanes, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return finished / taken
