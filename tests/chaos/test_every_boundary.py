"""Kill the worker at every boundary: before and after each commit, each send, each probe. Then finish, and count."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from structlog.testing import capture_logs
from tests.chaos.small_process import AMOUNTS, small, undone
from tests.support.engine import notified
from tests.support.fake_system import FakeSystem, PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, Watch, stands

from tieline.app.cases import decide
from tieline.app.principal import local_principal
from tieline.engine.cases import CasePolicy
from tieline.engine.clock import SystemClock
from tieline.engine.connection import Connection
from tieline.engine.lanes import Lane
from tieline.engine.process import registry
from tieline.engine.records import CaseState, EffectState, RunState
from tieline.engine.worker import Worker
from tieline.events import Event, VendorNotified, event_name, make_event
from tieline.storage.memory import MemoryStore


class World:
    """The disk and the system, which live on, and what people and vendors do in the meantime."""

    def __init__(self, told: list[Event], answer: str, trouble: list[str]) -> None:
        self.disk, self.system = MemoryStore(), FakeSystem("erp")
        self.system.trouble.extend(trouble)
        self.watch = Watch(self.disk)
        self.told, self.answer = told, answer

    async def live(self, ends_at: int | None = None) -> Life:
        """One life of the worker, to its end or to the end of all work."""
        life = Life(ends_at)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        worker = Worker(
            MortalStore(self.disk, life),
            registry([small, undone]),
            {"erp": link},
            PlainTranslator(),
            lambda _: CasePolicy(owner="finance"),
            SystemClock(),
        )
        work = asyncio.create_task(self._work(worker))
        end = asyncio.create_task(life.over.wait())
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert life.over.is_set() or work.done(), "neither finished nor died"
        if work.done() and not life.over.is_set():
            work.result()
            with suppress(TimeoutError):
                await asyncio.wait_for(worker.stop(), 5)
        await life.bury()
        return life

    async def _work(self, worker: Worker) -> None:
        await worker.start()
        await worker.append(self.told)  # a vendor tells again until it is acknowledged
        while True:
            await worker.idle()
            runs, open_cases = await self.disk.runs(), await self.disk.cases(states=[CaseState.OPEN])
            if runs and all(run.state.ended for run in runs):
                return
            if open_cases:
                await decide(self.disk, open_cases, self.answer, by=local_principal("ada"))
                worker.events_arrived()
            await asyncio.sleep(0.001)

    async def check(self) -> None:
        """Each document once, each event once, every cent where it belongs, nothing left over."""
        assert self.watch.violations == []
        assert all(len(found) == 1 for found in self.system.documents.values())
        assert all(effect.state is not EffectState.INTENDED for effect in await self.disk.effects())
        assert await self.disk.waits() == []
        assert {case.state for case in await self.disk.cases()} == {CaseState.CLOSED}

    async def events(self) -> list[str]:
        return sorted(event_name(e.type) for e in await self.disk.events_after(0))


def won() -> World:
    return World([notified("1"), notified("1", kind="reply")], "approve", [])


async def check_won(world: World) -> None:
    await world.check()
    assert [r.state for r in await world.disk.runs()] == [RunState.DONE]
    (order,) = stands(world.system, "order", "o-1")
    assert sum(Decimal(line["net"]["amount"]) for line in order["lines"]) == sum(AMOUNTS)
    assert sorted(world.system.documents) == [("customer", "c-1"), ("order", "o-1"), ("project", "p-1")]
    (project,) = stands(world.system, "project", "p-1")
    assert Decimal(project["budget"]["amount"]) == Decimal("1000.10")
    assert await world.events() == ["CaseDecided", "CaseOpened", "OrderPosted", "VendorNotified", "VendorNotified"]


@pytest.mark.parametrize("trouble", [[], ["lose"], ["drop", "lose"]], ids=["fine", "answer-lost", "both-lost"])
async def test_killed_at_every_boundary_a_deal_is_done_once(trouble: list[str]) -> None:
    """As many worlds as there are boundaries, each killed at another; the second life finishes."""
    calm = won()
    calm.system.trouble.extend(trouble)
    boundaries = (await calm.live()).passed
    await check_won(calm)
    assert boundaries > 20
    for ends_at in range(1, boundaries + 1):
        world = won()
        world.system.trouble.extend(trouble)
        await world.live(ends_at)
        await world.live()
        await check_won(world)


async def test_killed_again_and_again_a_deal_is_done_once() -> None:
    """Lives of random length, one after another, until one of them gets to the end."""
    chance = random.Random(7)
    for _ in range(25):
        world = won()
        world.system.trouble.extend(chance.choices(["fine", "lose", "drop"], k=4))
        while (await world.live(chance.randint(1, 14))).over.is_set() and not await _finished(world):
            pass
        await world.live()
        await check_won(world)


async def _finished(world: World) -> bool:
    runs = await world.disk.runs()
    return bool(runs) and all(run.state.ended for run in runs)


@pytest.mark.parametrize("stamp", ["0", "fails"], ids=["asked", "failed"])
async def test_killed_at_every_boundary_a_cancelled_run_is_undone_once(stamp: str) -> None:
    """What was registered for undoing is known in the next life too, whether a case or a failure stopped the run."""
    data = VendorNotified(connection="crm", kind="mistake", native_id="1", stamp=stamp)
    told = make_event(data, source="crm", id="mistake/1", time=datetime(2026, 3, 1, tzinfo=UTC))
    with capture_logs():  # a traceback for each world would take longer than the worlds
        await _undone_once(told)


async def _undone_once(told: Event) -> None:
    calm = World([told], "cancel", [])
    boundaries = (await calm.live()).passed
    assert calm.system.deeds == [("withdraw", "p-1b"), ("withdraw", "p-1a")]
    for ends_at in range(1, boundaries + 1):
        world = World([told], "cancel", [])
        await world.live(ends_at)
        await world.live()
        await world.check()
        assert world.system.deeds == [("withdraw", "p-1b"), ("withdraw", "p-1a")], f"killed at boundary {ends_at}"
        assert [r.state for r in await world.disk.runs()] == [RunState.CANCELLED]
        assert await world.events() == ["CaseDecided", "CaseOpened", "VendorNotified"]
