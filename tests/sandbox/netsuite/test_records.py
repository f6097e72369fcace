"""The record service: create, read, change, upsert, list and delete over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.netsuite.client import Client

COMPANY = {"companyName": "Zeta", "subsidiary": {"refName": "US01"}}
LINE = {"item": {"refName": "SEAT"}, "quantity": 2, "rate": Decimal("10.50"), "custcol_crm_line": "L1"}


def invoice(**changed: Any) -> dict[str, Any]:
    return {"entity": {"externalId": "acme"}, "tranDate": "2026-03-01", "item": {"items": [LINE]}} | changed


async def test_a_created_record_is_found_by_its_location_only(client: Client) -> None:
    """POST answers 204 with no body; the id is in Location; a reference is an object with links."""
    made = await client.record("POST", "customer", COMPANY | {"externalId": "zeta"})
    assert (made.status, made.raw) == (204, b"")
    assert made.headers["Location"] == f"{client.url}/services/rest/record/v1/customer/{made.id}"
    shown = await client.record("GET", f"customer/{made.id}")
    assert shown.headers["Content-Type"].startswith("application/vnd.oracle.resource+json; type=singular-resource")
    assert shown.body["entityId"] == "CUST0003 Zeta"
    assert shown.body["subsidiary"]["refName"] == "US01"
    assert shown.body["subsidiary"]["links"][0]["href"].endswith("/subsidiary/1")
    assert (await client.record("GET", "customer/eid:zeta")).body["id"] == made.id


async def test_amounts_are_exact_and_sublists_are_links_until_expanded(client: Client) -> None:
    """0.1 + 0.2 must stay 0.3; an unexpanded sublist is an address that can be read by itself."""
    lines = [LINE | {"amount": Decimal("0.1")}, LINE | {"amount": Decimal("0.2")}]
    made = await client.record("POST", "invoice", invoice(item={"items": lines}, memo="m"))
    plain = (await client.record("GET", f"invoice/{made.id}")).body
    assert plain["total"] == Decimal("0.30")
    assert list(plain["item"]) == ["links"]
    full = await client.read(f"invoice/{made.id}")
    assert [line["amount"] for line in full["item"]["items"]] == [Decimal("0.10"), Decimal("0.20")]
    assert full["item"]["items"][0]["custcol_crm_line"] == "L1"
    assert (await client.record("GET", f"invoice/{made.id}/item")).body["totalResults"] == 2
    assert (await client.record("GET", f"invoice/{made.id}/item/2")).body["amount"] == Decimal("0.20")
    only = (await client.record("GET", f"invoice/{made.id}?fields=memo,total")).body
    assert set(only) == {"links", "memo", "total"}


async def test_an_upsert_creates_once_and_then_updates(client: Client) -> None:
    """The natural key is the external id, so a repeated PUT leaves one record."""
    first = await client.record("PUT", "customer/eid:k-1", COMPANY)
    again = await client.record("PUT", "customer/eid:k-1", {"phone": "1"})
    assert (first.status, again.status, first.id) == (204, 204, again.id)
    assert (await client.record("GET", "customer/eid:k-1")).body["phone"] == "1"
    refused = await client.record("PUT", f"customer/{first.id}", COMPANY)
    assert (refused.status, refused.code) == (400, "USER_ERROR")


async def test_an_upsert_without_replace_doubles_the_lines(client: Client) -> None:
    """Lines without a key are appended; only ?replace=item makes the sublist what was sent."""
    path = "invoice/eid:zuora-1"
    await client.record("PUT", path, invoice())
    await client.record("PUT", path, invoice())
    assert len((await client.read(path))["item"]["items"]) == 2
    await client.record("PUT", f"{path}?replace=item", invoice())
    shown = await client.read(path)
    assert (len(shown["item"]["items"]), shown["total"]) == (1, Decimal("21.00"))


async def test_a_line_named_by_its_number_is_updated(client: Client) -> None:
    """A patch of line 1 keeps the rest of the line, and works the amount out again."""
    made = await client.record("POST", "invoice", invoice())
    patched = await client.record("PATCH", f"invoice/{made.id}", {"item": {"items": [{"line": 1, "quantity": 3}]}})
    assert patched.status == 204
    shown = await client.read(f"invoice/{made.id}")
    assert (len(shown["item"]["items"]), shown["total"]) == (1, Decimal("31.50"))


async def test_a_second_post_with_the_external_id_is_refused(client: Client) -> None:
    """Each in its own words: entities and transactions."""
    await client.record("POST", "customer", COMPANY | {"externalId": "one"})
    again = await client.record("POST", "customer", COMPANY | {"externalId": "one"})
    assert (again.status, again.code) == (400, "USER_ERROR")
    assert again.detail == "Error while accessing a resource. This entity already exists."
    await client.record("POST", "invoice", invoice(externalId="one"))
    again = await client.record("POST", "invoice", invoice(externalId="one"))
    assert again.detail == "Error while accessing a resource. This record already exists."


async def test_a_blind_second_post_makes_a_second_record(client: Client) -> None:
    """NetSuite does not recognise a repeated POST, nor an idempotency key that comes without respond-async."""
    key = {"X-NetSuite-Idempotency-Key": "cac827ea-3543-4cda-add2-bae634326c27"}
    first = await client.record("POST", "invoice", invoice(), key)
    second = await client.record("POST", "invoice", invoice(), key)
    assert (first.status, second.status) == (204, 204)
    assert first.id != second.id


@pytest.mark.parametrize(
    ("mode", "status", "kept"),
    [("Error", 400, False), ("Warning", 204, False), ("Ignore", 204, False), (None, 204, False)],
)
async def test_unknown_names_follow_the_validation_header(
    client: Client, mode: str | None, status: int, kept: bool
) -> None:
    """By default an unknown field is dropped and named in a Warning header: the write succeeds without it."""
    headers = {"X-NetSuite-PropertyNameValidation": mode} if mode else {}
    answer = await client.record("POST", "customer", COMPANY | {"compnyName": "x"}, headers)
    assert answer.status == status
    if status == 400:
        assert (answer.code, answer.body["o:errorDetails"][0]["o:errorPath"]) == ("INVALID_CONTENT", "compnyName")
    else:
        assert ("compnyName" in answer.headers.get("Warning", "")) == (mode != "Ignore")
        assert ("compnyName" in (await client.record("GET", f"customer/{answer.id}")).body) == kept


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"companyName": "Z", "subsidiary": "1"}, "subsidiary"),
        ({"companyName": "Z", "subsidiary": {"id": "99"}}, "subsidiary"),
        ({"companyName": "Z", "subsidiary": {"id": "1"}, "creditLimit": "12.50"}, "creditLimit"),
        ({"companyName": "Z", "subsidiary": {"id": "1"}, "startDate": "31.12.2026"}, "startDate"),
        ({"companyName": "Z", "subsidiary": {"id": "1"}, "isPerson": "T"}, "isPerson"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_path(client: Client, body: dict[str, Any], path: str) -> None:
    """References are objects, numbers are numbers, dates are ISO dates."""
    refused = await client.record("POST", "customer", body)
    assert (refused.status, refused.code) == (400, "INVALID_CONTENT")
    assert refused.body["o:errorDetails"][0]["o:errorPath"] == path
    assert "You have entered an Invalid Field Value" in refused.detail


async def test_wrong_values_may_be_dropped_on_request(client: Client) -> None:
    """X-NetSuite-PropertyValueValidation: Warning drops the value and names it; the rest is saved."""
    headers = {"X-NetSuite-PropertyValueValidation": "Warning"}
    made = await client.record("POST", "customer", COMPANY | {"creditLimit": "12.50", "phone": "1"}, headers)
    assert (made.status, "creditLimit" in made.headers["Warning"]) == (204, True)
    shown = (await client.record("GET", f"customer/{made.id}")).body
    assert ("creditLimit" in shown, shown["phone"]) == (False, "1")
    odd = await client.record("POST", "customer", COMPANY, {"X-NetSuite-PropertyValueValidation": "Perhaps"})
    assert odd.body["o:errorDetails"][0]["o:errorHeader"] == "X-NetSuite-PropertyValueValidation"


async def test_custom_fields_can_be_limited_to_those_of_the_account(client: Client) -> None:
    """A custom field that was never added to the account is an unknown name."""
    body = COMPANY | {"custentity_known": "a", "custentity_other": "b"}
    await client.control("configure", {"custom_fields": ["custentity_known"]})
    made = await client.record("POST", "customer", body)
    shown = (await client.record("GET", f"customer/{made.id}")).body
    assert ("custentity_known" in shown, "custentity_other" in shown) == (True, False)


async def test_unknown_records_types_and_urls(client: Client) -> None:
    """404 for what is not there, 400 for the id of another transaction type and for a faulty key."""
    made = await client.record("POST", "invoice", invoice())
    missing = await client.record("GET", "customer/999999")
    assert (missing.status, missing.code) == (404, "NONEXISTENT_ID")
    assert missing.detail == "The record instance does not exist. Provide a valid record instance ID."
    wrong = await client.record("GET", f"salesOrder/{made.id}")
    assert (wrong.status, wrong.detail.endswith("Transaction type specified is incorrect.")) == (400, True)
    unknown = await client.record("GET", "widget/1")
    assert (unknown.status, unknown.detail) == (404, "Record type 'widget' does not exist.")
    assert (await client.record("GET", "customer/eid:a%20b")).status == 400
    assert (await client.record("GET", "customer/eid:a.b")).code == "INVALID_ID"
    assert (await client.record("POST", "customer/1")).status == 405
    assert (await client.call("GET", "/services/rest/nothing")).status == 404


async def test_a_broken_body_is_refused(client: Client) -> None:
    """Half a JSON text, and a body of another media type."""
    assert (await client.record("POST", "customer", b'{"companyName": "Z"')).code == "INVALID_CONTENT"
    assert (await client.record("POST", "customer", b"a=b", {"Content-Type": "text/plain"})).status == 415


async def test_lists_hold_ids_and_links_in_pages(client: Client) -> None:
    """Only ids and links; the offset is a multiple of the limit; next is there while more follow."""
    await client.control("seed", {"customer": [COMPANY | {"subsidiary": "US01"} for _ in range(5)]})
    first = (await client.record("GET", "customer?limit=3")).body
    assert (first["count"], first["hasMore"], first["totalResults"]) == (3, True, 7)
    assert set(first["items"][0]) == {"links", "id"}
    assert {link["rel"] for link in first["links"]} == {"next", "last", "self"}
    last = (await client.record("GET", "customer?limit=3&offset=6")).body
    assert (last["count"], last["hasMore"]) == (1, False)
    assert (await client.record("GET", "customer?limit=3&offset=2")).code == "INVALID_PARAMETER"
    assert (await client.record("GET", "customer?limit=1001")).code == "INVALID_PARAMETER"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ('companyName START_WITH "ac"', 1),
        ('companyName CONTAIN "a"', 2),
        ('companyName IS "Acme" OR companyName IS "Bauer"', 2),
        ("isInactive IS false AND (subsidiary EQUAL 2)", 1),
        ("parent EMPTY", 2),
        ("phone EMPTY_NOT", 0),
        ("id ANY_OF [1, 2, 9]", 2),
        ('lastModifiedDate ON_OR_AFTER "3/10/2026"', 2),
        ('lastModifiedDate AFTER "2026-03-10"', 0),
    ],
)
async def test_lists_are_filtered_by_q(client: Client, query: str, count: int) -> None:
    """The operators of record collection filtering."""
    answer = await client.call("GET", f"/services/rest/record/v1/customer?q={query.replace(' ', '%20')}")
    assert answer.body["totalResults"] == count


async def test_a_faulty_filter_points_at_q(client: Client) -> None:
    refused = await client.record("GET", "customer?q=companyName%20RHYMES%20x")
    assert (refused.status, refused.body["o:errorDetails"][0]["o:errorQueryParam"]) == (400, "q")


async def test_what_others_refer_to_cannot_be_deleted(client: Client) -> None:
    """A customer with an invoice stays until the invoice is gone; both are then listed as deleted."""
    made = await client.record("POST", "invoice", invoice())
    refused = await client.record("DELETE", "customer/eid:acme")
    assert (refused.status, refused.detail.endswith("because it has dependent records.")) == (400, True)
    assert (await client.record("DELETE", f"invoice/{made.id}")).status == 204
    assert (await client.record("DELETE", "customer/eid:acme")).status == 204
    assert (await client.record("GET", f"invoice/{made.id}")).status == 404
    gone = await client.query("SELECT recordid, type FROM deletedrecord ORDER BY type")
    assert [row["type"] for row in gone.body["items"]] == ["customer", "invoice"]


async def test_null_clears_a_field(client: Client) -> None:
    await client.record("PATCH", "customer/eid:acme", {"phone": "1", "email": "a@b.example"})
    await client.record("PATCH", "customer/eid:acme", {"phone": None})
    shown = (await client.record("GET", "customer/eid:acme")).body
    assert ("phone" in shown, shown["email"]) == (False, "a@b.example")
