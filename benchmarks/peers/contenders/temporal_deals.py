"""Contender: the steps as activities on Temporal's development server, one workflow a deal under the deal's id.

The server keeps its file and lives on as on another machine; this process is the worker and the webhook's receiver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.contenders.service import Contender, Given, lasting_ports, lasting_server, serve
    from benchmarks.peers.deal import QuoteToCash
    from benchmarks.peers.order import FIRST_RETRY_S, LONGEST_RETRY_S, STEPS, carry
    from benchmarks.peers.servers import answers, temporal_command

QUEUE = "deals"
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=FIRST_RETRY_S),
    maximum_interval=timedelta(seconds=LONGEST_RETRY_S),
    non_retryable_error_types=["Refused"],
)


@workflow.defn
class DealWon:
    @workflow.run
    async def run(self, opportunity_id: str) -> str:
        def step(name: str, *given: Any) -> Any:
            return workflow.execute_activity(
                name, args=list(given), start_to_close_timeout=timedelta(seconds=30), retry_policy=RETRY
            )

        return await carry(step, opportunity_id)


def activities(process: QuoteToCash) -> list[Callable[..., Any]]:
    """One activity a step."""

    def of(name: str) -> Callable[..., Any]:
        @activity.defn(name=name)
        async def run(*given: Any) -> Any:
            return await getattr(process, name)(*given)

        named: Callable[..., Any] = run
        return named

    return [of(name) for name in STEPS]


class OnTemporal(Contender):
    def __init__(self, client: Client) -> None:
        self._client = client

    async def accept(self, opportunity_id: str) -> None:
        try:
            await self._client.start_workflow(
                DealWon.run,
                opportunity_id,
                id=opportunity_id,
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            return

    async def pending(self) -> int:
        running = await self._client.count_workflows("ExecutionStatus = 'Running'")
        return int(running.count)


async def main() -> None:
    given = Given()
    port = lasting_ports(given.folder, ["temporal"])["temporal"]
    lasting_server(given.folder, "temporal", temporal_command(given.folder, port), {})
    await answers(port)
    client = await Client.connect(f"127.0.0.1:{port}")
    process, vendors = given.process()
    async with Worker(client, task_queue=QUEUE, workflows=[DealWon], activities=activities(process)):
        await serve(given, OnTemporal(client))
    await vendors.close()


if __name__ == "__main__":
    asyncio.run(main())
