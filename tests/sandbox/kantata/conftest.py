from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from tests.sandbox.kantata.client import Client

from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World


@pytest.fixture(scope="session")
def kantata() -> Iterator[tuple[str, Sandbox]]:
    """One served sandbox for all tests, in a thread of its own; each test resets it."""
    sandbox, ready, done = Sandbox(World()), threading.Event(), threading.Event()
    base = ""

    async def serve() -> None:
        nonlocal base
        async with serving([sandbox]) as urls:
            base = urls["kantata"]
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield base, sandbox
    done.set()
    thread.join(10)


@pytest.fixture
async def account(kantata: tuple[str, Sandbox]) -> AsyncIterator[Client]:
    """A client of an empty account, over real HTTP."""
    base, sandbox = kantata
    async with aiohttp.ClientSession() as http:
        client = Client(base, http, sandbox)
        await client.control("reset", {})
        yield client
