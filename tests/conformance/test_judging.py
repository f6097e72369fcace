"""The judge itself: each kind of difference from a contract is found, and none is explained away by accident."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.conformance.contracts import Contract
from tests.conformance.deviations import DEVIATIONS

BILL = {
    "type": "object",
    "required": ["amount"],
    "properties": {
        "amount": {"type": "number"},
        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
    },
}
DOCUMENT = {
    "servers": [{"url": "https://{account}.example/rest"}],
    "components": {"schemas": {"Bill": BILL, "Line": {"type": "object", "properties": {"sku": {"type": "string"}}}}},
    "paths": {
        "/bills": {
            "post": {
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9}},
                    {"name": "Prefer", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Bill"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Bill"}}}}
                },
            }
        },
        "/bills/{id}": {"get": {"responses": {"204": {}}}},
    },
}


def entry(body: Any = None, answer: Any = None, **changes: Any) -> dict[str, Any]:
    """A recorded exchange that fits, unless something is changed."""
    sent = {"amount": 1} if body is None else body
    given = {"amount": 1} if answer is None else answer
    kind = {"content-type": "application/json; charset=utf-8"}
    fitting = {
        "method": "POST",
        "path": "/rest/bills",
        "query": "",
        "status": 200,
        "fault": None,
        "request": json.dumps(sent),
        "request_headers": {**kind, "Prefer": "x"},
        "response": json.dumps(given),
        "response_headers": kind,
    }
    return {**fitting, **changes}


def told(*entries: dict[str, Any]) -> list[str]:
    report = Contract("no vendor of ours", DOCUMENT).judge(entries)
    return [str(finding) for finding in report.unknown]


def test_what_fits_is_counted_and_raises_nothing() -> None:
    """Custom fields are a company's own; a trailing slash and the case of headers change nothing."""
    body = {"amount": 1.5, "Note__c": "x", "lines": [{"sku": "A"}]}
    report = Contract("no vendor of ours", DOCUMENT).judge(
        [
            entry(body, query="limit=3", path="/rest/bills/"),
            entry(method="GET", path="/rest/bills/7", status=204, request="", response=""),
        ]
    )
    assert not report.unknown
    assert report.operations == {"POST /bills": 1, "GET /bills/{id}": 1}
    assert (report.exchanges, report.bodies) == (2, 2)


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (entry(path="/rest/bells"), "POST /bells: path: is not in the contract"),
        (entry(query="size=3"), "POST /bills: query: size is not described"),
        (entry(query="limit=x"), 'POST /bills: query: limit: /: "x" is not of type "integer"'),
        (entry(request_headers={"content-type": "application/json"}), "POST /bills: header: Prefer is required"),
        (entry({"amount": "1"}), 'POST /bills: request: /amount: "1" is not of type "number"'),
        (entry({}), 'POST /bills: request: /: "amount" is a required property'),
        (entry({"amount": 1, "lines": [{"SKU": "A"}]}), "POST /bills: request: /lines/*/SKU is not named"),
        (entry(status=201), "POST /bills: status: 201 is not described"),
        (entry(answer={"amount": None}), 'POST /bills: answer 200: /amount: null is not of type "number"'),
        (entry(response=""), "POST /bills: answer 200: has no body"),
        (
            entry(response_headers={"content-type": "text/html"}),
            "POST /bills: answer 200: is text/html, described is application/json",
        ),
    ],
)
def test_each_difference_is_a_finding(changed: dict[str, Any], finding: str) -> None:
    assert told(changed) == [finding]


def test_a_request_that_was_refused_may_be_wrong() -> None:
    """Clients try wrong requests on purpose; the refusal itself is still held against the contract."""
    assert told(entry({"amount": "x"}, status=400)) == ["POST /bills: status: 400 is not described"]


def test_an_answer_that_a_fault_kept_back_is_not_judged() -> None:
    assert told(entry(fault="drop_response", status=599, response="")) == []


def test_a_composite_request_is_judged_part_by_part() -> None:
    """Salesforce: each part has a path, a body and a status of its own."""
    document = {
        "servers": [{"url": "https://acme.example"}],
        "components": {"schemas": {"Account": {"properties": {"Name": {"type": "string"}}}}},
        "paths": {
            "/services/data/v{version}/composite": {"post": {"responses": {"200": {}}, "requestBody": {}}},
            "/services/data/v{version}/sobjects/{sobject}": {"post": {"responses": {"201": {}}, "requestBody": {}}},
        },
    }
    part = {
        "method": "POST",
        "url": "/services/data/v60.0/sobjects/Account",
        "referenceId": "a",
        "body": {"Name": 7, "Nme": "x"},
    }
    answer = {"compositeResponse": [{"referenceId": "a", "httpStatusCode": 200, "body": None}]}
    recorded = entry({"compositeRequest": [part]}, answer, path="/services/data/v60.0/composite")
    found = [str(finding) for finding in Contract("salesforce", document).judge([recorded]).unknown]
    assert "POST /services/data/v{version}/sobjects/{sobject}: status: 200 is not described" in found
    assert any("Account.Nme is not a field of the object" in one for one in found)
    assert any('Account: /Name: 7 is not of type "string"' in one for one in found)


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: f"{deviation.vendor} {deviation.text[:40]}")
def test_each_deviation_names_what_it_explains_and_why(deviation: Any) -> None:
    """Patterns compile, none is so wide that it explains everything, and the reason is a sentence."""
    for pattern in (deviation.operation, deviation.where, deviation.text):
        re.compile(pattern)
    assert deviation.operation or deviation.text
    assert deviation.where
    assert deviation.reason.endswith(".")
