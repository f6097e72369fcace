"""The example company: what stands in its systems before the first deal, and a client of the sandboxes' control API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from tieline.errors import ConfigurationError

Record = dict[str, Any]

RECURRING = ("GTX Basic", "GTX Pro", "GTX Plus Basic", "GTX Plus Pro", "MG Special", "MG Advanced", "GTK 500")
SERVICES = ("Implementation", "Training")
USAGE = ("API Calls",)
LIST_PRICES = {
    "GTX Basic": Decimal(550),
    "GTX Pro": Decimal(4821),
    "GTX Plus Basic": Decimal(1096),
    "GTX Plus Pro": Decimal(5482),
    "MG Special": Decimal(55),
    "MG Advanced": Decimal(3393),
    "GTK 500": Decimal(26768),
    "Implementation": Decimal(5000),
    "Training": Decimal(1200),
    "API Calls": Decimal(0),
}
SUBSIDIARIES = (
    {"name": "Example Inc", "country": "US", "currency": "USD"},
    {"name": "Example GmbH", "country": "DE", "currency": "EUR"},
)
SECRETS = {
    "TIELINE_SALESFORCE_SECRET": "sandbox-secret",
    "TIELINE_SALESFORCE_WEBHOOK": "outbound-message-token",
    "TIELINE_ZUORA_SECRET": "sandbox-secret",
    "TIELINE_ZUORA_CALLOUT_PASSWORD": "callout-password",
    "TIELINE_ZUORA_CALLOUT_SECRET": "callout-secret",
    "TIELINE_NETSUITE_CONSUMER_KEY": "ck",
    "TIELINE_NETSUITE_CONSUMER_SECRET": "cs",
    "TIELINE_NETSUITE_TOKEN_ID": "tk",
    "TIELINE_NETSUITE_TOKEN_SECRET": "ts",
    "TIELINE_KANTATA_TOKEN": "sandbox-token",
}
"""What the environment must hold for the template project to reach the sandboxes."""

ORGANIZATION = "00DAa0000000001MAA"
SALESPEOPLE = (
    {"Id": "005Aa0000000101", "Name": "Ada Sales", "Email": "ada.sales@example.com"},
    {"Id": "005Aa0000000102", "Name": "Sam Seller", "Email": "sam.seller@example.com"},
    {"Id": "005Aa0000000103", "Name": "Mira Market", "Email": "mira.market@example.com"},
)
"""Who owns the deals."""


class Sandboxes:
    """Client of the control API (`/_sandbox`) and of nothing else: what a judge may use."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = dict(urls)
        self._http: aiohttp.ClientSession | None = None

    async def get(self, vendor: str, path: str) -> Any:
        return await self._call("GET", vendor, path, None)

    async def post(self, vendor: str, path: str, body: Any) -> Any:
        return await self._call("POST", vendor, path, body)

    async def seed(self, vendor: str, kind: str, records: Sequence[Record]) -> list[Record]:
        """Store records in chunks; returns them with their ids."""
        stored: list[Record] = []
        for start in range(0, len(records), 2_000):
            answer = await self.post(vendor, "/seed", {kind: list(records[start : start + 2_000])})
            stored += answer[kind]
        return stored

    async def documents(self, vendor: str, kind: str) -> list[Record]:
        """What stands there now, asked of the sandbox itself."""
        found = await self.get(vendor, f"/documents/{kind}")
        return list(found[kind])

    async def fault(self, vendor: str, **fault: Any) -> None:
        await self.post(vendor, "/faults", fault)

    async def lift_faults(self, vendor: str) -> None:
        """From now on nothing fails at this vendor."""
        await self._call("DELETE", vendor, "/faults", None)

    async def advance(self, days: int) -> None:
        """Move the one clock of all sandboxes, playing every midnight."""
        await self.post(next(iter(self.urls)), "/clock", {"days": days})

    async def turn(self, to: str) -> None:
        """`snapshot` or `restore` the world of all sandboxes. Raises ConfigurationError when it does not come about."""
        vendor = next(iter(self.urls))
        before = (await self.get(vendor, "/health"))["branch"]
        await self.post(vendor, f"/{to}", {})
        for _ in range(500):
            await self.close()  # connections into the world that was
            with contextlib.suppress(aiohttp.ClientError):
                if (await self.get(vendor, "/health"))["branch"] != before:
                    return
            await asyncio.sleep(0.01)
        raise ConfigurationError(f"the sandboxes did not {to} their world in 5 s")

    async def webhooks_idle(self, vendor: str) -> bool:
        return bool((await self.get(vendor, "/webhooks"))["pending"] == 0)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _call(self, method: str, vendor: str, path: str, body: Any) -> Any:
        if self._http is None:
            # the server closes what is idle for five seconds: a connection is not used again shortly before
            connector = aiohttp.TCPConnector(keepalive_timeout=2)
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600), connector=connector)
        data = None if body is None else encode(body)
        async with self._http.request(method, f"{self.urls[vendor]}/_sandbox{path}", data=data) as response:
            answer = _decode(await response.read())
            if response.status >= 400:
                raise ConfigurationError(f"sandbox {vendor} refused {path}: {answer}")
            return answer


async def furnish(sandboxes: Sandboxes, hub_url: str) -> None:
    """Seed what a running company has, and point the vendors' webhooks at the hub."""
    products = [(name, "Recurring", "FlatFee") for name in RECURRING]
    products += [(name, "OneTime", "FlatFee") for name in (*SERVICES, "ROUNDING")]
    products += [(name, "Usage", "Tiered") for name in USAGE]
    await asyncio.gather(
        sandboxes.seed("zuora", "products", [_zuora_product(*product) for product in products]),
        _furnish_netsuite(sandboxes),
        _furnish_salesforce(sandboxes),
    )
    await sandboxes.post(
        "salesforce",
        "/configure",
        {
            "outbound_messages": [
                {
                    "name": "Tieline won",
                    "object": "Opportunity",
                    "when": {"IsWon": True},
                    "fields": ["Id", "StageName", "SystemModstamp"],
                    "url": f"{hub_url}/intake/salesforce?token={SECRETS['TIELINE_SALESFORCE_WEBHOOK']}",
                    "organization_id": ORGANIZATION,
                }
            ]
        },
    )
    await sandboxes.post(
        "zuora",
        "/configure",
        {
            "callouts": {
                "url": f"{hub_url}/intake/zuora",
                "basic": ["tieline", SECRETS["TIELINE_ZUORA_CALLOUT_PASSWORD"]],
                "hmac_secret": SECRETS["TIELINE_ZUORA_CALLOUT_SECRET"],
            },
            "activation_delay_s": 0.05,
        },
    )


async def _furnish_netsuite(sandboxes: Sandboxes) -> None:
    await sandboxes.seed("netsuite", "subsidiary", SUBSIDIARIES)
    await sandboxes.seed("netsuite", "nonInventorySaleItem", [{"itemId": n} for n in (*RECURRING, *USAGE, "Rounding")])
    await sandboxes.seed("netsuite", "serviceSaleItem", [{"itemId": name} for name in SERVICES])
    await sandboxes.post("netsuite", "/configure", {"customer_currencies": "any"})


async def _furnish_salesforce(sandboxes: Sandboxes) -> None:
    names = (*RECURRING, *SERVICES, *USAGE)
    await sandboxes.seed("salesforce", "User", [{**person, "Username": person["Email"]} for person in SALESPEOPLE])
    await sandboxes.seed(
        "salesforce", "Product2", [{"Name": n, "ProductCode": n, "IsActive": True} for n in (*names, "GTXPro")]
    )


def _zuora_product(name: str, kind: str, model: str) -> Record:
    code = name.upper().replace(" ", "-")
    charge: Record = {"name": name, "productRatePlanChargeNumber": f"PRPC-{code}", "type": kind, "model": model}
    if kind != "OneTime":
        charge["billingPeriod"] = "Annual" if kind == "Recurring" else "Month"
    if kind == "Usage":
        charge |= {"uom": "Each", "tiers": [{"startingUnit": 0, "price": 0}]}
    return {
        "name": name,
        "sku": name,
        "ratePlans": [{"name": name, "productRatePlanNumber": f"PRP-{code}", "charges": [charge]}],
    }


encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
