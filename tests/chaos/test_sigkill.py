"""A real process on SQLite, killed with SIGKILL at random moments, again and again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.chaos.small_process import AMOUNTS
from tests.chaos.victim import received

from tieline.engine.records import CaseState, RunState
from tieline.events import GENESIS, chain_hash, event_name
from tieline.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
DEALS = 30
LIVES = 5


def begin(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.chaos.victim", str(folder / "tieline.db"), str(folder / "erp.jsonl")]
    process = subprocess.Popen([*command, str(DEALS)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def test_killed_at_random_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Each document was taken once, each event stands once, the money is equal, and the log is a whole chain."""
    chance = random.Random(11)
    for _ in range(LIVES):
        process = begin(tmp_path)
        time.sleep(chance.uniform(0.005, 0.12))  # noqa: ASYNC251 - the worker is another process
        process.kill()
        process.communicate()
    out, _ = begin(tmp_path).communicate(timeout=60)
    assert out == "done\n"

    lines = received(tmp_path / "erp.jsonl")
    creations = Counter((line["kind"], line["id"]) for line in lines)
    wanted = {("order", f"o-{n}") for n in range(DEALS)} | {("project", f"p-{n}") for n in range(DEALS)}
    wanted |= {("customer", f"c-{n}") for n in range(DEALS)}
    assert creations == Counter(wanted)
    orders = [line["wire"] for line in lines if line["kind"] == "order"]
    booked = [Decimal(part["net"]["amount"]) for order in orders for part in order["lines"]]
    assert sum(booked) == DEALS * sum(AMOUNTS)
    await check_store(SqliteStore(tmp_path / "tieline.db", read_only=True))


async def check_store(store: SqliteStore) -> None:
    events = await store.events_after(0, 100_000)
    kinds = Counter(event_name(e.type) for e in events)
    assert kinds == {"VendorNotified": 2 * DEALS, "OrderPosted": DEALS, "CaseOpened": DEALS, "CaseDecided": DEALS}
    previous = GENESIS
    for event in events:
        assert event.hash == chain_hash(previous, event, event.recorded_at)
        previous = event.hash
    assert {run.state for run in await store.runs()} == {RunState.DONE}
    assert {case.state for case in await store.cases()} == {CaseState.CLOSED}
    assert await store.waits() == []
    await store.close()
