"""A served account with two companies, three items, a customer in each company, and a logged-in client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sandbox.netsuite.client import Client, public_pem
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def sandbox(key: ec.EllipticCurvePrivateKey) -> Sandbox:
    vendor = Sandbox(World(datetime(2026, 3, 10, 12, tzinfo=UTC)))
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


@pytest.fixture
async def client(sandbox: Sandbox, key: ec.EllipticCurvePrivateKey) -> AsyncIterator[Client]:
    async with serving([sandbox]) as urls, aiohttp.ClientSession() as session:
        one = Client(session, urls["netsuite"], key)
        await one.log_in()
        yield one
