"""Fixtures: an account served on loopback, its address, and a connector to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.connectors.kantata.account import Served, settings_for

from tieline.connectors.kantata.connector import KantataConnector
from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    account = Sandbox(World())
    async with serving([account]) as urls:
        yield Served(account, urls["kantata"])


@pytest.fixture
def account(served: Served) -> Sandbox:
    return served.account


@pytest.fixture
async def kantata(served: Served) -> AsyncIterator[KantataConnector]:
    connector = KantataConnector("kantata", settings_for(served.url))
    yield connector
    await connector.close()
