"""The worker is killed at every boundary of a move: each run is on exactly one version, and the log says which."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.engine import notified
from tests.support.fake_system import FakeSystem, PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, Watch
from tests.support.versions import TITLED, ask_to_move, changed, loaded

from tieline.engine.cases import CasePolicy
from tieline.engine.clock import SystemClock
from tieline.engine.connection import Connection
from tieline.engine.lanes import Lane
from tieline.engine.process import Process, registry
from tieline.engine.records import RunState
from tieline.engine.worker import Worker
from tieline.events import RunMoved, decode_event
from tieline.storage.memory import MemoryStore

SECOND = changed(('return "first"', 'return "second"'))
UNFIT = changed(("step(look,", "step(peek,"), ("def look(", "def peek("))
Work = Callable[[Worker], Awaitable[None]]


class World:
    """A run that began with the first version, asked to move to the second while it waits for a reply."""

    def __init__(self, old: list[Process], new: list[Process]) -> None:
        self.disk, self.system, self.old, self.new = MemoryStore(), FakeSystem("erp"), old, new
        self.watch = Watch(self.disk)

    async def live(self, processes: list[Process], work: Work, ends_at: int | None = None) -> Life:
        """One life of the worker, to its end or to the end of its work."""
        life = Life(ends_at)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        store = MortalStore(self.disk, life)
        policy = CasePolicy(owner="finance")
        worker = Worker(store, registry(processes), {"erp": link}, PlainTranslator(), lambda _: policy, SystemClock())
        lived = asyncio.create_task(self._lived(worker, work))
        end = asyncio.create_task(life.over.wait())
        await asyncio.wait([lived, end], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert life.over.is_set() or lived.done(), "neither finished nor died"
        if lived.done() and not life.over.is_set():
            lived.result()
            with suppress(TimeoutError):
                await asyncio.wait_for(worker.stop(), 5)
        await life.bury()
        return life

    async def _lived(self, worker: Worker, work: Work) -> None:
        await worker.start()
        await work(worker)
        await worker.idle()

    async def begin(self, worker: Worker) -> None:
        await worker.append([notified("1")])

    async def move(self, worker: Worker) -> None:
        """The request comes in while the run waits; the reply a moment later."""
        await worker.idle()
        rows = await self.disk.runs()
        if not rows[0].state.ended and not await self.disk.events(type="MoveRequested"):
            await ask_to_move(self.disk, rows, self.new[0])
        worker.events_arrived()
        await worker.idle()
        await worker.append([notified("1", kind="reply")])

    async def told(self) -> list[object]:
        return [decode_event(event) for event in await self.disk.events_after(0) if "Move" in event.type]


async def worlds(file: Path, text: str) -> list[World]:
    """The same story killed at each of its boundaries, then finished in another life; first the calm one."""
    old, new = loaded(file, TITLED), loaded(file, text)

    async def story(ends_at: int | None) -> tuple[World, Life]:
        world = World(old, new)
        await world.live(old, world.begin)
        return world, await world.live(new, world.move, ends_at)

    calm, life = await story(None)
    killed = [(await story(ends_at))[0] for ends_at in range(1, life.passed + 1)]
    assert life.passed > 10
    for world in killed:
        await world.live(new, world.move)
    return [calm, *killed]


@pytest.mark.parametrize(("text", "title"), [(SECOND, "second"), (UNFIT, "first")], ids=["fits", "does-not-fit"])
async def test_killed_at_every_boundary_of_a_move(tmp_path: Path, text: str, title: str) -> None:
    with capture_logs():
        found = await worlds(tmp_path / "titled.py", text)
    for at, world in enumerate(found):
        (row,) = await world.disk.runs()
        asked, outcome = await world.told()
        moved = isinstance(outcome, RunMoved)
        assert moved == (title == "second"), (at, asked, outcome)
        assert row.version == (world.new[0] if moved else world.old[0]).version
        assert row.state is RunState.DONE
        (copies,) = world.system.documents.values()
        assert [copy["title"] for copy in copies] == [title], f"killed at boundary {at}"
        assert world.watch.violations == []
        assert await world.disk.waits() == []
