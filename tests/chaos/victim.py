"""A worker on SQLite to be killed: `python victim.py DATABASE SYSTEM DEALS`. Prints `ready`, and `done` at its end.

The system it writes to is a file of JSON lines, one per document it received, so that it outlives the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.small_process import small
from tests.support.engine import notified, working
from tests.support.fake_system import FakeSystem

from tieline.app.cases import decide
from tieline.app.logs import configure_logs
from tieline.app.principal import local_principal
from tieline.engine.ports import Absent, Applied, Call, Finding, Operation, Outcome
from tieline.engine.records import CaseState
from tieline.storage.sqlite import SqliteStore


class FileSystem(FakeSystem):
    """Takes a document by writing a line and forcing it to disk; answers a little later, or never."""

    def __init__(self, path: Path) -> None:
        super().__init__("erp", slots=4)
        self._path = path

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        await asyncio.sleep(random.uniform(0, 0.005))
        with self._path.open("a", encoding="utf-8") as file:
            for call in calls:
                line = {"kind": call.key.kind, "id": call.key.canonical_id, "update": bool(call.external_id)}
                file.write(json.dumps({**line, "wire": json.loads(json.dumps(call.wire, default=str))}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        await asyncio.sleep(random.uniform(0, 0.005))
        return [Applied(external_id=f"X-{call.key.canonical_id}") for call in calls]

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        there = {(line["kind"], line["id"]) for line in received(self._path)}
        found = [(call.key.kind, call.key.canonical_id) in there for call in calls]
        return [
            Applied(external_id=f"X-{c.key.canonical_id}") if f else Absent() for c, f in zip(calls, found, strict=True)
        ]


def received(path: Path) -> list[dict[str, Any]]:
    """Every document the system took, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


async def main(database: Path, system: Path, deals: int) -> None:
    configure_logs()
    store = SqliteStore(database)
    numbers = [str(n) for n in range(deals)]
    async with working(store, [small], FileSystem(system)) as worker:
        print("ready", flush=True)
        await worker.append(notified(n) for n in numbers)
        await worker.append(notified(n, kind="reply") for n in numbers)
        while sum(count for (_, state), count in (await store.count_runs()).items() if state == "done") < deals:
            waiting = await store.cases(states=[CaseState.OPEN])
            if waiting:
                await decide(store, waiting, "approve", by=local_principal("ada"))
                worker.events_arrived()
            await asyncio.sleep(0.005)
    await store.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
