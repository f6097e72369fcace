"""Five steps on a Restate server, the handler served by Hypercorn from this process, called over the ingress."""

from __future__ import annotations

import asyncio

import aiohttp
import restate
import uvloop
from hypercorn import Config
from hypercorn.asyncio import serve

from benchmarks.peers.pace import Options, tell
from benchmarks.peers.servers import free_port, fresh, register
from benchmarks.peers.servers import restate as restate_server

bench = restate.Service("Bench")


def look(number: int) -> int:
    """A step that does nothing but be recorded."""
    return number


@bench.handler("five")
async def five_steps(context: restate.Context, run: int) -> None:
    for number in range(5):
        await context.run_typed("look", look, number=number)


async def main() -> None:
    options = Options()
    port = free_port()
    config = Config()
    config.bind, config.h2_max_concurrent_streams, config.loglevel = [f"127.0.0.1:{port}"], 100_000, "error"
    stop = asyncio.Event()
    server = asyncio.create_task(serve(restate.app([bench]), config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    connector = aiohttp.TCPConnector(limit=0)
    async with restate_server(fresh(options.folder)) as address, aiohttp.ClientSession(connector=connector) as http:
        await register(address, f"http://127.0.0.1:{port}")

        async def one(number: int) -> None:
            async with http.post(f"{address.ingress}/Bench/five", json=number) as answer:
                answer.raise_for_status()

        await tell(options, one)
    stop.set()
    await server


if __name__ == "__main__":
    uvloop.run(main())
