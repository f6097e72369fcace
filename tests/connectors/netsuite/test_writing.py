"""Documents are upserted under our id, once, whatever happens on the wire."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.connectors.netsuite.conftest import CREDIT_NOTE, CUSTOMER, INVOICE, ORDER, PAYMENT, Books, money

from tieline.connectors.netsuite.errors import PeriodClosed
from tieline.engine.ports import Absent, Applied, Wire
from tieline.errors import OutcomeUnknown, RejectedByVendor, TransientError, VendorUnavailable

KINDS = [("customer", CUSTOMER), ("order", ORDER), ("invoice", INVOICE), ("credit_note", CREDIT_NOTE)]
KINDS += [("payment", PAYMENT)]
RECORD = {
    "customer": "customer",
    "order": "salesOrder",
    "invoice": "invoice",
    "credit_note": "creditMemo",
    "payment": "customerPayment",
}


async def prepare(books: Books, kind: str) -> None:
    """What the document refers to stands there."""
    if kind != "customer":
        await books.post_customer()
    if kind in ("credit_note", "payment"):
        await books.post("invoice", INVOICE)


@pytest.mark.parametrize(("kind", "document"), KINDS)
async def test_a_document_stands_once_under_its_canonical_id_however_often_it_is_sent(
    books: Books, kind: str, document: Wire
) -> None:
    await prepare(books, kind)
    first, second = await books.send(kind, document), await books.send(kind, document)
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert first.external_id == second.external_id
    (standing,) = books.standing(RECORD[kind])
    assert standing["externalId"] == document["id"]


@pytest.mark.parametrize(("kind", "document"), KINDS)
async def test_a_write_whose_answer_was_lost_is_found_as_it_was_sent(books: Books, kind: str, document: Wire) -> None:
    await prepare(books, kind)
    books.fail("drop_response", method="PUT")
    assert isinstance(await books.send(kind, document), OutcomeUnknown)
    found = await books.probe(kind, document)
    assert isinstance(found, Applied), found
    assert found.external_id == books.standing(RECORD[kind])[0]["id"]
    assert found.display


@pytest.mark.parametrize(("kind", "document"), KINDS)
async def test_a_write_that_never_arrived_is_found_absent(books: Books, kind: str, document: Wire) -> None:
    await prepare(books, kind)
    books.fail("drop_request", method="PUT")
    assert isinstance(await books.send(kind, document), OutcomeUnknown)
    assert await books.probe(kind, document) == Absent()
    assert isinstance(await books.send(kind, document), Applied)


async def test_the_books_hold_the_amounts_of_the_order_to_the_cent(books: Books) -> None:
    await books.post_customer()
    await books.post("order", ORDER)
    (order,) = books.standing("salesOrder")
    assert order["total"] == Decimal("1000.00")
    assert [line["amount"] for line in order["item"]["items"]] == [Decimal("1000.00"), Decimal("0.00")]
    assert order["item"]["items"][0]["rate"] == Decimal("142.85714286")
    assert order["item"]["items"][0]["billingSchedule"]["refName"] == "Monthly"
    assert order["subsidiary"]["refName"] == "Northwind GmbH"
    assert order["terms"]["refName"] == "Net 30"
    assert order["custbody_crm_opportunity"] == "006Aa000001XyZ1AAK"


async def test_a_payment_and_a_credit_memo_settle_the_invoice(books: Books) -> None:
    await books.post_customer()
    for kind, document in (("invoice", INVOICE), ("credit_note", CREDIT_NOTE), ("payment", PAYMENT)):
        await books.post(kind, document)
    (invoice,), (payment,) = books.standing("invoice"), books.standing("customerPayment")
    assert (invoice["total"], invoice["amountRemaining"]) == (Decimal("83.34"), Decimal("0.00"))
    assert payment["unapplied"] == Decimal("6.66")


async def test_an_update_replaces_the_lines_instead_of_adding_to_them(books: Books) -> None:
    await books.post_customer()
    internal_id = await books.post("order", ORDER)
    smaller = ORDER | {"lines": [ORDER["lines"][0] | {"net": money("900.00")}]}
    assert await books.send("order", smaller, external_id=internal_id) == Applied(external_id=internal_id)
    (order,) = books.standing("salesOrder")
    assert [line["amount"] for line in order["item"]["items"]] == [Decimal("900.00")]


async def test_an_update_takes_back_what_a_payment_no_longer_settles(books: Books) -> None:
    await books.post_customer()
    await books.post("invoice", INVOICE)
    await books.post("invoice", INVOICE | {"id": "zuora-INV00000013"})
    internal_id = await books.post("payment", PAYMENT)
    moved = PAYMENT | {"applications": [{"invoice": "zuora-INV00000013", "amount": money("60.00")}]}
    await books.send("payment", moved, external_id=internal_id)
    first, second = books.standing("invoice")
    assert (first["amountRemaining"], second["amountRemaining"]) == (Decimal("83.34"), Decimal("23.34"))
    assert isinstance(await books.probe("payment", moved, external_id=internal_id), Applied)


async def test_an_id_that_netsuite_cannot_hold_is_refused_before_anything_is_sent(books: Books) -> None:
    await books.post_customer()
    calls = books.connector.client.calls
    outcome = await books.send("payment", PAYMENT | {"id": "zuora-P/5", "applications": []})
    assert isinstance(outcome, RejectedByVendor)
    assert "letters, digits, '_' and '-' only" in str(outcome)
    assert books.connector.client.calls == calls


async def test_a_record_with_other_content_is_told_with_its_id(books: Books) -> None:
    await books.post_customer()
    internal_id = await books.post("order", ORDER)
    other = ORDER | {"lines": [ORDER["lines"][0] | {"net": money("900.00")}]}
    assert await books.probe("order", other) == Absent(external_id=internal_id)


async def test_a_linked_record_gets_our_external_id(books: Books) -> None:
    (seeded,) = books.sandbox.seed(
        "customer", [{"companyName": "Rheinwerk Pumpen", "subsidiary": "Northwind GmbH", "currency": "EUR"}]
    )
    linked = await books.send("customer", CUSTOMER, external_id=seeded["id"])
    assert linked == Applied(external_id=seeded["id"])
    (customer,) = books.standing("customer")
    assert customer["externalId"] == CUSTOMER["id"]
    assert customer["companyName"] == "Rheinwerk Pumpen GmbH"


async def test_a_link_whose_answer_was_lost_is_found_either_way(books: Books) -> None:
    (seeded,) = books.sandbox.seed(
        "customer", [{"companyName": "Rheinwerk", "subsidiary": "Northwind GmbH", "currency": "EUR"}]
    )
    books.fail("drop_request", method="PATCH")
    assert isinstance(await books.send("customer", CUSTOMER, external_id=seeded["id"]), OutcomeUnknown)
    assert await books.probe("customer", CUSTOMER, external_id=seeded["id"]) == Absent(external_id=seeded["id"])
    books.fail("drop_response", method="PATCH")
    assert isinstance(await books.send("customer", CUSTOMER, external_id=seeded["id"]), OutcomeUnknown)
    assert isinstance(await books.probe("customer", CUSTOMER, external_id=seeded["id"]), Applied)


async def test_a_record_of_another_integration_is_not_taken_over(books: Books) -> None:
    (seeded,) = books.sandbox.seed(
        "customer",
        [{"companyName": "Rheinwerk", "subsidiary": "Northwind GmbH", "currency": "EUR", "externalId": "SHOP-7"}],
    )
    outcome = await books.send("customer", CUSTOMER, external_id=seeded["id"])
    assert isinstance(outcome, RejectedByVendor)
    assert "SHOP-7" in str(outcome)
    assert books.standing("customer")[0]["externalId"] == "SHOP-7"


async def test_an_external_id_that_is_taken_by_another_record_is_refused_and_not_asked_for_ever(books: Books) -> None:
    await books.post_customer()
    (other,) = books.sandbox.seed(
        "customer", [{"companyName": "Rheinwerk", "subsidiary": "Northwind GmbH", "currency": "EUR"}]
    )
    outcome = await books.send("customer", CUSTOMER, external_id=other["id"])
    assert isinstance(outcome, RejectedByVendor)
    assert "already exists" in str(outcome)


async def test_a_second_customer_of_the_same_name_is_refused_in_an_account_without_numbering(books: Books) -> None:
    """ "Already exists" is about the name here, not about our key: asking again would go on for ever."""
    books.sandbox.configure({"auto_numbering": False})
    await books.post_customer()
    outcome = await books.send("customer", CUSTOMER | {"id": "salesforce-001Zz"})
    assert isinstance(outcome, RejectedByVendor)
    assert "unique customer ID" in str(outcome)


async def test_a_record_deleted_in_netsuite_is_not_made_anew_by_an_update(books: Books) -> None:
    await books.post_customer()
    outcome = await books.send("customer", CUSTOMER, external_id="987654")
    assert isinstance(outcome, RejectedByVendor)
    assert "deleted in NetSuite" in str(outcome)


async def test_an_update_does_not_double_the_address(books: Books) -> None:
    internal_id = await books.post_customer()
    await books.send("customer", CUSTOMER | {"email": "new@rheinwerk.example"}, external_id=internal_id)
    (customer,) = books.standing("customer")
    assert customer["email"] == "new@rheinwerk.example"
    assert len(customer["addressBook"]["items"]) == 1


async def test_an_address_that_people_added_does_not_make_the_customer_another(books: Books) -> None:
    internal_id = await books.post_customer()
    moved = CUSTOMER | {"billing_address": CUSTOMER["billing_address"] | {"city": "Bonn", "postal_code": "53111"}}
    await books.send("customer", moved, external_id=internal_id)
    assert len(books.standing("customer")[0]["addressBook"]["items"]) == 2
    assert isinstance(await books.probe("customer", moved, external_id=internal_id), Applied)


async def test_a_withdrawn_order_is_gone_and_withdrawing_again_is_no_error(books: Books) -> None:
    await books.post_customer()
    internal_id = await books.post("order", ORDER)
    for _ in range(2):
        gone = await books.send("order", ORDER, external_id=internal_id, action="withdraw")
        assert gone == Applied(external_id=internal_id)
    assert books.standing("salesOrder") == []


async def test_a_withdrawal_whose_outcome_is_unknown_is_asked_for(books: Books) -> None:
    await books.post_customer()
    internal_id = await books.post("order", ORDER)
    books.fail("drop_request", method="DELETE")
    assert isinstance(await books.send("order", ORDER, action="withdraw"), OutcomeUnknown)
    assert await books.probe("order", ORDER, action="withdraw") == Absent(external_id=internal_id)
    books.fail("drop_response", method="DELETE")
    assert isinstance(await books.send("order", ORDER, action="withdraw"), OutcomeUnknown)
    assert isinstance(await books.probe("order", ORDER, action="withdraw"), Applied)


async def test_an_item_that_netsuite_does_not_have_is_refused_with_the_nearest_name(books: Books) -> None:
    await books.post_customer()
    call = books.call("order", ORDER)
    call.wire["item"]["items"][0]["item"]["refName"] = "GTX Prof"
    (outcome,) = await books.connector.send(books.operation("order"), [call])
    assert isinstance(outcome, RejectedByVendor)
    sentence = f"NetSuite refused sales order {ORDER['id']}: item.items[0].item: NetSuite has no item 'GTX Prof'"
    assert str(outcome).startswith(sentence)
    assert "nearest: 'GTX Pro'" in str(outcome)
    assert books.standing("salesOrder") == []


async def test_an_inactive_item_is_refused_as_such(books: Books) -> None:
    await books.post_customer()
    call = books.call("order", ORDER)
    call.wire["item"]["items"][0]["item"]["refName"] = "Old Thing"
    (outcome,) = await books.connector.send(books.operation("order"), [call])
    assert "the item 'Old Thing' is inactive in NetSuite" in str(outcome)


async def test_a_closed_period_is_a_sentence_for_finance(books: Books) -> None:
    await books.post_customer()
    books.sandbox.act("close_period", {"through": "2026-11"})
    outcome = await books.send("invoice", INVOICE)
    assert isinstance(outcome, PeriodClosed)
    assert outcome.vendor_code == "USER_ERROR"
    assert f"invoice {INVOICE['id']} because its date or posting period is closed" in str(outcome)
    assert "transaction date you specified is not within the date range" in str(outcome)


async def test_a_document_of_a_closed_month_is_posted_in_the_open_period_that_it_names(books: Books) -> None:
    await books.post_customer()
    books.sandbox.act("close_period", {"through": "2026-11"})
    await books.post("invoice", INVOICE | {"posting_period": "Dec 2026"})
    (invoice,) = books.standing("invoice")
    assert (invoice["tranDate"], invoice["postingPeriod"]["refName"]) == ("2026-11-23", "Dec 2026")


async def test_a_field_that_the_account_lacks_is_refused_and_never_dropped(books: Books) -> None:
    books.sandbox.configure({"custom_fields": ["custentity_tieline_source"]})
    await books.post_customer()
    outcome = await books.send("order", ORDER)
    assert isinstance(outcome, RejectedByVendor)
    assert "custbody_zuora_subscription" in str(outcome)
    assert outcome.vendor_code == "INVALID_CONTENT"


async def test_one_bad_document_among_good_ones_has_its_own_answer(books: Books) -> None:
    await books.post_customer()
    good, other = books.call("invoice", INVOICE), books.call("invoice", INVOICE | {"id": "zuora-INV00000013"})
    bad = books.call("invoice", INVOICE | {"id": "zuora-INV00000014"})
    bad.wire["entity"] = {"id": "99999"}
    outcomes = await books.connector.send(books.operation("invoice"), [good, bad, other])
    assert [type(outcome) for outcome in outcomes] == [Applied, RejectedByVendor, Applied]
    assert "zuora-INV00000014" in str(outcomes[1])


async def test_another_users_edit_is_no_refusal_but_a_reason_to_try_again(books: Books) -> None:
    internal_id = await books.post_customer()
    books.fail("record_changed")
    with pytest.raises(TransientError):
        await books.send("customer", CUSTOMER | {"email": "x@y.example"}, external_id=internal_id)


async def test_an_error_after_the_work_was_done_is_an_unknown_outcome(books: Books) -> None:
    books.fail("error_after_save", method="PUT")
    assert isinstance(await books.send("customer", CUSTOMER), OutcomeUnknown)
    assert isinstance(await books.probe("customer", CUSTOMER), Applied)


async def test_a_probe_that_cannot_read_says_so_and_concludes_nothing(books: Books) -> None:
    books.fail("status", status=500, method="GET")
    with pytest.raises(VendorUnavailable):
        await books.probe("customer", CUSTOMER)


async def test_a_customer_without_a_subsidiary_gets_that_of_the_connection(books: Books) -> None:
    await books.post_customer()
    assert books.standing("customer")[0]["subsidiary"]["refName"] == "Northwind GmbH"
