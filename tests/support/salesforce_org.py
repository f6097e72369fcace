"""Deals in the Salesforce sandbox: seeded as an org holds them, won through its REST API as people do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
from tests.support.company import Company

Record = dict[str, Any]


def account(number: int, **fields: Any) -> Record:
    return {
        "Id": f"00100000000000{number}AAA",
        "Name": f"Customer {number} Corporation",
        "BillingStreet": f"{number} Main St",
        "BillingCity": "Springfield",
        "BillingState": "Illinois",
        "BillingStateCode": "IL",
        "BillingPostalCode": "62701",
        "BillingCountry": "United States",
        "BillingCountryCode": "US",
        "CurrencyIsoCode": "USD",
        "Billing_Email__c": f"billing@customer-{number}.example",
        **fields,
    }


def opportunity(number: int, **fields: Any) -> Record:
    return {
        "Id": f"00600000000000{number}AAA",
        "Name": f"Deal {number}",
        "AccountId": f"00100000000000{number}AAA",
        "StageName": "Negotiation",
        "CloseDate": "2026-01-05",
        "CurrencyIsoCode": "USD",
        "Legal_Entity__c": "US01",
        "Contract_Start__c": "2026-01-10",
        "Term_Months__c": 12,
        "Billing_Period__c": "Annual",
        "Payment_Terms__c": "Net 30",
        **fields,
    }


def line(deal: int, number: int, product: str, total: str, kind: str = "Recurring", **fields: Any) -> Record:
    return {
        "Id": f"00k0000000000{deal}{number}AAA",
        "OpportunityId": f"00600000000000{deal}AAA",
        "_ProductCode": product,
        "Quantity": 1,
        "UnitPrice": Decimal(total),
        "ListPrice": Decimal(total),
        "TotalPrice": Decimal(total),
        "ServiceDate": "2026-01-10",
        "Service_End__c": "2027-01-09",
        "Charge_Type__c": kind,
        "SortOrder": number,
        **fields,
    }


async def seed(company: Company, accounts: list[Record], opportunities: list[Record], lines: list[Record]) -> None:
    """Put records into the org as if they had always been there; nothing is announced."""
    await company.sandboxes.seed("salesforce", "Account", accounts)
    await company.sandboxes.seed("salesforce", "Opportunity", opportunities)
    await company.sandboxes.seed("salesforce", "OpportunityLineItem", lines)


async def win(company: Company, deal: int) -> None:
    """What a sales representative does."""
    await patch(company, f"Opportunity/00600000000000{deal}AAA", {"StageName": "Closed Won"})


async def patch(company: Company, record: str, fields: Record) -> None:
    """Change a record through the REST API."""
    base = company.sandboxes.urls["salesforce"]
    form = {"grant_type": "client_credentials", "client_id": "tieline", "client_secret": "sandbox-secret"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/services/oauth2/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        url, headers = f"{base}/services/data/v62.0/sobjects/{record}", {"Authorization": f"Bearer {token}"}
        async with http.patch(url, json=fields, headers=headers) as answer:
            assert answer.status == 204, await answer.text()


async def deal_in_crm(company: Company, deal: int) -> Record:
    """What account executives see."""
    records = await company.sandboxes.documents("salesforce", "Opportunity")
    return next(r for r in records if r["Id"] == f"00600000000000{deal}AAA")


async def zuora(company: Company, method: str, path: str, body: Record) -> Record:
    """What people in billing do, through Zuora's REST API."""
    base = company.sandboxes.urls["zuora"]
    form = {
        "grant_type": "client_credentials",
        "client_id": "00000000-0000-0000-0000-00000tieline",
        "client_secret": "sandbox-secret",
    }
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/oauth/token", data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        async with http.request(method, base + path, json=body, headers=headers) as answer:
            result: Record = await answer.json()
    assert result.get("success", True), result
    return result
