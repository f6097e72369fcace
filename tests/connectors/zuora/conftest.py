"""Fixtures: a tenant with a catalogue, served on loopback once for all tests and emptied for each, and a connector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.connectors.zuora.tenant import CATALOGUE, START, Served

from tieline.connectors.zuora import ZuoraConnector
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.zuora import Sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for this folder: starting and stopping a server costs more than most of the tests."""
    shared = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if pytest_asyncio.is_async_test(item) and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(shared, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tenant() -> AsyncIterator[Served]:
    sandbox = Sandbox(World(START, seed=7))
    async with serving([sandbox]) as urls:
        yield Served(sandbox, urls["zuora"])


@pytest_asyncio.fixture(loop_scope="session")
async def served(tenant: Served) -> Served:
    await tenant.control("reset", {})
    tenant.sandbox.world.set(START)
    tenant.sandbox.seed("products", list(CATALOGUE))
    return tenant


@pytest_asyncio.fixture(loop_scope="session")
async def zuora(served: Served) -> AsyncIterator[ZuoraConnector]:
    connector = served.connect()
    yield connector
    await connector.close()
