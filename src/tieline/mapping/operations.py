"""What the operators and aggregates of formulas do with values. Numbers are exact; blank is never taken for zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import cmp_to_key
from typing import Any

from tieline.mapping.values import (
    MAX_DIGITS,
    MAX_TEXT,
    Unfit,
    as_date,
    as_datetime,
    kind_of,
    short,
    to_decimal,
    to_text,
)

MAX_LIST = 100_000
_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
# Sums and products are exact or refused; only a quotient may be inexact, and 50 digits lie beyond any rounding.
EXACT = Context(prec=4 * MAX_DIGITS, Emax=10 * MAX_DIGITS, Emin=-10 * MAX_DIGITS, traps=[*_TRAPS, Inexact])
QUOTIENT = Context(prec=50, Emax=10 * MAX_DIGITS, Emin=-10 * MAX_DIGITS, traps=list(_TRAPS))


def clean(value: Any) -> Any:
    """A value as formulas see it: every number a Decimal."""
    kind = value.__class__
    if kind is int or kind is float:
        return to_decimal(value)
    return value


def path(value: Any, names: tuple[str, ...]) -> Any:
    """Follow field names; a name after a list means that field of each item, and gives a list."""
    for at, name in enumerate(names):
        if value is None:
            return None
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list):
            found: list[Any] = []
            for item in value:
                inner = path(item, names[at:])
                found.extend(inner) if isinstance(inner, list) else found.append(inner)
            return found
        else:
            raise Unfit(f"'{'.'.join(names[:at])}' is {kind_of(value)} and has no field '{name}'")
    return clean(value)


def number(value: Any) -> Decimal:
    if value.__class__ is Decimal and value.is_finite():
        return value
    if value is None:
        raise Unfit("a number is needed here and the field is blank")
    try:
        return to_decimal(value)
    except Unfit as exc:
        raise Unfit(f"{short(value)} {exc}") from None


def add(a: Any, b: Any) -> Decimal:
    return _exactly(EXACT.add, a, b)


def subtract(a: Any, b: Any) -> Decimal:
    return _exactly(EXACT.subtract, a, b)


def multiply(a: Any, b: Any) -> Decimal:
    return _exactly(EXACT.multiply, a, b)


def divide(a: Any, b: Any) -> Decimal:
    if not number(b):
        raise Unfit("division by zero")
    return _exactly(QUOTIENT.divide, a, b)


def negate(a: Any) -> Decimal:
    return number(a).copy_negate() if number(a) else number(a)


def _exactly(operation: Callable[[Decimal, Decimal], Decimal], a: Any, b: Any) -> Decimal:
    try:
        return operation(number(a), number(b))
    except DecimalException as exc:
        raise Unfit(f"the result of {short(a)} and {short(b)} has too many digits to be exact") from exc


def join(a: Any, b: Any) -> str:
    """`a & b`: text after text; blank joins as nothing."""
    return bounded(text(a) + text(b))


def text(value: Any) -> str:
    if value is None:
        return ""
    try:
        return to_text(value)
    except Unfit as exc:
        raise Unfit(f"{short(value)} {exc}") from None


def bounded(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise Unfit(f"the text would be longer than {MAX_TEXT:,} characters")
    return value


def truth(value: Any) -> bool:
    """Yes or no; blank counts as no."""
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise Unfit(f"{short(value)} is {kind_of(value)} where yes or no is needed")


def equal(a: Any, b: Any) -> bool:
    """Numbers by amount, dates by day, texts by their letters; a number equals a text that reads as that number."""
    if a is None or b is None:
        return a is b
    if a.__class__ is b.__class__:
        return bool(a == b)
    try:
        return _compare(a, b) == 0
    except Unfit:
        return False


def less(a: Any, b: Any) -> bool:
    return a is not None and b is not None and _compare(a, b) < 0


def at_most(a: Any, b: Any) -> bool:
    return a is not None and b is not None and _compare(a, b) <= 0


def contained(a: Any, b: Any) -> bool:
    """`a in b`: an item of a list, or a text inside a text."""
    if b is None or a is None:
        return False
    if isinstance(b, list):
        return any(equal(a, item) for item in b)
    if isinstance(b, str):
        return text(a) in b
    raise Unfit(f"`in` needs a list or a text, not {kind_of(b)}")


def _compare(a: Any, b: Any) -> int:
    left, right = _alike(clean(a), clean(b))
    return int(left > right) - int(left < right)


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    kinds = {_family(a), _family(b)}
    if "datetime" in kinds and kinds <= {"datetime", "text"}:
        return as_datetime(a), as_datetime(b)
    if kinds <= {"date", "datetime", "text"} and kinds - {"text"}:
        return as_date(a), as_date(b)
    if kinds == {"number", "text"} or kinds == {"number"}:
        return number(a), number(b)
    if kinds == {"text"}:
        return _texts(a, b)
    raise Unfit(f"{kind_of(a)} and {kind_of(b)} cannot be compared")


def _texts(a: str, b: str) -> tuple[Any, Any]:
    # Documents may carry amounts as text; "10" must not come before "9".
    try:
        return to_decimal(a), to_decimal(b)
    except Unfit:
        return a, b


def _family(value: Any) -> str:
    families = {Decimal: "number", str: "text", datetime: "datetime", date: "date", bool: "boolean"}
    return families.get(type(value), "text" if isinstance(value, str) else "other")


def rows(value: Any) -> list[Any]:
    """The items of a list; none where it is blank."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unfit(f"a list is needed here, not {kind_of(value)}")
    return sized(value)


def sized(items: list[Any]) -> list[Any]:
    if len(items) > MAX_LIST:
        raise Unfit(f"the list has more than {MAX_LIST:,} items")
    return items


def picked(items: Any, value: Callable[[Any], Any], keep: Callable[[Any], Any] | None) -> list[Any]:
    """`value` of each item that `keep` accepts: what `sum(lines, amount, kind == "usage")` runs on."""
    return [value(item) for item in rows(items) if keep is None or truth(keep(item))]


def present(values: Iterable[Any]) -> list[Any]:
    return [clean(v) for v in values if v is not None]


def total(values: list[Any]) -> Decimal:
    result = Decimal(0)
    for value in present(values):
        result = add(result, value)
    return result


def extreme(values: list[Any], largest: bool) -> Any:
    """The smallest or largest, None of none."""
    found = present(values)
    if not found:
        return None
    best = found[0]
    for value in found[1:]:
        if _compare(value, best) == (1 if largest else -1):
            best = value
    return best


def ordered(values: list[Any]) -> list[Any]:
    return sorted(present(values), key=cmp_to_key(_compare))


def attempt(value: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`if_error`: the second when the first cannot be computed."""
    try:
        return value()
    except Unfit:
        return otherwise()
