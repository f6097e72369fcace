from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from tests.sandbox.salesforce.client import Client

from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox


@pytest.fixture(scope="session")
def salesforce() -> Iterator[tuple[str, Sandbox]]:
    """One served sandbox for all tests, in a thread of its own; each test resets it."""
    sandbox, ready, done = Sandbox(World()), threading.Event(), threading.Event()
    base = ""

    async def serve() -> None:
        nonlocal base
        async with serving([sandbox]) as urls:
            base = urls["salesforce"]
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield base, sandbox
    done.set()
    thread.join(10)


@pytest.fixture
async def org(salesforce: tuple[str, Sandbox]) -> AsyncIterator[Client]:
    """A logged-in client of an empty org, over real HTTP."""
    base, sandbox = salesforce
    async with aiohttp.ClientSession() as http:
        client = Client(base, http, sandbox)
        await client.control("reset", {})
        await client.log_in()
        yield client
