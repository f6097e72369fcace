"""Entities refuse what makes no sense, in a sentence, and every kind has a schema that others can read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from tests.support.engine import customer, project
from tests.unit.domain.test_schedule import contract, line

from tieline.domain import (
    KINDS,
    Address,
    Application,
    ChargeKind,
    CreditNote,
    Customer,
    Invoice,
    InvoiceLine,
    Money,
    Payment,
    kind_of,
)
from tieline.mapping import schema_of

DAY, LATER = date(2026, 1, 1), date(2026, 12, 31)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def invoice(amount: str, *lines: InvoiceLine) -> Invoice:
    return Invoice(
        id="i-1",
        number="INV1",
        customer="c-1",
        contract="k-1",
        subscription="S-1",
        currency="EUR",
        issued_on=DAY,
        due_on=LATER,
        amount=euros(amount),
        lines=list(lines),
    )


def billed(net: str, tax: str | None = None, currency: str = "EUR") -> InvoiceLine:
    return InvoiceLine(
        id="1",
        product="GTX Pro",
        quantity=Decimal(1),
        net=Money(Decimal(net), currency),
        tax=euros(tax) if tax else None,
    )


def payment(amount: str, *applied: str) -> Payment:
    return Payment(
        id="p-1",
        number="P1",
        customer="c-1",
        currency="EUR",
        received_on=DAY,
        amount=euros(amount),
        applications=[Application(invoice=f"i-{n}", amount=euros(a)) for n, a in enumerate(applied)],
    )


def credit_note(amount: str, applied: str) -> CreditNote:
    return CreditNote(
        id="n-1",
        number="CM1",
        customer="c-1",
        contract="k-1",
        currency="EUR",
        issued_on=DAY,
        amount=euros(amount),
        lines=[billed(amount)],
        applications=[Application(invoice="i-1", amount=euros(applied))],
    )


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a country by name": (lambda: Address(country="Germany"), "ISO 3166 alpha 2"),
    "a country in small letters": (lambda: Address(country="de"), "ISO 3166 alpha 2"),
    "a customer without a name": (
        lambda: Customer(id="c", name="  ", currency="EUR", billing_address=Address(country="DE")),
        "needs a name",
    ),
    "a customer that is its own parent": (
        lambda: Customer(id="c", name="C", currency="EUR", billing_address=Address(country="DE"), parent="c"),
        "its own parent",
    ),
    "a line that ends before it starts": (lambda: line(7, euros("1"), LATER, DAY), "line 7 ends on 2026-01-01, before"),
    "a negative quantity": (lambda: line(7, euros("1"), DAY, LATER, quantity=Decimal(-1)), "line 7 has a negative"),
    "usage without tiers": (lambda: line(7, euros("0"), DAY, LATER, kind=ChargeKind.USAGE), "line 7 .*no tiers"),
    "a contract of no months": (lambda: contract([], term_months=0), "at least one month"),
    "a line in another currency": (
        lambda: contract([line(4, euros("1"), DAY, LATER)], currency="USD"),
        r"lines \[4\] are not in the contract's currency USD",
    ),
    "an invoice that does not add up": (
        lambda: invoice("100.00", billed("50.00"), billed("49.99")),
        "lines of INV1 add up to 99.99 EUR, the document says 100.00 EUR",
    ),
    "tax that is not in the amount": (lambda: invoice("50.00", billed("50.00", "9.50")), "add up to 59.50 EUR"),
    "an invoice line in another currency": (
        lambda: invoice("50.00", billed("50.00", currency="USD")),
        "different currencies",
    ),
    "more applied than paid": (
        lambda: payment("10.00", "6.00", "4.01"),
        "10.01 EUR of P1 is applied",
    ),
    "more credited than noted": (lambda: credit_note("10.00", "10.01"), "10.01 EUR of CM1 is applied"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        make()


def test_what_is_right_to_the_cent_is_taken() -> None:
    assert invoice("109.49", billed("50.00", "9.50"), billed("49.99")).amount == euros("109.49")
    assert payment("10.00", "6.00", "4.00").amount == euros("10.00")
    assert credit_note("10.00", "10.00").amount == euros("10.00")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind: str) -> None:
    """A valid JSON Schema with the kind's fields, and amounts that do not pass through floats."""
    assert schema_of(KINDS[kind])
    assert jsonschema_rs.meta.is_valid(_exported(kind))
    fields = {field.name for field in msgspec.structs.fields(KINDS[kind])}
    exported = _exported(kind)
    assert fields <= set(exported["$defs"][KINDS[kind].__name__]["properties"])
    assert '"type":"number"' not in msgspec.json.encode(exported).decode().replace(" ", "")


def _exported(kind: str) -> dict[str, Any]:
    return msgspec.json.schema(KINDS[kind])


@pytest.mark.parametrize("entity", [customer(1), project(1), contract([line(1, euros("1"), DAY, LATER)]), payment("1")])
def test_what_is_encoded_fits_its_schema_and_comes_back(entity: Any) -> None:
    encoded = msgspec.json.encode(entity)
    jsonschema_rs.validate(_exported(kind_of(entity)), msgspec.json.decode(encoded))
    assert msgspec.json.decode(encoded, type=type(entity)) == entity
