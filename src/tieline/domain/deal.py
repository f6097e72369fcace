"""What was agreed: products, the won contract with its lines, and what becomes of it in billing, ERP and PSA."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

import msgspec

from tieline.domain.money import Money, total


class ChargeKind(StrEnum):
    """How a line is charged."""

    RECURRING = "recurring"
    ONE_TIME = "one_time"
    USAGE = "usage"


class BillingPeriod(StrEnum):
    """How often a recurring line is billed."""

    MONTH = "month"
    QUARTER = "quarter"
    ANNUAL = "annual"

    @property
    def months(self) -> int:
        return {"month": 1, "quarter": 3, "annual": 12}[self.value]


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """Units up to `up_to` (None: without end) cost `unit_price` each; the last tier is the overage."""

    up_to: Decimal | None
    unit_price: Decimal


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Something we sell, known by its code in every catalogue."""

    code: str
    name: str
    kind: ChargeKind
    active: bool = True


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The list price of one unit of a product."""

    product: str
    unit_price: Money
    unit_of_measure: str = ""


class ContractLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a won deal. `net` is the amount for all of `starts_on` to `ends_on` (both inclusive)."""

    id: str
    number: int
    product: str
    description: str = ""
    kind: ChargeKind
    quantity: Decimal
    list_price: Money
    unit_price: Money
    discount_percent: Decimal = Decimal(0)
    net: Money
    starts_on: date
    ends_on: date
    unit_of_measure: str = ""
    tiers: list[PriceTier] = []

    def __post_init__(self) -> None:
        if self.ends_on < self.starts_on:
            raise ValueError(f"line {self.number} ends on {self.ends_on}, before it starts on {self.starts_on}")
        if self.quantity < 0:
            raise ValueError(f"line {self.number} has a negative quantity")
        if self.kind is ChargeKind.USAGE and not self.tiers:
            raise ValueError(f"line {self.number} is charged by usage and has no tiers")


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A won deal: who bought what, from which of our legal entities, for how long."""

    id: str
    number: str
    name: str
    customer: str
    legal_entity: str
    currency: str
    won_on: date
    starts_on: date
    term_months: int
    billing_period: BillingPeriod
    payment_terms: str
    auto_renew: bool = False
    lines: list[ContractLine]

    def __post_init__(self) -> None:
        if self.term_months < 1:
            raise ValueError("a contract runs for at least one month")
        wrong = [line.number for line in self.lines if line.net.currency != self.currency]
        if wrong:
            raise ValueError(f"lines {wrong} are not in the contract's currency {self.currency}")

    @property
    def value(self) -> Money:
        """What was booked: the sum of the lines. Usage is booked at nothing until it is metered."""
        return total((line.net for line in self.lines), self.currency)


class ScheduledCharge(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of a subscription, as billing shall hold it.

    A recurring charge bills `price` for each billing period; `quantity` is informative where `flat` is set.
    `line` is the contract line it comes from; a rounding charge carries the line whose remainder it is.
    """

    id: str
    line: str
    product: str
    kind: ChargeKind
    description: str = ""
    quantity: Decimal
    price: Money | None = None
    tiers: list[PriceTier] = []
    unit_of_measure: str = ""
    starts_on: date
    ends_on: date


class SubscriptionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order that opens a subscription in billing."""

    id: str
    number: str
    subscription_number: str
    customer: str
    contract: str
    currency: str
    ordered_on: date
    starts_on: date
    term_months: int
    billing_period: BillingPeriod
    payment_terms: str
    auto_renew: bool = False
    charges: list[ScheduledCharge]


class SubscriptionStatus(StrEnum):
    """Where a subscription stands in billing."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as billing says it stands."""

    id: str
    number: str
    customer: str
    status: SubscriptionStatus
    starts_on: date
    ends_on: date | None = None
    cancelled_on: date | None = None
    order_number: str = ""


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the sales order posted to the ERP; recognition dates are both inclusive."""

    id: str
    product: str
    description: str = ""
    kind: ChargeKind
    quantity: Decimal
    net: Money
    recognise_from: date
    recognise_to: date
    billing_schedule: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The sales order of the ERP, posted once billing is active."""

    id: str
    number: str
    customer: str
    contract: str
    subscription: str
    legal_entity: str
    currency: str
    ordered_on: date
    starts_on: date
    ends_on: date
    payment_terms: str
    lines: list[OrderLine]


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The project opened for services that were sold."""

    id: str
    title: str
    customer: str
    contract: str
    starts_on: date
    ends_on: date
    budget: Money
    description: str = ""


class DealStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the CRM shows account executives of a deal; None leaves the CRM's value alone."""

    id: str
    contract: str
    status: str | None = None
    detail: str | None = None
    billing_account: str | None = None
    subscription: str | None = None
    erp_order: str | None = None
    project: str | None = None
    invoiced: Decimal | None = None
    paid: Decimal | None = None
