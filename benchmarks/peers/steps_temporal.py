"""Five activities on Temporal's development server with its file (`--db-filename`), one worker in this process."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.pace import Options, tell
    from benchmarks.peers.servers import fresh, temporal

QUEUE = "bench"


@activity.defn
async def look(number: int) -> int:
    """An activity that does nothing but be recorded."""
    return number


@workflow.defn
class FiveSteps:
    @workflow.run
    async def run(self) -> None:
        for number in range(5):
            await workflow.execute_activity(look, number, start_to_close_timeout=timedelta(seconds=30))


async def main() -> None:
    options = Options()
    async with temporal(fresh(options.folder)) as address:
        client = await Client.connect(address)
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[FiveSteps],
            activities=[look],
            max_concurrent_activities=512,
            max_concurrent_workflow_tasks=512,
            max_cached_workflows=2_000,
        )

        async def one(number: int) -> None:
            await client.execute_workflow(FiveSteps.run, id=f"run-{number}", task_queue=QUEUE)

        async with worker:
            await tell(options, one)


if __name__ == "__main__":
    asyncio.run(main())
