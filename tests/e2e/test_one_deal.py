"""One deal from Salesforce to cash, over HTTP, through the whole hub."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.support.company import Company, company, eventually
from tests.support.engine import until_idle
from tests.support.salesforce_org import patch

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
    await patch(c, f"Opportunity/{opportunity_id}", {"StageName": "Closed Won"})


async def pay_one_deal(c: Company) -> None:
    """A deal with a subscription and a service is won, ordered, billed for a year and paid, and the CRM says so."""
    await seed(c, line(1, "GTX Pro", "Recurring", "1000.01"), line(2, "Implementation", "One-Time", "500.00"))
    await win(c)

    async def posted() -> bool:
        return len(await c.sandboxes.documents("netsuite", "salesOrder")) == 1

    async def paid() -> bool:
        return len(await c.sandboxes.documents("netsuite", "customerPayment")) == 4

    async def told() -> bool:
        return (await c.sandboxes.documents("salesforce", "Opportunity"))[0].get("Tieline_Status__c") == "Paid"

    await eventually(posted)
    await c.sandboxes.advance(400)
    await eventually(paid)
    await eventually(told)
    await until_idle(c.worker)


async def test_a_won_deal_becomes_cash(tmp_path: Path) -> None:
    """Subscription and services, four quarters: each invoice and payment stands once, and the CRM says Paid."""
    async with company(tmp_path / "project") as c:
        await seed(c, line(1, "GTX Pro", "Recurring", "1000.01"), line(2, "Implementation", "One-Time", "500.00"))
        await win(c)

        async def ordered() -> bool:
            return len(await c.sandboxes.documents("netsuite", "salesOrder")) == 1

        await eventually(ordered)
        await c.sandboxes.advance(400)

        async def paid() -> bool:
            (deal,) = await c.sandboxes.documents("salesforce", "Opportunity")
            return bool(deal["Tieline_Status__c"] == "Paid" and deal["Paid__c"] == Decimal("1500.01"))

        await eventually(paid)
        invoices = await c.sandboxes.documents("netsuite", "invoice")
        assert [(i["total"], i["amountRemaining"]) for i in invoices] == [
            (Decimal("750.01"), Decimal(0)),
            *[(Decimal("250.00"), Decimal(0))] * 3,
        ]
        assert len(await c.sandboxes.documents("netsuite", "customerPayment")) == 4
        assert len(await c.sandboxes.documents("kantata", "workspaces")) == 1
