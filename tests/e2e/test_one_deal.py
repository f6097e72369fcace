"""One deal from Salesforce to cash, over HTTP, through the whole hub."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.support.company import Company, company, eventually

ACCOUNT = {
    "Id": "001000000000001AAA",
    "Name": "Acme Corporation",
    "BillingStreet": "1 Main St",
    "BillingCity": "Springfield",
    "BillingState": "Illinois",
    "BillingStateCode": "IL",
    "BillingPostalCode": "62701",
    "BillingCountry": "United States",
    "BillingCountryCode": "US",
    "CurrencyIsoCode": "USD",
    "Billing_Email__c": "billing@acme.example",
}
OPPORTUNITY = {
    "Id": "006000000000001AAA",
    "Name": "Acme platform",
    "AccountId": "001000000000001AAA",
    "StageName": "Negotiation",
    "CloseDate": "2026-01-05",
    "CurrencyIsoCode": "USD",
    "Legal_Entity__c": "US01",
    "Contract_Start__c": "2026-01-10",
    "Term_Months__c": 12,
    "Billing_Period__c": "Quarter",
    "Payment_Terms__c": "Net 30",
}


def line(number: int, product: str, kind: str, total: str, **fields: object) -> dict[str, object]:
    return {
        "Id": f"00k00000000000{number}AAA",
        "OpportunityId": OPPORTUNITY["Id"],
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


async def seed(c: Company, *lines: dict[str, object]) -> None:
    await c.sandboxes.seed("salesforce", "Account", [ACCOUNT])
    await c.sandboxes.seed("salesforce", "Opportunity", [OPPORTUNITY])
    await c.sandboxes.seed("salesforce", "OpportunityLineItem", list(lines))


async def win(c: Company, opportunity_id: str = str(OPPORTUNITY["Id"])) -> None:
    """What a sales representative does in Salesforce."""
    from tieline.connectors.salesforce import CONNECTOR

    del CONNECTOR
    import aiohttp

    async with aiohttp.ClientSession() as http:
        form = {"grant_type": "client_credentials", "client_id": "tieline", "client_secret": "sandbox-secret"}
        async with http.post(c.sandboxes.urls["salesforce"] + "/services/oauth2/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        url = f"{c.sandboxes.urls['salesforce']}/services/data/v62.0/sobjects/Opportunity/{opportunity_id}"
        headers = {"Authorization": f"Bearer {token}"}
        async with http.patch(url, json={"StageName": "Closed Won"}, headers=headers) as answer:
            assert answer.status == 204, await answer.text()


async def test_a_won_deal_becomes_cash(tmp_path: Path) -> None:
    async with company(tmp_path / "project") as c:
        await seed(c, line(1, "GTX Pro", "Recurring", "1000.01"), line(2, "Implementation", "One-Time", "500.00"))
        await win(c)

        async def posted() -> bool:
            return len(await c.sandboxes.documents("netsuite", "salesOrder")) == 1

        try:
            await eventually(posted, 8)
        except AssertionError:
            print([(r.process, r.state, r.waits_for) for r in await c.worker.store.runs()])
            for case in await c.worker.store.cases():
                print(case.case_class, case.message)
            raise
        await c.sandboxes.advance(400)

        async def paid() -> bool:
            payments = await c.sandboxes.documents("netsuite", "customerPayment")
            return len(payments) == 4

        try:
            await eventually(paid, 15)
        finally:
            print([(r.process, r.state, r.waits_for) for r in await c.worker.store.runs() if r.state != "done"])
            for case in await c.worker.store.cases():
                print(case.case_class, case.message)
        import asyncio

        await asyncio.sleep(1.5)
        opp = (await c.sandboxes.documents("salesforce", "Opportunity"))[0]
        print({k: v for k, v in opp.items() if k.endswith("__c")})
        print([(i["total"], i["amountRemaining"]) for i in await c.sandboxes.documents("netsuite", "invoice")])
        print(len(await c.sandboxes.documents("kantata", "workspaces")))
        assert opp["Tieline_Status__c"] == "Paid"
