"""A Zuora sandbox on loopback, signed in, with a small catalogue and one account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest_asyncio

from tieline_sandbox.kernel.app import decode_json, encode_json
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.zuora import Sandbox

START = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)
Body = dict[str, Any]


class Zuora:
    """What a test holds: the sandbox itself, and its paths over HTTP with exact decimals."""

    def __init__(self, sandbox: Sandbox, base: str, session: aiohttp.ClientSession) -> None:
        self.sandbox, self.base, self.session = sandbox, base, session
        self.token = ""

    async def sign_in(self) -> None:
        settings = self.sandbox.tenant.settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
        }
        async with self.session.post(f"{self.base}/oauth/token", data=form) as response:
            self.token = (await response.json())["access_token"]

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, decoded body and headers. Header names are given with underscores."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **named}
        data = None if body is None else encode_json(body)
        async with self.session.request(method, self.base + path, data=data, headers=sent) as response:
            raw = await response.read()
            return response.status, decode_json(raw) if raw else None, response.headers

    async def get(self, path: str) -> Any:
        return (await self.ask("GET", path))[1]

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        return (await self.ask("POST", path, body, **headers))[1]

    async def put(self, path: str, body: Any = None) -> Any:
        return (await self.ask("PUT", path, body))[1]

    async def control(self, path: str, body: Any) -> Any:
        return (await self.ask("POST", f"/_sandbox/{path}", body))[1]

    async def advance(self, days: int) -> None:
        await self.control("clock", {"days": days})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[Sandbox, str]]:
    """One server a module: stopping it takes longer than most tests."""
    sandbox = Sandbox(World(START, seed=7))
    async with serving([sandbox]) as urls:
        yield sandbox, urls["zuora"]


@pytest_asyncio.fixture(loop_scope="module")
async def zuora(served: tuple[Sandbox, str]) -> AsyncIterator[Zuora]:
    sandbox, base = served
    sandbox.reset()
    sandbox.faults.clear()
    sandbox.world.set(START)
    async with aiohttp.ClientSession() as session:
        zuora = Zuora(sandbox, base, session)
        await zuora.sign_in()
        sandbox.seed("products", [PRODUCT])
        sandbox.seed("accounts", [account("A-1")])
        yield zuora


PRODUCT = {
    "name": "Platform",
    "sku": "SKU-PLAT",
    "ratePlans": [
        {
            "name": "Seats",
            "productRatePlanNumber": "PRP-SEATS",
            "externalId": "seats",
            "charges": [
                {
                    "name": "Seats monthly",
                    "productRatePlanChargeNumber": "PRPC-SEATS",
                    "type": "Recurring",
                    "model": "PerUnit",
                    "billingPeriod": "Month",
                    "uom": "Seat",
                    "price": 10,
                }
            ],
        },
        {
            "name": "Setup",
            "productRatePlanNumber": "PRP-SETUP",
            "charges": [
                {
                    "name": "Setup",
                    "productRatePlanChargeNumber": "PRPC-SETUP",
                    "type": "OneTime",
                    "model": "FlatFee",
                    "price": 0,
                }
            ],
        },
        {
            "name": "Calls",
            "productRatePlanNumber": "PRP-CALLS",
            "charges": [
                {
                    "name": "API calls",
                    "productRatePlanChargeNumber": "PRPC-CALLS",
                    "type": "Usage",
                    "model": "Tiered",
                    "billingPeriod": "Month",
                    "uom": "API calls",
                    "tiers": [{"startingUnit": 0, "price": 0}],
                }
            ],
        },
        {
            "name": "Storage",
            "productRatePlanNumber": "PRP-STORAGE",
            "charges": [
                {
                    "name": "Storage",
                    "productRatePlanChargeNumber": "PRPC-STORAGE",
                    "type": "Usage",
                    "model": "Overage",
                    "billingPeriod": "Month",
                    "uom": "GB",
                    "includedUnits": 100,
                    "overagePrice": 2,
                }
            ],
        },
    ],
}


def account(number: str, **changes: Any) -> Body:
    contact = {"firstName": "Ada", "lastName": "Byron", "country": "DE", "city": "Berlin", "zipCode": "10115"}
    return {
        "accountNumber": number,
        "name": f"Company {number}",
        "currency": "EUR",
        "billCycleDay": 1,
        "paymentTerm": "Net 30",
        "autoPay": False,
        "billToContact": contact,
        "taxInfo": {"VATId": "DE123456789"},
        **changes,
    }


def seats(charge: str, price: Any, quantity: Any, start: str, end: str | None = None) -> Body:
    """One contract line: seats at a price per month, by specific dates (the end is exclusive)."""
    override: Body = {
        "productRatePlanChargeNumber": "PRPC-SEATS",
        "chargeNumber": charge,
        "pricing": {"recurringPerUnit": {"listPrice": price, "quantity": quantity}},
        "billing": {"billingPeriod": "Month"},
        "startDate": {"triggerEvent": "SpecificDate", "specificTriggerDate": start},
    }
    if end:
        override["endDate"] = {"endDateCondition": "Specific_End_Date", "specificEndDate": end}
    return {"productRatePlanNumber": "PRP-SEATS", "chargeOverrides": [override]}


def setup(charge: str, price: Any) -> Body:
    override = {
        "productRatePlanChargeNumber": "PRPC-SETUP",
        "chargeNumber": charge,
        "pricing": {"oneTimeFlatFee": {"listPrice": price}},
    }
    return {"productRatePlanNumber": "PRP-SETUP", "chargeOverrides": [override]}


def calls(charge: str) -> Body:
    tiers = [
        {"tier": 1, "startingUnit": 0, "endingUnit": 10000, "price": 0, "priceFormat": "PerUnit"},
        {"tier": 2, "startingUnit": 10001, "endingUnit": 50000, "price": 0.02, "priceFormat": "PerUnit"},
        {"tier": 3, "startingUnit": 50001, "price": 0.015, "priceFormat": "PerUnit"},
    ]
    override = {
        "productRatePlanChargeNumber": "PRPC-CALLS",
        "chargeNumber": charge,
        "pricing": {"usageTiered": {"tiers": tiers, "uom": "API calls"}},
    }
    return {"productRatePlanNumber": "PRP-CALLS", "chargeOverrides": [override]}


def order(
    number: str, *lines: Body, start: str = "2026-01-15", months: int = 12, owner: str = "A-1", **changes: Any
) -> Body:
    """An order that creates the subscription `S-<number>`."""
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    terms = {
        "initialTerm": {"termType": "TERMED", "period": months, "periodType": "Month", "startDate": start},
        "renewalTerms": [{"period": 12, "periodType": "Month"}],
        "autoRenew": False,
    }
    action = {
        "type": "CreateSubscription",
        "triggerDates": [{"name": name, "triggerDate": start} for name in names],
        "createSubscription": {
            "subscriptionNumber": f"S-{number}",
            "terms": terms,
            "subscribeToRatePlans": list(lines) or [seats(f"C-{number}", 10, 5, start)],
        },
    }
    return {
        "orderNumber": f"O-{number}",
        "orderDate": "2026-01-10",
        "existingAccountNumber": owner,
        "subscriptions": [{"orderActions": [action]}],
        **changes,
    }
