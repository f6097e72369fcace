"""Money: exact, of one currency, and divided without losing or finding a unit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.domain import CurrencyMismatch, Money, minor_digits, total

currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLP", "BHD"])
weights = st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any)


@st.composite
def amounts(draw: st.DrawFn) -> Money:
    """Whole minor units of any size and sign."""
    currency = draw(currencies)
    units = draw(st.integers(-(10**15), 10**15))
    return Money(Decimal(units).scaleb(-minor_digits(currency)), currency)


@given(amounts(), weights)
def test_parts_add_up_to_the_whole(money: Money, parts: list[int]) -> None:
    """To the last unit, in whole minor units, none of the wrong sign."""
    shares = money.allocate(parts)
    assert total(shares, money.currency) == money
    assert all(share.is_minor() for share in shares)
    assert all(share.amount * money.amount >= 0 for share in shares)


@given(amounts(), weights)
def test_no_part_is_a_unit_or_more_from_its_exact_share(money: Money, parts: list[int]) -> None:
    unit = Decimal(1).scaleb(-minor_digits(money.currency))
    for share, weight in zip(money.allocate(parts), parts, strict=True):
        assert abs(share.amount * sum(parts) - money.amount * weight) < unit * sum(parts)


@given(amounts(), weights)
def test_a_debt_is_divided_like_a_claim(money: Money, parts: list[int]) -> None:
    assert (-money).allocate(parts) == [-share for share in money.allocate(parts)]


@given(amounts(), weights)
def test_a_part_without_weight_gets_nothing(money: Money, parts: list[int]) -> None:
    shares = money.allocate([*parts, 0])
    assert shares[-1].amount == 0


@pytest.mark.parametrize(
    ("amount", "currency", "parts", "expected"),
    [
        ("100.00", "EUR", [1, 1, 1], ["33.34", "33.33", "33.33"]),
        ("-100.00", "EUR", [1, 1, 1], ["-33.34", "-33.33", "-33.33"]),
        ("0.02", "EUR", [1, 1, 1], ["0.01", "0.01", "0.00"]),
        ("10.00", "EUR", [1, 2, 3], ["1.67", "3.33", "5.00"]),
        ("100", "JPY", [1, 1, 1], ["34", "33", "33"]),
        ("1.000", "KWD", [1, 1, 1], ["0.334", "0.333", "0.333"]),
        ("0.05", "EUR", [3, 7], ["0.02", "0.03"]),
        ("0.00", "EUR", [1, 1], ["0.00", "0.00"]),
    ],
)
def test_what_is_left_goes_to_who_lost_most_then_to_who_comes_first(
    amount: str, currency: str, parts: list[int], expected: list[str]
) -> None:
    assert [s.amount for s in Money(Decimal(amount), currency).allocate(parts)] == [Decimal(e) for e in expected]


@pytest.mark.parametrize("parts", [[], [0, 0], [1, -1], [2, -1]])
def test_weights_that_divide_nothing_are_refused(parts: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Money(Decimal(1), "EUR").allocate(parts)


def test_fractions_of_a_minor_unit_are_not_divided() -> None:
    with pytest.raises(ValueError, match="whole number of minor units"):
        Money(Decimal("0.001"), "EUR").allocate([1])


@given(amounts(), amounts())
def test_currencies_never_meet(one: Money, other: Money) -> None:
    if one.currency == other.currency:
        assert (one + other) - other == one
        return
    for operation in (one.__add__, one.__sub__):
        with pytest.raises(CurrencyMismatch, match="different currencies"):
            operation(other)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_an_amount_is_a_finite_number(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Money(Decimal(amount), "EUR")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XX1", "ZZZ"])
def test_a_currency_is_one_of_iso_4217(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(Decimal(1), currency)


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("EUR", 2), ("KWD", 3)])
def test_minor_units_are_the_currencys(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits
    assert Money(Decimal("1.5555"), currency).rounded().amount == round(Decimal("1.5555"), digits)


def test_halves_are_rounded_away_from_zero() -> None:
    assert [Money(Decimal(a), "EUR").rounded().amount for a in ("0.005", "-0.005", "0.015")] == [
        Decimal("0.01"),
        Decimal("-0.01"),
        Decimal("0.02"),
    ]
