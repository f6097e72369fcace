"""A real process on SQLite, killed, its file put back to an older state, and started again: nothing twice or lost."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from tests.chaos.small_process import AMOUNTS
from tests.chaos.test_sigkill import DEALS, begin
from tests.chaos.victim import received

from tieline.app.views.listing import ChainWalk
from tieline.engine.records import CaseState, EffectState, RunState
from tieline.events import event_name
from tieline.storage.copies import copy
from tieline.storage.sqlite import SqliteStore


@pytest.mark.parametrize("seed", [3, 5])
async def test_put_back_to_an_older_state_nothing_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    """Copied at a random moment, worked on for a while, killed, put back, finished. The events are told again."""
    chance, database = random.Random(seed), tmp_path / "tieline.db"
    process = begin(tmp_path)
    time.sleep(chance.uniform(0.0, 0.1))  # noqa: ASYNC251 - the worker is another process
    copy(database, tmp_path / "saved.db")
    time.sleep(chance.uniform(0.02, 0.15))  # noqa: ASYNC251
    process.kill()
    process.communicate()
    before = len(received(tmp_path / "erp.jsonl"))
    put_back(tmp_path / "saved.db", database)
    out, _ = begin(tmp_path).communicate(timeout=60)
    assert out == "done\n"

    lines = received(tmp_path / "erp.jsonl")
    letters = {"order": "o", "project": "p", "customer": "c"}
    wanted = [(kind, f"{letter}-{n}") for kind, letter in letters.items() for n in range(DEALS)]
    assert before > 0
    assert Counter((line["kind"], line["id"]) for line in lines) == Counter(wanted)
    orders = [line["wire"] for line in lines if line["kind"] == "order"]
    assert sum(Decimal(part["net"]["amount"]) for order in orders for part in order["lines"]) == DEALS * sum(AMOUNTS)
    await check_store(database)


def put_back(saved: Path, database: Path) -> None:
    """By hand, as a tired operator does it: the file and what SQLite left beside it."""
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    shutil.copy(saved, database)


async def check_store(database: Path) -> None:
    store = SqliteStore(database, read_only=True)
    events = await store.events_after(0, 100_000)
    assert ChainWalk().take(events) is None
    told = Counter(event_name(event.type) for event in events)
    assert told == {
        "StoreRestored": 1,
        "VendorNotified": 2 * DEALS,
        "OrderPosted": DEALS,
        "CaseOpened": DEALS,
        "CaseDecided": DEALS,
    }
    assert {run.state for run in await store.runs()} == {RunState.DONE}
    assert {case.state for case in await store.cases()} == {CaseState.CLOSED}
    assert {effect.state for effect in await store.effects(limit=10_000)} <= {EffectState.APPLIED, EffectState.REJECTED}
    await store.close()
