"""What the sandbox sends and takes, held against the published contract."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.sandbox.netsuite.client import Client

CONTRACT = Path("../shared/contracts/netsuite/trimmed.openapi.json")
# Where the contract, rebuilt from script records, says "text", Oracle's own examples show an object, a boolean
# ("Using External IDs": isPerson) or a number ("Use Cases for Updating an Invoice": line).
SHOWN_OTHERWISE = {"status", "isPerson"}
ACME = {"externalId": "acme"}
LINE = {"item": {"id": "1"}, "quantity": 2, "rate": Decimal("10.5"), "amount": 21}
ADDRESS = {"addr1": "1 Main St", "city": "Springfield", "state": "CA", "zip": "90000", "country": {"id": "US"}}

pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason=f"the published contract {CONTRACT} is not here")


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(CONTRACT.read_text())
    return loaded


def check(contract: dict[str, Any], name: str, raw: bytes) -> None:
    document = {key: value for key, value in json.loads(raw).items() if key not in SHOWN_OTHERWISE or name == "nsError"}
    for line in document.get("item", {}).get("items", []):
        line.pop("line", None)
    schema = {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
    errors = jsonschema_rs.Draft202012Validator(schema).iter_errors(document)
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []


BODIES: dict[str, dict[str, Any]] = {
    "customer": {
        "companyName": "New",
        "subsidiary": {"id": "1"},
        "currency": {"id": "1"},
        "terms": {"id": "3"},
        "email": "a@b.example",
        "vatRegNumber": "DE1",
        "custentity_tieline_source": "salesforce",
        "addressBook": {"items": [{"defaultBilling": True, "addressBookAddress": ADDRESS}]},
    },
    "salesOrder": {
        "entity": ACME,
        "tranDate": "2026-03-01",
        "startDate": "2026-03-01",
        "endDate": "2027-02-28",
        "otherRefNum": "O-1",
        "custbody_crm_opportunity": "006",
        "item": {"items": [LINE | {"billingSchedule": {"id": "1"}, "custcol_rev_start": "2026-03-01"}]},
    },
    "invoice": {"entity": ACME, "tranDate": "2026-03-01", "dueDate": "2026-03-31", "item": {"items": [LINE]}},
    "creditMemo": {"entity": ACME, "tranDate": "2026-03-01", "item": {"items": [LINE]}},
    "customerPayment": {"customer": ACME, "tranDate": "2026-03-01", "payment": 5},
    "contact": {"firstName": "A", "lastName": "B", "company": ACME},
    "subsidiary": {"name": "FR01", "currency": {"id": "2"}, "country": {"id": "FR"}},
    "department": {"name": "Sales"},
}


@pytest.mark.parametrize("kind", BODIES)
async def test_requests_and_records_match_the_contract(client: Client, contract: dict[str, Any], kind: str) -> None:
    """The body we take is one the contract allows, and the record we show back is too."""
    body = BODIES[kind]
    check(contract, kind, json.dumps(body, default=float).encode())
    made = await client.record("POST", kind, body)
    assert made.status == 204, made.body
    for query in ("", "?expandSubResources=true"):
        check(contract, kind, (await client.record("GET", f"{kind}/{made.id}{query}")).raw)


async def test_collections_match_the_contract(client: Client, contract: dict[str, Any]) -> None:
    check(contract, "customerCollection", (await client.record("GET", "customer?limit=1")).raw)
    check(contract, "nsResourceCollection", (await client.query("SELECT id, companyname FROM customer")).raw)


async def test_errors_match_the_contract(client: Client, contract: dict[str, Any]) -> None:
    for refused in (
        await client.record("POST", "customer", {}),
        await client.record("GET", "customer/999"),
        await client.query("SELECT"),
    ):
        check(contract, "nsError", refused.raw)
        assert set(json.loads(refused.raw)) == {"type", "title", "status", "o:errorDetails"}


async def test_jobs_match_the_contract(client: Client, contract: dict[str, Any]) -> None:
    queued = await client.record("POST", "customer", BODIES["customer"], {"Prefer": "respond-async"})
    check(contract, "asyncJob", (await client.call("GET", queued.headers["Location"])).raw)


async def test_every_path_of_the_contract_that_we_serve_is_there(client: Client, contract: dict[str, Any]) -> None:
    """No record type of ours is missing from the contract but projects and items of stock, which it leaves out."""
    known = {path.split("/")[3] for path in contract["paths"] if path.startswith("/record/v1/")}
    served = set(await client.control("documents", method="GET")) - {"job_queue", "file", "deleted", "slots"}
    assert served - known == {"job", "inventoryItem", "assemblyItem"}
