"""Conversions between what documents hold: exact, with a sentence when a value does not fit. No binary float passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any

MAX_TEXT = 100_000
MAX_DIGITS = 100
ROUNDING_MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
WIDE = Context(prec=2 * MAX_DIGITS, Emax=10 * MAX_DIGITS, Emin=-10 * MAX_DIGITS)
_DECIMAL = re.compile(r"[-+]?(\d{1,100}(\.\d{0,100})?|\.\d{1,100})([eE][-+]?\d{1,2})?", re.ASCII)
_YES = {"true", "t", "yes", "y", "1"}
_NO = {"false", "f", "no", "n", "0"}


class Unfit(ValueError):
    """A value does not fit; the message goes on where "field X" or "the value Y" left off ("is not a number")."""


def kind_of(value: Any) -> str:
    """What a value is, in plain words."""
    words = {str: "a text", bool: "yes/no", int: "a number", Decimal: "a number", float: "a binary float"}
    words |= {list: "a list", dict: "an object", date: "a date", datetime: "a date and time", type(None): "nothing"}
    return words.get(type(value), "a value of another kind")


def short(value: Any, limit: int = 60) -> str:
    """A value for a message: quoted when text, cut when long."""
    text = f"'{value}'" if isinstance(value, str) else str(plain(value)) if isinstance(value, date) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def to_decimal(value: Any) -> Decimal:
    """An exact number from a number or a text such as `-12.30`; never from yes/no or a binary float."""
    kind = value.__class__
    if kind is Decimal:
        number: Decimal = value
    elif kind is int:
        if value.bit_length() > 3 * MAX_DIGITS:
            raise Unfit(f"has more than {MAX_DIGITS} digits")
        return Decimal(value)
    elif kind is str:
        text = value.strip()
        if not _DECIMAL.fullmatch(text):
            raise Unfit("is not a number")
        number = Decimal(text)
    elif kind is float:
        raise Unfit("is a binary float, which cannot hold an amount exactly; decode the document with exact decimals")
    else:
        raise Unfit("is not a number")
    if not number.is_finite():
        raise Unfit("is not a finite number")
    # Outside these bounds written-out digits would fill the memory; no amount or quantity comes near.
    if number and not -MAX_DIGITS <= number.adjusted() <= MAX_DIGITS:
        raise Unfit(f"has more than {MAX_DIGITS} digits")
    return number


def to_integer(value: Any) -> int:
    number = to_decimal(value)
    if number != number.to_integral_value():
        raise Unfit("is not a whole number")
    return int(number)


def to_text(value: Any) -> str:
    """Text as a person would write it: no exponent, dates as ISO 8601."""
    kind = value.__class__
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Unfit(f"is longer than {MAX_TEXT:,} characters")
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is Decimal or kind is int:
        return format(to_decimal(value), "f")
    if isinstance(value, date):
        return str(plain(value))
    if kind is float:
        to_decimal(value)
    raise Unfit(f"is {kind_of(value)}, not a text")


def to_boolean(value: Any) -> bool:
    if value.__class__ is bool:
        return value
    word = to_text(value).strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise Unfit("is neither yes nor no")


def as_date(value: Any) -> date:
    """The calendar day as written; of a date and time the day in its own offset."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        text = value.strip()
        try:
            return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).date()
        except ValueError:
            pass
    raise Unfit("is not a date like 2026-01-31")


def as_datetime(value: Any) -> datetime:
    """A moment in UTC. Raises Unfit for a time without an offset: nobody can tell which moment it means."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise Unfit("is not a date and time like 2026-01-31T08:30:00Z")
    if moment.tzinfo is None:
        raise Unfit("is a time without an offset from UTC")
    return moment.astimezone(UTC)


def to_date(value: Any) -> str:
    return as_date(value).isoformat()


def to_datetime(value: Any) -> str:
    return str(plain(as_datetime(value)))


def to_money(value: Any, currency: Any) -> dict[str, Any]:
    """`{"amount": Decimal, "currency": "EUR"}` from an amount and its currency, or from such an object."""
    if isinstance(value, dict):
        currency = value.get("currency") if currency is None else currency
        value = value.get("amount")
    if value is None:
        raise Unfit("has no amount")
    if not isinstance(currency, str) or len(currency) != 3:
        raise Unfit(f"has no currency (found {short(currency)})" if currency else "has no currency")
    return {"amount": to_decimal(value), "currency": currency}


def to_id(value: Any, connection: str) -> str:
    """The canonical id: `<connection>-<value>`."""
    text = to_text(value).strip()
    if not connection:
        raise Unfit("cannot become an id: no connection was given")
    if not text:
        raise Unfit("cannot become an id: it is empty")
    return f"{connection}-{text}"


def rounded(value: Any, places: int, mode: str) -> Decimal:
    """Rounded to `places` digits after the point; `mode` is a key of ROUNDING_MODES."""
    number = to_decimal(value)
    try:
        return number.quantize(Decimal(1).scaleb(-places), ROUNDING_MODES[mode], WIDE)
    except DecimalException as exc:
        raise Unfit("cannot be rounded: it has too many digits") from exc


def plain(value: Any) -> Any:
    """What a document may hold: dates become ISO text, a moment ends in Z, lists and objects are copied, no float."""
    kind = value.__class__
    if kind is str or kind is Decimal:
        return value
    if kind is dict:
        return {key: plain(inner) for key, inner in value.items()}
    if kind is list:
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        text = value.isoformat()
        return text.replace("+00:00", "Z") if text.endswith("+00:00") else text
    if isinstance(value, date):
        return value.isoformat()
    if kind is float:
        to_decimal(value)
    return value


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": to_text,
    "integer": to_integer,
    "decimal": to_decimal,
    "boolean": to_boolean,
    "date": to_date,
    "datetime": to_datetime,
}
KINDS = (*CONVERSIONS, "money", "id")
