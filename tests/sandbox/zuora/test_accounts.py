"""Accounts: what is needed, what is refused, and how they are found again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, account

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_account_is_created_and_read_by_id_and_number(zuora: Zuora) -> None:
    """The number is the client's, custom fields stay, the country is given its name."""
    created = await zuora.post("/v1/accounts", account("A-2", Region__c="South", parentId="A-1", crmId="001"))
    by_id = await zuora.get(f"/v1/accounts/{created['accountId']}")
    by_number = await zuora.get("/v1/accounts/A-2")
    assert by_id == by_number
    assert by_id["basicInfo"]["Region__c"] == "South"
    assert by_id["billToContact"]["country"] == "Germany"
    assert by_id["taxInfo"]["VATId"] == "DE123456789"
    assert by_id["billingAndPayment"]["paymentTerm"] == "Net 30"


@pytest.mark.parametrize(
    ("changes", "category", "message"),
    [
        ({"name": None}, 22, "'name' may not be empty"),
        ({"currency": "XXX"}, 20, "The currency 'XXX' is invalid or is not active in the tenant."),
        ({"paymentTerm": "Net 31"}, 20, "The payment term 'Net 31' does not exist or is inactive."),
        ({"accountNumber": "A-1"}, 30, "The account number A-1 already exists."),
        ({"parentId": "A-0"}, 40, "Cannot find entity by key: 'A-0'."),
        ({"billCycleDay": 32}, 20, "'billCycleDay' should be between 0 and 31"),
        ({"name": "x" * 256}, 20, "'name' should be 255 characters or less"),
        ({"billToContact": {"firstName": "A", "country": "DE"}}, 22, "'billToContact.lastName' may not be empty"),
        ({"billToContact": {"firstName": "A", "lastName": "B"}}, 22, "'billToContact.country' may not be empty"),
        (
            {"billToContact": {"firstName": "A", "lastName": "B", "country": "United States"}},
            22,
            "'billToContact.state' may not be empty",
        ),
        (
            {"billToContact": {"firstName": "A", "lastName": "B", "country": "Ruritania"}},
            20,
            "'country' value 'Ruritania' is not a valid country name or ISO code",
        ),
    ],
)
async def test_a_faulty_account_is_refused_with_200_and_success_false(
    zuora: Zuora, changes: dict[str, Any], category: int, message: str
) -> None:
    """A status of 200 is no success: the reasons say what is wrong, and nothing is stored."""
    status, body, _ = await zuora.ask("POST", "/v1/accounts", account("A-2", **{"accountNumber": "A-2", **changes}))
    assert (status, body["success"]) == (200, False)
    assert body["reasons"][0]["code"] % 100 == category
    assert body["reasons"][0]["message"] == message
    assert len(zuora.sandbox.documents("accounts")["accounts"]) == 1


async def test_an_account_is_changed(zuora: Zuora) -> None:
    """Name, terms, contacts and custom fields; object query sees the new name at once."""
    change = {"name": "Renamed", "paymentTerm": "Net 60", "Tier__c": "1", "billToContact": {"city": "Köln"}}
    assert (await zuora.put("/v1/accounts/A-1", change))["success"] is True
    seen = await zuora.get("/v1/accounts/A-1")
    assert (seen["basicInfo"]["name"], seen["basicInfo"]["Tier__c"]) == ("Renamed", "1")
    assert seen["billToContact"]["city"] == "Köln"
    found = await zuora.post("/v1/action/query", {"queryString": "select Id from Account where Name = 'Renamed'"})
    assert found["size"] == 1


async def test_the_summary_tells_money_as_text(zuora: Zuora) -> None:
    """The summary's balance is a string, as published."""
    summary = await zuora.get("/v1/accounts/A-1/summary")
    assert summary["basicInfo"]["balance"] == "0.00"


async def test_ten_thousand_accounts_are_seeded_quickly(zuora: Zuora) -> None:
    """Seeding follows the same rules and stays fast enough for a load test."""
    zuora.sandbox.seed("accounts", [account(f"B-{n}") for n in range(10_000)])
    found = await zuora.get("/object-query/accounts?filter[]=accountNumber.EQ:B-9999")
    assert found["data"][0]["name"] == "Company B-9999"
