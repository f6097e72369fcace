"""From contract lines to billing charges, to the cent, and from a contract to the order of the ERP.

The one invariant: for each line, periods x price per period + rounding charge = the line's net amount.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_DOWN

from tieline.domain.deal import (
    BillingPeriod,
    ChargeKind,
    Contract,
    ContractLine,
    Order,
    OrderLine,
    Project,
    ScheduledCharge,
    Subscription,
    SubscriptionOrder,
)
from tieline.domain.money import Money, total

ROUNDING_PRODUCT = "ROUNDING"


def subscription_order(contract: Contract) -> SubscriptionOrder:
    """The billing order of a won contract: one charge a line, and a rounding charge where periods do not divide it."""
    native = contract.id.rpartition("-")[2]
    return SubscriptionOrder(
        id=contract.id,
        number=f"O-{native}",
        subscription_number=f"S-{native}",
        customer=contract.customer,
        contract=contract.id,
        currency=contract.currency,
        ordered_on=contract.won_on,
        starts_on=contract.starts_on,
        term_months=contract.term_months,
        billing_period=contract.billing_period,
        payment_terms=contract.payment_terms,
        auto_renew=contract.auto_renew,
        charges=[charge for line in contract.lines for charge in _charges(line, contract.billing_period)],
    )


def sales_order(contract: Contract, subscription: Subscription) -> Order:
    """The ERP's order: every line at its net amount, recognised over its own dates."""
    return Order(
        id=contract.id,
        number=f"O-{contract.id.rpartition('-')[2]}",
        customer=contract.customer,
        contract=contract.id,
        subscription=subscription.number,
        legal_entity=contract.legal_entity,
        currency=contract.currency,
        ordered_on=contract.won_on,
        starts_on=contract.starts_on,
        ends_on=add_months(contract.starts_on, contract.term_months) - timedelta(days=1),
        payment_terms=contract.payment_terms,
        lines=[
            OrderLine(
                id=line.id,
                product=line.product,
                description=line.description,
                kind=line.kind,
                quantity=line.quantity,
                net=line.net,
                recognise_from=line.starts_on,
                recognise_to=line.ends_on,
                billing_schedule=contract.billing_period.value if line.kind is ChargeKind.RECURRING else "",
            )
            for line in contract.lines
        ],
    )


def services_project(contract: Contract) -> Project | None:
    """The project for the one-time services of a contract; None where no services were sold."""
    services = [line for line in contract.lines if line.kind is ChargeKind.ONE_TIME]
    if not services:
        return None
    return Project(
        id=contract.id,
        title=f"{contract.name} - implementation",
        customer=contract.customer,
        contract=contract.id,
        starts_on=min(line.starts_on for line in services),
        ends_on=max(line.ends_on for line in services),
        budget=total((line.net for line in services), contract.currency),
        description="; ".join(line.description or line.product for line in services),
    )


def billing_periods(line: ContractLine, period: BillingPeriod) -> int:
    """How many billing periods the line's dates hold.

    Raises ValueError when the dates are not a whole number of periods: such a line cannot be billed evenly.
    """
    months, day_after = 0, line.ends_on + timedelta(days=1)
    while (reached := add_months(line.starts_on, months)) < day_after:
        months += period.months
    if reached != day_after:
        raise ValueError(
            f"line {line.number} runs from {line.starts_on} to {line.ends_on}, "
            f"which is not a whole number of billing periods ({period.value})"
        )
    return months // period.months


def add_months(day: date, months: int) -> date:
    """The same day `months` later, or the month's last day where it has no such day."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first_of_next = date(years + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return date(years, month + 1, min(day.day, (first_of_next - timedelta(days=1)).day))


def _charges(line: ContractLine, period: BillingPeriod) -> list[ScheduledCharge]:
    if line.kind is not ChargeKind.RECURRING:
        return [_charge(line, price=line.net if line.kind is ChargeKind.ONE_TIME else None)]
    periods = billing_periods(line, period)
    price = Money(line.net.amount / periods, line.net.currency).rounded(ROUND_DOWN)
    remainder = line.net - price.times(periods)
    charges = [_charge(line, price=price)]
    if remainder.amount:
        charges.append(
            ScheduledCharge(
                id=f"{line.id}-R",
                line=line.id,
                product=ROUNDING_PRODUCT,
                kind=ChargeKind.ONE_TIME,
                description=f"Rounding of line {line.number} over {periods} periods",
                quantity=line.quantity,
                price=remainder,
                starts_on=line.starts_on,
                ends_on=line.ends_on,
            )
        )
    return charges


def _charge(line: ContractLine, price: Money | None) -> ScheduledCharge:
    return ScheduledCharge(
        id=line.id,
        line=line.id,
        product=line.product,
        kind=line.kind,
        description=line.description,
        quantity=line.quantity,
        price=price,
        tiers=line.tiers,
        unit_of_measure=line.unit_of_measure,
        starts_on=line.starts_on,
        ends_on=line.ends_on,
    )
