"""A served account with two companies, three items, a customer in each company, and a logged-in client.

One server serves the whole folder and is reset before each test: to start and stop one takes longer than most tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from tests.sandbox.netsuite.client import Client, public_pem

from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder's tests on the loop of the server."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served() -> AsyncIterator[tuple[Sandbox, str]]:
    vendor = Sandbox(World(NOON))
    async with serving([vendor]) as urls:
        yield vendor, urls["netsuite"]


@pytest.fixture
def sandbox(served: tuple[Sandbox, str], key: ec.EllipticCurvePrivateKey) -> Sandbox:
    vendor = served[0]
    vendor.world.set(NOON)
    vendor.reset()
    vendor.faults.clear()
    vendor.configure({"certificates": {"cert-1": public_pem(key)}})
    vendor.seed(
        "subsidiary",
        [{"name": "US01", "country": "US", "currency": "USD"}, {"name": "DE01", "country": "DE", "currency": "EUR"}],
    )
    vendor.seed("serviceSaleItem", [{"itemId": "SEAT"}, {"itemId": "OLD", "isInactive": True}])
    vendor.seed("otherChargeItem", [{"itemId": "FEE", "rate": 25}])
    vendor.seed(
        "customer",
        [
            {"companyName": "Acme", "subsidiary": "US01", "externalId": "acme", "terms": "Net 30"},
            {"companyName": "Bauer", "subsidiary": "DE01", "externalId": "bauer"},
        ],
    )
    return vendor


@pytest_asyncio.fixture(loop_scope="session")
async def client(
    served: tuple[Sandbox, str], sandbox: Sandbox, key: ec.EllipticCurvePrivateKey
) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        one = Client(session, served[1], key)
        await one.log_in()
        yield one
