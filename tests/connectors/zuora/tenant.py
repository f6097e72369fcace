"""What the tests of the Zuora connector share: a served tenant, a deal, and calls as the engine would make them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tieline.connectors.zuora import CONNECTOR, ZuoraConnector, ZuoraSettings
from tieline.connectors.zuora.connector import OPERATIONS
from tieline.domain import (
    Address,
    BillingPeriod,
    ChargeKind,
    Contract,
    ContractLine,
    Customer,
    Money,
    PriceTier,
    TaxRegistration,
)
from tieline.domain.schedule import subscription_order
from tieline.engine.ports import Call, Operation, Outcome
from tieline.engine.records import EffectKey
from tieline.mapping import MappingSet
from tieline_sandbox.zuora import Sandbox

START = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)
ACME, DEAL = "salesforce-001Aa000001AcmeAAA", "salesforce-006Aa000001DealAAA"
CUSTOMER, ORDER, CANCEL, AMEND, RENEW, USAGE = OPERATIONS
TABLES = MappingSet.load(CONNECTOR.mappings, Path(__file__).parent / "value_maps", functions=CONNECTOR.functions)


class Served:
    """A tenant on loopback and its address."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self.sandbox, self.url = sandbox, url

    async def control(self, path: str, body: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, kind: str, **how: Any) -> None:
        await self.control("faults", {"kind": kind, **how})

    async def requests(self) -> list[dict[str, Any]]:
        """What was asked of the tenant so far."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/_sandbox/requests") as answer:
            return list((await answer.json())["requests"])

    async def advance(self, days: int) -> None:
        await self.control("clock", {"days": days})

    def standing(self, kind: str) -> list[dict[str, Any]]:
        """What a judge would count in the tenant."""
        return self.sandbox.documents(kind)[kind]

    def connect(self, **settings: Any) -> ZuoraConnector:
        return ZuoraConnector("zuora", settings_for(self.url, **settings))


def settings_for(url: str, **settings: Any) -> ZuoraSettings:
    given = {
        "client_id": "00000000-0000-0000-0000-00000tieline",
        "client_secret": "sandbox-secret",
        "timeout_s": 5.0,
        "async_poll_s": 0.02,
    }
    return ZuoraSettings(url=url, **{**given, **settings})


def customer(number: str = ACME, **fields: Any) -> Customer:
    given = {
        "id": number,
        "name": "Acme GmbH",
        "currency": "EUR",
        "billing_address": Address(street="Hauptstr. 1", city="Berlin", postal_code="10115", country="DE"),
        "tax_registrations": [TaxRegistration(country="DE", number="DE136695976")],
        "email": "ap@acme.example",
    }
    return Customer(**{**given, **fields})


def account(number: str = ACME, **fields: Any) -> dict[str, Any]:
    return table("customer -> zuora.account", customer(number, **fields))


def line(number: int, kind: ChargeKind, product: str, net: str, **fields: Any) -> ContractLine:
    money = Money(Decimal(net), "EUR")
    given = {
        "id": f"00kAa00000Line{number}AAA",
        "number": number,
        "product": product,
        "kind": kind,
        "quantity": Decimal(0 if kind is ChargeKind.USAGE else 1),
        "list_price": money,
        "unit_price": money,
        "net": money,
        "starts_on": date(2026, 2, 1),
        "ends_on": date(2027, 1, 31),
    }
    return ContractLine(**{**given, **fields})


TIERS = [
    PriceTier(up_to=Decimal(10000), unit_price=Decimal(0)),
    PriceTier(up_to=Decimal(50000), unit_price=Decimal("0.02")),
    PriceTier(up_to=None, unit_price=Decimal("0.015")),
]


def deal(native: str = "006Aa000001DealAAA", net: str = "1000.00") -> Contract:
    """A year of platform that twelve months do not divide, a set-up, and metered calls."""
    return Contract(
        id=f"salesforce-{native}",
        number=native,
        name="Acme 2026",
        customer=ACME,
        legal_entity="DE01",
        currency="EUR",
        won_on=date(2026, 1, 20),
        starts_on=date(2026, 2, 1),
        term_months=12,
        billing_period=BillingPeriod.MONTH,
        payment_terms="Net 30",
        lines=[
            line(1, ChargeKind.RECURRING, "PLATFORM", net, id=f"{native}L1"),
            line(2, ChargeKind.ONE_TIME, "SETUP", "250.50", id=f"{native}L2"),
            line(3, ChargeKind.USAGE, "API", "0", id=f"{native}L3", tiers=TIERS),
        ],
    )


def order(native: str = "006Aa000001DealAAA", net: str = "1000.00") -> dict[str, Any]:
    return table("subscription_order -> zuora.order", subscription_order(deal(native, net)))


def cancellation(native: str = "006Aa000001DealAAA") -> dict[str, Any]:
    return table("subscription_order.cancel -> zuora.order", subscription_order(deal(native)))


def amendment(native: str = "006Aa000001DealAAA", price: str = "1200.00", *changes: dict[str, Any]) -> dict[str, Any]:
    """The platform line of a deal at another price for its second half year, and what else changes."""
    dearer = {"id": f"{native}L1", "change": "update", "effective_on": "2026-08-01", "price": Decimal(price)}
    head = {"id": f"salesforce-{native}", "number": f"O-{native}-A1", "subscription_number": f"S-{native}"}
    body = {"customer": ACME, "ordered_on": "2026-01-20", "billing_period": "month", "changes": [dearer, *changes]}
    return table("subscription_order.amend -> zuora.order", {**head, **body})


def renewal(native: str = "006Aa000001DealAAA", months: int = 6) -> dict[str, Any]:
    head = {"id": f"salesforce-{native}", "number": f"O-{native}-R1", "subscription_number": f"S-{native}"}
    dates = {"ordered_on": "2026-01-20", "effective_on": "2026-02-01"}
    return table("subscription_order.renew -> zuora.order", {**head, **dates, "customer": ACME, "term_months": months})


def usage_batch(number: str = "U-1", native: str = "006Aa000001DealAAA", *quantities: int) -> dict[str, Any]:
    """So many calls on successive days of February 2026."""
    record = {"subscription_number": f"S-{native}", "charge": f"C-{native}L3", "unit_of_measure": "API calls"}
    records = [
        {**record, "quantity": Decimal(quantity), "starts_on": f"2026-02-{day:02d}"}
        for day, quantity in enumerate(quantities or (100,), start=1)
    ]
    body = {"id": f"metering-{number}", "number": number, "customer": ACME, "records": records}
    return table("usage_batch -> zuora.usage_import", body)


def table(name: str, entity: msgspec.Struct | dict[str, Any]) -> dict[str, Any]:
    """The wire of a canonical document, every customer standing under its own number."""
    mapping = TABLES.mapping(name)
    document = msgspec.to_builtins(entity, builtin_types=(Decimal,))
    return mapping.run(document, refs={ref: ref[1] for ref in mapping.refs(document)})


def call(
    operation: Operation, wire: dict[str, Any], *, external_id: str = "", key: str = "", revision: int = 1
) -> Call:
    canonical = str(wire.get("accountNumber") or wire.get("orderNumber") or wire.get("name"))
    effect = EffectKey("zuora", operation.kind, canonical, operation.action)
    idempotency = key or f"{effect}#{revision}"
    return Call(key=effect, revision=revision, wire=wire, external_id=external_id, idempotency_key=idempotency)


async def send(zuora: ZuoraConnector, operation: Operation, wire: dict[str, Any], **how: Any) -> Outcome:
    return (await zuora.send(operation, [call(operation, wire, **how)]))[0]


async def probe(zuora: ZuoraConnector, operation: Operation, wire: dict[str, Any], **how: Any) -> Any:
    return (await zuora.probe(operation, [call(operation, wire, **how)]))[0]


def plan(code: str, kind: str, model: str, **charge: Any) -> dict[str, Any]:
    """A product of the catalogue with one rate plan of one charge."""
    named = {"name": code, "productRatePlanChargeNumber": f"PRPC-{code}", "type": kind, "model": model, **charge}
    return {
        "name": code.title(),
        "sku": code,
        "ratePlans": [{"name": code, "productRatePlanNumber": f"PRP-{code}", "charges": [named]}],
    }


CATALOGUE: Sequence[dict[str, Any]] = (
    plan("PLATFORM", "Recurring", "FlatFee", billingPeriod="Month", price=0),
    plan("SETUP", "OneTime", "FlatFee", price=0),
    plan("ROUNDING", "OneTime", "FlatFee", price=0),
    plan("API", "Usage", "Tiered", billingPeriod="Month", uom="API calls", tiers=[{"startingUnit": 0, "price": 0}]),
)
