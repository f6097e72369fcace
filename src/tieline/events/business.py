"""What happens to deals in the systems, and what the systems say of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from tieline.domain import Contract, CreditNote, Customer, DealOwner, Invoice, Money, Payment, Subscription
from tieline.events.envelope import EventData


class VendorNotified(EventData, frozen=True, kw_only=True):
    """A system says that something happened to one of its records: a hint, to be followed by a look."""

    connection: str
    kind: str
    native_id: str
    action: str = "changed"
    stamp: str = ""
    raw: dict[str, Any] = msgspec.field(default_factory=dict)

    def subject(self) -> str:
        return f"{self.connection}/{self.kind}/{self.native_id}"


class OpportunityWon(EventData, frozen=True, kw_only=True):
    """Sales closed a deal. `customers` holds the buyer last, its parents before it.

    `owner` is whose deal it was when it was won; None where the CRM does not say, and in events of before it was kept.
    """

    contract: Contract
    customers: list[Customer]
    owner: DealOwner | None = None

    def subject(self) -> str:
        return self.contract.id

    def correlation(self) -> str:
        return self.contract.id


class DocumentStands(EventData, frozen=True, kw_only=True):
    """A document stands in a system for the first time."""

    contract: str
    connection: str
    document: str
    external_id: str

    def subject(self) -> str:
        return self.document

    def correlation(self) -> str:
        return self.contract


class CustomerCreated(DocumentStands, frozen=True, kw_only=True):
    """The customer stands in a system."""


class OrderPosted(DocumentStands, frozen=True, kw_only=True):
    """The sales order stands in the ERP."""


class ProjectOpened(DocumentStands, frozen=True, kw_only=True):
    """The project stands in the PSA."""


class InvoicePosted(DocumentStands, frozen=True, kw_only=True):
    """An invoice stands in the ERP."""

    amount: Money


class CreditNotePosted(DocumentStands, frozen=True, kw_only=True):
    """A credit note stands in the ERP."""

    amount: Money


class PaymentPosted(DocumentStands, frozen=True, kw_only=True):
    """A payment stands in the ERP, applied to its invoices."""

    amount: Money


class SubscriptionActivated(EventData, frozen=True, kw_only=True):
    """Billing says the subscription is active."""

    subscription: Subscription
    contract: str

    def subject(self) -> str:
        return self.subscription.id

    def correlation(self) -> str:
        return self.contract


class SubscriptionCancelled(SubscriptionActivated, frozen=True, kw_only=True):
    """Billing says the subscription was cancelled."""


class InvoiceIssued(EventData, frozen=True, kw_only=True):
    """Billing issued an invoice."""

    invoice: Invoice

    def subject(self) -> str:
        return self.invoice.id

    def correlation(self) -> str:
        return self.invoice.contract


class CreditNoteIssued(EventData, frozen=True, kw_only=True):
    """Billing issued a credit note."""

    credit_note: CreditNote

    def subject(self) -> str:
        return self.credit_note.id

    def correlation(self) -> str:
        return self.credit_note.contract


class PaymentReceived(EventData, frozen=True, kw_only=True):
    """Money came in and was applied to invoices of these deals."""

    payment: Payment
    contracts: list[str]

    def subject(self) -> str:
        return self.payment.id

    def correlation(self) -> str:
        return self.contracts[0] if self.contracts else ""


class PaymentFailed(EventData, frozen=True, kw_only=True):
    """A collection was declined. `declined_on` is billing's own day; None in events from before it was kept."""

    payment: str
    contracts: list[str]
    amount: Money
    reason: str
    declined_on: date | None = None

    def subject(self) -> str:
        return self.payment

    def correlation(self) -> str:
        return self.contracts[0] if self.contracts else ""
