"""Canonical entities and values. Pure: no I/O, no clock, nothing of the other rooms."""

from tieline.domain.billing import Application, CreditNote, Deposit, Invoice, InvoiceLine, Payment
from tieline.domain.deal import (
    BillingPeriod,
    ChargeKind,
    Contract,
    ContractLine,
    DealStatus,
    Order,
    OrderLine,
    Price,
    PriceTier,
    Product,
    Project,
    ScheduledCharge,
    Subscription,
    SubscriptionOrder,
    SubscriptionStatus,
)
from tieline.domain.journal import JournalEntry, JournalLine
from tieline.domain.money import CurrencyMismatch, Money, minor_digits, total
from tieline.domain.party import Address, Contact, Customer, DealOwner, TaxRegistration

Entity = (
    Customer
    | Contact
    | Contract
    | SubscriptionOrder
    | Subscription
    | Order
    | Project
    | DealOwner
    | DealStatus
    | Invoice
    | CreditNote
    | Payment
    | Deposit
    | JournalEntry
)
"""Everything that can stand in another system."""

KINDS: dict[str, type[Entity]] = {
    "customer": Customer,
    "contact": Contact,
    "contract": Contract,
    "subscription_order": SubscriptionOrder,
    "subscription": Subscription,
    "order": Order,
    "project": Project,
    "deal_owner": DealOwner,
    "deal_status": DealStatus,
    "invoice": Invoice,
    "credit_note": CreditNote,
    "payment": Payment,
    "deposit": Deposit,
    "journal_entry": JournalEntry,
}
"""Kind name → type, the names that mapping tables, the ledger and the command line use."""

_NAMES = {kind: name for name, kind in KINDS.items()}


def kind_of(entity: Entity) -> str:
    """The kind name of an entity."""
    return _NAMES[type(entity)]


__all__ = [
    "KINDS",
    "Address",
    "Application",
    "BillingPeriod",
    "ChargeKind",
    "Contact",
    "Contract",
    "ContractLine",
    "CreditNote",
    "CurrencyMismatch",
    "Customer",
    "DealOwner",
    "DealStatus",
    "Deposit",
    "Entity",
    "Invoice",
    "InvoiceLine",
    "JournalEntry",
    "JournalLine",
    "Money",
    "Order",
    "OrderLine",
    "Payment",
    "Price",
    "PriceTier",
    "Product",
    "Project",
    "ScheduledCharge",
    "Subscription",
    "SubscriptionOrder",
    "SubscriptionStatus",
    "TaxRegistration",
    "kind_of",
    "minor_digits",
    "total",
]
