"""Requests and answers against the published contract; nulls are left out, as its models take them for absent."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.sandbox.zuora.conftest import Zuora, account, calls, order, seats, setup

CONTRACT = Path(__file__).parents[3] / "../shared/contracts/zuora/trimmed.openapi.json"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CONTRACT.exists(), reason="the published Zuora contract is not beside this checkout"),
]


@cache
def _contract() -> Any:
    return json.loads(CONTRACT.read_text())


@cache
def _validator(schema: str) -> Any:
    document = {**json.loads(schema), "components": _contract()["components"]}
    return jsonschema_rs.validator_for(document)


def _schema(method: str, path: str, status: int | None) -> Any:
    """The schema of an answer, or of the request when `status` is None."""
    for template, operations in _contract()["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if method.lower() in operations and re.fullmatch(pattern, path.partition("?")[0]):
            operation = operations[method.lower()]
            part = operation["requestBody"] if status is None else operation["responses"][str(status)]
            return part["content"]["application/json"]["schema"]
    raise AssertionError(f"{method} {path} is not in the contract")


def _plain(value: Any) -> Any:
    """Without nulls, and with floats where there were decimals: the checker knows JSON's own types."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | bool) else float(value)


async def _checked(zuora: Zuora, method: str, path: str, body: Any = None, *, check_request: bool = True) -> Any:
    if body is not None and check_request:
        _validator(json.dumps(_schema(method, path, None))).validate(_plain(body))
    status, answer, _ = await zuora.ask(method, path, body)
    _validator(json.dumps(_schema(method, path, status))).validate(_plain(answer))
    assert answer.get("success", True) is True, answer
    return answer


async def test_a_deal_from_account_to_credit_keeps_to_the_contract(zuora: Zuora) -> None:
    """Everything the process sends and reads, in the order it does."""
    await _checked(zuora, "POST", "/v1/accounts", account("A-2"))
    await _checked(zuora, "PUT", "/v1/accounts/A-2", {"paymentTerm": "Net 15"})
    for path in ("/v1/accounts/A-2", "/v1/accounts/A-2/summary", "/object-query/accounts?expand[]=billto"):
        await _checked(zuora, "GET", path)
    lines = (seats("C-1", 10, 5, "2026-01-15", "2027-01-15"), setup("C-2", 9), calls("C-3"))
    # The contract asks for the charge's id; the agreed shape names it by number, which the vendor takes as well.
    await _checked(zuora, "POST", "/v1/orders", order("1", *lines, owner="A-2"), check_request=False)
    usage = {"AccountNumber": "A-2", "ChargeNumber": "C-3", "UOM": "API calls", "Quantity": 20000}
    await _checked(zuora, "POST", "/v1/object/usage", {**usage, "StartDateTime": "2026-01-20T00:00:00Z"})
    await zuora.advance(40)
    await _checked(zuora, "POST", "/v1/bill-runs", {"targetDate": "2026-03-01", "autoPost": True})
    (item, *_) = (await _checked(zuora, "GET", "/v1/invoices/INV00000001/items"))["invoiceItems"]
    line = {"invoiceItemId": item["id"], "amount": 5, "skuName": "x"}
    await _checked(zuora, "POST", "/v1/credit-memos/invoice/INV00000001", {"items": [line], "autoPost": True})
    applied = [{"invoiceNumber": "INV00000001", "amount": 10}]
    money = {"type": "External", "accountNumber": "A-2", "amount": 20, "currency": "EUR", "invoices": applied}
    await _checked(zuora, "POST", "/v1/payments", money)
    refund = {"type": "External", "methodType": "Check", "totalAmount": 5}
    await _checked(zuora, "POST", "/v1/payments/P-00000001/refunds", refund)
    for path in READS:
        await _checked(zuora, "GET", path)
    body = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-03-01"}
    await _checked(zuora, "PUT", "/v1/subscriptions/S-1/cancel", body)


async def test_corrections_and_files_keep_to_the_contract(zuora: Zuora) -> None:
    """Contacts, write-offs, refunds of credit memos, actions and data queries."""
    person = {"accountNumber": "A-1", "firstName": "Grace", "lastName": "Hopper", "country": "DE"}
    contact = await _checked(zuora, "POST", "/v1/contacts", person)
    await _checked(zuora, "PUT", f"/v1/contacts/{contact['id']}", {"city": "Berlin"})
    await _checked(zuora, "GET", f"/v1/contacts/{contact['id']}")
    await zuora.post("/v1/orders", order("1", setup("C-1", 9), calls("C-2")))
    await zuora.advance(10)
    await _checked(zuora, "PUT", "/v1/invoices/INV00000001/write-off", {"comment": "gone"})
    (charge,) = [c for c in zuora.sandbox.documents("product-rate-plan-charges")["product-rate-plan-charges"]
                 if c["productRatePlanChargeNumber"] == "PRPC-SETUP"]  # fmt: skip
    line = {"chargeId": charge["id"], "productRatePlanChargeId": charge["id"], "amount": 20}
    memo = await _checked(
        zuora, "POST", "/v1/credit-memos", {"accountNumber": "A-1", "charges": [line], "autoPost": True}
    )
    back = {"type": "External", "methodType": "Check", "totalAmount": 5}
    refund = await _checked(zuora, "POST", f"/v1/credit-memos/{memo['id']}/refund", back)
    for path in ("/v1/refunds", f"/v1/refunds/{refund['id']}", f"/v1/refunds/{refund['id']}/parts"):
        await _checked(zuora, "GET", path)
    await _checked(zuora, "GET", "/object-query/refunds?expand[]=account&expand[]=refundapplications")
    query = {"query": "select Id from Account", "outputFormat": "JSON", "compression": "NONE"}
    job = await _checked(zuora, "POST", "/query/jobs", {**query, "output": {"target": "S3"}})
    await _checked(zuora, "GET", f"/query/jobs/{job['data']['id']}")
    usage = {"AccountNumber": "A-1", "ChargeNumber": "C-2", "UOM": "API calls", "StartDateTime": "2026-01-20"}
    answers = await zuora.post("/v1/action/create", {"type": "Usage", "objects": [{**usage, "Quantity": 1}, {}]})
    _validator(json.dumps(_schema("POST", "/v1/action/create", 200))).validate(_plain(answers))


READS = (
    "/v1/orders/O-1",
    "/v1/orders",
    "/v1/orders/subscription/S-1",
    "/v1/subscriptions/S-1",
    "/v1/subscriptions/accounts/A-2",
    "/v1/invoices/INV00000001",
    "/v1/credit-memos/CM00000001",
    "/v1/credit-memos/CM00000001/items",
    "/v1/credit-memos/CM00000001/parts",
    "/v1/payments/P-00000001",
    "/v1/payments/P-00000001/parts",
    "/v1/usage/accounts/A-2",
    "/v1/catalog/products",
    "/v1/product-rate-plans/PRP-SEATS",
    "/v1/notification-history/callout",
    "/object-query/orders?expand[]=account",
    "/object-query/subscriptions?expand[]=rateplans&expand[]=rateplancharges",
    "/object-query/invoices?expand[]=invoiceitems",
    "/object-query/credit-memos?expand[]=creditmemoitems",
    "/object-query/payments?expand[]=paymentapplications",
    "/object-query/refunds",
    "/object-query/usages",
    "/object-query/products?expand[]=productrateplans",
    "/object-query/product-rate-plans",
    "/object-query/product-rate-plan-charges",
)


async def test_refusals_keep_to_the_contract_too(zuora: Zuora) -> None:
    """A failure of v1, of CRUD, of ZOQL, of a query, and of a missing token."""
    for method, path, body, headers in (
        ("GET", "/v1/invoices/none", None, {}),
        ("GET", "/v1/invoices/none", None, {"Authorization": "Bearer no"}),
        ("POST", "/v1/object/usage", {"Quantity": 1}, {}),
        ("POST", "/v1/action/query", {"queryString": "nonsense"}, {}),
        ("GET", "/object-query/accounts?filter[]=nonsense", None, {}),
    ):
        status, answer, _ = await zuora.ask(method, path, body, **headers)
        if isinstance(reasons := answer.get("reasons"), list):
            # Codes are numbers on the wire and text in the contract.
            answer = {**answer, "reasons": [{**r, "code": str(r["code"])} for r in reasons]}
        _validator(json.dumps(_schema(method, path, status))).validate(_plain(answer))
