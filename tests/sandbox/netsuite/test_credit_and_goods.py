"""What a customer has with us (deposits, refunds), tax, and goods that leave the house before they are billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.sandbox.netsuite.client import Client

from tieline_sandbox.netsuite import Sandbox

ACME = {"externalId": "acme"}
CHECKING = {"refName": "Checking"}


def sale(*lines: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"entity": ACME, "item": {"items": list(lines)}} | changed


def seat(amount: int, **changed: Any) -> dict[str, Any]:
    return {"item": {"refName": "SEAT"}, "amount": amount} | changed


async def test_tax_of_the_lines_codes_is_part_of_the_total(client: Client, sandbox: Sandbox) -> None:
    """A coded line has its tax computed, whatever total was sent; without codes the tax is taken as sent."""
    sandbox.seed("salesTaxItem", [{"itemId": "VAT19", "rate": Decimal(19)}])
    coded = await client.record("POST", "invoice", sale(seat(100, taxCode={"refName": "VAT19"}), taxTotal=7))
    shown = await client.read(f"invoice/{coded.id}")
    assert (shown["subTotal"], shown["taxTotal"], shown["total"], shown["amountRemaining"]) == (100, 19, 119, 119)
    line = shown["item"]["items"][0]
    assert (line["taxRate1"], line["tax1Amt"], line["grossAmt"]) == (19, 19, 119)
    memo = await client.record("POST", f"invoice/{coded.id}/!transform/creditMemo")
    assert (await client.read(f"creditMemo/{memo.id}"))["applied"] == 119
    sent = await client.record("POST", "invoice", sale(seat(100), taxTotal=7))
    assert (await client.read(f"invoice/{sent.id}"))["total"] == 107


async def test_a_deposit_settles_an_invoice_and_not_more_than_it_holds(client: Client) -> None:
    deposit = await client.record("POST", "customerDeposit", {"customer": ACME, "payment": 50})
    invoice = await client.record("POST", "invoice", sale(seat(80)))
    path = f"customerDeposit/{deposit.id}/!transform/depositApplication"
    too_much = {"apply": {"items": [{"doc": {"id": invoice.id}, "apply": True, "amount": 51}]}}
    assert "more than your total" in (await client.record("POST", path, too_much)).detail
    apply = {"apply": {"items": [{"doc": {"id": invoice.id}, "apply": True}]}}
    made = await client.record("POST", path, apply)
    assert (await client.read(f"invoice/{invoice.id}"))["amountRemaining"] == 30
    shown = await client.read(f"customerDeposit/{deposit.id}")
    assert (shown["applied"], shown["unapplied"], shown["status"]["id"]) == (50, 0, "Fully Applied")
    assert "dependent records" in (await client.record("DELETE", f"customerDeposit/{deposit.id}")).detail
    assert (await client.record("DELETE", f"depositApplication/{made.id}")).status == 204
    assert (await client.read(f"customerDeposit/{deposit.id}"))["unapplied"] == 50
    assert (await client.read(f"invoice/{invoice.id}"))["amountRemaining"] == 80


async def test_a_refund_gives_back_open_credit_and_nothing_else(client: Client) -> None:
    """What is refunded can be neither refunded again nor applied, and belongs to one customer."""
    memo = await client.record("POST", "creditMemo", sale(seat(40)))
    body: dict[str, Any] = {
        "customer": ACME,
        "account": CHECKING,
        "apply": {"items": [{"doc": {"id": memo.id}, "amount": 41}]},
    }
    assert "can not exceed what is open (40" in (await client.record("POST", "customerRefund", body)).detail
    body["apply"]["items"][0]["amount"] = 30
    refund = await client.record("POST", "customerRefund", body)
    assert (await client.read(f"customerRefund/{refund.id}"))["total"] == 30
    shown = await client.read(f"creditMemo/{memo.id}")
    assert (shown["applied"], shown["amountRemaining"], shown["status"]["id"]) == (30, 10, "Open")
    invoice = await client.record("POST", "invoice", sale(seat(40)))
    apply = {"apply": {"items": [{"doc": {"id": invoice.id}, "apply": True, "amount": 11}]}}
    assert (await client.record("PATCH", f"creditMemo/{memo.id}", apply)).status == 400
    stranger = {**body, "customer": {"externalId": "bauer"}}
    assert (await client.record("POST", "customerRefund", stranger)).status == 400
    assert "Account" in (await client.record("POST", "customerRefund", {"customer": ACME})).detail
    assert (await client.record("DELETE", f"customerRefund/{refund.id}")).status == 204
    assert (await client.read(f"creditMemo/{memo.id}"))["amountRemaining"] == 40


async def test_goods_are_billed_as_far_as_they_have_left_the_house(client: Client, sandbox: Sandbox) -> None:
    """Services of the same order can be billed at once."""
    sandbox.seed("inventoryItem", [{"itemId": "PUMP"}])
    pumps = {"item": {"refName": "PUMP"}, "quantity": 4, "amount": 100}
    order = await client.record("POST", "salesOrder", sale(pumps, seat(10)))

    async def status() -> str:
        return str((await client.read(f"salesOrder/{order.id}"))["status"]["id"])

    assert await status() == "Pending Fulfillment"
    bill, ship = (f"salesOrder/{order.id}/!transform/{target}" for target in ("invoice", "itemFulfillment"))
    services = await client.record("POST", bill)
    assert (await client.read(f"invoice/{services.id}"))["total"] == 10
    assert "at least one line item" in (await client.record("POST", bill)).detail
    part = {"item": {"items": [{"orderLine": 1, "quantity": 1}]}}
    assert (await client.record("POST", ship, part)).status == 204
    assert await status() == "Pending Billing/Partially Fulfilled"
    assert (await client.read(f"invoice/{(await client.record('POST', bill)).id}"))["total"] == 25
    assert await status() == "Partially Fulfilled"
    too_many = {"item": {"items": [{"orderLine": 1, "quantity": 4}]}}
    assert "what is left of the order's line (3)" in (await client.record("POST", ship, too_many)).detail
    rest = await client.record("POST", ship)
    assert await status() == "Pending Billing"
    assert (await client.read(f"invoice/{(await client.record('POST', bill)).id}"))["total"] == 75
    assert await status() == "Billed"
    assert (await client.record("POST", "itemFulfillment", sale(pumps))).status == 400
    rows = (await client.query(f"SELECT type, tranid FROM transaction WHERE id = {rest.id}")).body["items"]
    assert rows[0]["type"] == "ItemShip"


async def test_a_discount_line_is_negative_and_a_kit_lists_its_members(client: Client) -> None:
    await client.record("POST", "discountItem", {"itemId": "REBATE"})
    made = await client.record("POST", "invoice", sale(seat(100), {"item": {"refName": "REBATE"}, "amount": 15}))
    assert (await client.read(f"invoice/{made.id}"))["total"] == 85
    members = {"items": [{"item": {"refName": "SEAT"}, "quantity": 2}]}
    kit = await client.record("POST", "kitItem", {"itemId": "BUNDLE", "member": members})
    assert (await client.read(f"kitItem/{kit.id}"))["member"]["items"][0]["quantity"] == 2
    rows = (await client.query("SELECT itemid, itemtype FROM item ORDER BY id")).body["items"]
    assert [row["itemtype"] for row in rows[-2:]] == ["Discount", "Kit"]


async def test_every_kind_of_transaction_shows_in_suiteql(client: Client, sandbox: Sandbox) -> None:
    sandbox.seed("inventoryItem", [{"itemId": "PUMP"}])
    order = await client.record("POST", "salesOrder", sale({"item": {"refName": "PUMP"}, "amount": 100}))
    await client.record("POST", f"salesOrder/{order.id}/!transform/itemFulfillment")
    invoice = await client.record("POST", f"salesOrder/{order.id}/!transform/invoice")
    deposit = await client.record("POST", "customerDeposit", {"customer": ACME, "payment": 50})
    apply = {"apply": {"items": [{"doc": {"id": invoice.id}, "apply": True, "amount": 20}]}}
    await client.record("POST", f"customerDeposit/{deposit.id}/!transform/depositApplication", apply)
    back = {"items": [{"doc": {"id": deposit.id}, "amount": 30}]}
    await client.record("POST", "customerRefund", {"customer": ACME, "account": CHECKING, "apply": back})
    text = "SELECT type, BUILTIN.DF(status) AS status, foreigntotal, postingperiod, createdfrom FROM transaction"
    rows = (await client.query(f"{text} ORDER BY id")).body["items"]
    assert [row["type"] for row in rows] == ["SalesOrd", "ItemShip", "CustInvc", "CustDep", "DepAppl", "CustRfnd"]
    assert [row.get("foreigntotal") for row in rows] == ["100", None, "100", "50", "20", "30"]
    lines = (await client.query("SELECT transaction, mainline, foreignamount, item FROM transactionline")).body["items"]
    assert sum(line["mainline"] == "T" for line in lines) == len(rows)
