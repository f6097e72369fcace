"""Fixtures: an org served on loopback, its address, and a connector to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.connectors.salesforce.org import Served, settings_for

from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    org = Sandbox(World())
    async with serving([org]) as urls:
        yield Served(org, urls["salesforce"])


@pytest.fixture
def org(served: Served) -> Sandbox:
    return served.org


@pytest.fixture
async def salesforce(served: Served) -> AsyncIterator[SalesforceConnector]:
    connector = SalesforceConnector("salesforce", settings_for(served.url))
    yield connector
    await connector.close()
