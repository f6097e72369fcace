"""Orders and the subscriptions they make, change and end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, account, calls, order, seats, setup

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_order_creates_an_active_subscription_with_its_charges(zuora: Zuora) -> None:
    """Numbers, prices and dates of the order are those of the subscription."""
    lines = (seats("C-1", Decimal("12.50"), 4, "2026-01-15"), setup("C-2", 100), calls("C-3"))
    created = await zuora.post("/v1/orders", order("1", *lines))
    assert created["success"] is True
    assert (created["status"], created["subscriptionNumbers"]) == ("Completed", ["S-1"])
    seen = await zuora.get("/v1/subscriptions/S-1")
    assert (seen["status"], seen["termEndDate"]) == ("Active", "2027-01-15")
    assert seen["totalContractedValue"] == Decimal("700.00")
    charges = {c["number"]: c for p in seen["ratePlans"] for c in p["ratePlanCharges"]}
    assert charges["C-1"]["price"] == Decimal("12.50")
    assert charges["C-1"]["mrr"] == Decimal("50.00")
    assert len(charges["C-3"]["tiers"]) == 3
    by_order = await zuora.get("/v1/orders/O-1")
    assert by_order["order"]["subscriptions"][0]["subscriptionNumber"] == "S-1"
    assert [o["orderNumber"] for o in (await zuora.get("/v1/orders/subscription/S-1"))["orders"]] == ["O-1"]


def _charge(**changes: Any) -> dict[str, Any]:
    line = seats("C-1", 10, 1, "2026-01-15")
    line["chargeOverrides"][0] |= changes
    return order("1", line)


@pytest.mark.parametrize(
    ("body", "category", "part"),
    [
        (order("1", owner="A-0"), 40, "Cannot find entity by key: 'A-0'."),
        ({**order("1"), "orderDate": "15.01.2026"}, 20, "'orderDate' should be a date"),
        ({**order("1"), "subscriptions": []}, 22, "'subscriptions' may not be empty"),
        (order("1", {"productRatePlanNumber": "PRP-NO"}), 40, "Cannot find entity by key: 'PRP-NO'."),
        (_charge(productRatePlanChargeNumber="PRPC-NO"), 40, "Cannot find entity by key: 'PRPC-NO'."),
        (_charge(productRatePlanChargeNumber="PRPC-SETUP"), 20, "does not belong to rate plan 'PRP-SEATS'"),
        (_charge(pricing={"recurringPerUnit": {"listPrice": -1}}), 20, "'listPrice' should be greater than or equal"),
        (_charge(pricing={"oneTimeFlatFee": {"listPrice": 1}}), 20, "needs 'recurringPerUnit'"),
        (_charge(billing={"billingPeriod": "Fortnight"}), 20, "'billingPeriod' value should be one of: Month"),
        (order("1", seats("C-1", 1, 1, "2027-01-15")), 30, "should be earlier than the subscription end date"),
        (order("1", seats("C-1", 1, 1, "2026-01-15", "2027-01-16")), 30, "should not be later than the subscription"),
        (order("1", seats("C-1", 1, 1, "2026-01-14")), 30, "should not be earlier than the contract effective date"),
        (
            order("1", seats("C-1", 1, 1, "2026-01-15"), seats("C-1", 1, 1, "2026-01-15")),
            30,
            "charge number C-1 already",
        ),
    ],
)
async def test_a_faulty_order_is_refused_as_a_whole(zuora: Zuora, body: Any, category: int, part: str) -> None:
    """One wrong line and neither order nor subscription exists."""
    answer = await zuora.post("/v1/orders", body)
    assert answer["success"] is False
    assert answer["reasons"][0]["code"] % 100 == category
    assert part in answer["reasons"][0]["message"]
    standing = zuora.sandbox.documents()
    assert not standing["orders"]
    assert not standing["subscriptions"]
    assert not standing["rate-plan-charges"]


async def test_the_term_type_is_refused_word_for_word(zuora: Zuora) -> None:
    """The vendor's own documented example."""
    body = order("1")
    terms = body["subscriptions"][0]["orderActions"][0]["createSubscription"]["terms"]
    terms["initialTerm"]["termType"] = "FOREVER"
    answer = await zuora.post("/v1/orders", body)
    assert answer["reasons"] == [{"code": 53100320, "message": "'termType' value should be one of: TERMED, EVERGREEN"}]


async def test_numbers_are_taken_once(zuora: Zuora) -> None:
    """A second order with the same number, or the same subscription number, is refused."""
    await zuora.post("/v1/orders", order("1"))
    again = await zuora.post("/v1/orders", order("1"))
    assert again["reasons"][0]["message"] == "The order number O-1 already exists."
    other = await zuora.post("/v1/orders", {**order("1"), "orderNumber": "O-2"})
    assert other["reasons"][0]["message"] == "The subscription number S-1 already exists."


async def test_an_order_may_bring_its_account(zuora: Zuora) -> None:
    """newAccount is created with the order, and is gone when the order is refused."""
    body = {**order("1"), "newAccount": account("A-7")}
    del body["existingAccountNumber"]
    refused = await zuora.post(
        "/v1/orders", {**body, "orderDate": "2026-01-10", "subscriptions": [{"orderActions": []}]}
    )
    assert refused["success"] is False
    assert (await zuora.get("/v1/accounts/A-7"))["success"] is False
    assert (await zuora.post("/v1/orders", body))["accountNumber"] == "A-7"


async def test_a_draft_order_waits_for_activation(zuora: Zuora) -> None:
    """Drafts change nothing until activated, and can be cancelled instead; completed orders cannot."""
    await zuora.post("/v1/orders", order("1", status="Draft"))
    assert (await zuora.get("/v1/subscriptions/S-1"))["success"] is False
    assert (await zuora.put("/v1/orders/O-1/activate"))["status"] == "Completed"
    assert (await zuora.get("/v1/subscriptions/S-1"))["status"] == "Active"
    assert (await zuora.put("/v1/orders/O-1/cancel", {}))["success"] is False
    await zuora.post("/v1/orders", order("2", status="Draft"))
    assert (await zuora.put("/v1/orders/O-2/cancel", {"cancelReason": "no"}))["status"] == "Cancelled"


async def test_missing_trigger_dates_keep_a_subscription_pending(zuora: Zuora) -> None:
    """No invoice before the service is activated; the date, once given, makes it active."""
    body = order("1")
    body["subscriptions"][0]["orderActions"][0]["triggerDates"] = [
        {"name": "ContractEffective", "triggerDate": "2026-01-15"},
        {"name": "ServiceActivation"},
    ]
    assert (await zuora.post("/v1/orders", body))["status"] == "Pending"
    assert (await zuora.get("/v1/subscriptions/S-1"))["status"] == "Pending Activation"
    await zuora.advance(10)
    assert not zuora.sandbox.documents("invoices")["invoices"]
    dates = [{"name": "ServiceActivation", "triggerDate": "2026-01-20"}]
    change = {"subscriptions": [{"subscriptionNumber": "S-1", "orderActions": [{"triggerDates": dates}]}]}
    assert (await zuora.put("/v1/orders/O-1/triggerDates", change))["status"] == "Completed"
    await zuora.advance(1)
    assert len(zuora.sandbox.documents("invoices")["invoices"]) == 1


async def _job(zuora: Zuora, body: Any) -> Any:
    status, accepted, _ = await zuora.ask("POST", "/v1/async/orders", body)
    assert status == 202
    for _ in range(50):
        job = await zuora.get(f"/v1/async-jobs/{accepted['jobId']}")
        if job["status"] != "Processing":
            return job
        await asyncio.sleep(0.02)
    raise AssertionError("the job never ended")


async def test_an_asynchronous_order_is_told_by_its_job(zuora: Zuora) -> None:
    """Accepted at once; done, refused or broken later."""
    job = await _job(zuora, order("1"))
    assert (job["status"], job["result"]["orderNumber"], job["errors"]) == ("Completed", "O-1", None)
    refused = await _job(zuora, order("1"))
    assert (refused["status"], refused["errors"]) == ("Failed", "[58560030]: The order number O-1 already exists.")
    await zuora.control("faults", {"kind": "async_job_fails"})
    broken = await _job(zuora, order("2"))
    assert broken["errors"].startswith("[40000060]")
    assert len(zuora.sandbox.documents("orders")["orders"]) == 1


async def test_a_renewal_extends_the_term_and_its_charges(zuora: Zuora) -> None:
    """By request, and by itself when auto-renewing; without it the subscription expires."""
    await zuora.post("/v1/orders", order("1", months=1))
    renewed = await zuora.put("/v1/subscriptions/S-1/renew", {})
    assert renewed["termEndDate"] == "2027-02-15"
    await zuora.post("/v1/orders", order("2", months=1))
    body = order("3", months=1)
    body["subscriptions"][0]["orderActions"][0]["createSubscription"]["terms"]["autoRenew"] = True
    await zuora.post("/v1/orders", body)
    await zuora.advance(60)
    assert (await zuora.get("/v1/subscriptions/S-2"))["status"] == "Expired"
    third = await zuora.get("/v1/subscriptions/S-3")
    assert (third["status"], third["termEndDate"]) == ("Active", "2027-02-15")


async def test_only_an_active_subscription_is_cancelled(zuora: Zuora) -> None:
    """The second cancellation is refused in the vendor's words."""
    await zuora.post("/v1/orders", order("1"))
    body = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-02-01"}
    assert (await zuora.put("/v1/subscriptions/S-1/cancel", body))["cancelledDate"] == "2026-02-01"
    again = await zuora.put("/v1/subscriptions/S-1/cancel", {**body, "cancellationEffectiveDate": "2026-01-20"})
    assert again["reasons"] == [{"code": 53200020, "message": "Only activated subscription can be cancelled."}]


async def test_products_are_added_changed_and_removed(zuora: Zuora) -> None:
    """A change of quantity credits the rest of the paid period and bills the new quantity for it."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 5, "2026-01-15")))
    await zuora.advance(10)

    def change(number: str, kind: str, body: Any) -> Any:
        dates = [{"name": "ContractEffective", "triggerDate": "2026-02-01"}]
        action = {"type": kind, kind[0].lower() + kind[1:]: body, "triggerDates": dates}
        subscription = {"subscriptionNumber": "S-1", "orderActions": [action]}
        return {
            "orderNumber": number,
            "orderDate": "2026-01-20",
            "existingAccountNumber": "A-1",
            "subscriptions": [subscription],
        }

    quantity = {"chargeNumber": "C-1", "pricing": {"recurringPerUnit": {"quantity": 8}}}
    update = {"productRatePlanNumber": "PRP-SEATS", "chargeUpdates": [quantity]}
    assert (await zuora.post("/v1/orders", change("O-2", "UpdateProduct", update)))["success"] is True
    assert (await zuora.post("/v1/orders", change("O-3", "AddProduct", setup("C-9", 40))))["success"] is True
    await zuora.advance(14)
    standing = zuora.sandbox.documents()
    # 14 of the 31 days from 15 January are left on 1 February.
    assert [m["totalAmount"] for m in standing["credit-memos"]] == [Decimal("22.58")]
    assert [i["amount"] for i in standing["invoices"]] == [Decimal("50.00"), Decimal("76.13")]
    removed = await zuora.post("/v1/orders", change("O-4", "RemoveProduct", {"productRatePlanNumber": "PRP-SEATS"}))
    assert removed["success"] is True
