"""Fixtures: an org served on loopback, reset for each test, and a connector to it.

Starting and stopping a server costs more than most tests here, so one serves them all; they share its event loop.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.connectors.salesforce.org import Served, settings_for

from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing() -> AsyncIterator[Served]:
    org = Sandbox(World())
    async with serving([org]) as urls:
        yield Served(org, urls["salesforce"])


@pytest.fixture
def served(standing: Served) -> Served:
    """The server with nothing in it."""
    standing.org.reset()
    standing.org.faults.clear()
    standing.org.webhooks.reset()
    return standing


@pytest.fixture
def org(served: Served) -> Sandbox:
    return served.org


@pytest_asyncio.fixture(loop_scope="session")
async def salesforce(served: Served) -> AsyncIterator[SalesforceConnector]:
    connector = SalesforceConnector("salesforce", settings_for(served.url))
    yield connector
    await connector.close()
