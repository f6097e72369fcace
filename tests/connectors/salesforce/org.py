"""A Salesforce org with deals in it, and calls to make on it: shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.engine.ports import Call
from tieline.engine.records import EffectKey
from tieline_sandbox.salesforce import Sandbox

TOKEN = "outbound-secret"
Record = dict[str, Any]


class Served(NamedTuple):
    """An org and where it is served."""

    org: Sandbox
    url: str


def settings_for(url: str, **changes: Any) -> SalesforceSettings:
    given = {"client_id": "tieline", "client_secret": "sandbox-secret", "outbound_message_token": TOKEN}
    return SalesforceSettings(url=url, **given | changes)


def seed_deals(org: Sandbox, count: int, **fields: Any) -> list[str]:
    """Won deals of one account; returns their ids in the order of creation."""
    blank = {"Name": "Deal", "StageName": "Closed Won", "CloseDate": "2026-01-15", "CurrencyIsoCode": "EUR"}
    return [record["Id"] for record in org.seed("Opportunity", [blank | fields for _ in range(count)])]


def seed_whole_deal(org: Sandbox) -> tuple[str, str]:
    """An account with a parent, and a won deal of two lines; returns (opportunity id, account id)."""
    parent = org.seed("Account", [{"Name": "Holding AG", "CurrencyIsoCode": "EUR"}])[0]["Id"]
    account = org.seed(
        "Account",
        [
            {
                "Name": "Nordwind GmbH",
                "ParentId": parent,
                "CurrencyIsoCode": "EUR",
                "BillingCountry": "Germany",
                "BillingCountryCode": "DE",
                "Tax_Number__c": "DE136695976",
            }
        ],
    )[0]["Id"]
    org.seed("Product2", [{"Name": "Platform", "ProductCode": "PLATFORM", "IsActive": True}])
    deal = seed_deals(org, 1, AccountId=account, Legal_Entity__c="DE01", Contract_Start__c="2026-02-01")[0]
    line = {"OpportunityId": deal, "_ProductCode": "PLATFORM", "Quantity": 2, "UnitPrice": "100.05"}
    org.seed(
        "OpportunityLineItem",
        [
            line | {"SortOrder": 2, "Charge_Type__c": "One-Time"},
            line | {"SortOrder": 1, "Charge_Type__c": "Recurring", "Discount": 10},
        ],
    )
    return deal, account


def status_call(deal: str, *, external_id: str = "", **fields: Any) -> Call:
    """A call that writes the status of a deal."""
    key = EffectKey("salesforce", "deal_status", f"salesforce-{deal}")
    wire = {"Id": deal, "Tieline_Status__c": "Active", **fields}
    return Call(key=key, revision=1, wire=wire, external_id=external_id)


def status_calls(deals: Sequence[str], **fields: Any) -> list[Call]:
    return [status_call(deal, **fields) for deal in deals]


def deal_of(org: Sandbox, deal: str) -> Record:
    """What stands in the org."""
    return next(record for record in org.documents("Opportunity")["Opportunity"] if record["Id"] == deal)


def seed_one(org: Sandbox, kind: str) -> str:
    """One record of a kind that is read, with what it hangs on; returns its id."""
    account = {"Name": "Nordwind GmbH", "CurrencyIsoCode": "EUR"}
    deal = {"Name": "Deal", "StageName": "Proposal", "CloseDate": "2026-01-15", "CurrencyIsoCode": "EUR"}
    product = {"Name": "Platform", "ProductCode": "PLATFORM", "IsActive": True}

    def seed(sobject: str, **fields: Any) -> str:
        return str(org.seed(sobject, [fields])[0]["Id"])

    def line(sobject: str, **parent: str) -> None:
        seed(sobject, **parent, Product2Id=seed("Product2", **product), Quantity=3, UnitPrice="100.05")

    if kind == "price":
        book = next(iter(org.documents("Pricebook2")["Pricebook2"]))["Id"]
        return seed("PricebookEntry", Pricebook2Id=book, Product2Id=seed("Product2", **product), UnitPrice="9.99")
    if kind == "quote":
        quote = seed("Quote", Name="Q", OpportunityId=seed("Opportunity", **deal), Tax="1.10")
        line("QuoteLineItem", QuoteId=quote)
        return quote
    if kind == "contract":
        return seed("Contract", AccountId=seed("Account", **account), StartDate="2026-01-01", ContractTerm=12)
    if kind == "order":
        order = seed("Order", AccountId=seed("Account", **account), EffectiveDate="2026-02-01", Status="Draft")
        line("OrderItem", OrderId=order)
        return order
    contact = {"LastName": "Roe", "AccountId": seed("Account", **account) if kind == "contact" else None}
    records: dict[str, Record] = {"account": account, "opportunity": deal, "product": product, "contact": contact}
    names = {"account": "Account", "opportunity": "Opportunity", "product": "Product2", "contact": "Contact"}
    return seed(names[kind], **records[kind])
