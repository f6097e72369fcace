"""One system is down for long and thousands of runs wait for it: whoever needs another system never notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.engine import customer, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine import lanes, worker
from tieline.engine.ports import Call, Operation, Outcome, Wire
from tieline.engine.process import process
from tieline.engine.records import EffectKey, EffectState, RunState
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.errors import VendorUnavailable
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore


class Shop(FakeSystem):
    """Answers nothing while it is closed."""

    closed = True
    lists = 0

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        if self.closed:
            raise VendorUnavailable("closed")
        return await super().send(operation, calls)

    async def catalogue(self, kind: str) -> list[Wire]:
        self.lists += 1
        if self.closed:
            raise VendorUnavailable("closed")
        return [{"kind": kind}]


LINKS: dict[str, Any] = {}


@process("post", on=VendorNotified, key=lambda d: d.native_id, accepts=lambda d: d.kind == "deal")
async def post(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", project(data.native_id))


@process("list", on=VendorNotified, key=lambda d: d.native_id, accepts=lambda d: d.kind == "list")
async def read_list(run: Run, data: VendorNotified) -> None:
    link = LINKS["erp"]
    await run.step(known, lambda: link.read_for_all("list item", lambda: link.connector.catalogue("item")))


async def known(read: Any) -> int:
    return len(await read())


@process("keep", on=VendorNotified, key=lambda d: d.native_id, accepts=lambda d: d.kind == "account")
async def keep(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", customer(data.native_id))


@process("open", on=VendorNotified, key=lambda d: d.native_id, accepts=lambda d: d.kind == "other")
async def open_elsewhere(run: Run, data: VendorNotified) -> None:
    await run.ensure("psa", project(data.native_id))


@asynccontextmanager
async def hub(erp: Shop, psa: FakeSystem, store: MemoryStore) -> AsyncIterator[Worker]:
    async with working(store, [post, read_list, keep, open_elsewhere], erp, psa) as at_work:
        LINKS["erp"] = at_work.connection("erp")
        yield at_work


async def stands(store: MemoryStore, key: EffectKey) -> None:
    """Wait until a document stands; while the other system is closed, it would never come if it were held up."""
    async with asyncio.timeout(60):
        while (effect := await store.find_effect(key)) is None or effect.state is not EffectState.APPLIED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_six_thousand_runs_that_wait_for_one_system_hold_up_nobody_else() -> None:
    """More than fit into memory."""
    erp, psa, store = Shop("erp"), FakeSystem("psa"), MemoryStore()
    async with hub(erp, psa, store) as at_work:
        await at_work.append([notified(f"d{n}") for n in range(6_000)])
        async with asyncio.timeout(60):
            while at_work.at_work < worker.MOST_IN_MEMORY:  # noqa: ASYNC110 - until memory is full of waiting runs
                await asyncio.sleep(0.01)
        await at_work.append([notified("other", kind="other")])
        await stands(store, EffectKey("psa", "project", "p-other"))
        assert at_work.at_work <= worker.MOST_IN_MEMORY
        assert erp.documents == {}
        assert len(await store.runs(states=[RunState.READY], limit=10_000)) == 6_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_IN_MEMORY", 50)
    monkeypatch.setattr(worker, "KEPT_AT_LEAST", 5)
    monkeypatch.setattr(lanes, "KEPT_AT_LEAST", 5)
    monkeypatch.setattr(worker, "STATUS_EVERY_S", 0.02)


@pytest.mark.usefixtures("small")
async def test_whoever_left_memory_in_an_outage_comes_back_and_is_sent_once() -> None:
    """Nothing of theirs had left, so the system is not asked about it first."""
    erp, psa, store = Shop("erp"), FakeSystem("psa"), MemoryStore()
    async with hub(erp, psa, store) as at_work:
        await at_work.append([notified(f"d{n}") for n in range(400)])
        await at_work.append([notified("other", kind="other")])
        await stands(store, EffectKey("psa", "project", "p-other"))
        assert at_work.at_work <= worker.MOST_IN_MEMORY
        erp.closed = False
        await until_idle(at_work, 30)
    assert set(erp.count("project").values()) == {1}
    assert (len(erp.documents), sum(erp.calls), erp.probes) == (400, 400, 0)
    assert {run.state for run in await store.runs(limit=10_000)} == {RunState.DONE}


@pytest.mark.usefixtures("small")
async def test_runs_that_wait_for_a_list_of_a_system_that_is_down_make_room_too() -> None:
    """They all wait for one and the same answer; when it comes, it is theirs."""
    erp, psa, store = Shop("erp"), FakeSystem("psa"), MemoryStore()
    async with hub(erp, psa, store) as at_work:
        await at_work.append([notified(f"d{n}", kind="list") for n in range(200)])
        await at_work.append([notified("other", kind="other")])
        await stands(store, EffectKey("psa", "project", "p-other"))
        erp.closed, asked = False, erp.lists
        await until_idle(at_work, 30)
    assert erp.lists - asked < 20
    assert {run.state for run in await store.runs(limit=10_000)} == {RunState.DONE}


@pytest.mark.usefixtures("small")
async def test_a_hub_that_stops_in_an_outage_goes_on_with_every_run() -> None:
    """Runs that were put out of memory are no less open than the others; asking comes first, nothing is doubled."""
    erp, psa, store = Shop("erp"), FakeSystem("psa"), MemoryStore()
    async with hub(erp, psa, store) as at_work:
        await at_work.append([notified(f"d{n}") for n in range(200)])
        await at_work.append([notified("other", kind="other")])
        await stands(store, EffectKey("psa", "project", "p-other"))
    erp.closed = False
    async with hub(erp, psa, store) as at_work:
        await until_idle(at_work, 30)
    assert set(erp.count("project").values()) == {1}
    assert len(erp.documents) == 200


@pytest.mark.usefixtures("small")
async def test_a_system_that_is_only_slow_holds_up_nobody_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line is long and moves: what waits at its end makes room, and comes back when the line is short."""
    monkeypatch.setattr(lanes, "LONG_WAIT_S", 0.1)
    erp, psa, store = Shop("erp", slots=1), FakeSystem("psa"), MemoryStore()
    erp.closed, erp.delay_s = False, 0.05
    async with hub(erp, psa, store) as at_work:
        await at_work.append([notified(f"d{n}", kind="account") for n in range(300)])
        await asyncio.sleep(0.2)
        await at_work.append([notified("other", kind="other")])
        await stands(store, EffectKey("psa", "project", "p-other"))
        assert len(erp.documents) < 100
        erp.delay_s = 0.0
        await until_idle(at_work, 30)
    assert set(erp.count("customer").values()) == {1}
    assert (len(erp.documents), erp.probes) == (300, 0)
