"""Money: an exact Decimal and a currency. Amounts of different currencies never meet here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import lru_cache

import msgspec
import pycountry
from babel.numbers import get_currency_precision


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were added, compared or allocated together."""


class Money(msgspec.Struct, frozen=True):
    """An amount in major units: Money(Decimal("12.30"), "EUR") is twelve euros thirty.

    Raises ValueError for an amount that is not a finite number or a currency that ISO 4217 does not list.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise ValueError(f"an amount must be a finite number, not {self.amount}")
        minor_digits(self.currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(Decimal(0), currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def times(self, factor: Decimal | int) -> Money:
        """The exact product; round it where a document needs it."""
        return Money(self.amount * factor, self.currency)

    def rounded(self, rounding: str = ROUND_HALF_UP) -> Money:
        """Rounded to the currency's minor unit (0 digits for JPY, 2 for EUR, 3 for KWD)."""
        return Money(self.amount.quantize(_minor_unit(self.currency), rounding), self.currency)

    def is_minor(self) -> bool:
        """Whether the amount is a whole number of minor units."""
        return self.rounded().amount == self.amount

    def allocate(self, weights: Sequence[Decimal | int]) -> list[Money]:
        """Split into parts proportional to `weights`, in whole minor units, that add up to the whole.

        Largest remainder: each part is rounded toward zero, then the units left over go to the parts that lost
        most, the earlier part first where two lost the same. Raises ValueError for weights that are negative or
        sum to zero, and for an amount that is not a whole number of minor units.
        """
        total = sum((Decimal(w) for w in weights), Decimal(0))
        if total <= 0 or any(w < 0 for w in weights):
            raise ValueError("weights must not be negative and must sum to more than zero")
        if not self.is_minor():
            raise ValueError(f"{self} is not a whole number of minor units")
        unit = _minor_unit(self.currency)
        shares = [self.amount * w / total for w in weights]
        parts = [share.quantize(unit, ROUND_DOWN) for share in shares]
        left = self.amount - sum(parts, Decimal(0))
        step = unit.copy_sign(left)
        by_loss = sorted(range(len(parts)), key=lambda i: (-abs(shares[i] - parts[i]), i))
        for i in by_loss[: int(left / step)] if left else []:
            parts[i] += step
        return [Money(part, self.currency) for part in parts]

    def __str__(self) -> str:
        return f"{self.amount:,} {self.currency}"

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self} and {other} are of different currencies")
        return other.amount


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum, zero of `currency` for none. Raises CurrencyMismatch."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


@lru_cache(maxsize=256)
def minor_digits(currency: str) -> int:
    """Digits of the currency's minor unit (source: ISO 4217 list of pycountry, digits of CLDR through babel)."""
    if not currency.isupper() or pycountry.currencies.get(alpha_3=currency) is None:  # it looks up "eur" as well
        raise ValueError(f"{currency!r} is not an ISO 4217 currency code")
    return get_currency_precision(currency)


@lru_cache(maxsize=256)
def _minor_unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-minor_digits(currency))
