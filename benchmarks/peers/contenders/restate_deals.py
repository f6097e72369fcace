"""Contender: the steps on Restate, one workflow a deal under the deal's id.

The server keeps its folder and lives on as on another machine; this process serves the handlers and the webhook.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import restate
import uvloop
from hypercorn import Config
from hypercorn.asyncio import serve as serve_handlers

from benchmarks.peers.contenders.service import Contender, Given, lasting_ports, lasting_server, serve
from benchmarks.peers.deal import QuoteToCash
from benchmarks.peers.order import FIRST_RETRY_S, LONGEST_RETRY_S, carry
from benchmarks.peers.servers import RestateAddress, answers, register, restate_command
from benchmarks.peers.vendors import Refused

RETRY: restate.RunOptions[Any] = restate.RunOptions(
    initial_retry_interval=timedelta(seconds=FIRST_RETRY_S), max_retry_interval=timedelta(seconds=LONGEST_RETRY_S)
)

won = restate.Workflow("DealWon")
_process: list[QuoteToCash] = []


@won.main()
async def run(context: restate.WorkflowContext, opportunity_id: str) -> str:
    def step(name: str, *given: Any) -> Any:
        return context.run_typed(name, _once, RETRY, name=name, given=list(given))

    return await carry(step, opportunity_id)


async def _once(name: str, given: list[Any]) -> Any:
    try:
        return await getattr(_process[0], name)(*given)
    except Refused as error:
        raise restate.TerminalError(str(error)) from error


class OnRestate(Contender):
    def __init__(self, address: RestateAddress, http: aiohttp.ClientSession) -> None:
        self._address, self._http = address, http

    async def accept(self, opportunity_id: str) -> None:
        url = f"{self._address.ingress}/DealWon/{opportunity_id}/run/send"
        async with self._http.post(url, json=opportunity_id) as answer:
            if answer.status not in (200, 202, 409):  # 409: known already
                raise aiohttp.ClientError(await answer.text())

    async def pending(self) -> int:
        query = {"query": "SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed'"}
        headers = {"Accept": "application/json"}
        async with self._http.post(f"{self._address.admin}/query", json=query, headers=headers) as answer:
            return int((await answer.json())["rows"][0]["n"])


async def main() -> None:
    given = Given()
    ports = lasting_ports(given.folder, ["ingress", "admin", "node", "handlers"])
    address = RestateAddress(ports["ingress"], ports["admin"])
    command, environment = restate_command(given.folder, ports["ingress"], ports["admin"], ports["node"])
    process, vendors = given.process()
    _process.append(process)
    config = Config()
    config.bind, config.loglevel = [f"127.0.0.1:{ports['handlers']}"], "error"
    config.h2_max_concurrent_streams = 100_000
    stop = asyncio.Event()
    handlers = asyncio.create_task(
        serve_handlers(restate.app([won]), config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    )
    lasting_server(given.folder, "restate", command, environment)
    await answers(ports["admin"], "/health")
    await answers(ports["ingress"], "/restate/health")
    await register(address, f"http://127.0.0.1:{ports['handlers']}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await serve(given, OnRestate(address, http))
    stop.set()
    await handlers
    await vendors.close()


if __name__ == "__main__":
    uvloop.run(main())
