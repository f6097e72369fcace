"""Values in SuiteQL: how they are written, read from texts, and what the functions make of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tieline_sandbox.netsuite.errors import bad_query

_FORMAT = re.compile(r"YYYY|MM|MON|DD|HH24|HH12|HH|MI|SS|FF\d?|AM|PM|\"[^\"]*\"", re.IGNORECASE)
_FORMATS = {"YYYY": "%Y", "MM": "%m", "MON": "%b", "DD": "%d", "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M"}
_FORMATS |= {"SS": "%S", "AM": "%p", "PM": "%p"}


def as_text(value: Any) -> str:
    """How the REST API writes a value: no trailing zeros, dates as M/D/YYYY."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if isinstance(value, datetime):
        return f"{value.month}/{value.day}/{value.year}"
    return str(value)


def as_number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return value


def as_date(value: Any) -> datetime | None:
    """A text beside a date is read in the account's format, M/D/YYYY, and refused in any other."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.strptime(str(value), "%m/%d/%Y")  # noqa: DTZ007 - the company's wall clock
    except ValueError as error:
        raise bad_query(f"Search error occurred: Invalid date value '{value}'. Use M/D/YYYY or TO_DATE.") from error


def _to_date(value: Any, pattern: Any = "MM/DD/YYYY") -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.strptime(str(value), _pattern(str(pattern)))  # noqa: DTZ007
    except ValueError as error:
        raise bad_query(f"Search error occurred: '{value}' does not match the format '{pattern}'.") from error


def _to_char(value: Any, pattern: Any = None) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.strftime(_pattern(str(pattern or "MM/DD/YYYY")))
    return as_text(value)


def _pattern(oracle: str) -> str:
    def translated(match: re.Match[str]) -> str:
        token = match[0].upper()
        if token.startswith('"'):
            return match[0][1:-1]
        return "%f" if token.startswith("FF") else _FORMATS[token]

    return _FORMAT.sub(translated, oracle.replace("%", "%%"))


def _rounded(value: Any, digits: Any = 0) -> Decimal | None:
    if value is None:
        return None
    return Decimal(as_number(value)).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP)


def _cut(value: Any, _: Any = None) -> Any:
    if isinstance(value, datetime):
        return value.replace(hour=0, minute=0, second=0, microsecond=0)
    return None if value is None else Decimal(int(value))


def _part(value: Any, start: Any, length: Any = None) -> str | None:
    if value is None:
        return None
    text, begin = as_text(value), int(start)
    begin = max(begin - 1, 0) if begin >= 0 else len(text) + begin
    return text[begin:] if length is None else text[begin : begin + int(length)]


def _first_held(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)


def _of_text(change: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else change(as_text(value))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "UPPER": _of_text(str.upper),
    "LOWER": _of_text(str.lower),
    "TRIM": _of_text(str.strip),
    "LENGTH": _of_text(len),
    "SUBSTR": _part,
    "NVL": _first_held,
    "COALESCE": _first_held,
    "CONCAT": lambda *values: "".join(as_text(value) for value in values),
    "REPLACE": lambda value, old, new="": None if value is None else as_text(value).replace(str(old), str(new)),
    "INSTR": lambda value, part: None if value is None else as_text(value).find(str(part)) + 1,
    "ROUND": _rounded,
    "TRUNC": _cut,
    "ABS": lambda value: None if value is None else abs(as_number(value)),
    "TO_NUMBER": as_number,
    "TO_DATE": _to_date,
    "TO_TIMESTAMP": _to_date,
    "TO_CHAR": _to_char,
}
