"""Calendar and money arithmetic of billing: periods end the day before the next begins, money rounds half-up."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# ISO 4217 currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    "JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "XAF": 0, "XOF": 0,
    "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip

PERIOD_MONTHS = {
    "Month": 1,
    "Quarter": 3,
    "Semi_Annual": 6,
    "Annual": 12,
    "Eighteen_Months": 18,
    "Two_Years": 24,
    "Three_Years": 36,
    "Five_Years": 60,
}
BILLING_PERIODS = (*PERIOD_MONTHS, "Specific_Months", "Subscription_Term", "Week", "Specific_Weeks", "Specific_Days")
_SPELLINGS = {
    "Semi-Annual": "Semi_Annual",
    "Specific Months": "Specific_Months",
    "Specific Weeks": "Specific_Weeks",
    "Specific Days": "Specific_Days",
    "Subscription Term": "Subscription_Term",
}


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Half-up to the currency's minor unit."""
    return amount.quantize(Decimal(1).scaleb(-_EXPONENTS.get(currency, 2)), ROUND_HALF_UP)


def decimal(value: Any) -> Decimal:
    """An exact Decimal of a JSON number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - one error type for every bad value
    return Decimal(value)


def day(value: Any) -> date:
    """`yyyy-MM-dd` only. Raises ValueError."""
    if not isinstance(value, str) or len(value) != 10:
        raise ValueError(f"{value!r} is not a date")
    return date.fromisoformat(value)


def add_months(start: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def add_term(start: date, length: int, unit: str) -> date:
    """The exclusive end of a term of `length` Day, Week, Month or Year."""
    if unit == "Day":
        return start + timedelta(days=length)
    if unit == "Week":
        return start + timedelta(weeks=length)
    return add_months(start, length * (12 if unit == "Year" else 1))


def spelled(period: str) -> str:
    """The catalogue writes `Semi-Annual`, orders write `Semi_Annual`."""
    return _SPELLINGS.get(period, period)


def period_start(anchor: date, period: str, specific: int | None, number: int) -> date:
    """Start of billing period `number` (0 is the first). `Subscription_Term` has one period and is not asked here."""
    if period in ("Week", "Specific_Weeks"):
        return anchor + timedelta(weeks=number * (specific or 1))
    if period == "Specific_Days":
        return anchor + timedelta(days=number * (specific or 1))
    months = PERIOD_MONTHS.get(period) or specific or 1
    return add_months(anchor, number * months)


def stamp(moment: datetime) -> str:
    """Object query's date-time: seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def v1_stamp(text: str) -> str:
    """The same moment as `/v1` writes it."""
    return text.replace("T", " ").removesuffix("Z")
