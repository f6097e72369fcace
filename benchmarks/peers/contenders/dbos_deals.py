"""Contender: the steps on DBOS, one workflow a deal under the deal's id, on SQLite or PostgreSQL (`--store`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from benchmarks.peers.contenders.service import Contender, Given, serve
from benchmarks.peers.deal import QuoteToCash
from benchmarks.peers.order import FIRST_RETRY_S, STEPS, carry
from benchmarks.peers.servers import postgres
from benchmarks.peers.vendors import Trouble

_process: list[QuoteToCash] = []


def _step(name: str) -> Any:
    async def run(*given: Any) -> Any:
        return await getattr(_process[0], name)(*given)

    run.__qualname__ = name
    retrying = {"retries_allowed": True, "interval_seconds": FIRST_RETRY_S, "backoff_rate": 1.3, "max_attempts": 100}
    return DBOS.step(name=name, should_retry=lambda error: isinstance(error, Trouble), **retrying)(run)


_steps = {name: _step(name) for name in STEPS}


@DBOS.workflow(max_recovery_attempts=1_000)
async def quote_to_cash(opportunity_id: str) -> str:
    return await carry(lambda name, *given: _steps[name](*given), opportunity_id)


class OnDbos(Contender):
    async def accept(self, opportunity_id: str) -> None:
        with SetWorkflowID(opportunity_id):
            await DBOS.start_workflow_async(quote_to_cash, opportunity_id)

    async def pending(self) -> int:
        found = await DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False)
        return len(found)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    given = Given(parser)
    process, vendors = given.process()
    _process.append(process)
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{given.folder / 'dbos.db'}"
        if given.options.store == "postgres":
            url = stack.enter_context(postgres(given.folder / "pg")).replace("postgresql://", "postgresql+psycopg://")
            _tell_postmaster(given)
        config: DBOSConfig = {"name": "deals", "system_database_url": url, "log_level": "ERROR"}
        DBOS(config=config)
        DBOS.launch()
        try:
            await serve(given, OnDbos())
        finally:
            DBOS.destroy()
            await vendors.close()


def _tell_postmaster(given: Given) -> None:
    """PostgreSQL leaves our group when it starts: say where it is, so that it is measured and ended."""
    pid = (given.folder / "pg" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    with (given.folder / "pids").open("a", encoding="utf-8") as pids:
        pids.write(f"{pid}\n")


if __name__ == "__main__":
    asyncio.run(main())
