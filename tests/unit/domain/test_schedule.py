"""From contract lines to charges: whatever the line, what is billed is what was sold."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.domain import BillingPeriod, ChargeKind, Contract, ContractLine, Money, PriceTier, Subscription, total
from tieline.domain.deal import SubscriptionStatus
from tieline.domain.money import minor_digits
from tieline.domain.schedule import (
    ROUNDING_PRODUCT,
    add_months,
    billing_periods,
    sales_order,
    services_project,
    subscription_order,
)

days = st.dates(date(2000, 1, 1), date(2060, 12, 31))
currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD"])


def line(number: int, net: Money, starts_on: date, ends_on: date, **fields: Any) -> ContractLine:
    given_fields: dict[str, Any] = {
        "id": f"l-{number}",
        "number": number,
        "product": "GTX Pro",
        "kind": ChargeKind.RECURRING,
        "quantity": Decimal(1),
        "list_price": net,
        "unit_price": net,
        "net": net,
        "starts_on": starts_on,
        "ends_on": ends_on,
    }
    return ContractLine(**{**given_fields, **fields})


def contract(lines: list[ContractLine], period: BillingPeriod = BillingPeriod.QUARTER, **fields: Any) -> Contract:
    given_fields: dict[str, Any] = {
        "id": "salesforce-006A",
        "number": "006A",
        "name": "Acme",
        "customer": "salesforce-001A",
        "legal_entity": "DE01",
        "currency": lines[0].net.currency if lines else "EUR",
        "won_on": date(2026, 1, 5),
        "starts_on": lines[0].starts_on if lines else date(2026, 1, 1),
        "term_months": 12,
        "billing_period": period,
        "payment_terms": "Net 30",
        "lines": lines,
    }
    return Contract(**{**given_fields, **fields})


@st.composite
def recurring(draw: st.DrawFn) -> tuple[ContractLine, BillingPeriod, int]:
    """A line of a whole number of periods, from any day, of any amount."""
    period, currency = draw(st.sampled_from(BillingPeriod)), draw(currencies)
    periods = draw(st.integers(1, 40 // period.months + 1))
    units = draw(st.integers(0, 10**12))
    starts_on = draw(days)
    ends_on = add_months(starts_on, periods * period.months) - timedelta(days=1)
    net = Money(Decimal(units).scaleb(-minor_digits(currency)), currency)
    return line(1, net, starts_on, ends_on), period, periods


@given(recurring())
def test_periods_times_price_and_rounding_are_the_lines_net(made: tuple[ContractLine, BillingPeriod, int]) -> None:
    sold, period, periods = made
    assert billing_periods(sold, period) == periods
    first, *rest = subscription_order(contract([sold], period)).charges
    assert first.price is not None
    assert first.price.is_minor()
    rounding = total((c.price for c in rest if c.price is not None), sold.net.currency)
    assert first.price.times(periods) + rounding == sold.net
    assert [c.product for c in rest] in ([], [ROUNDING_PRODUCT])
    assert abs(rounding.amount) < periods * Decimal(1).scaleb(-minor_digits(sold.net.currency))
    assert all((c.starts_on, c.ends_on, c.line) == (sold.starts_on, sold.ends_on, sold.id) for c in [first, *rest])


@given(days, st.integers(-600, 600))
def test_months_are_added_by_the_calendar(day: date, months: int) -> None:
    """The same day, or the month's last where it has no such day."""
    reached = add_months(day, months)
    assert (reached.year * 12 + reached.month) - (day.year * 12 + day.month) == months
    assert reached.day == min(day.day, monthrange(reached.year, reached.month)[1])


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 12, 31), 1, date(2027, 1, 31)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
    ],
)
def test_month_ends(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@pytest.mark.parametrize("ends_on", [date(2026, 3, 30), date(2026, 4, 1), date(2026, 1, 1)])
def test_dates_that_are_no_whole_periods_are_refused(ends_on: date) -> None:
    sold = line(3, Money(Decimal(9), "EUR"), date(2026, 1, 1), ends_on)
    with pytest.raises(ValueError, match=r"line 3 .*not a whole number of billing periods"):
        billing_periods(sold, BillingPeriod.QUARTER)


def test_what_is_not_recurring_is_charged_as_it_was_sold() -> None:
    one_time = line(1, Money(Decimal(500), "EUR"), date(2026, 1, 1), date(2026, 12, 31), kind=ChargeKind.ONE_TIME)
    tiers = [PriceTier(up_to=None, unit_price=Decimal("0.02"))]
    usage = line(2, Money(Decimal(0), "EUR"), date(2026, 1, 1), date(2026, 12, 31), kind=ChargeKind.USAGE, tiers=tiers)
    charges = subscription_order(contract([one_time, usage])).charges
    assert [c.price for c in charges] == [one_time.net, None]
    assert charges[1].tiers == tiers


def test_the_erps_order_is_worth_what_was_sold() -> None:
    """Every line at its net amount over its own dates, whatever billing rounds."""
    lines = [line(n, Money(Decimal("1000.01"), "EUR"), date(2026, 1, 1), date(2026, 12, 31)) for n in (1, 2)]
    sold = contract(lines)
    active = Subscription(
        id="zuora-S-1",
        number="S-1",
        customer=sold.customer,
        status=SubscriptionStatus.ACTIVE,
        starts_on=sold.starts_on,
    )
    order = sales_order(sold, active)
    assert total((part.net for part in order.lines), "EUR") == sold.value == Money(Decimal("2000.02"), "EUR")
    assert (order.ends_on, order.subscription) == (date(2026, 12, 31), "S-1")
    assert {(part.recognise_from, part.recognise_to) for part in order.lines} == {
        (date(2026, 1, 1), date(2026, 12, 31))
    }


def test_services_become_a_project_and_their_absence_does_not() -> None:
    service = line(
        1, Money(Decimal(500), "EUR"), date(2026, 2, 1), date(2026, 3, 31), kind=ChargeKind.ONE_TIME, product="Training"
    )
    software = line(2, Money(Decimal(900), "EUR"), date(2026, 1, 1), date(2026, 12, 31))
    project = services_project(contract([service, software]))
    assert project is not None
    assert (project.budget, project.starts_on, project.ends_on) == (service.net, date(2026, 2, 1), date(2026, 3, 31))
    assert services_project(contract([software])) is None
