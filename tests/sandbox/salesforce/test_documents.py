"""Quotes, contracts, orders, currencies and what an administrator adds, under Salesforce's own rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.salesforce.client import Client


async def priced(org: Client, currency: str = "EUR") -> tuple[str, str]:
    """A product's standard price in a currency: (price book entry, price book)."""
    book = (await org.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true"))["records"][0]["Id"]
    product = await org.create("Product2", Name="Platform", ProductCode="PLATFORM", IsActive=True)
    price = {"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 100, "IsActive": True}
    return await org.create("PricebookEntry", **price, CurrencyIsoCode=currency), book


async def refused(org: Client, method: str, path: str, body: Any) -> dict[str, Any]:
    reply = await org.call(method, path, body)
    assert reply.status == 400, reply.body
    return dict(reply.body[0])


async def test_a_quote_sums_its_lines_and_takes_currency_and_account_from_its_deal(org: Client) -> None:
    entry, _ = await priced(org)
    account = await org.create("Account", Name="Nordwind")
    deal = await org.opportunity(AccountId=account, CurrencyIsoCode="EUR")
    quote = await org.create("Quote", Name="Q", OpportunityId=deal, Tax=19)
    line = {"QuoteId": quote, "PricebookEntryId": entry, "UnitPrice": 100}
    await org.create("QuoteLineItem", **line, Quantity=2, Discount=10)
    await org.create("QuoteLineItem", **line, Quantity=1)

    shown = await org.get("Quote", quote)

    sums = (shown["Subtotal"], shown["TotalPrice"], shown["Discount"], shown["GrandTotal"])
    assert sums == (Decimal(300), Decimal(280), Decimal("6.67"), Decimal(299))
    assert (shown["CurrencyIsoCode"], shown["AccountId"], shown["QuoteNumber"]) == ("EUR", account, "00000001")


async def test_a_contract_begins_as_a_draft_and_ends_with_its_term(org: Client) -> None:
    account = await org.create("Account", Name="Nordwind")
    given = {"AccountId": account, "StartDate": "2026-01-31", "ContractTerm": 13}
    error = await refused(org, "POST", "sobjects/Contract", {**given, "Status": "Activated"})
    contract = await org.create("Contract", **given)
    await org.call("PATCH", f"sobjects/Contract/{contract}", {"Status": "Activated"})

    shown = await org.get("Contract", contract)

    assert error["errorCode"] == "FAILED_ACTIVATION"
    assert (shown["EndDate"], shown["StatusCode"]) == ("2027-02-27", "Activated")
    assert shown["ActivatedDate"]


async def test_an_order_is_activated_once_it_has_products_and_closed_to_more(org: Client) -> None:
    entry, book = await priced(org, "USD")
    account = await org.create("Account", Name="Nordwind")
    given = {"AccountId": account, "EffectiveDate": "2026-02-01", "Status": "Draft", "Pricebook2Id": book}
    order = await org.create("Order", **given)
    empty = await refused(org, "PATCH", f"sobjects/Order/{order}", {"Status": "Activated"})
    line = {"OrderId": order, "PricebookEntryId": entry, "Quantity": 3, "UnitPrice": 90}
    await org.create("OrderItem", **line)
    assert (await org.call("PATCH", f"sobjects/Order/{order}", {"Status": "Activated"})).status == 204

    late = await refused(org, "POST", "sobjects/OrderItem", line)

    assert empty["errorCode"] == "FAILED_ACTIVATION"
    assert late["errorCode"] == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    assert (await org.get("Order", order))["TotalAmount"] == 270


async def test_parents_and_children_are_reached_over_four_objects(org: Client) -> None:
    entry, _ = await priced(org)
    account = await org.create("Account", Name="Nordwind")
    deal = await org.opportunity(AccountId=account, CurrencyIsoCode="EUR")
    quote = await org.create("Quote", Name="Q", OpportunityId=deal)
    await org.create("QuoteLineItem", QuoteId=quote, PricebookEntryId=entry, UnitPrice=100, Quantity=1)
    soql = (
        "SELECT Opportunity.Account.Name, (SELECT PricebookEntry.Product2.ProductCode FROM QuoteLineItems) "
        "FROM Quote WHERE Opportunity.Account.Name = 'nordwind'"
    )

    found = (await org.query(soql))["records"][0]

    assert found["Opportunity"]["Account"]["Name"] == "Nordwind"
    assert found["QuoteLineItems"]["records"][0]["PricebookEntry"]["Product2"]["ProductCode"] == "PLATFORM"


async def test_custom_objects_and_fields_behave_like_any_other(org: Client) -> None:
    """Described, created, queried from both sides of the relationship, unique where they say so."""
    account = await org.create("Account", Name="Nordwind")
    usage = {
        "name": "Usage__c",
        "fields": [
            {"name": "Account__c", "type": "reference", "to": "Account", "children": "Usages", "cascade": True},
            {"name": "Units__c", "type": "double", "scale": 3, "required": True},
            {"name": "Meter__c", "external_id": True, "unique": True},
        ],
    }
    more = {"name": "Account", "fields": [{"name": "Tier__c", "type": "picklist", "values": ["Gold", "Tin"]}]}
    await org.control("configure", {"custom_objects": [usage, more]})
    record = await org.create("Usage__c", Account__c=account, Units__c="1.2345", Meter__c="m-1")
    twin = await refused(org, "POST", "sobjects/Usage__c", {"Units__c": 1, "Meter__c": "M-1"})

    described = (await org.call("GET", "sobjects/Usage__c/describe")).body
    found = (await org.query("SELECT Tier__c, (SELECT Units__c, Account__r.Name FROM Usages__r) FROM Account"))[
        "records"
    ]

    assert record.startswith("a00")
    assert twin["errorCode"] == "DUPLICATE_VALUE"
    assert described["custom"] is True
    assert {f["name"]: f["referenceTo"] for f in described["fields"]}["Account__c"] == ["Account"]
    assert found[0]["Tier__c"] is None
    assert found[0]["Usages__r"]["records"][0]["Units__c"] == Decimal("1.235")
    await org.call("DELETE", f"sobjects/Account/{account}")
    assert (await org.call("GET", f"sobjects/Usage__c/{record}")).status == 404


async def test_a_platform_event_is_queued_and_never_queried(org: Client) -> None:
    event = {"name": "Low_Ink__e", "fields": [{"name": "Serial__c"}]}
    await org.control("configure", {"custom_objects": [event]})

    reply = await org.call("POST", "sobjects/Low_Ink__e", {"Serial__c": "X1"})
    asked = await refused(org, "GET", "query?q=SELECT+Id+FROM+Low_Ink__e", None)

    assert reply.status == 201
    assert reply.body["errors"][0]["statusCode"] == "OPERATION_ENQUEUED"
    assert asked["errorCode"] == "INVALID_TYPE"


async def test_a_validation_rule_speaks_in_its_own_words(org: Client) -> None:
    rule = {"object": "Opportunity", "when": {"StageName": "Closed Won", "Contract_Start__c": None}}
    rule |= {"message": "A won deal needs a start.", "field": "Contract_Start__c"}
    await org.control("configure", {"validation_rules": [rule]})
    deal = await org.opportunity()

    error = await refused(org, "PATCH", f"sobjects/Opportunity/{deal}", {"StageName": "Closed Won"})
    started = {"StageName": "Closed Won", "Contract_Start__c": "2026-03-01"}

    assert error["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert (error["message"], error["fields"]) == ("A won deal needs a start.", ["Contract_Start__c"])
    assert (await org.call("PATCH", f"sobjects/Opportunity/{deal}", started)).status == 204


@pytest.mark.parametrize(("action", "saved"), [("alert", True), ("block", False)])
async def test_a_duplicate_is_saved_only_when_the_rule_alerts_and_the_caller_insists(
    org: Client, action: str, saved: bool
) -> None:
    await org.control("configure", {"duplicate_rules": [{"object": "Account", "fields": ["Name"], "action": action}]})
    first = await org.create("Account", Name="Nordwind")
    path, header = "sobjects/Account", {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=true"}

    error = await refused(org, "POST", path, {"Name": "NORDWIND"})
    insisted = await org.call("POST", path, {"Name": "NORDWIND"}, headers=header)

    found = error["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"]["Id"]
    assert (error["errorCode"], found) == ("DUPLICATES_DETECTED", first)
    assert (insisted.status == 201) is saved


async def test_a_merge_moves_children_and_leaves_a_trail(org: Client) -> None:
    """The loser is in the recycle bin with the winner's id; only a query of everything finds it."""
    winner, loser = await org.create("Account", Name="A"), await org.create("Account", Name="B")
    contact = await org.create("Contact", LastName="L", AccountId=loser)

    await org.control("act/merge", {"object": "Account", "master": winner, "losers": [loser]})

    soql = f"SELECT Id, MasterRecordId, IsDeleted FROM Account WHERE Id = '{loser}'"
    everything = (await org.call("GET", "queryAll", params={"q": soql})).body["records"]
    assert (await org.query(soql))["records"] == []
    assert (everything[0]["MasterRecordId"], everything[0]["IsDeleted"]) == (winner, True)
    assert (await org.get("Contact", contact))["AccountId"] == winner


async def test_what_comes_back_from_the_recycle_bin_brings_its_children(org: Client) -> None:
    account = await org.create("Account", Name="A")
    contact = await org.create("Contact", LastName="L", AccountId=account)
    await org.call("DELETE", f"sobjects/Account/{account}")

    await org.control("act/undelete", {"object": "Account", "id": account})

    assert (await org.get("Contact", contact))["AccountId"] == account


async def test_days_begin_at_midnight_of_the_user(org: Client) -> None:
    """TODAY of a user in Auckland began yesterday in UTC."""
    now = org.sandbox.world.now()
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    org.sandbox.seed("Account", [{"Name": "A", "SystemModstamp": stamp, "CreatedDate": stamp}])
    soql = "SELECT Id FROM Account WHERE CreatedDate {} TODAY"
    for zone in ("Pacific/Auckland", "Pacific/Honolulu", "UTC"):
        await org.control("configure", {"time_zone": zone})
        assert len((await org.query(soql.format("=")))["records"]) == 1, zone
        assert (await org.query(soql.format(">")))["records"] == [], zone


@pytest.mark.parametrize("literal", ["THIS_WEEK", "THIS_MONTH", "THIS_QUARTER", "THIS_YEAR"])
async def test_spans_of_the_calendar_hold_today(org: Client, literal: str) -> None:
    await org.create("Account", Name="A")

    async def count(condition: str) -> int:
        return int((await org.query(f"SELECT COUNT() FROM Account WHERE CreatedDate {condition}"))["totalSize"])

    assert await count(f"= {literal}") == 1
    assert await count(f"= {literal.replace('THIS', 'LAST')}") == 0
    assert await count(f"< {literal.replace('THIS', 'NEXT')}") == 1


async def test_too_many_long_calls_at_once_are_refused_with_403(org: Client) -> None:
    """Short calls are never counted: only those that have been running for a while hold a place."""
    import asyncio

    await org.control("configure", {"long_requests": 1, "long_request_s": 0.05})
    await org.control("faults", {"kind": "long_request", "path": "/query", "seconds": 0.4})
    slow = asyncio.create_task(org.call("GET", "query", params={"q": "SELECT Id FROM Account"}))
    await asyncio.sleep(0.15)

    refused_now = await org.call("GET", "limits")
    first = await slow
    later = await org.call("GET", "limits")

    assert (first.status, later.status) == (200, 200)
    assert refused_now.status == 403
    assert "ConcurrentRequests" in refused_now.body[0]["message"]


async def test_groups_are_counted_and_summed(org: Client) -> None:
    for name, amount, stage in (("A", 10, "Proposal"), ("B", 20, "Proposal"), ("C", None, "Closed Won")):
        await org.opportunity(Name=name, Amount=amount, StageName=stage)
    functions = "COUNT(Id) deals, SUM(Amount), AVG(Amount), MAX(Name) last, COUNT_DISTINCT(CloseDate)"

    by_stage = (await org.query(f"SELECT StageName, {functions} FROM Opportunity GROUP BY StageName"))["records"]
    (all_of_them,) = (await org.query(f"SELECT {functions} FROM Opportunity WHERE Name > 'A'"))["records"]

    assert [(row["StageName"], row["deals"], row["expr1"], row["last"]) for row in by_stage] == [
        ("Closed Won", 1, None, "C"),
        ("Proposal", 2, 30, "B"),
    ]
    assert (all_of_them["deals"], all_of_them["expr1"], all_of_them["expr2"], all_of_them["expr4"]) == (2, 20, 20, 1)
    assert all_of_them["attributes"] == {"type": "AggregateResult"}


async def test_a_field_that_is_not_grouped_is_refused(org: Client) -> None:
    soql = "SELECT Name, COUNT(Id) FROM Account GROUP BY Industry"
    error = await refused(org, "GET", f"query?q={soql.replace(' ', '+')}", None)
    assert "must be grouped" in error["message"]
