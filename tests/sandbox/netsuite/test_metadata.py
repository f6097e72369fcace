"""The metadata catalog tells an account's own fields."""

from __future__ import annotations

from typing import Any

from tests.sandbox.netsuite.client import Client

SCHEMA = {"Accept": "application/schema+json"}


async def described(client: Client, kind: str) -> dict[str, Any]:
    told = (await client.record("GET", f"metadata-catalog/{kind}", headers=SCHEMA)).body
    properties: dict[str, Any] = told["properties"]
    return properties


async def test_the_catalog_lists_the_record_types(client: Client) -> None:
    listed = (await client.record("GET", "metadata-catalog")).body
    assert {"invoice", "customer", "journalEntry"} <= {item["name"] for item in listed["items"]}
    assert (await client.record("GET", "metadata-catalog/unicorn", headers=SCHEMA)).status == 404
    assert (await client.record("GET", "metadata-catalog/invoice")).code == "INVALID_HEADER"


async def test_a_record_is_described_with_its_lines_and_custom_fields(client: Client) -> None:
    """Dates, amounts, references, sublists; a custom field appears once the account has it."""
    await client.control("configure", {"custom_fields": ["custbody_source", "custcol_line", "custentity_x"]})
    fields = await described(client, "INVOICE")
    assert fields["tranDate"]["format"] == "date"
    assert fields["total"]["readOnly"] is True
    assert "refName" in fields["entity"]["properties"]
    assert fields["custbody_source"]["x-ns-custom-field"] is True
    line = fields["item"]["properties"]["items"]["items"]["properties"]
    assert {"amount", "item", "custcol_line"} <= set(line)
    assert "custentity_x" not in fields


async def test_without_a_list_the_custom_fields_in_use_are_told(client: Client) -> None:
    body = {"companyName": "New", "subsidiary": {"id": "1"}, "custentity_source": "crm"}
    assert "custentity_source" not in await described(client, "customer")
    await client.record("POST", "customer", body)
    assert "custentity_source" in await described(client, "customer")
