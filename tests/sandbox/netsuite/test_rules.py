"""The business rules: what NetSuite refuses, and what it works out by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.netsuite.client import Client

ACME = {"externalId": "acme"}


def line(amount: str, **changed: Any) -> dict[str, Any]:
    return {"item": {"refName": "SEAT"}, "amount": Decimal(amount)} | changed


def sale(amount: str = "100", **changed: Any) -> dict[str, Any]:
    return {"entity": ACME, "tranDate": "2026-03-01", "item": {"items": [line(amount)]}} | changed


def payment(amount: str | None, *applied: tuple[str, str | None], **changed: Any) -> dict[str, Any]:
    items = [{"doc": {"id": doc}, "apply": True} | ({"amount": Decimal(part)} if part else {}) for doc, part in applied]
    body: dict[str, Any] = {"customer": ACME, "tranDate": "2026-03-05", "apply": {"items": items}} | changed
    return body | ({"payment": Decimal(amount)} if amount else {})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Please enter value(s) for: Company Name, Primary Subsidiary."),
        ({"companyName": "Z"}, "Please enter value(s) for: Primary Subsidiary."),
        ({"isPerson": True, "subsidiary": {"id": "1"}}, "Please enter value(s) for: First Name, Last Name."),
        (
            {"companyName": "Z", "subsidiary": {"id": "1"}, "parent": {"externalId": "bauer"}},
            "Invalid parent reference key 2.",
        ),
    ],
)
async def test_a_customer_needs_name_subsidiary_and_a_parent_of_its_own_house(
    client: Client, body: dict[str, Any], words: str
) -> None:
    refused = await client.record("POST", "customer", body)
    assert (refused.status, words in refused.detail) == (400, True)


async def test_without_auto_numbering_customer_names_are_unique(client: Client) -> None:
    """Auto-numbering hides a duplicate; without it the second company of a name is refused."""
    body = {"companyName": "Acme", "subsidiary": {"id": "1"}}
    assert (await client.record("POST", "customer", body)).status == 204
    await client.control("configure", {"auto_numbering": False})
    assert (await client.record("POST", "customer", body)).status == 204
    refused = await client.record("POST", "customer", body)
    assert "A customer record with this ID already exists." in refused.detail


async def test_an_inactive_currency_is_not_on_offer(client: Client) -> None:
    await client.record("PATCH", "currency/3", {"isInactive": True})
    body = {"companyName": "Z", "subsidiary": {"id": "1"}, "currency": {"refName": "GBP"}}
    assert (await client.record("POST", "customer", body)).code == "INVALID_CONTENT"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (sale(entity=None), "USER_ERROR", "Please enter value(s) for: Customer."),
        (sale(item={"items": []}), "USER_ERROR", "You must enter at least one line item"),
        (sale(item={"items": [line("1", item={"id": "9999"})]}), "INVALID_CONTENT", "Invalid Field Value 9999"),
        (sale(item={"items": [line("1", item={"refName": "OLD"})]}), "INVALID_CONTENT", "following field: item"),
        (sale(subsidiary={"id": "2"}), "INVALID_KEY_OR_REF", "Invalid subsidiary reference key 2 for entity 1."),
        (sale(currency={"refName": "EUR"}), "INVALID_KEY_OR_REF", "Invalid currency reference key 2 for entity 1."),
        (sale("-5"), "USER_ERROR", "The total can not be negative."),
        (sale(item={"items": [{"item": {"refName": "SEAT"}}]}), "USER_ERROR", "Please enter a value for amount."),
    ],
)
@pytest.mark.parametrize("kind", ["salesOrder", "invoice", "creditMemo"])
async def test_a_sale_is_checked_before_it_is_booked(
    client: Client, kind: str, body: dict[str, Any], code: str, words: str
) -> None:
    refused = await client.record("POST", kind, body)
    assert (refused.status, refused.code) == (400, code)
    assert words in refused.detail
    assert (await client.control(f"documents/{kind}", method="GET"))[kind] == []


async def test_amounts_due_dates_and_numbers_are_worked_out(client: Client) -> None:
    """Quantity times rate is rounded half up to the cent, the due date follows the customer's terms."""
    lines = [{"item": {"refName": "SEAT"}, "quantity": 3, "rate": Decimal("0.335")}, {"item": {"refName": "FEE"}}]
    made = await client.record("POST", "invoice", sale(item={"items": lines}))
    shown = await client.read(f"invoice/{made.id}")
    assert [one["amount"] for one in shown["item"]["items"]] == [Decimal("1.01"), Decimal("25.00")]
    assert (shown["total"], shown["amountRemaining"]) == (Decimal("26.01"), Decimal("26.01"))
    assert (shown["dueDate"], shown["tranId"], shown["status"]["id"]) == ("2026-03-31", "INV1001", "Open")
    assert (shown["postingPeriod"]["refName"], shown["currencysymbol"]) == ("Mar 2026", "USD")


async def test_yen_have_no_cents(client: Client) -> None:
    await client.control("configure", {"customer_currencies": "any"})
    made = await client.record("POST", "invoice", sale("100.5", currency={"refName": "JPY"}))
    assert (await client.read(f"invoice/{made.id}"))["total"] == Decimal(101)


async def test_a_closed_period_takes_no_posting(client: Client) -> None:
    """The date decides, unless an open posting period is given; a sales order does not post at all."""
    closed = await client.control("act/close_period", {"through": "2026-02"})
    assert closed["closed"][-1] == "Feb 2026"
    refused = await client.record("POST", "invoice", sale(tranDate="2026-02-10"))
    assert refused.code == "USER_ERROR"
    assert "is not within the date range of your accounting period" in refused.detail
    march = (await client.query("SELECT id FROM accountingperiod WHERE periodname = 'Mar 2026'")).body["items"][0]["id"]
    period = {"postingPeriod": {"id": march}}
    assert (await client.record("POST", "invoice", sale(tranDate="2026-02-10") | period)).status == 204
    shut = {"postingPeriod": {"id": str(int(march) - 1)}}
    assert (await client.record("POST", "invoice", sale() | shut)).code == "INVALID_CONTENT"
    assert (await client.record("POST", "salesOrder", sale(tranDate="2026-02-10"))).status == 204
    await client.control("act/open_period", {"from": "2026-02"})
    assert (await client.record("POST", "invoice", sale(tranDate="2026-02-10"))).status == 204


async def test_a_posted_invoice_cannot_change_once_its_period_is_closed(client: Client) -> None:
    made = await client.record("POST", "invoice", sale(tranDate="2026-01-10"))
    await client.control("act/close_period", {"through": "2026-01"})
    body = {"item": {"items": [{"line": 1, "amount": 5}]}}
    assert "closed or locked" in (await client.record("PATCH", f"invoice/{made.id}", body)).detail
    assert "closed or locked" in (await client.record("DELETE", f"invoice/{made.id}")).detail
    assert (await client.record("POST", "customerPayment", payment("100", (made.id, "100")))).status == 204


async def test_a_payment_settles_an_invoice_and_no_more(client: Client) -> None:
    """Partly, then wholly; what is left of the payment stays unapplied; more than is due is refused."""
    made = await client.record("POST", "invoice", sale("100"))
    assert (await client.record("POST", "customerPayment", payment("40", (made.id, "40")))).status == 204
    over = await client.record("POST", "customerPayment", payment("100", (made.id, "60.01")))
    assert "can not exceed the amount due (60.00)" in over.detail
    last = await client.record("POST", "customerPayment", payment("75", (made.id, None)))
    shown = await client.read(f"customerPayment/{last.id}")
    assert (shown["applied"], shown["unapplied"]) == (Decimal("60.00"), Decimal("15.00"))
    paid = await client.read(f"invoice/{made.id}")
    assert (paid["amountRemaining"], paid["status"]["refName"]) == (Decimal("0.00"), "Paid In Full")


async def test_a_payment_applies_no_more_than_it_holds(client: Client) -> None:
    made = await client.record("POST", "invoice", sale("100"))
    refused = await client.record("POST", "customerPayment", payment("10", (made.id, "20")))
    assert "You cannot apply more than your total payments." in refused.detail
    assert "Payment Amount" in (await client.record("POST", "customerPayment", payment(None))).detail


async def test_a_payment_sees_only_its_customers_invoices(client: Client) -> None:
    """Another customer's invoice is not on the list; a child company's is on its parent's."""
    child = {"companyName": "Acme West", "subsidiary": {"id": "1"}, "parent": ACME, "externalId": "west"}
    await client.record("POST", "customer", child)
    west = await client.record("POST", "invoice", sale("10", entity={"externalId": "west"}))
    other = await client.record("POST", "customer", {"companyName": "O", "subsidiary": {"id": "1"}, "externalId": "o"})
    foreign = await client.record("POST", "invoice", sale("10", entity={"id": other.id}))
    refused = await client.record("POST", "customerPayment", payment("10", (foreign.id, "10")))
    assert refused.body["o:errorDetails"][0]["o:errorPath"] == "apply.items[0].doc"
    assert (await client.record("POST", "customerPayment", payment("10", (west.id, "10")))).status == 204


async def test_letting_go_of_an_invoice_opens_it_again(client: Client) -> None:
    """By a patch that unticks the line, and by deleting the payment."""
    made = await client.record("POST", "invoice", sale("100"))
    paid = await client.record("POST", "customerPayment", payment("100", (made.id, "100")))
    untick = {"apply": {"items": [{"doc": {"id": made.id}, "apply": False}]}}
    assert (await client.record("PATCH", f"customerPayment/{paid.id}", untick)).status == 204
    assert (await client.read(f"invoice/{made.id}"))["amountRemaining"] == Decimal(100)
    auto = {"customer": ACME, "payment": 30, "autoApply": True}
    second = await client.record("POST", "customerPayment", auto)
    assert (await client.read(f"invoice/{made.id}"))["amountRemaining"] == Decimal(70)
    await client.record("DELETE", f"customerPayment/{second.id}")
    assert (await client.read(f"invoice/{made.id}"))["amountRemaining"] == Decimal(100)


async def test_a_credit_memo_settles_within_its_total(client: Client) -> None:
    made = await client.record("POST", "invoice", sale("100"))
    apply = {"apply": {"items": [{"doc": {"id": made.id}, "apply": True, "amount": 31}]}}
    assert (await client.record("POST", "creditMemo", sale("30") | apply)).status == 400
    apply["apply"]["items"][0]["amount"] = 30
    memo = await client.record("POST", "creditMemo", sale("30") | apply)
    assert (await client.read(f"creditMemo/{memo.id}"))["status"]["id"] == "Fully Applied"
    assert (await client.read(f"invoice/{made.id}"))["amountRemaining"] == Decimal(70)


async def test_an_invoice_cannot_shrink_below_what_is_applied(client: Client) -> None:
    """Nor be deleted, nor change its customer."""
    made = await client.record("POST", "invoice", sale("100"))
    await client.record("POST", "customerPayment", payment("100", (made.id, "100")))
    body = {"item": {"items": [{"line": 1, "amount": 99}]}}
    assert (
        "can not be less than the amount already applied"
        in (await client.record("PATCH", f"invoice/{made.id}", body)).detail
    )
    assert (await client.read(f"invoice/{made.id}"))["total"] == Decimal(100)
    assert "dependent records" in (await client.record("DELETE", f"invoice/{made.id}")).detail


async def test_an_order_is_billed_by_transforms_until_nothing_is_left(client: Client) -> None:
    """Custom fields travel along; a part can be billed; a billed order yields no more invoices."""
    order = await client.record("POST", "salesOrder", sale("100", custbody_crm_opportunity="opp", otherRefNum="O-1"))
    path = f"salesOrder/{order.id}/!transform/invoice"
    part = {"tranDate": "2026-03-02", "externalId": "i1", "item": {"items": [{"orderLine": 1, "amount": 40}]}}
    first = await client.record("POST", path, part)
    shown = await client.read("invoice/eid:i1")
    assert (shown["id"], shown["total"], shown["createdFrom"]["id"]) == (first.id, Decimal(40), order.id)
    assert (shown["custbody_crm_opportunity"], shown["otherRefNum"]) == ("opp", "O-1")
    rest = await client.record("POST", path)
    assert (await client.read(f"invoice/{rest.id}"))["total"] == Decimal(60)
    assert (await client.read(f"salesOrder/{order.id}"))["status"]["id"] == "Billed"
    assert "You must enter at least one line item" in (await client.record("POST", path)).detail
    assert (await client.record("POST", f"salesOrder/{order.id}/!transform/customer")).status == 404
    memo = await client.record("POST", f"invoice/{rest.id}/!transform/creditMemo")
    assert (await client.read(f"creditMemo/{memo.id}"))["applied"] == Decimal(60)
    paid = await client.record("POST", f"invoice/{first.id}/!transform/customerPayment")
    assert (await client.read(f"customerPayment/{paid.id}"))["payment"] == Decimal(40)


async def test_a_journal_entry_must_balance(client: Client) -> None:
    lines = [{"account": {"refName": "Sales"}, "debit": 10}, {"account": {"refName": "Deferred Revenue"}, "credit": 9}]
    body = {"subsidiary": {"id": "1"}, "tranDate": "2026-03-01", "line": {"items": lines}}
    refused = await client.record("POST", "journalEntry", body)
    assert refused.detail.endswith("The amounts in a journal entry must balance.")
    lines[1]["credit"] = 10
    assert (await client.record("POST", "journalEntry", body)).status == 204


async def test_contacts_projects_and_deposits(client: Client) -> None:
    """The simple records hang on their customer."""
    contact = await client.record("POST", "contact", {"firstName": "A", "lastName": "B", "company": ACME})
    assert (await client.read(f"contact/{contact.id}"))["entityId"] == "A B"
    project = await client.record("POST", "job", {"companyName": "Rollout", "parent": ACME})
    assert (await client.read(f"job/{project.id}"))["entityId"] == "PRJ0001 Rollout"
    assert (await client.record("POST", "job", {"companyName": "R"})).status == 400
    assert (await client.record("POST", "customerDeposit", {"customer": ACME})).status == 400
    assert (await client.record("POST", "customerDeposit", {"customer": ACME, "payment": 5})).status == 204
