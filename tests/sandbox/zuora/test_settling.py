"""Debit memos, write-offs, refunds of credit memos, and contacts: money never goes beyond what is there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, order, setup

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHARGE = {"productRatePlanChargeId": "PRPC-SETUP", "chargeId": "PRPC-SETUP", "amount": 100}


async def invoiced(zuora: Zuora) -> str:
    """The number of a posted invoice of 100."""
    body = order("1", setup("C-1", 100), processingOptions={"runBilling": True})
    body["processingOptions"]["billingOptions"] = {"targetDate": "2026-02-01"}
    return str((await zuora.post("/v1/orders", body))["invoiceNumbers"][0])


async def owed(zuora: Zuora) -> Decimal:
    return Decimal((await zuora.get("/v1/accounts/A-1"))["metrics"]["balance"])


def refusal(answer: Any) -> str:
    assert answer["success"] is False
    return str(answer["reasons"][0]["message"])


async def test_a_debit_memo_is_owed_when_posted_and_paid_like_an_invoice(zuora: Zuora) -> None:
    """A draft is nothing yet; a payment may settle invoices and debit memos together."""
    invoice = await invoiced(zuora)
    made = await zuora.post("/v1/debit-memos", {"accountNumber": "A-1", "charges": [CHARGE]})
    assert (made["number"], made["status"], made["dueDate"]) == ("DM00000001", "Draft", "2026-02-09")
    assert await owed(zuora) == 100
    await zuora.put("/v1/debit-memos/DM00000001/post")
    assert await owed(zuora) == 200
    money = {"type": "External", "accountNumber": "A-1", "currency": "EUR", "amount": 150}
    steps = {
        "invoices": [{"invoiceNumber": invoice, "amount": 100}],
        "debitMemos": [{"debitMemoNumber": "DM00000001", "amount": 50}],
    }
    paid = await zuora.post("/v1/payments", {**money, **steps})
    assert (paid["appliedAmount"], paid["unappliedAmount"]) == (150, 0)
    memo = await zuora.get("/v1/debit-memos/DM00000001")
    assert (memo["balance"], memo["beAppliedAmount"]) == (50, 50)
    (item,) = (await zuora.get("/v1/debit-memos/DM00000001/items"))["items"]
    assert item["balance"] == 50
    parts = (await zuora.get(f"/v1/payments/{paid['id']}/parts"))["parts"]
    assert {("invoiceId" in p, "debitMemoId" in p) for p in parts} == {(True, False), (False, True)}
    assert "exceeds the balance of the debit memo" in refusal(
        await zuora.post("/v1/payments", {**money, "debitMemos": [{"debitMemoId": memo["id"], "amount": 50.01}]})
    )
    back = {"debitMemos": [{"debitMemoId": memo["id"], "amount": 50}]}
    assert (await zuora.put(f"/v1/payments/{paid['id']}/unapply", back))["unappliedAmount"] == 50
    assert await owed(zuora) == 100


async def test_debit_memos_take_their_steps_in_order(zuora: Zuora) -> None:
    """Posted, unposted, cancelled, deleted; nothing out of turn."""
    await zuora.post("/v1/debit-memos", {"accountNumber": "A-1", "charges": [CHARGE], "autoPost": True})
    assert "Only draft debit memos can be cancelled" in refusal(await zuora.put("/v1/debit-memos/DM00000001/cancel"))
    assert (await zuora.put("/v1/debit-memos/DM00000001/unpost"))["status"] == "Draft"
    assert (await zuora.put("/v1/debit-memos/DM00000001/cancel"))["status"] == "Canceled"
    assert (await zuora.ask("DELETE", "/v1/debit-memos/DM00000001"))[1]["success"] is True
    assert await owed(zuora) == 0


async def test_object_query_tells_debit_memos_and_refunds_with_their_parts(zuora: Zuora) -> None:
    """In object query's spelling: `memoNumber`, `totalAmount`, `applyAmount`."""
    made = await zuora.post("/v1/debit-memos", {"accountNumber": "A-1", "charges": [CHARGE], "autoPost": True})
    (memo,) = (await zuora.get("/object-query/debit-memos?expand[]=debitmemoitems"))["data"]
    assert (memo["memoNumber"], memo["totalAmount"], len(memo["debitMemoItems"])) == (made["number"], 100, 1)
    credit = await zuora.post("/v1/credit-memos", {"accountNumber": "A-1", "charges": [CHARGE], "autoPost": True})
    refund = {"type": "External", "methodType": "Check", "totalAmount": 40}
    await zuora.post(f"/v1/credit-memos/{credit['id']}/refund", refund)
    (found,) = (await zuora.get("/object-query/refunds?expand[]=refundapplications"))["data"]
    assert found["associatedTransactionNumber"] == credit["number"]
    (part,) = found["refundApplications"]
    assert (part["creditMemoId"], part["applyAmount"]) == (credit["id"], 40)


async def test_a_credit_memo_is_refunded_only_as_far_as_it_is_unapplied(zuora: Zuora) -> None:
    """To the cent; a cancelled refund gives the money back to the memo."""
    credit = await zuora.post("/v1/credit-memos", {"accountNumber": "A-1", "charges": [CHARGE], "autoPost": True})
    path = f"/v1/credit-memos/{credit['id']}/refund"
    refund = {"type": "External", "methodType": "Check"}
    assert "exceeds the unapplied amount" in refusal(await zuora.post(path, {**refund, "totalAmount": 100.01}))
    made = await zuora.post(path, {**refund, "totalAmount": 100})
    assert (made["creditMemoId"], made["status"]) == (credit["id"], "Processed")
    seen = await zuora.get(f"/v1/credit-memos/{credit['id']}")
    assert (seen["unappliedAmount"], seen["refundAmount"]) == (0, 100)
    assert (await zuora.get(f"/v1/refunds/{made['id']}/parts"))["parts"][0]["amount"] == 100
    assert "Only cancelled refunds can be deleted." in refusal(
        (await zuora.ask("DELETE", f"/v1/refunds/{made['id']}"))[1]
    )
    assert (await zuora.put(f"/v1/refunds/{made['id']}/cancel"))["status"] == "Canceled"
    assert (await zuora.get(f"/v1/credit-memos/{credit['id']}"))["unappliedAmount"] == 100


async def test_a_write_off_closes_what_is_open_and_no_more(zuora: Zuora) -> None:
    """After a part payment the rest is credited; a settled invoice has nothing to write off."""
    invoice = await invoiced(zuora)
    money = {"type": "External", "accountNumber": "A-1", "currency": "EUR", "amount": 60}
    await zuora.post("/v1/payments", {**money, "invoices": [{"invoiceNumber": invoice, "amount": 60}]})
    done = await zuora.put(f"/v1/invoices/{invoice}/write-off", {"comment": "gone"})
    memo = await zuora.get(f"/v1/credit-memos/{done['creditMemo']['id']}")
    assert (memo["amount"], memo["appliedAmount"], memo["reasonCode"]) == (40, 40, "Write-off")
    assert (await zuora.get(f"/v1/invoices/{invoice}"))["balance"] == 0
    assert await owed(zuora) == 0
    assert "no balance that can be written off" in refusal(await zuora.put(f"/v1/invoices/{invoice}/write-off", {}))


async def test_contacts_are_made_changed_and_kept_while_they_are_billed(zuora: Zuora) -> None:
    """A contact takes over the billing of its account; the one before it may go then."""
    first = (await zuora.get("/v1/accounts/A-1"))["billToContact"]["id"]
    new = {"accountNumber": "A-1", "firstName": "Grace", "lastName": "Hopper", "country": "US"}
    assert "contact.state" in refusal(await zuora.post("/v1/contacts", new))
    made = await zuora.post("/v1/contacts", {**new, "state": "NY"})
    assert (made["country"], made["asBillTo"]) == ("United States", False)
    assert "is the bill-to" in refusal((await zuora.ask("DELETE", f"/v1/contacts/{first}"))[1])
    roles = dict.fromkeys(("asBillTo", "asSoldTo", "asShipTo"), True)
    moved = await zuora.put(f"/v1/contacts/{made['id']}", {"city": "New York", "zipCode": "10001", **roles})
    assert (moved["city"], moved["zipCode"], moved["asBillTo"]) == ("New York", "10001", True)
    assert (await zuora.get("/v1/accounts/A-1"))["billToContact"]["lastName"] == "Hopper"
    assert (await zuora.ask("DELETE", f"/v1/contacts/{first}"))[1]["success"] is True
