"""What was billed and paid: invoices, credit notes, payments, deposits.

`posting_period` names the ERP's period a document is booked in where that is not the period of its own date
(because that one is closed); "" leaves it to the date.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from tieline.domain.money import Money, total


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice or credit note. `line` is the contract line it bills, "" where none is known."""

    id: str
    line: str = ""
    charge: str = ""
    product: str
    description: str = ""
    quantity: Decimal
    net: Money
    tax: Money | None = None
    service_from: date | None = None
    service_to: date | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as billing issued it. Raises ValueError when the lines do not add up to `amount`."""

    id: str
    number: str
    customer: str
    contract: str
    subscription: str
    currency: str
    issued_on: date
    due_on: date
    amount: Money
    lines: list[InvoiceLine]
    posting_period: str = ""

    def __post_init__(self) -> None:
        _adds_up(self.number, self.lines, self.amount)


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a payment or credit note settles which invoice."""

    invoice: str
    amount: Money


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note as billing issued it; amounts are positive. Raises ValueError when it does not add up."""

    id: str
    number: str
    customer: str
    contract: str
    subscription: str = ""
    currency: str
    issued_on: date
    amount: Money
    lines: list[InvoiceLine]
    applications: list[Application] = []
    posting_period: str = ""

    def __post_init__(self) -> None:
        _adds_up(self.number, self.lines, self.amount)
        _not_over_applied(self.number, self.applications, self.amount)


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money received. Raises ValueError when more is applied than was paid."""

    id: str
    number: str
    customer: str
    currency: str
    received_on: date
    amount: Money
    applications: list[Application] = []
    posting_period: str = ""

    def __post_init__(self) -> None:
        _not_over_applied(self.number, self.applications, self.amount)


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """Money received before there is anything to settle. `order` is what it is for, "" where nothing is named."""

    id: str
    number: str
    customer: str
    currency: str
    received_on: date
    amount: Money
    order: str = ""
    posting_period: str = ""


def _adds_up(number: str, lines: list[InvoiceLine], amount: Money) -> None:
    amounts = [line.net for line in lines] + [line.tax for line in lines if line.tax is not None]
    if (lines_total := total(amounts, amount.currency)) != amount:
        raise ValueError(f"the lines of {number} add up to {lines_total}, the document says {amount}")


def _not_over_applied(number: str, applications: list[Application], amount: Money) -> None:
    if (applied := total((a.amount for a in applications), amount.currency)).amount > amount.amount:
        raise ValueError(f"{applied} of {number} is applied, it is only {amount}")
