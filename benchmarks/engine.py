"""How many durable processes a second: five effects or steps each, SQLite with synchronous=FULL, a free system.

Prints figures with the machine they were measured on; nothing here is a test. Comparison with other engines has its
own benchmark, because those need environments of their own.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.engine import notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine.process import process
from tieline.engine.run import Run
from tieline.events import Event, VendorNotified
from tieline.storage.sqlite import SqliteStore

RUNS = 4_000


def look(number: int) -> int:
    """A step that does nothing but be journaled."""
    return number


@process("five-steps", on=VendorNotified, key=lambda data: data.native_id)
async def five_steps(run: Run, data: VendorNotified) -> None:
    for number in range(5):
        await run.step(look, number)


@process("five-effects", on=VendorNotified, key=lambda data: data.native_id)
async def five_effects(run: Run, data: VendorNotified) -> None:
    for number in range(5):
        await run.ensure("erp", project(f"{data.native_id}-{number}"))


async def measure(name: str, in_flight: int, folder: Path) -> float:
    """Processes a second with `in_flight` of them at work at a time."""
    definition = {"steps": five_steps, "effects": five_effects}[name]
    store = SqliteStore(folder / f"{name}-{in_flight}.db")
    number = RUNS if in_flight > 1 else 200
    async with working(store, [definition], FakeSystem(slots=64)) as worker:
        started = time.perf_counter()
        for at in range(0, number, in_flight):
            await worker.append(_events(range(at, min(at + in_flight, number))))
            while worker.at_work >= in_flight:  # noqa: ASYNC110 - the worker tells nobody when it has room
                await asyncio.sleep(0.001)
            if in_flight == 1:
                await until_idle(worker, 60)
        await until_idle(worker, 600)
        taken = time.perf_counter() - started
    await store.close()
    return number / taken


def _events(numbers: Sequence[int]) -> list[Event]:
    return [notified(str(n)) for n in numbers]


async def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {RUNS} processes of five")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("steps", "effects"):
            for in_flight in (1, 32, 256):
                rate = await measure(name, in_flight, Path(folder))
                print(f"five {name:<8} {in_flight:>4} in flight: {rate:8.0f} processes/s, {rate * 5:8.0f} {name}/s")


if __name__ == "__main__":
    asyncio.run(main())
