"""The sandbox against the published contract: every operation it serves, its answers and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.sandbox.salesforce.client import CREDENTIALS, Client

CONTRACT = Path(__file__).parents[3] / "../shared/contracts/salesforce/trimmed.openapi.json"
pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="the published contract is not at hand")
V = "/services/data/v{version}"


class Contract:
    """Schemas of the contract, with its components embedded so that references resolve."""

    def __init__(self) -> None:
        self.document = json.loads(CONTRACT.read_text())

    def check(self, schema: dict[str, Any], value: Any) -> None:
        whole = {**schema, "components": self.document["components"]}
        jsonschema_rs.validator_for(whole).validate(json.loads(json.dumps(value, default=float)))

    def check_answer(self, method: str, path: str, status: int, value: Any) -> None:
        responses = self.document["paths"][path][method]["responses"]
        content = responses.get(str(status), responses.get("default"))["content"]
        self.check(content["application/json"]["schema"], value)

    def check_record(self, value: dict[str, Any]) -> None:
        name = value["attributes"]["type"]
        self.check({"$ref": f"#/components/schemas/{name}"}, value)

    def check_request(self, method: str, path: str, value: Any) -> None:
        body = self.document["paths"][path][method]["requestBody"]
        self.check(body["content"]["application/json"]["schema"], value)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


async def test_the_token_answer(org: Client, contract: Contract) -> None:
    """Granted and refused, both have the published shape."""
    for form, status in ((CREDENTIALS, 200), (CREDENTIALS | {"client_id": "x"}, 400)):
        async with org.http.post(f"{org.base}/services/oauth2/token", data=form) as response:
            assert response.status == status
            contract.check_answer("post", "/services/oauth2/token", status, await response.json())


RECORDS: dict[str, dict[str, Any]] = {
    "Account": {"Name": "A", "BillingCity": "Berlin", "AnnualRevenue": "12.50"},
    "Contact": {"LastName": "L", "Email": "l@example.com"},
    "Product2": {"Name": "P", "IsActive": True},
    "Pricebook2": {"Name": "B"},
    "Opportunity": {"Name": "O", "StageName": "Closed Won", "CloseDate": "2026-01-01", "Amount": 5},
}


@pytest.mark.parametrize("sobject", list(RECORDS))
async def test_records_have_the_published_fields_and_types(org: Client, contract: Contract, sobject: str) -> None:
    """Create, retrieve and refuse; every standard field served is one the contract knows."""
    path, one = f"{V}/sobjects/{{sobject}}", f"{V}/sobjects/{{sobject}}/{{id}}"
    created = await org.call("POST", f"sobjects/{sobject}", RECORDS[sobject])
    contract.check_answer("post", path, 201, created.body)
    record = await org.get(sobject, created.body["id"])
    contract.check_record(record)
    known = contract.document["components"]["schemas"][sobject]["properties"]
    tenant = {"CurrencyIsoCode", "BillingStateCode", "BillingCountryCode", "ShippingStateCode", "ShippingCountryCode"}
    tenant |= {"MailingStateCode", "MailingCountryCode", "AccountNumber"}
    assert {name for name in record if not name.endswith("__c")} - set(known) <= tenant
    refused = await org.call("POST", f"sobjects/{sobject}", {"Nonsense": 1})
    contract.check_answer("post", path, 400, refused.body)
    missing = await org.call("GET", f"sobjects/{sobject}/123")
    contract.check_answer("get", one, 400, missing.body)


async def test_lines_and_prices_have_the_published_fields(org: Client, contract: Contract) -> None:
    """PricebookEntry and OpportunityLineItem, seeded."""
    product = org.sandbox.seed("Product2", [{"Name": "P", "ProductCode": "P"}])[0]["Id"]
    book = (await org.query("SELECT Id FROM Pricebook2"))["records"][0]["Id"]
    entry = org.sandbox.seed("PricebookEntry", [{"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 3}])[0]
    deal = await org.opportunity()
    line = {"OpportunityId": deal, "PricebookEntryId": entry["Id"], "Product2Id": product, "Quantity": 2}
    stored = org.sandbox.seed("OpportunityLineItem", [line | {"UnitPrice": 4}])[0]
    contract.check_record(await org.get("PricebookEntry", entry["Id"]))
    contract.check_record(await org.get("OpportunityLineItem", stored["Id"]))


TENANT = {"CurrencyIsoCode", "BillingStateCode", "BillingCountryCode", "ShippingStateCode", "ShippingCountryCode"}
QUOTES_ON = {"QuoteId", "IsDeleted", "CreatedById", "LastModifiedById", "BillingAddress", "LineNumber"}


async def test_documents_and_their_lines_have_the_published_fields_and_types(org: Client, contract: Contract) -> None:
    """Quote, Contract, Order and their lines; what is not published belongs to features that are on here."""
    product = org.sandbox.seed("Product2", [{"Name": "P", "ProductCode": "P"}])[0]["Id"]
    account = await org.create("Account", Name="A")
    deal = await org.opportunity(AccountId=account)
    line = {"Product2Id": product, "Quantity": 2, "UnitPrice": 4}
    agreed = await org.create("Contract", AccountId=account, StartDate="2026-01-01", ContractTerm=12)
    quote = await org.create("Quote", Name="Q", OpportunityId=deal)
    order = await org.create("Order", AccountId=account, EffectiveDate="2026-02-01", Status="Draft")
    quoted = org.sandbox.seed("QuoteLineItem", [line | {"QuoteId": quote}])[0]["Id"]
    ordered = org.sandbox.seed("OrderItem", [line | {"OrderId": order}])[0]["Id"]
    records = {"Contract": agreed, "Quote": quote, "QuoteLineItem": quoted, "Order": order, "OrderItem": ordered}
    for name, record_id in records.items():
        record = await org.get(name, record_id)
        known = set(contract.document["components"]["schemas"][name]["properties"])
        if name in ("Quote", "Order", "Contract"):
            contract.check_record(record)
        unknown = {field for field in record if not field.endswith("__c")} - known
        assert unknown <= TENANT | QUOTES_ON, (name, unknown)


async def test_bulk_jobs_answer_the_published_shape(org: Client, contract: Contract) -> None:
    """Made, uploaded, closed, looked at and listed; refused too."""
    path, one = f"{V}/jobs/ingest", f"{V}/jobs/ingest/{{jobId}}"
    order = {"object": "Account", "operation": "insert", "contentType": "CSV", "lineEnding": "LF"}
    contract.check_request("post", path, order)
    made = await org.call("POST", "jobs/ingest", order)
    contract.check_answer("post", path, 200, made.body)
    csv = {"Content-Type": "text/csv"}
    uploaded = await org.call("PUT", f"jobs/ingest/{made.body['id']}/batches", b"Name\nA\n", headers=csv)
    assert (uploaded.status, uploaded.body) == (201, b"")
    closed = await org.call("PATCH", f"jobs/ingest/{made.body['id']}", {"state": "UploadComplete"})
    contract.check_answer("patch", one, 200, closed.body)
    contract.check_answer("get", one, 200, (await org.call("GET", f"jobs/ingest/{made.body['id']}")).body)
    contract.check_answer("get", path, 200, (await org.call("GET", "jobs/ingest")).body)
    query = await org.call("POST", "jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"})
    contract.check_answer("post", f"{V}/jobs/query", 200, query.body)
    refused = await org.call("POST", "jobs/query", {"operation": "query", "query": "SELECT"})
    contract.check_answer("post", f"{V}/jobs/query", 400, refused.body)


async def test_queries_answer_the_published_shape(org: Client, contract: Contract) -> None:
    """A page, the next page, and a refusal."""
    org.sandbox.seed("Account", [{"Name": f"A{i}"} for i in range(201)])
    first = await org.query("SELECT Id FROM Account", **{"Sforce-Query-Options": "batchSize=200"})
    contract.check_answer("get", f"{V}/query", 200, first)
    more = await org.call("GET", first["nextRecordsUrl"])
    contract.check_answer("get", f"{V}/query/{{locator}}", 200, more.body)
    refused = await org.call("GET", "queryAll", params={"q": "SELECT"})
    contract.check_answer("get", f"{V}/queryAll", 400, refused.body)


async def test_collections_and_composite_answer_the_published_shape(org: Client, contract: Contract) -> None:
    """Requests and answers both, with failures among them."""
    path = f"{V}/composite/sobjects"
    body = {"records": [{"attributes": {"type": "Account"}, "Name": "A"}, {"attributes": {"type": "Account"}}]}
    contract.check_request("post", path, body)
    contract.check_answer("post", path, 200, (await org.call("POST", "composite/sobjects", body)).body)
    upsert = {"records": [{"attributes": {"type": "Account"}, "Name": "A", "Tieline_Id__c": "x"}]}
    reply = await org.call("PATCH", "composite/sobjects/Account/Tieline_Id__c", upsert)
    contract.check_answer("patch", f"{path}/{{sobject}}/{{externalIdField}}", 200, reply.body)
    single = await org.call("PATCH", "sobjects/Account/Tieline_Id__c/x", {"Name": "B"})
    contract.check_answer("patch", f"{V}/sobjects/{{sobject}}/{{externalIdField}}/{{externalId}}", 200, single.body)
    parts = [{"method": "GET", "url": "/services/data/v60.0/limits", "referenceId": "l"}]
    contract.check_request("post", f"{V}/composite", {"compositeRequest": parts})
    composite = await org.call("POST", "composite", {"compositeRequest": parts})
    contract.check_answer("post", f"{V}/composite", 200, composite.body)


async def test_descriptions_and_limits_answer_the_published_shape(org: Client, contract: Contract) -> None:
    """Versions, limits and describe."""
    contract.check_answer("get", "/services/data", 200, (await org.call("GET", "/services/data")).body)
    contract.check_answer("get", f"{V}/limits", 200, (await org.call("GET", "limits")).body)
    described = await org.call("GET", "sobjects/Account/describe")
    contract.check_answer("get", f"{V}/sobjects/{{sobject}}/describe", 200, described.body)
