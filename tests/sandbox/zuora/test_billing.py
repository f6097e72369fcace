"""The tenant's nights: what is invoiced, collected, credited, and what that adds up to."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, account, calls, order, seats, setup

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _invoices(zuora: Zuora) -> list[Any]:
    found = await zuora.get("/object-query/invoices?expand[]=invoiceitems&pageSize=99&sort[]=invoiceNumber.ASC")
    invoices: list[Any] = found["data"]
    return invoices


async def test_recurring_and_one_time_charges_are_invoiced_in_advance(zuora: Zuora) -> None:
    """Twelve months, twelve invoices, the one-time charge on the first; nothing after the term."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 5, "2026-01-15"), setup("C-2", 99)))
    await zuora.advance(500)
    invoices = await _invoices(zuora)
    assert [i["amount"] for i in invoices] == [Decimal("149.00")] + [Decimal("50.00")] * 11
    assert invoices[0]["invoiceNumber"] == "INV00000001"
    assert (invoices[0]["invoiceDate"], invoices[0]["dueDate"]) == ("2026-01-15", "2026-02-14")
    item = invoices[0]["invoiceItems"][0]
    assert (item["serviceStartDate"], item["serviceEndDate"]) == ("2026-01-15", "2026-02-14")
    assert (item["chargeNumber"], item["subscriptionNumber"], item["quantity"]) == ("C-1", "S-1", 5)


async def test_a_part_period_costs_its_days(zuora: Zuora) -> None:
    """From 15 January to 1 March: one month, and 14 of February's 28 days from the 15th."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 3, "2026-01-15", "2026-03-01")))
    await zuora.advance(90)
    assert [i["amount"] for i in await _invoices(zuora)] == [Decimal("30.00"), Decimal("15.00")]


async def test_amounts_are_rounded_half_up_to_the_currency(zuora: Zuora) -> None:
    """A third of a cent is gone, half a cent goes up; yen have no cents."""
    await zuora.post("/v1/accounts", account("A-JP", currency="JPY"))
    await zuora.post("/v1/orders", order("1", seats("C-1", Decimal("3.335"), 1, "2026-01-15")))
    await zuora.post("/v1/orders", order("2", seats("C-2", Decimal("99.5"), 1, "2026-01-15"), owner="A-JP"))
    await zuora.advance(6)
    assert {i["amount"] for i in await _invoices(zuora)} == {Decimal("3.34"), Decimal(100)}


async def test_usage_is_rated_in_arrears_over_tiers_and_a_repeat_bills_twice(zuora: Zuora) -> None:
    """10,000 free, 40,000 at 0.02, the rest at 0.015; the same record again is more usage."""
    await zuora.post("/v1/orders", order("1", calls("C-1")))
    record = {"AccountNumber": "A-1", "ChargeNumber": "C-1", "UOM": "API calls", "Quantity": 30000}
    for _ in range(2):
        sent = await zuora.post("/v1/object/usage", {**record, "StartDateTime": "2026-01-20T00:00:00Z"})
        assert sent["Success"] is True
    await zuora.advance(30)
    assert not await _invoices(zuora)
    await zuora.advance(10)
    (invoice,) = await _invoices(zuora)
    assert invoice["amount"] == Decimal("950.00")
    # Late usage of the billed period costs what it adds.
    await zuora.post("/v1/object/usage", {**record, "Quantity": 1000, "StartDateTime": "2026-01-21T00:00:00Z"})
    await zuora.advance(1)
    assert [i["amount"] for i in await _invoices(zuora)] == [Decimal("950.00"), Decimal("15.00")]


async def test_overage_costs_what_is_above_the_included_units(zuora: Zuora) -> None:
    """100 units are included, the price is per unit above."""
    await zuora.post("/v1/orders", order("1", {"productRatePlanNumber": "PRP-STORAGE"}))
    body = {"SubscriptionNumber": "S-1", "UOM": "GB", "Quantity": Decimal("130.5"), "StartDateTime": "2026-01-16"}
    await zuora.post("/v1/object/usage", body)
    await zuora.advance(40)
    assert [i["amount"] for i in await _invoices(zuora)] == [Decimal("61.00")]


async def test_unknown_usage_is_refused_in_capitals(zuora: Zuora) -> None:
    """CRUD errors have capital letters and HTTP 400."""
    await zuora.post("/v1/orders", order("1", calls("C-1")))
    good = {
        "AccountNumber": "A-1",
        "ChargeNumber": "C-1",
        "UOM": "API calls",
        "Quantity": 1,
        "StartDateTime": "2026-01-20",
    }
    for change in (
        {"UOM": "Furlong"},
        {"ChargeNumber": "C-0"},
        {"SubscriptionNumber": "S-0"},
        {"Quantity": "x"},
        {"UOM": "GB"},
    ):
        status, body, _ = await zuora.ask("POST", "/v1/object/usage", {**good, **change})
        assert (status, body["Success"], body["Errors"][0]["Code"]) == (400, False, "INVALID_VALUE")
    assert not zuora.sandbox.documents("usages")["usages"]


async def test_a_usage_file_is_stored_whole_or_not_at_all(zuora: Zuora) -> None:
    """The upload says only that it was received; the import's status says the rest."""
    await zuora.post("/v1/orders", order("1", calls("C-1")))

    async def upload(rows: str) -> Any:
        content = (
            '--b\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\nContent-Type: text/csv\r\n\r\n'
            f"ACCOUNT_ID,UOM,QTY,STARTDATE,CHARGE_ID\r\n{rows}\r\n--b--\r\n"
        )
        headers = {"Authorization": f"Bearer {zuora.token}", "Content-Type": "multipart/form-data; boundary=b"}
        async with zuora.session.post(f"{zuora.base}/v1/usage", data=content.encode(), headers=headers) as response:
            path = (await response.json())["checkImportStatus"]
        while True:
            if (status := await zuora.get(path))["importStatus"] != "Pending":
                return status
            await asyncio.sleep(0.01)

    good = "A-1,API calls,5,01/20/2026,C-1"
    assert (await upload(good))["importStatus"] == "Completed"
    assert (await upload(f"{good}\r\nA-1,API calls,5,01/20/2026,C-0"))["importStatus"] == "Failed"
    assert len((await zuora.get("/v1/usage/accounts/A-1"))["usage"]) == 1


async def test_auto_pay_collects_on_the_due_day_and_tries_again_after_a_decline(zuora: Zuora) -> None:
    """One declined attempt, one payment a day later, the invoice paid."""
    await zuora.post("/v1/accounts", account("A-2", autoPay=True, paymentTerm="Due Upon Receipt", PaymentFails__c=1))
    await zuora.post("/v1/orders", order("1", owner="A-2"))
    await zuora.advance(6)
    payments = zuora.sandbox.documents("payments")["payments"]
    assert [(p["status"], p["effectiveDate"]) for p in payments] == [
        ("Error", "2026-01-15"),
        ("Processed", "2026-01-16"),
    ]
    assert payments[1]["paymentNumber"] == "P-00000002"
    (invoice,) = await _invoices(zuora)
    assert invoice["balance"] == 0
    account_seen = await zuora.get("/v1/accounts/A-2")
    assert account_seen["metrics"]["balance"] == 0


async def test_cancelling_mid_period_gives_the_rest_back(zuora: Zuora) -> None:
    """A credit memo for the unused days, posted, from the invoice's own line."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 5, "2026-01-15")))
    await zuora.advance(10)
    body = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-02-01"}
    await zuora.put("/v1/subscriptions/S-1/cancel", body)
    await zuora.advance(60)
    (memo,) = (await zuora.get("/object-query/credit-memos?expand[]=creditmemoitems"))["data"]
    assert (memo["status"], memo["totalAmount"]) == ("Posted", Decimal("22.58"))
    (item,) = memo["creditMemoItems"]
    assert (item["serviceStartDate"], item["serviceEndDate"]) == ("2026-02-01", "2026-02-14")
    assert len(await _invoices(zuora)) == 1


async def test_a_bill_run_is_drafted_and_posted_by_hand(zuora: Zuora) -> None:
    """With the nights switched off, a run to a target date bills what is due until then, once."""
    await zuora.control("configure", {"bill_run": False})
    await zuora.post("/v1/orders", order("1"))
    await zuora.advance(10)
    assert not await _invoices(zuora)
    run = await zuora.post("/v1/bill-runs", {"targetDate": "2026-03-20", "invoiceDate": "2026-01-20"})
    (invoice,) = await _invoices(zuora)
    assert (invoice["status"], invoice["amount"]) == ("Draft", Decimal("150.00"))
    assert (await zuora.put(f"/v1/bill-runs/{run['id']}/post"))["status"] == "Posted"
    assert (await zuora.get("/v1/invoices/INV00000001"))["status"] == "Posted"
    await zuora.post("/v1/bill-runs", {"targetDate": "2026-03-20"})
    assert len(await _invoices(zuora)) == 1


async def test_a_whole_term_is_invoiced_to_the_cent(zuora: Zuora) -> None:
    """What the subscription says it is worth is what its invoices add up to."""
    await zuora.post(
        "/v1/orders", order("1", seats("C-1", Decimal("33.33"), 7, "2026-01-31"), start="2026-01-31", months=24)
    )
    await zuora.advance(800)
    total = sum(i["amount"] for i in await _invoices(zuora))
    assert total == (await zuora.get("/v1/subscriptions/S-1"))["totalContractedValue"] == Decimal("5599.44")
