"""The functions of the formula language, as in a spreadsheet. Pure: no clock, no network, no chance."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, TypeVar

import msgspec

from tieline.mapping import operations as op
from tieline.mapping.signatures import Function, Functions, function
from tieline.mapping.values import MAX_TEXT, ROUNDING_MODES, Unfit, as_date, rounded, short, to_boolean, to_integer

Call = TypeVar("Call", bound=Callable[..., Any])
_BUILTIN: list[Function] = []
MAX_PLACES = 20
MAX_DIFFERENT = 1_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE_PARTS = re.compile(r"YYYY|YY|MMM|MM|M|DD|D")


def _define(
    group: str, name: str, signature: str, *, example: str, result: str, item_wise: bool = False, lazy: bool = False
) -> Callable[[Call], Call]:
    """Register a function of the language; its docstring is what the reference says of it, the example is tested."""

    def register(call: Call) -> Call:
        declared = function(name, call, signature, doc=(call.__doc__ or "").strip())
        extras: dict[str, Any] = {"group": group, "example": example, "result": result}
        _BUILTIN.append(msgspec.structs.replace(declared, **extras, item_wise=item_wise, lazy=lazy))
        return call

    return register


# --- numbers


@_define("Numbers", "round", "number, number?, text? -> number", example="round(2.345, 2)", result="2.35")
def _round(value: Any, places: Any = Decimal(0), mode: Any = "half_up") -> Decimal:
    """Rounds to so many places (0 when left out). Modes: `half_up` (the default), `half_even`, `down`."""
    mode = op.text(mode)
    if mode not in ROUNDING_MODES:
        raise Unfit(f"rounding mode {short(mode)} is not one of {', '.join(ROUNDING_MODES)}")
    return rounded(op.number(value), _whole(places, -MAX_PLACES, MAX_PLACES), mode)


@_define("Numbers", "floor", "number -> number", example="floor(2.9)", result="2")
def _floor(value: Any) -> Decimal:
    """The whole number at or below."""
    return op.number(value).to_integral_value(ROUND_FLOOR)


@_define("Numbers", "ceiling", "number -> number", example="ceiling(2.1)", result="3")
def _ceiling(value: Any) -> Decimal:
    """The whole number at or above."""
    return op.number(value).to_integral_value(ROUND_CEILING)


@_define("Numbers", "abs", "number -> number", example="abs(-3)", result="3")
def _abs(value: Any) -> Decimal:
    """The amount without its sign."""
    return op.number(value).copy_abs()


@_define("Numbers", "min", "any, any* -> any", example="min(3, 1, 2)", result="1")
def _min(*values: Any) -> Any:
    """The smallest of the values, or of a list; blanks are passed over."""
    return op.extreme(_spread(values), largest=False)


@_define("Numbers", "max", "any, any* -> any", example="max([3, 1, 2])", result="3")
def _max(*values: Any) -> Any:
    """The largest of the values, or of a list; blanks are passed over."""
    return op.extreme(_spread(values), largest=True)


@_define("Numbers", "number", "scalar -> number", example='number("12.30") + 1', result="13.30")
def _number(value: Any) -> Decimal:
    """A text such as `12.30` as a number."""
    return op.number(value)


# --- texts


@_define("Texts", "upper", "scalar -> text", example='upper("eur")', result="EUR")
def _upper(value: Any) -> str:
    """In capitals."""
    return op.text(value).upper()


@_define("Texts", "lower", "scalar -> text", example='lower("EUR")', result="eur")
def _lower(value: Any) -> str:
    """In small letters."""
    return op.text(value).lower()


@_define("Texts", "trim", "scalar -> text", example='trim("  a b ")', result="a b")
def _trim(value: Any) -> str:
    """Without blanks at either end."""
    return op.text(value).strip()


@_define("Texts", "left", "scalar, number -> text", example='left("abcdef", 2)', result="ab")
def _left(value: Any, count: Any) -> str:
    """The first characters."""
    return op.text(value)[: _whole(count, 0)]


@_define("Texts", "right", "scalar, number -> text", example='right("abcdef", 2)', result="ef")
def _right(value: Any, count: Any) -> str:
    """The last characters."""
    wanted = _whole(count, 0)
    return op.text(value)[-wanted:] if wanted else ""


@_define("Texts", "mid", "scalar, number, number -> text", example='mid("abcdef", 2, 3)', result="bcd")
def _mid(value: Any, start: Any, count: Any) -> str:
    """So many characters from a position; the first is 1."""
    first = _whole(start, 1) - 1
    return op.text(value)[first : first + _whole(count, 0)]


@_define("Texts", "length", "scalar -> number", example='length("abc")', result="3")
def _length(value: Any) -> Decimal:
    """How many characters."""
    return Decimal(len(op.text(value)))


@_define("Texts", "contains", "scalar, text -> boolean", example='contains("Net 30", "30")', result="true")
def _contains(value: Any, part: Any) -> bool:
    """Whether the text holds another."""
    return op.text(part) in op.text(value)


@_define("Texts", "starts_with", "scalar, text -> boolean", example='starts_with("DE01", "DE")', result="true")
def _starts_with(value: Any, part: Any) -> bool:
    """Whether the text begins so."""
    return op.text(value).startswith(op.text(part))


@_define("Texts", "ends_with", "scalar, text -> boolean", example='ends_with("DE01", "01")', result="true")
def _ends_with(value: Any, part: Any) -> bool:
    """Whether the text ends so."""
    return op.text(value).endswith(op.text(part))


@_define("Texts", "replace", "scalar, text, scalar -> text", example='replace("a-b-c", "-", "/")', result="a/b/c")
def _replace(value: Any, old: Any, new: Any) -> str:
    """Each occurrence of a part by another text."""
    whole, part, other = op.text(value), op.text(old), op.text(new)
    if not part:
        raise Unfit("replace() needs a text to look for")
    # Judged before it is built: many short parts replaced by a long text would fill the memory.
    if len(whole) + whole.count(part) * len(other) > 2 * MAX_TEXT:
        op.bounded("x" * (MAX_TEXT + 1))
    return op.bounded(whole.replace(part, other))


@_define("Texts", "concat", "scalar* -> text", example='concat("O-", 12)', result="O-12")
def _concat(*values: Any) -> str:
    """All values as one text; blank adds nothing. The same as `a & b`."""
    result = ""
    for value in values:
        result = op.join(result, value)
    return result


@_define("Texts", "join", "list, text? -> text", example='join(["a", "b"], " / ")', result="a / b")
def _join(values: Any, separator: Any = ", ") -> str:
    """The items of a list as one text, with a separator (`, `)."""
    parts, between = [op.text(value) for value in op.present(op.rows(values))], op.text(separator)
    # Judged before it is built: many long items would fill the memory.
    if sum(map(len, parts)) + len(between) * len(parts) > 2 * MAX_TEXT:
        op.bounded("x" * (MAX_TEXT + 1))
    return op.bounded(between.join(parts))


@_define("Texts", "before", "scalar, text -> text", example='before("DE01-77", "-")', result="DE01")
def _before(value: Any, part: Any) -> str:
    """What stands before the first occurrence; all of it when there is none."""
    return op.text(value).partition(op.text(part) or "\0")[0]


@_define("Texts", "after", "scalar, text -> text", example='after("salesforce-006A", "-")', result="006A")
def _after(value: Any, part: Any) -> str:
    """What stands after the first occurrence; nothing when there is none."""
    return op.text(value).partition(op.text(part) or "\0")[2]


@_define("Texts", "text", "scalar, number? -> text", example="text(2.5, 2)", result="2.50")
def _text(value: Any, places: Any = None) -> str:
    """A value as text; a number with so many places."""
    return op.text(value if places is None else _round(value, places))


@_define("Texts", "split", "scalar, text -> texts", example='split("a; b", ";")', result="[a, b]")
def _split(value: Any, separator: Any) -> list[Any]:
    """The parts between separators, each trimmed."""
    return op.sized([part.strip() for part in op.text(value).split(op.text(separator) or "\0")])


# --- logic


@_define("Logic", "coalesce", "any, any* -> any", example='coalesce(blank, "EUR")', result="EUR")
def _coalesce(*values: Any) -> Any:
    """The first value that is not blank."""
    return next((value for value in values if not _is_blank(value)), None)


@_define("Logic", "is_blank", "any -> boolean", example='is_blank("  ")', result="true")
def _is_blank(value: Any) -> bool:
    """Whether a field is absent, or a text or list is empty."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


@_define("Logic", "if_error", "any, any -> any", example="if_error(1 / 0, 7)", result="7", lazy=True)
def _if_error(value: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """The second value when the first cannot be computed."""
    return op.attempt(value, otherwise)


@_define("Logic", "yes_no", "scalar -> boolean", example='yes_no("T")', result="true")
def _yes_no(value: Any) -> bool:
    """`true`, `T`, `yes` or 1 as yes; `false`, `F`, `no` or 0 as no."""
    try:
        return to_boolean(value)
    except Unfit as exc:
        raise Unfit(f"{short(value)} {exc}") from None


# --- dates


@_define("Dates", "date", "number|day, number?, number? -> date", example="date(2026, 1, 31)", result="2026-01-31")
def _date(year: Any, month: Any = None, day: Any = None) -> date:
    """A day from year, month and day, or from a text."""
    if month is None and day is None:
        return _day(year)
    try:
        return date(_whole(year, 1, 9999), _whole(month, 1, 12), _whole(day, 1, 31))
    except ValueError as exc:
        raise Unfit(f"there is no such day: {exc}") from None


@_define("Dates", "year", "day -> number", example='year("2026-03-31")', result="2026")
def _year(value: Any) -> Decimal:
    """The year of a date."""
    return Decimal(_day(value).year)


@_define("Dates", "month", "day -> number", example='month("2026-03-31")', result="3")
def _month(value: Any) -> Decimal:
    """The month of a date, 1 to 12."""
    return Decimal(_day(value).month)


@_define("Dates", "day", "day -> number", example='day("2026-03-31")', result="31")
def _day_of(value: Any) -> Decimal:
    """The day of the month."""
    return Decimal(_day(value).day)


@_define("Dates", "add_days", "day, number -> date", example='add_days("2026-12-31", 1)', result="2027-01-01")
def _add_days(value: Any, days: Any) -> date:
    """So many days later."""
    try:
        return _day(value) + timedelta(days=_whole(days, -1_000_000, 1_000_000))
    except OverflowError as exc:
        raise Unfit("the date lies outside the years 1 to 9999") from exc


@_define("Dates", "add_months", "day, number -> date", example='add_months("2026-01-31", 1)', result="2026-02-28")
def _add_months(value: Any, months: Any) -> date:
    """So many months later; the last day of a shorter month."""
    start = _day(value)
    index = start.year * 12 + start.month - 1 + _whole(months, -120_000, 120_000)
    year, month = index // 12, index % 12 + 1
    if not 1 <= year <= 9999:
        raise Unfit("the date lies outside the years 1 to 9999")
    return date(year, month, min(start.day, monthrange(year, month)[1]))


@_define(
    "Dates", "months_between", "day, day -> number", example='months_between("2026-01-15", "2026-04-14")', result="2"
)
def _months_between(start: Any, end: Any) -> Decimal:
    """Full months from the first date to the second."""
    first, last = _day(start), _day(end)
    if last < first:
        return -_months_between(last, first)
    months = (last.year - first.year) * 12 + last.month - first.month
    # From the 31st to the end of a shorter month is a full month, as add_months would have it.
    return Decimal(months if _add_months(first, months) <= last else months - 1)


@_define("Dates", "days_between", "day, day -> number", example='days_between("2026-01-01", "2026-01-31")', result="30")
def _days_between(start: Any, end: Any) -> Decimal:
    """Days from the first date to the second."""
    return Decimal((_day(end) - _day(start)).days)


@_define("Dates", "end_of_month", "day, number? -> date", example='end_of_month("2026-02-03")', result="2026-02-28")
def _end_of_month(value: Any, months: Any = Decimal(0)) -> date:
    """The last day of the month, or of so many months later."""
    later = _add_months(_day(value).replace(day=1), months)
    return later.replace(day=monthrange(later.year, later.month)[1])


@_define(
    "Dates", "format_date", "day, text -> text", example='format_date("2026-01-05", "MMM YYYY")', result="Jan 2026"
)
def _format_date(value: Any, pattern: Any) -> str:
    """A date by a pattern of YYYY, YY, MMM, MM, M, DD and D."""
    at = _day(value)
    parts = {"YYYY": f"{at.year:04}", "YY": f"{at.year % 100:02}", "MMM": _MONTHS[at.month - 1], "MM": f"{at.month:02}"}
    parts |= {"M": str(at.month), "DD": f"{at.day:02}", "D": str(at.day)}
    return _DATE_PARTS.sub(lambda match: parts[match[0]], op.text(pattern)[:100])


# --- lists: the second and third argument are computed for each item


@_define(
    "Lists",
    "sum",
    "list, number?, boolean? -> number",
    example="sum(lines, net.amount, kind != 'usage')",
    result="350.50",
    item_wise=True,
)
def _sum(values: list[Any]) -> Decimal:
    """The sum of a list, or of an expression for each item, where a condition holds."""
    return op.total(values)


@_define("Lists", "count", "list, boolean? -> number", example="count(lines, quantity > 1)", result="1", item_wise=True)
def _count(values: list[Any]) -> Decimal:
    """How many items, or how many for which a condition holds."""
    return Decimal(sum(1 for value in values if value is not None and value is not False))


@_define(
    "Lists", "any", "list, boolean? -> boolean", example="any(lines, kind == 'usage')", result="true", item_wise=True
)
def _any(values: list[Any]) -> bool:
    """Whether the condition holds for at least one item."""
    return any(op.truth(value) for value in values)


@_define(
    "Lists", "all", "list, boolean? -> boolean", example="all(lines, quantity > 0)", result="false", item_wise=True
)
def _all(values: list[Any]) -> bool:
    """Whether the condition holds for every item (yes for an empty list)."""
    return all(op.truth(value) for value in values)


@_define(
    "Lists",
    "first",
    "list, any?, boolean? -> any",
    example="first(lines, product, kind == 'usage')",
    result="API",
    item_wise=True,
)
def _first(values: list[Any]) -> Any:
    """The first item, or an expression for the first item that fits."""
    return next((value for value in values if value is not None), None)


@_define(
    "Lists",
    "values",
    "list, any?, boolean? -> list",
    example="values(lines, product, quantity > 0)",
    result="[SEAT, SETUP]",
    item_wise=True,
)
def _values(values: list[Any]) -> list[Any]:
    """An expression for each item that fits, as a list."""
    return op.present(values)


@_define("Lists", "unique", "list, any? -> list", example="unique([2, 1, 2])", result="[2, 1]", item_wise=True)
def _unique(values: list[Any]) -> list[Any]:
    """The different values, in the order they come."""
    found: list[Any] = []
    for value in op.present(values):
        if not any(op.equal(value, known) for known in found):
            found.append(value)
        if len(found) > MAX_DIFFERENT:
            raise Unfit(f"unique() stops at {MAX_DIFFERENT:,} different values")
    return found


@_define("Lists", "sort", "list, any? -> list", example="sort([2, 1, 3])", result="[1, 2, 3]", item_wise=True)
def _sort(values: list[Any]) -> list[Any]:
    """From the smallest to the largest."""
    return op.ordered(values)


def _spread(values: tuple[Any, ...]) -> list[Any]:
    return op.rows(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)


def _day(value: Any) -> date:
    if value is None:
        raise Unfit("a date is needed here and the field is blank")
    try:
        return as_date(value)
    except Unfit as exc:
        raise Unfit(f"{short(value)} {exc}") from None


def _whole(value: Any, least: int, most: int = MAX_TEXT) -> int:
    try:
        found = to_integer(op.number(value))
    except Unfit:
        raise Unfit(f"a whole number is needed here, not {short(value)}") from None
    if not least <= found <= most:
        raise Unfit(f"{found} is not between {least} and {most}")
    return found


BUILTINS = Functions(_BUILTIN)
