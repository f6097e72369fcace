"""Payments, refunds and credit memos: never more than what is open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _posted(zuora: Zuora) -> Any:
    await zuora.post("/v1/orders", order("1"))
    await zuora.advance(6)
    return await zuora.get("/v1/invoices/INV00000001")


def _paid(amount: Any, applied: Any = None) -> Any:
    body = {"type": "External", "accountNumber": "A-1", "amount": amount, "currency": "EUR", "referenceId": "wire 1"}
    return body if applied is None else {**body, "invoices": [{"invoiceNumber": "INV00000001", "amount": applied}]}


async def test_an_external_payment_is_applied(zuora: Zuora) -> None:
    """The invoice is paid, the payment keeps what is left, and the parts say where it went."""
    invoice = await _posted(zuora)
    payment = await zuora.post("/v1/payments", _paid(80, Decimal("50.00")))
    assert (payment["status"], payment["unappliedAmount"]) == ("Processed", 30)
    parts = (await zuora.get(f"/v1/payments/{payment['number']}/parts"))["parts"]
    assert [(p["invoiceId"], p["amount"]) for p in parts] == [(invoice["id"], 50)]
    assert (await zuora.get("/v1/invoices/INV00000001"))["balance"] == 0


async def test_a_payment_cannot_exceed_what_is_open(zuora: Zuora) -> None:
    """Neither the invoice's balance nor the payment's own amount; a refused payment is not stored."""
    await _posted(zuora)
    for body in (_paid(80, 60), _paid(40, 50)):
        assert (await zuora.post("/v1/payments", body))["success"] is False
    assert not zuora.sandbox.documents("payments")["payments"]
    for change in ({"currency": "USD"}, {"amount": 0}, {"type": "Barter"}, {"accountNumber": "A-0"}):
        assert (await zuora.post("/v1/payments", {**_paid(10), **change}))["success"] is False


async def test_a_payment_is_applied_later_and_taken_back(zuora: Zuora) -> None:
    """Apply and unapply move the same amounts on invoice, payment and account."""
    invoice = await _posted(zuora)
    payment = await zuora.post("/v1/payments", _paid(50))
    part = {"invoices": [{"invoiceId": invoice["id"], "amount": 20}]}
    assert (await zuora.put(f"/v1/payments/{payment['id']}/apply", part))["appliedAmount"] == 20
    assert (await zuora.get("/v1/invoices/INV00000001"))["balance"] == 30
    too_much = {"invoices": [{"invoiceId": invoice["id"], "amount": 21}]}
    assert (await zuora.put(f"/v1/payments/{payment['id']}/unapply", too_much))["success"] is False
    assert (await zuora.put(f"/v1/payments/{payment['id']}/unapply", part))["unappliedAmount"] == 50
    assert (await zuora.get("/v1/invoices/INV00000001"))["balance"] == 50
    assert (await zuora.get("/v1/accounts/A-1"))["metrics"]["balance"] == 50


async def test_only_the_unapplied_part_is_refunded(zuora: Zuora) -> None:
    """A refund of applied money is refused; a refund lowers what can still be applied."""
    await _posted(zuora)
    payment = await zuora.post("/v1/payments", _paid(80, 50))
    body = {"type": "External", "methodType": "WireTransfer", "totalAmount": 31}
    assert (await zuora.post(f"/v1/payments/{payment['id']}/refunds", body))["success"] is False
    refund = await zuora.post(f"/v1/payments/{payment['id']}/refunds", {**body, "totalAmount": 30})
    assert (refund["number"], refund["status"]) == ("R-00000001", "Processed")
    assert (await zuora.get(f"/v1/refunds/{refund['id']}"))["amount"] == 30
    assert (await zuora.get(f"/v1/payments/{payment['id']}"))["unappliedAmount"] == 0


async def test_a_credit_memo_is_made_posted_and_applied(zuora: Zuora) -> None:
    """Draft, posted, applied: the invoice's balance falls by what was credited."""
    invoice = await _posted(zuora)
    (item,) = (await zuora.get("/v1/invoices/INV00000001/items"))["invoiceItems"]
    assert (item["chargeAmount"], item["taxAmount"]) == ("50.00", "0.00")
    line = {"invoiceItemId": item["id"], "amount": 20, "skuName": item["chargeName"]}
    memo = await zuora.post("/v1/credit-memos/invoice/INV00000001", {"items": [line], "reasonCode": "Dispute"})
    assert (memo["status"], memo["number"], memo["amount"]) == ("Draft", "CM00000001", 20)
    application = {"invoices": [{"invoiceId": invoice["id"], "amount": 20}]}
    assert (await zuora.put("/v1/credit-memos/CM00000001/apply", application))["success"] is False
    assert (await zuora.put("/v1/credit-memos/CM00000001/post"))["status"] == "Posted"
    assert (await zuora.put("/v1/credit-memos/CM00000001/apply", application))["unappliedAmount"] == 0
    assert (await zuora.get("/v1/invoices/INV00000001"))["balance"] == 30
    parts = (await zuora.get("/v1/credit-memos/CM00000001/parts"))["parts"]
    assert [p["amount"] for p in parts] == [20]
    assert (await zuora.get("/v1/credit-memos/CM00000001/items"))["items"][0]["amount"] == 20


async def test_a_credit_memo_cannot_exceed_the_invoice(zuora: Zuora) -> None:
    """Not at once and not in steps."""
    await _posted(zuora)
    (item,) = (await zuora.get("/v1/invoices/INV00000001/items"))["invoiceItems"]

    async def credit(amount: int) -> bool:
        line = {"invoiceItemId": item["id"], "amount": amount, "skuName": "x"}
        answer = await zuora.post("/v1/credit-memos/invoice/INV00000001", {"items": [line]})
        return bool(answer["success"])

    assert [await credit(51), await credit(30), await credit(21), await credit(20)] == [False, True, False, True]


async def test_a_memo_may_apply_itself_when_posted(zuora: Zuora) -> None:
    """autoPost and autoApplyToInvoiceUponPosting in one call."""
    await _posted(zuora)
    (item,) = (await zuora.get("/v1/invoices/INV00000001/items"))["invoiceItems"]
    line = {"invoiceItemId": item["id"], "amount": 50, "skuName": "x"}
    body = {"items": [line], "autoPost": True, "autoApplyToInvoiceUponPosting": True}
    assert (await zuora.post("/v1/credit-memos/invoice/INV00000001", body))["unappliedAmount"] == 0
    assert (await zuora.get("/v1/invoices/INV00000001"))["balance"] == 0
