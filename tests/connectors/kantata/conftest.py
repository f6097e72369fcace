"""Fixtures: an account served on loopback, reset for each test, and a connector to it.

Starting and stopping a server costs more than most tests here, so one serves them all; they share its event loop.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.connectors.kantata.account import Served, settings_for

from tieline.connectors.kantata.connector import KantataConnector
from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing() -> AsyncIterator[Served]:
    account = Sandbox(World())
    async with serving([account]) as urls:
        yield Served(account, urls["kantata"])


@pytest.fixture
def served(standing: Served) -> Served:
    """The server with nothing in it."""
    standing.account.reset()
    standing.account.faults.clear()
    standing.account.webhooks.reset()
    return standing


@pytest.fixture
def account(served: Served) -> Sandbox:
    return served.account


@pytest_asyncio.fixture(loop_scope="session")
async def kantata(served: Served) -> AsyncIterator[KantataConnector]:
    connector = KantataConnector("kantata", settings_for(served.url))
    yield connector
    await connector.close()
