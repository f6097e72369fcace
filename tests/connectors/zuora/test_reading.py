"""Reading back: documents whole and exact, in few calls, in the order asked; customers found again by every key."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.connectors.zuora.tenant import (
    ACME,
    CANCEL,
    CUSTOMER,
    ORDER,
    TABLES,
    Served,
    account,
    cancellation,
    customer,
    order,
    plan,
    send,
)

from tieline.connectors.zuora import ZuoraConnector
from tieline.domain import Address, CreditNote, Invoice, Money, Payment, Subscription, TaxRegistration
from tieline.engine.ports import Applied, Wire
from tieline.errors import ConfigurationError, RejectedByVendor, VendorUnavailable


async def billed(zuora: ZuoraConnector, served: Served, days: int = 13) -> None:
    """An account and its deal, and the nights until `days` later (the deal starts in twelve)."""
    assert isinstance(await send(zuora, CUSTOMER, account()), Applied)
    assert isinstance(await send(zuora, ORDER, order()), Applied)
    await served.advance(days)


def canonical(table: str, document: Wire | None, kind: type[Any]) -> Any:
    """The document through its shipped table, as the entity the process gets: it must add up to exist at all."""
    assert document is not None
    return msgspec.convert(TABLES.mapping(table).run(document, connection="zuora"), kind, strict=False)


class TestInvoices:
    async def test_an_invoice_comes_with_its_items_to_the_cent(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served)
        (wire,) = await zuora.fetch("invoice", ["INV00000001"])
        invoice = canonical("zuora.invoice -> invoice", wire, Invoice)
        assert (invoice.id, invoice.customer) == ("zuora-INV00000001", ACME)
        assert invoice.subscription == "S-006Aa000001DealAAA"
        assert invoice.amount == Money(Decimal("333.87"), "EUR")
        lines = {entry.charge: (entry.line, entry.product, entry.net.amount) for entry in invoice.lines}
        assert lines == {
            "C-006Aa000001DealAAAL1": ("006Aa000001DealAAAL1", "PLATFORM", Decimal("83.33")),
            "C-006Aa000001DealAAAL1-R": ("006Aa000001DealAAAL1", "ROUNDING", Decimal("0.04")),
            "C-006Aa000001DealAAAL2": ("006Aa000001DealAAAL2", "SETUP", Decimal("250.50")),
        }
        platform = next(entry for entry in invoice.lines if entry.product == "PLATFORM")
        assert (str(platform.service_from), str(platform.service_to)) == ("2026-02-01", "2026-02-28")

    async def test_the_order_asked_is_the_order_answered(self, zuora: ZuoraConnector, served: Served) -> None:
        """By number and by id together, None for what is not there."""
        await billed(zuora, served, days=75)
        by_number = {i["invoiceNumber"]: i["id"] for i in served.standing("invoices")}
        assert len(by_number) >= 3
        first, second, third = sorted(by_number)[:3]
        found = await zuora.fetch("invoice", [third, "INV99999999", by_number[first], second, "f" * 32])
        assert [f and f["invoiceNumber"] for f in found] == [third, None, first, second, None]

    async def test_many_documents_take_few_calls(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served, days=75)
        numbers = [i["invoiceNumber"] for i in served.standing("invoices")]
        before = len(await served.requests())
        assert all(await zuora.fetch("invoice", numbers))
        assert len(await served.requests()) == before + 1

    @pytest.mark.parametrize("size", [1, 2, 3])
    async def test_items_beyond_a_page_are_not_lost(self, zuora: ZuoraConnector, served: Served, size: int) -> None:
        """Object query cuts expanded lists off at the page size, and says nothing about it."""
        await billed(zuora, served)
        small = served.connect(page_size=size)
        (short,) = await small.fetch("invoice", ["INV00000001"])
        (whole,) = await zuora.fetch("invoice", ["INV00000001"])
        found, expected = (
            {
                (entry.id, entry.line, entry.charge, entry.product, entry.net, entry.service_from, entry.service_to)
                for entry in canonical("zuora.invoice -> invoice", wire, Invoice).lines
            }
            for wire in (short, whole)
        )
        assert found == expected
        assert len(expected) == 3
        await small.close()

    async def test_amounts_are_never_binary(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served)
        (wire,) = await zuora.fetch("invoice", ["INV00000001"])
        assert wire is not None
        floats = [v for item in wire["invoiceItems"] for v in item.values() if isinstance(v, float)]
        assert floats == []
        assert isinstance(wire["amount"], Decimal)

    async def test_nothing_asked_is_nothing_called(self, zuora: ZuoraConnector, served: Served) -> None:
        before = len(await served.requests())
        assert await zuora.fetch("invoice", []) == []
        assert len(await served.requests()) == before


class TestMoney:
    async def test_a_payment_names_the_invoices_it_settles(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served, days=45)
        (wire,) = await zuora.fetch("payment", ["P-00000001"])
        payment = canonical("zuora.payment -> payment", wire, Payment)
        assert wire is not None
        assert wire["status"] == "Processed"
        assert [(a.invoice, a.amount.amount) for a in payment.applications] == [
            ("zuora-INV00000001", Decimal("333.87"))
        ]

    async def test_a_declined_payment_says_why_and_settles_nothing(self, zuora: ZuoraConnector, served: Served) -> None:
        await send(zuora, CUSTOMER, {**account(), "PaymentFails__c": 1})
        await send(zuora, ORDER, order())
        await served.advance(43)
        (wire,) = await zuora.fetch("payment", ["P-00000001"])
        assert wire is not None
        assert (wire["status"], wire["gatewayResponse"], wire["parts"]) == ("Error", "Your card was declined.", [])
        assert canonical("zuora.payment -> payment", wire, Payment).applications == []

    async def test_where_applications_may_be_cut_off_the_parts_are_read(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """One application on a page of one: there may be more, so the payment's own list decides."""
        await billed(zuora, served, days=45)
        small = served.connect(page_size=1)
        (wire,) = await small.fetch("payment", ["P-00000001"])
        payment = canonical("zuora.payment -> payment", wire, Payment)
        assert [a.invoice for a in payment.applications] == ["zuora-INV00000001"]
        assert any(r["path"].endswith("/parts") for r in await served.requests())
        await small.close()

    async def test_what_is_no_longer_applied_does_not_count(self, zuora: ZuoraConnector, served: Served) -> None:
        """Applications are what was done, parts what stands: they differ once something was unapplied."""
        await billed(zuora, served, days=45)
        (payment,) = served.standing("payments")
        (part,) = served.standing("payment-parts")
        history = {**part, "id": "f" * 32, "amount": Decimal("10.00")}
        served.sandbox.tenant.payment_parts.add(history)
        before = len(await served.requests())
        await zuora.fetch("payment", [payment["paymentNumber"]])
        assert any(r["path"].endswith("/parts") for r in (await served.requests())[before:])

    async def test_a_cancellation_comes_back_as_a_credit_note(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served)
        await send(zuora, CANCEL, cancellation())
        await served.advance(2)
        (wire,) = await zuora.fetch("credit_memo", ["CM00000001"])
        note = canonical("zuora.credit_memo -> credit_note", wire, CreditNote)
        assert note.amount == Money(Decimal("83.33"), "EUR")
        assert [(entry.line, entry.product) for entry in note.lines] == [("006Aa000001DealAAAL1", "PLATFORM")]
        assert note.applications == []
        assert wire is not None
        assert wire["invoiceNumber"] == "INV00000001"

    async def test_a_credit_note_names_what_it_settles(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served)
        await _credit(zuora, "INV00000001", "50.00")
        small = served.connect(page_size=1)
        for connector in (zuora, small):
            (wire,) = await connector.fetch("credit_memo", ["CM00000001"])
            note = canonical("zuora.credit_memo -> credit_note", wire, CreditNote)
            assert [(a.invoice, a.amount.amount) for a in note.applications] == [
                ("zuora-INV00000001", Decimal("50.00"))
            ]
        await small.close()

    async def test_an_invoice_that_is_not_searchable_yet_is_waited_for(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        """Search lags: an application without its invoice would be money that settles nothing."""
        await billed(zuora, served, days=45)
        await served.fault("slow_object_query", path="^/object-query/invoices$", seconds=400 * 86400)
        with pytest.raises(VendorUnavailable, match="does not show invoice"):
            await zuora.fetch("payment", ["P-00000001"])


async def _credit(zuora: ZuoraConnector, invoice: str, amount: str) -> None:
    """A credit memo from an invoice, posted and applied by a person in Zuora."""
    client = zuora.client
    (found,) = await zuora.fetch("invoice", [invoice])
    assert found is not None
    items = [{"invoiceItemId": found["invoiceItems"][0]["id"], "amount": Decimal(amount), "skuName": "Platform"}]
    body: dict[str, Any] = {"items": items, "reasonCode": "Correcting invoice error"}
    made = await client.post(f"/v1/credit-memos/invoice/{found['id']}", body, "", about="a memo", track="")
    await client.put(f"/v1/credit-memos/{made['id']}/post", {}, about="a memo", track="")
    body = {"invoices": [{"invoiceId": found["id"], "amount": Decimal(amount)}]}
    await client.put(f"/v1/credit-memos/{made['id']}/apply", body, about="a memo", track="")


class TestOthers:
    async def test_a_subscription_as_it_stands(self, zuora: ZuoraConnector, served: Served) -> None:
        await billed(zuora, served)
        (wire,) = await zuora.fetch("subscription", ["S-006Aa000001DealAAA"])
        subscription = canonical("zuora.subscription -> subscription", wire, Subscription)
        assert (subscription.status, subscription.customer) == ("active", ACME)
        assert (str(subscription.starts_on), str(subscription.ends_on)) == ("2026-02-01", "2027-01-31")
        assert subscription.order_number == "O-006Aa000001DealAAA"
        native = served.standing("subscriptions")[0]["id"]
        assert await zuora.fetch("subscription", [native]) == [wire]

    async def test_an_account_by_its_number(self, zuora: ZuoraConnector) -> None:
        await send(zuora, CUSTOMER, account())
        (found, absent) = await zuora.fetch("account", [ACME, "A-NONE"])
        assert found is not None
        assert found["billTo"]["city"] == "Berlin"
        assert absent is None

    @pytest.mark.parametrize("size", [1, 50])
    async def test_the_catalogue_lists_every_plan_with_its_charges(self, served: Served, size: int) -> None:
        extra = plan("EXTRA", "Recurring", "FlatFee", billingPeriod="Month", price=1)
        second = {**extra["ratePlans"][0]["charges"][0], "productRatePlanChargeNumber": "PRPC-SECOND", "name": "Second"}
        extra["ratePlans"][0]["charges"].append(second)
        served.sandbox.seed("products", [extra])
        zuora = served.connect(page_size=size)
        plans = {p["productRatePlanNumber"]: p for p in await zuora.catalogue("rate_plan")}
        assert set(plans) == {"PRP-PLATFORM", "PRP-SETUP", "PRP-ROUNDING", "PRP-API", "PRP-EXTRA"}
        charges = {c["productRatePlanChargeNumber"] for c in plans["PRP-EXTRA"]["productRatePlanCharges"]}
        assert charges == {"PRPC-EXTRA", "PRPC-SECOND"}
        assert plans["PRP-SETUP"]["product"]["sKU"] == "SETUP"
        await zuora.close()

    async def test_a_query_that_is_not_found_is_no_empty_answer(self, zuora: ZuoraConnector, served: Served) -> None:
        """A wrong address must not look like a tenant without customers, or every one would be opened twice."""
        await served.fault("status", status=404, path="^/object-query/", times=4)
        for asked in (
            zuora.check(),
            zuora.find("customer", {"id": "sf-1", "name": "Acme"}),
            zuora.fetch("invoice", ["INV00000001"]),
            zuora.changes("invoices", ""),
        ):
            with pytest.raises(RejectedByVendor):
                await asked

    async def test_the_connection_says_who_we_are_there(self, zuora: ZuoraConnector) -> None:
        said = await zuora.check()
        assert zuora.settings.client_id in said
        assert zuora.settings.client_secret not in said + repr(zuora.settings)

    async def test_what_zuora_does_not_have_is_a_fault_of_the_project(self, zuora: ZuoraConnector) -> None:
        for asked in (zuora.fetch("order_line", []), zuora.find("invoice", {}), zuora.catalogue("item")):
            with pytest.raises(ConfigurationError):
                await asked


class TestFinding:
    @pytest.fixture
    def canonical_customer(self) -> Wire:
        built: Wire = msgspec.to_builtins(customer(), builtin_types=(Decimal,))
        return built

    async def test_by_our_own_number(self, zuora: ZuoraConnector, canonical_customer: Wire) -> None:
        await send(zuora, CUSTOMER, account())
        (found,) = await zuora.find("customer", canonical_customer)
        assert (found.external_id, found.matched_by, found.canonical_id) == (ACME, "external_id", ACME)

    async def test_by_the_crm_id_another_integration_left(
        self, zuora: ZuoraConnector, served: Served, canonical_customer: Wire
    ) -> None:
        served.sandbox.seed("accounts", [{**account(name="Something else"), "accountNumber": "A-1", "taxInfo": {}}])
        (found,) = await zuora.find("customer", canonical_customer)
        assert (found.external_id, found.matched_by, found.canonical_id) == ("A-1", "external_id", "")

    @pytest.mark.parametrize("spelling", ["DE136695976", "de 136.695.976", "136695976"])
    async def test_by_the_tax_number_however_it_is_written(
        self, zuora: ZuoraConnector, served: Served, spelling: str
    ) -> None:
        stranger = {**account(name="Old name"), "accountNumber": "A-2", "crmId": None}
        served.sandbox.seed("accounts", [stranger])
        wanted = customer(tax_registrations=[TaxRegistration(country="DE", number=spelling)], name="Unlike")
        (found,) = await zuora.find("customer", msgspec.to_builtins(wanted))
        assert (found.external_id, found.matched_by, found.tax_number) == ("A-2", "tax_number", "DE136695976")

    async def test_by_name_and_place_whatever_the_case_and_the_dots(
        self, zuora: ZuoraConnector, served: Served
    ) -> None:
        def named(number: str, name: str, city: str, postal_code: str, country: str = "DE") -> dict[str, Any]:
            place = Address(city=city, postal_code=postal_code, country=country, state="TX" if country == "US" else "")
            wire = account(name=name, billing_address=place, tax_registrations=[])
            return {**wire, "accountNumber": number, "crmId": None}

        served.sandbox.seed(
            "accounts",
            [
                named("A-3", "ACME G.m.b.H.", "berlin", "10999"),
                named("A-4", "Acme GmbH", "Austin", "73301", "US"),
                named("A-5", "Acme Metallbau und Soehne GmbH", "Berlin", "10115"),
                named("A-6", "Acme GmbH", "Hamburg", "20095"),
            ],
        )
        wanted = msgspec.to_builtins(customer(name="Acme G.M.B.H.", tax_registrations=[]))
        found = await zuora.find("customer", wanted)
        assert [(c.external_id, c.matched_by) for c in found] == [("A-3", "name_address")]
        assert found[0].address.endswith("10999, berlin, Germany")

    async def test_by_a_name_that_begins_with_a_single_letter(self, zuora: ZuoraConnector, served: Served) -> None:
        served.sandbox.seed("accounts", [{**account(name="O'Neil & Sons"), "accountNumber": "A-7", "crmId": None}])
        wanted = msgspec.to_builtins(customer("sf-1", name="O'NEIL & SONS", tax_registrations=[]))
        assert [c.external_id for c in await zuora.find("customer", wanted)] == ["A-7"]

    async def test_a_stranger_is_not_found(self, zuora: ZuoraConnector, canonical_customer: Wire) -> None:
        assert await zuora.find("customer", {**canonical_customer, "name": "O'Neil, Sons & Co", "id": "sf-1"}) == []
