"""Single records: ids, field checks, references, external ids, derived fields and the recycle bin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.salesforce.client import Client

from tieline_sandbox.salesforce.ids import checksum, mint, normalized


def test_the_checksum_is_that_of_a_published_example() -> None:
    """001A0000006Vm9r becomes 001A0000006Vm9rIAC; a wrong suffix is not an id."""
    assert checksum("001A0000006Vm9r") == "IAC"
    assert normalized("001A0000006Vm9r") == "001A0000006Vm9rIAC"
    assert normalized("001A0000006Vm9rAAA") is None
    assert mint("006", 62) == "006Aa0000000010IAA"


async def test_a_record_lives_from_creation_to_the_recycle_bin(org: Client) -> None:
    """201, 200, 204, 204, then 404 ENTITY_IS_DELETED; both forms of the id are good."""
    created = await org.call("POST", "sobjects/Account/", {"Name": "Acme", "BillingCountryCode": "US"})
    assert created.status == 201
    assert created.body == {"id": created.body["id"], "success": True, "errors": []}
    account = created.body["id"]
    assert len(account) == 18
    assert account.startswith("001")
    shown = await org.get("Account", account[:15])
    assert shown["attributes"] == {"type": "Account", "url": f"/services/data/v60.0/sobjects/Account/{account}"}
    assert (shown["BillingAddress"]["countryCode"], shown["Phone"]) == ("US", None)
    assert shown["SystemModstamp"].endswith(".000+0000")
    assert (await org.call("PATCH", f"sobjects/Account/{account}", {"Phone": "1"})).status == 204
    assert (await org.get("Account", account))["Phone"] == "1"
    assert (await org.call("DELETE", f"sobjects/Account/{account}")).status == 204
    gone = await org.call("GET", f"sobjects/Account/{account}")
    assert (gone.status, gone.body[0]["errorCode"], gone.body[0]["message"]) == (
        404,
        "ENTITY_IS_DELETED",
        "entity is deleted",
    )


REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("Account", {"Name": "A", "Colour": 1}, "INVALID_FIELD", "No such column 'Colour' on sobject of type Account"),
    ("Account", {}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"),
    ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", "Account Name: data value too large: xxx"),
    (
        "Account",
        {"Name": 7},
        "JSON_PARSER_ERROR",
        "Cannot deserialize instance of string from VALUE_NUMBER_INT value 7",
    ),
    ("Account", {"Name": "A", "CurrencyIsoCode": "XXX"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value for"),
    ("Account", {"Name": "A", "Billing_Email__c": "nobody"}, "INVALID_EMAIL_ADDRESS", "invalid email address: nobody"),
    ("Account", {"Name": "A", "ParentId": "123"}, "MALFORMED_ID", "Parent ID: id value of incorrect type: 123"),
    ("Account", {"Name": "A", "ParentId": mint("006", 1)}, "MALFORMED_ID", "id value of incorrect type"),
    ("Account", {"Name": "A", "ParentId": mint("001", 9)}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
    ("Account", {"Name": "A", "Id": mint("001", 9)}, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id"),
    (
        "Opportunity",
        {"Name": "O", "IsWon": True},
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: IsWon",
    ),
    (
        "Opportunity",
        {"Name": "O", "Amount": "ten"},
        "JSON_PARSER_ERROR",
        "instance of double from VALUE_STRING value ten",
    ),
    ("Opportunity", {"Name": "O", "Amount": 10**18}, "NUMBER_OUTSIDE_VALID_RANGE", "outside of valid range"),
    ("Opportunity", {"CloseDate": "2026-01-01T00:00:00Z"}, "JSON_PARSER_ERROR", "[line:1, column:"),
    ("Opportunity", {"Auto_Renew__c": "maybe"}, "JSON_PARSER_ERROR", "instance of boolean"),
]


@pytest.mark.parametrize(("sobject", "fields", "code", "message"), REFUSALS)
async def test_a_faulty_record_is_refused_in_salesforce_words(
    org: Client, sobject: str, fields: dict[str, Any], code: str, message: str
) -> None:
    """400 with the documented code and wording, and nothing is stored."""
    reply = await org.call("POST", f"sobjects/{sobject}", fields)
    assert reply.status == 400
    assert reply.body[0]["errorCode"] == code
    assert message in reply.body[0]["message"]
    assert org.sandbox.documents(sobject)[sobject] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "sobjects/Acount/x", None, 404, "NOT_FOUND"),
        ("GET", f"sobjects/Account/{mint('001', 9)}", None, 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/123", None, 400, "MALFORMED_ID"),
        ("PUT", "sobjects/Account", {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "sobjects/Account", b"{nope", 400, "JSON_PARSER_ERROR"),
        ("PATCH", "sobjects/Account/Name/Acme", {}, 404, "NOT_FOUND"),
        ("GET", "/services/data/v12.0/limits", None, 404, "NOT_FOUND"),
        ("POST", "sobjects/User", {"Name": "x"}, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
    ],
)
async def test_wrong_addresses_and_bodies(
    org: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    """Every refusal is a list of errors, never a bare page."""
    reply = await org.call(method, path, body)
    assert (reply.status, reply.body[0]["errorCode"]) == (status, code)


async def test_only_json_is_taken(org: Client) -> None:
    """A form where JSON belongs is 415."""
    reply = await org.call("POST", "sobjects/Account", b"Name=A", headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.body[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_upsert_by_external_id_inserts_then_updates(org: Client) -> None:
    """201 with created true, then 200 with created false, and one record stands."""
    path = "sobjects/Account/Tieline_Id__c/a%2F1"
    first = await org.call("PATCH", path, {"Name": "One"})
    second = await org.call("PATCH", path, {"Name": "Two"})
    assert (first.status, first.body["created"]) == (201, True)
    assert (second.status, second.body["created"], second.body["id"]) == (200, False, first.body["id"])
    found = await org.call("GET", path)
    assert (found.body["Name"], found.body["Tieline_Id__c"]) == ("Two", "a/1")
    repeated = await org.call("PATCH", path, {"Name": "Two", "Tieline_Id__c": "a/1"})
    assert repeated.body[0]["message"] == "The Tieline_Id__c field should not be specified in the sobject data."


async def test_an_ambiguous_external_id_is_300_and_writes_nothing(org: Client) -> None:
    """The answer lists the records; none of them changed."""
    ids = [await org.create("Account", Name=name, Tieline_Id__c="twice") for name in ("A", "B")]
    reply = await org.call("PATCH", "sobjects/Account/Tieline_Id__c/twice", {"Name": "C"})
    assert reply.status == 300
    assert reply.body == [f"/services/data/v60.0/sobjects/Account/{i}" for i in ids]
    assert [r["Name"] for r in org.sandbox.documents("Account")["Account"]] == ["A", "B"]


async def test_unique_external_ids_refuse_a_second_record(org: Client) -> None:
    """When the field is unique in the tenant, DUPLICATE_VALUE names the record that has it."""
    await org.control("configure", {"unique_external_ids": True})
    first = await org.create("Account", Name="A", Tieline_Id__c="one")
    reply = await org.call("POST", "sobjects/Account", {"Name": "B", "Tieline_Id__c": "ONE"})
    assert reply.body[0]["errorCode"] == "DUPLICATE_VALUE"
    assert first[:15] in reply.body[0]["message"]


async def test_a_parent_may_be_named_by_its_external_id(org: Client) -> None:
    """{"Account": {"Tieline_Id__c": …}} resolves to the id, or is refused."""
    account = await org.create("Account", Name="A", Tieline_Id__c="acc")
    deal = await org.opportunity(Account={"Tieline_Id__c": "acc"})
    assert (await org.get("Opportunity", deal))["AccountId"] == account
    reply = await org.call("POST", "sobjects/Contact", {"LastName": "X", "Account": {"Tieline_Id__c": "no"}})
    assert "Foreign key external ID: no not found" in reply.body[0]["message"]


async def test_a_deleted_parent_cannot_be_referred_to(org: Client) -> None:
    """ENTITY_IS_DELETED names the field."""
    account = await org.create("Account", Name="A")
    await org.call("DELETE", f"sobjects/Account/{account}")
    reply = await org.call("POST", "sobjects/Contact", {"LastName": "X", "AccountId": account})
    assert (reply.body[0]["errorCode"], reply.body[0]["fields"]) == ("ENTITY_IS_DELETED", ["AccountId"])


async def test_the_stage_decides_whether_a_deal_is_won(org: Client) -> None:
    """IsWon, IsClosed, probability and forecast follow StageName."""
    deal = await org.opportunity()
    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"StageName": "Closed Won"})
    won = await org.get("Opportunity", deal)
    assert (won["IsWon"], won["IsClosed"], won["Probability"], won["ForecastCategory"]) == (True, True, 100, "Closed")
    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"StageName": "Closed Lost"})
    assert (await org.get("Opportunity", deal))["IsWon"] is False


async def product_with_price(org: Client, price: int = 10, currency: str = "USD") -> tuple[str, str]:
    """A product and its entry in the standard price book."""
    product = await org.create("Product2", Name="Seat", ProductCode="SEAT", IsActive=True)
    book = (await org.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true"))["records"][0]["Id"]
    entry = await org.create(
        "PricebookEntry",
        Pricebook2Id=book,
        Product2Id=product,
        UnitPrice=price,
        IsActive=True,
        CurrencyIsoCode=currency,
    )
    return product, entry


async def test_an_opportunity_is_worth_its_lines(org: Client) -> None:
    """TotalPrice is quantity x price less discount, to the cent; a total given directly is kept; Amount is the sum."""
    product, entry = await product_with_price(org)
    deal = await org.opportunity(Amount=5)
    line = await org.create(
        "OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=3, UnitPrice="9.99", Discount=10
    )
    shown = await org.get("OpportunityLineItem", line)
    assert (shown["TotalPrice"], shown["ListPrice"], shown["ProductCode"]) == (Decimal("26.97"), Decimal(10), "SEAT")
    ramp = await org.create(
        "OpportunityLineItem", OpportunityId=deal, Product2Id=product, Quantity=2, UnitPrice=100, TotalPrice=2400
    )
    assert (await org.get("Opportunity", deal))["Amount"] == Decimal("2426.97")
    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"Amount": 1, "NextStep": "sign"})
    after = await org.get("Opportunity", deal)
    assert (after["Amount"], after["NextStep"]) == (Decimal("2426.97"), "sign")
    await org.call("PATCH", f"sobjects/OpportunityLineItem/{line}", {"Quantity": 1})
    await org.call("DELETE", f"sobjects/OpportunityLineItem/{ramp}")
    assert (await org.get("Opportunity", deal))["Amount"] == Decimal("8.99")


async def test_price_books_are_guarded(org: Client) -> None:
    """A line needs an entry of the deal's currency; one price a product, book and currency; standard price first."""
    product, entry = await product_with_price(org)
    deal = await org.opportunity(CurrencyIsoCode="EUR")
    bad = {"OpportunityId": deal, "Quantity": 1, "UnitPrice": 1}
    missing = await org.call("POST", "sobjects/OpportunityLineItem", bad)
    assert missing.body[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    currency = await org.call("POST", "sobjects/OpportunityLineItem", bad | {"PricebookEntryId": entry})
    assert currency.body[0]["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    shown = await org.get("PricebookEntry", entry)
    again = {"Pricebook2Id": shown["Pricebook2Id"], "Product2Id": product, "UnitPrice": 1}
    assert (await org.call("POST", "sobjects/PricebookEntry", again)).body[0]["errorCode"] == "DUPLICATE_VALUE"
    book = await org.create("Pricebook2", Name="Partners", IsActive=True)
    euros = again | {"Pricebook2Id": book, "CurrencyIsoCode": "EUR"}
    assert (await org.call("POST", "sobjects/PricebookEntry", euros)).body[0][
        "errorCode"
    ] == "STANDARD_PRICE_NOT_DEFINED"


async def test_deleting_takes_what_is_owned_but_not_won_deals(org: Client) -> None:
    """Lines go with their opportunity; an account with a won deal stays."""
    _, entry = await product_with_price(org)
    account = await org.create("Account", Name="A")
    deal = await org.opportunity(AccountId=account, StageName="Closed Won")
    await org.create("OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=1, UnitPrice=1)
    refused = await org.call("DELETE", f"sobjects/Account/{account}")
    assert refused.body[0]["errorCode"] == "DELETE_FAILED"
    assert (await org.call("DELETE", f"sobjects/Opportunity/{deal}")).status == 204
    assert org.sandbox.documents("OpportunityLineItem")["OpportunityLineItem"] == []


async def test_conditional_requests(org: Client) -> None:
    """304 when nothing is newer; 412 when something is."""
    account = await org.create("Account", Name="A")
    modified = (await org.call("GET", f"sobjects/Account/{account}")).headers["Last-Modified"]
    same = await org.call("GET", f"sobjects/Account/{account}", headers={"If-Modified-Since": modified})
    assert same.status == 304
    old = {"If-Unmodified-Since": "Wed, 01 Jan 2020 00:00:00 GMT"}
    assert (await org.call("PATCH", f"sobjects/Account/{account}", {"Phone": "1"}, headers=old)).status == 412


async def test_describe_names_fields_and_relationships(org: Client) -> None:
    """What a mapping needs to be checked against: types, lengths, external ids, parents and children."""
    body = (await org.call("GET", "sobjects/Opportunity/describe")).body
    fields = {f["name"]: f for f in body["fields"]}
    assert (fields["AccountId"]["type"], fields["AccountId"]["relationshipName"]) == ("reference", "Account")
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert (fields["Name"]["length"], fields["Name"]["nillable"]) == (120, False)
    assert fields["Tieline_Id__c"]["externalId"] is True
    assert "Closed Won" in [v["value"] for v in fields["StageName"]["picklistValues"]]
    assert "OpportunityLineItems" in [c["relationshipName"] for c in body["childRelationships"]]
    assert "Opportunity" in [s["name"] for s in (await org.call("GET", "sobjects")).body["sobjects"]]
