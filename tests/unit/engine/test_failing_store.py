"""A store that cannot write stops the worker; it is never blamed on a process."""

from __future__ import annotations

import asyncio

from tests.support.engine import notified, working

from tieline.engine.ports import AppendResult, Batch
from tieline.engine.process import process
from tieline.engine.records import RunState
from tieline.engine.run import Run
from tieline.errors import StoreFailed
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore


class NearlyFullStore(MemoryStore):
    """Has no space for journal entries; smaller things still fit."""

    async def commit(self, batch: Batch) -> list[AppendResult]:
        if batch.journal:
            raise StoreFailed("the disk is full")
        return await super().commit(batch)


@process("noting", on=VendorNotified, key=lambda told: told.native_id)
async def noting(run: Run, told: VendorNotified) -> None:
    await run.step(str, told.native_id)


async def test_a_disk_that_is_nearly_full_opens_no_case() -> None:
    """A case would still fit, and would stand there when the disk has space again."""
    store = NearlyFullStore()
    async with working(store, [noting]) as worker:
        await worker.append([notified("1")])
        async with asyncio.timeout(5):
            while worker.failure is None:  # noqa: ASYNC110 - the failure has no event
                await asyncio.sleep(0.01)
        assert isinstance(worker.failure, StoreFailed)
    assert await store.cases() == []
    assert not any(run.state is RunState.DONE for run in await store.runs())
