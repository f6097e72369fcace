"""A NetSuite account on loopback with two subsidiaries and four items, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tieline.connectors.netsuite import CONNECTOR, NetSuiteConnector, NetSuiteSettings
from tieline.engine.ports import Call, Finding, Operation, Outcome, Wire
from tieline.engine.records import EffectKey
from tieline.mapping import MappingSet
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox

HERE = Path(__file__).parent
START = datetime(2026, 11, 23, 15, 4, 30, tzinfo=UTC)

CUSTOMER: Wire = {
    "id": "salesforce-001Aa00000Kx1QIAZ",
    "name": "Rheinwerk Pumpen GmbH",
    "currency": "EUR",
    "billing_address": {"street": "Hafenstr. 12", "city": "Köln", "state": "", "postal_code": "50668", "country": "DE"},
    "parent": None,
    "tax_registrations": [{"country": "DE", "number": "DE123456789"}],
    "email": "billing@rheinwerk.example",
    "phone": "",
    "website": "",
}


def money(amount: str) -> Wire:
    return {"amount": Decimal(amount), "currency": "EUR"}


ORDER: Wire = {
    "id": "salesforce-006Aa000001XyZ1AAK",
    "number": "O-006Aa000001XyZ1AAK",
    "customer": CUSTOMER["id"],
    "contract": "salesforce-006Aa000001XyZ1AAK",
    "subscription": "S-006Aa000001XyZ1AAK",
    "legal_entity": "DE01",
    "currency": "EUR",
    "ordered_on": "2026-11-20",
    "starts_on": "2026-12-01",
    "ends_on": "2027-11-30",
    "payment_terms": "Net 30",
    "lines": [
        {
            "id": "00kAa0000045t1AAA",
            "product": "GTX-PRO",
            "description": "GTX Pro, 7 seats",
            "kind": "recurring",
            "quantity": Decimal(7),
            "net": money("1000.00"),
            "recognise_from": "2026-12-01",
            "recognise_to": "2027-11-30",
            "billing_schedule": "month",
        },
        {
            "id": "00kAa0000045t2AAA",
            "product": "GTX-API",
            "description": "",
            "kind": "usage",
            "quantity": Decimal(0),
            "net": money("0"),
            "recognise_from": "2026-12-01",
            "recognise_to": "2027-11-30",
            "billing_schedule": "",
        },
    ],
}

INVOICE: Wire = {
    "id": "zuora-INV00000012",
    "number": "INV00000012",
    "customer": CUSTOMER["id"],
    "contract": ORDER["id"],
    "subscription": "zuora-S-006Aa000001XyZ1AAK",
    "currency": "EUR",
    "issued_on": "2026-11-23",
    "due_on": "2026-12-23",
    "amount": money("83.34"),
    "posting_period": "",
    "lines": [
        {
            "id": "1",
            "line": "00kAa0000045t1AAA",
            "charge": "C-00kAa0000045t1AAA",
            "product": "GTX-PRO",
            "description": "GTX Pro, December 2026",
            "quantity": Decimal(7),
            "net": money("83.33"),
            "tax": None,
            "service_from": "2026-12-01",
            "service_to": "2026-12-31",
        },
        {
            "id": "2",
            "line": "",
            "charge": "",
            "product": "ROUNDING",
            "description": "",
            "quantity": Decimal(1),
            "net": money("0.01"),
            "tax": None,
            "service_from": None,
            "service_to": None,
        },
    ],
}

CREDIT_NOTE: Wire = {
    "id": "zuora-CM00000003",
    "number": "CM00000003",
    "customer": CUSTOMER["id"],
    "contract": ORDER["id"],
    "currency": "EUR",
    "issued_on": "2026-11-23",
    "amount": money("30.00"),
    "posting_period": "",
    "lines": [INVOICE["lines"][0] | {"net": money("30.00"), "quantity": Decimal(1)}],
    "applications": [{"invoice": INVOICE["id"], "amount": money("30.00")}],
}

PAYMENT: Wire = {
    "id": "zuora-P-00000005",
    "number": "P-00000005",
    "customer": CUSTOMER["id"],
    "currency": "EUR",
    "received_on": "2026-11-23",
    "amount": money("60.00"),
    "posting_period": "",
    "applications": [{"invoice": INVOICE["id"], "amount": money("53.34")}],
}


DEPOSIT: Wire = {
    "id": "bank-D-1",
    "number": "D-1",
    "customer": CUSTOMER["id"],
    "currency": "EUR",
    "received_on": "2026-11-23",
    "amount": money("500.00"),
    "order": "",
    "posting_period": "",
}

JOURNAL: Wire = {
    "id": "close-JE-1",
    "number": "JE-1",
    "legal_entity": "DE01",
    "currency": "EUR",
    "booked_on": "2026-11-23",
    "memo": "deferral",
    "posting_period": "",
    "lines": [
        {"account": "2200", "debit": money("83.33"), "credit": None, "customer": "", "memo": "December"},
        {"account": "Sales", "debit": None, "credit": money("83.33"), "customer": CUSTOMER["id"], "memo": ""},
    ],
}

CONTACT: Wire = {
    "id": "salesforce-003Aa00000ABCDEIA4",
    "customer": CUSTOMER["id"],
    "first_name": "Grace",
    "last_name": "Okafor",
    "email": "grace@rheinwerk.example",
    "phone": "",
}

PROJECT: Wire = {
    "id": "salesforce-006Aa000001XyZ1AAK",
    "title": "Rheinwerk - implementation",
    "customer": CUSTOMER["id"],
    "contract": "salesforce-006Aa000001XyZ1AAK",
    "starts_on": "2026-12-01",
    "ends_on": "2027-01-31",
    "budget": money("7166.67"),
    "description": "Implementation",
}


class Books:
    """The account, the connection to it, and what a test wants to say in one line."""

    def __init__(self, sandbox: Sandbox, connector: NetSuiteConnector, mappings: MappingSet) -> None:
        self.sandbox, self.connector, self.mappings = sandbox, connector, mappings
        self.refs: dict[tuple[str, str], str] = {}

    def operation(self, kind: str, action: str = "ensure") -> Operation:
        found = (o for o in self.connector.manifest.operations if (o.kind, o.action) == (kind, action))
        return next(found)

    def call(self, kind: str, document: Wire, *, external_id: str = "", action: str = "ensure") -> Call:
        key = EffectKey("netsuite", kind, document["id"], action)
        mapping = self.operation(kind, action).mapping
        wire = self.mappings.mapping(mapping).run(document, refs=self.refs) if mapping else {}
        return Call(key=key, revision=1, wire=wire, external_id=external_id)

    async def send(self, kind: str, document: Wire, *, external_id: str = "", action: str = "ensure") -> Outcome:
        call = self.call(kind, document, external_id=external_id, action=action)
        (outcome,) = await self.connector.send(self.operation(kind, action), [call])
        return outcome

    async def probe(self, kind: str, document: Wire, *, external_id: str = "", action: str = "ensure") -> Finding:
        call = self.call(kind, document, external_id=external_id, action=action)
        (finding,) = await self.connector.probe(self.operation(kind, action), [call])
        return finding

    async def post(self, kind: str, document: Wire) -> str:
        """Send, and remember the reference; returns the internal id."""
        outcome = await self.send(kind, document)
        if isinstance(outcome, Exception):
            raise outcome
        self.refs[kind, document["id"]] = outcome.external_id
        return outcome.external_id

    async def post_customer(self) -> str:
        return await self.post("customer", CUSTOMER)

    def fail(self, kind: str, **how: Any) -> None:
        self.sandbox.faults.add(Fault(kind=kind, **how))

    def standing(self, record: str) -> list[Wire]:
        return self.sandbox.documents(record)[record]


@pytest.fixture(scope="session")
def mappings() -> MappingSet:
    return MappingSet.load(CONNECTOR.mappings, HERE / "value_maps", functions=CONNECTOR.functions)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all of these tests: the account is served once, and emptied before each test."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served() -> AsyncIterator[tuple[Sandbox, str]]:
    account = Sandbox(World(START))
    async with serving([account]) as urls:
        yield account, urls["netsuite"]


@pytest.fixture
def sandbox(served: tuple[Sandbox, str]) -> tuple[Sandbox, str]:
    account, url = served
    account.world.set(START)
    account.reset()
    account.faults.clear()
    account.configure({"time_zone": "America/Los_Angeles"})
    account.seed(
        "subsidiary",
        [
            {"name": "Northwind Inc", "currency": "USD", "country": {"id": "US"}},
            {"name": "Northwind GmbH", "currency": "EUR", "country": {"id": "DE"}},
        ],
    )
    account.seed("serviceSaleItem", [{"itemId": name} for name in ("GTX Pro", "GTX API Calls", "Implementation")])
    account.seed("otherChargeItem", [{"itemId": "Rounding"}, {"itemId": "Old Thing", "isInactive": True}])
    return account, url


@pytest.fixture
def settings(sandbox: tuple[Sandbox, str]) -> NetSuiteSettings:
    return NetSuiteSettings(
        url=sandbox[1],
        account="TIELINE_SB1",
        consumer_key="ck",
        consumer_secret="cs",
        token_id="tk",
        token_secret="ts",
        subsidiary="Northwind GmbH",
        timeout_s=5.0,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def books(sandbox: tuple[Sandbox, str], settings: NetSuiteSettings, mappings: MappingSet) -> AsyncIterator[Books]:
    connector = CONNECTOR.open("netsuite", settings)
    assert isinstance(connector, NetSuiteConnector)
    yield Books(sandbox[0], connector, mappings)
    await connector.close()


def changed(settings: NetSuiteSettings, **values: Any) -> NetSuiteSettings:
    return msgspec.structs.replace(settings, **values)
