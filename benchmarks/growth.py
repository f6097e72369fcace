"""Growth: what a long history and many open runs cost in throughput, memory, file size, start-up and looking.

Sizes go up to 100,000 stored runs; with BENCH_FULL=1 to a million. The store is filled with copies of true deals.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from tests.support.engine import notified, working
from tests.support.fake_system import FakeSystem

from benchmarks import report
from benchmarks.company import company
from benchmarks.engine import TellingStore, five_effects
from benchmarks.history import Pattern, carried_deal, opportunity_of, write
from benchmarks.peers.servers import free_port, fresh
from benchmarks.programs import OURS, group
from tieline.app.demo.world import SECRETS
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.app.views.listing import list_effects, list_events, list_runs
from tieline.app.views.reading import reading
from tieline.app.views.status import hub_status
from tieline.app.views.trace import trace
from tieline.storage.sqlite import SqliteStore

FULL = os.environ.get("BENCH_FULL") == "1"
STORED = (1_000, 10_000, 100_000, *((1_000_000,) if FULL else ()))
IN_FLIGHT = (0, 100, 1_000, 10_000, 100_000)
BASE_OF_OPEN = 1_000
THROUGHPUT_RUNS, AT_WORK = 1_000, 256
LOOKS = 20
BARS = {"start_up_s with 100,000 open runs": 5, "trace_ms at 1,000,000 runs": 50}


async def main() -> None:
    report.heading(f"Growth to {STORED[-1]:,} stored runs and {IN_FLIGHT[-1]:,} in flight")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done, project = await carried_deal(folder / "done", activates=True)
        open_, _ = await carried_deal(folder / "open", activates=False)
        stored = await grow(folder / "stored", project, done)
        report.table(stored)
        flying = await fly(fresh(folder / "flying"), done, open_)
        print("\nwith so many runs waiting in the store:")
        report.table(flying)
    report.keep("growth", {"bars": BARS, "stored": stored, "in_flight": flying})
    bars = [(f"Tieline, {row['stored_runs']:,} runs", row["trace_ms"]) for row in stored]
    report.draw("growth", "tieline trace of one deal", "ms", bars)


# --- stored -----------------------------------------------------------------------------------------------------------


async def grow(folder: Path, project: Path, pattern: Pattern) -> list[dict[str, Any]]:
    """At each size: bytes a run, processes a second on top of it, and how long looking takes."""
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("tieline.db*"))
    rows, deals = [], 0
    for size in STORED:
        store = SqliteStore(folder / "tieline.db")
        started = time.perf_counter()
        target = size // pattern.runs
        await write(store, pattern, range(deals, target))
        wrote_s, deals = time.perf_counter() - started, target
        await store.close()
        row: dict[str, Any] = {"stored_runs": target * pattern.runs, "deals": deals}
        row["bytes_per_run"] = round((folder / "tieline.db").stat().st_size / row["stored_runs"])
        row |= await looking(folder, deals)
        row["effects_per_s"] = await throughput(folder / "tieline.db")
        row["wrote_s"] = round(wrote_s, 1)
        rows.append(row)
        print(f"  {row['stored_runs']:,} runs stored: trace {row['trace_ms']:g} ms", flush=True)
    return rows


async def looking(project: Path, deals: int) -> dict[str, float]:
    """Milliseconds of the view behind each command, the median of several looks; processes start extra."""
    chance = Random(7)
    async with reading(project, tables=True) as view:

        async def deal() -> None:
            await trace(view, opportunity_of(chance.randrange(deals)), datetime.now(UTC))

        (order,) = await view.store.effects(connection="netsuite", kind="order", limit=1, newest=True)

        looks: dict[str, Callable[[], Awaitable[Any]]] = {
            "trace_ms": deal,
            "trace_by_erp_id_ms": lambda: trace(view, order.external_id, datetime.now(UTC)),
            "status_ms": lambda: hub_status(view, datetime.now(UTC)),
            "events_ms": lambda: list_events(view),
            "events_of_type_ms": lambda: list_events(view, event_type="OrderPosted"),
            "effects_ms": lambda: list_effects(view),
            "runs_ms": lambda: list_runs(view),
            "runs_waiting_ms": lambda: list_runs(view, state="waiting"),
        }
        return {name: await _median_ms(look) for name, look in looks.items()}


async def _median_ms(look: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        await look()
        taken.append((time.perf_counter() - started) * 1000)
        if sum(taken) > 5_000:  # a slow one is slow after a few looks too
            break
    return round(median(taken), 1)


async def throughput(database: Path) -> float:
    """Effects a second of processes of five on top of what the store holds."""
    store = TellingStore(database)
    room = asyncio.Semaphore(AT_WORK)
    async with working(store, [five_effects], FakeSystem(slots=64)) as worker:

        async def one(number: int) -> None:
            async with room:
                key = f"{number}-{time.time_ns()}"
                end = store.ends[key] = asyncio.get_running_loop().create_future()
                await worker.append([notified(key)])
                await end

        started = time.perf_counter()
        await asyncio.gather(*(one(n) for n in range(THROUGHPUT_RUNS)))
        taken = time.perf_counter() - started
    await store.close()
    return round(THROUGHPUT_RUNS * 5 / taken)


# --- in flight --------------------------------------------------------------------------------------------------------


async def fly(folder: Path, done: Pattern, open_: Pattern) -> list[dict[str, Any]]:
    """At each number of waiting runs: how long the hub takes to start, its memory, and what it still carries."""
    rows = []
    async with company(folder, 4, "http://127.0.0.1:9") as systems:
        project = folder / "project"
        make_project(project, urls=systems.sandboxes.urls, poll_s=3600.0, port=free_port())
        database = load_settings(project, secrets=False).database
        store = SqliteStore(database)
        written = BASE_OF_OPEN // done.runs
        await write(store, done, range(written))
        waiting = 0
        for number in IN_FLIGHT:
            await write(store, open_, range(written + waiting, written + number))
            waiting = number
            await store.close()
            row = {"in_flight": number, **await _start(project, folder / "hub.log")}
            row["effects_per_s"] = await throughput(database)
            rows.append(row)
            print(f"  {number:,} in flight: {row['start_up_s']:g} s to start", flush=True)
            store = SqliteStore(database)
        await store.close()
    return rows


async def _start(project: Path, log: Path) -> dict[str, float]:
    """Seconds until `tieline up` says that it may be used, and its memory then."""
    started = time.perf_counter()
    command = [str(OURS), "-m", "tieline", "up", "--project", str(project), "--json"]
    with group(command, log, SECRETS) as process:
        line = await asyncio.to_thread(process.stdout.readline)  # type: ignore[union-attr]
        taken = time.perf_counter() - started
        if not line:
            raise SystemExit(f"the hub did not start; see {log}")
        memory = _memory_mb(process.pid)
    return {"start_up_s": round(taken, 2), "memory_mb": memory}


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024)
    return 0.0


if __name__ == "__main__":
    asyncio.run(main())
