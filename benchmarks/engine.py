"""Durable processes of five on Tieline: SQLite with synchronous=FULL, one worker, a system that costs nothing.

`--store steps` journals five steps; `--store effects` carries five effects through the ledger, each intended before
the call and settled after it. A run counts as finished when the commit that closes it has returned.
"""

from __future__ import annotations

import asyncio

import uvloop
from tests.support.engine import notified, project, working
from tests.support.fake_system import FakeSystem

from benchmarks.peers.pace import Options, tell
from benchmarks.peers.servers import fresh
from tieline.app.collector import calm_collector
from tieline.engine.ports import AppendResult, Batch
from tieline.engine.process import process
from tieline.engine.records import RunState
from tieline.engine.run import Run
from tieline.events import VendorNotified
from tieline.storage.sqlite import SqliteStore


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


class TellingStore(SqliteStore):
    """A store that tells when the commit of a run's end has returned."""

    def __init__(self, path: object) -> None:
        super().__init__(path)  # type: ignore[arg-type]
        self.ends: dict[str, asyncio.Future[None]] = {}

    async def commit(self, batch: Batch) -> list[AppendResult]:
        results = await super().commit(batch)
        for row in batch.runs:
            if row.state is RunState.DONE and row.key in self.ends:
                self.ends.pop(row.key).set_result(None)
        return results


async def main() -> None:
    options = Options()
    calm_collector()  # as the hub does
    definition = {"steps": five_steps, "effects": five_effects}[options.store]
    store = TellingStore(fresh(options.folder) / "tieline.db")
    async with working(store, [definition], FakeSystem(slots=64)) as worker:

        async def one(number: int) -> None:
            end = store.ends[str(number)] = asyncio.get_running_loop().create_future()
            await worker.append([notified(str(number))])
            await end

        await tell(options, one)
    await store.close()


if __name__ == "__main__":
    uvloop.run(main())
