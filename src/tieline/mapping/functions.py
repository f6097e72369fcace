"""The functions of the formula language, as in a spreadsheet. Pure: no clock, no network, no chance."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import msgspec

from tieline.mapping import operations as op
from tieline.mapping.signatures import Function, Functions, function
from tieline.mapping.values import ROUNDING_MODES, Unfit, as_date, rounded, short, to_boolean, to_integer

_BUILTIN: list[Function] = []
MAX_PLACES = 20
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE_PARTS = re.compile(r"YYYY|YY|MMM|MM|M|DD|D")


def _define(
    group: str, name: str, signature: str, doc: str, example: str, result: str, **how: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        declared = function(name, call, signature, doc=doc)
        _BUILTIN.append(msgspec.structs.replace(declared, group=group, example=example, result=result, **how))
        return call

    return register


# --- numbers


@_define(
    "Numbers", "round", "number, number?, text? -> number",
    "Rounds to so many places (0 when left out). Modes: `half_up` (the default), `half_even`, `down`.",
    "round(2.345, 2)", "2.35",
)  # fmt: skip
def _round(value: Any, places: Any = Decimal(0), mode: str = "half_up") -> Decimal:
    if mode not in ROUNDING_MODES:
        raise Unfit(f"rounding mode {short(mode)} is not one of {', '.join(ROUNDING_MODES)}")
    return rounded(op.number(value), _whole(places, -MAX_PLACES, MAX_PLACES), mode)


@_define("Numbers", "floor", "number -> number", "The whole number at or below.", "floor(2.9)", "2")
def _floor(value: Any) -> Decimal:
    return op.number(value).to_integral_value(ROUND_FLOOR)


@_define("Numbers", "ceiling", "number -> number", "The whole number at or above.", "ceiling(2.1)", "3")
def _ceiling(value: Any) -> Decimal:
    return op.number(value).to_integral_value(ROUND_CEILING)


@_define("Numbers", "abs", "number -> number", "The amount without its sign.", "abs(-3)", "3")
def _abs(value: Any) -> Decimal:
    return op.number(value).copy_abs()


@_define("Numbers", "min", "any, any* -> any", "The smallest of the values, or of a list; blanks are passed over.", "min(3, 1, 2)", "1")  # fmt: skip
def _min(*values: Any) -> Any:
    return op.extreme(_spread(values), largest=False)


@_define("Numbers", "max", "any, any* -> any", "The largest of the values, or of a list; blanks are passed over.", "max([3, 1, 2])", "3")  # fmt: skip
def _max(*values: Any) -> Any:
    return op.extreme(_spread(values), largest=True)


@_define("Numbers", "number", "any -> number", "A text such as `12.30` as a number.", 'number("12.30") + 1', "13.30")
def _number(value: Any) -> Decimal:
    return op.number(value)


# --- texts


@_define("Texts", "upper", "any -> text", "In capitals.", 'upper("eur")', "EUR")
def _upper(value: Any) -> str:
    return op.text(value).upper()


@_define("Texts", "lower", "any -> text", "In small letters.", 'lower("EUR")', "eur")
def _lower(value: Any) -> str:
    return op.text(value).lower()


@_define("Texts", "trim", "any -> text", "Without blanks at either end.", 'trim("  a b ")', "a b")
def _trim(value: Any) -> str:
    return op.text(value).strip()


@_define("Texts", "left", "any, number -> text", "The first characters.", 'left("abcdef", 2)', "ab")
def _left(value: Any, count: Any) -> str:
    return op.text(value)[: _whole(count, 0)]


@_define("Texts", "right", "any, number -> text", "The last characters.", 'right("abcdef", 2)', "ef")
def _right(value: Any, count: Any) -> str:
    wanted = _whole(count, 0)
    return op.text(value)[-wanted:] if wanted else ""


@_define("Texts", "mid", "any, number, number -> text", "So many characters from a position; the first is 1.", 'mid("abcdef", 2, 3)', "bcd")  # fmt: skip
def _mid(value: Any, start: Any, count: Any) -> str:
    first = _whole(start, 1) - 1
    return op.text(value)[first : first + _whole(count, 0)]


@_define("Texts", "length", "any -> number", "How many characters.", 'length("abc")', "3")
def _length(value: Any) -> Decimal:
    return Decimal(len(op.text(value)))


@_define("Texts", "contains", "any, text -> boolean", "Whether the text holds another.", 'contains("Net 30", "30")', "true")
def _contains(value: Any, part: Any) -> bool:
    return op.text(part) in op.text(value)


@_define("Texts", "starts_with", "any, text -> boolean", "Whether the text begins so.", 'starts_with("DE01", "DE")', "true")
def _starts_with(value: Any, part: Any) -> bool:
    return op.text(value).startswith(op.text(part))


@_define("Texts", "ends_with", "any, text -> boolean", "Whether the text ends so.", 'ends_with("DE01", "01")', "true")
def _ends_with(value: Any, part: Any) -> bool:
    return op.text(value).endswith(op.text(part))


@_define("Texts", "replace", "any, text, any -> text", "Each occurrence of a part by another text.", 'replace("a-b-c", "-", "/")', "a/b/c")  # fmt: skip
def _replace(value: Any, old: Any, new: Any) -> str:
    whole, part, other = op.text(value), op.text(old), op.text(new)
    if not part:
        raise Unfit("replace() needs a text to look for")
    # Judged before it is built: many short parts replaced by a long text would fill the memory.
    if len(whole) + whole.count(part) * len(other) > 2 * op.MAX_TEXT:
        op.bounded("x" * (op.MAX_TEXT + 1))
    return op.bounded(whole.replace(part, other))


@_define("Texts", "concat", "any* -> text", "All values as one text; blank adds nothing. The same as `a & b`.", 'concat("O-", 12)', "O-12")  # fmt: skip
def _concat(*values: Any) -> str:
    result = ""
    for value in values:
        result = op.join(result, value)
    return result


@_define("Texts", "join", "list, text? -> text", "The items of a list as one text, with a separator (`, `).", 'join(["a", "b"], " / ")', "a / b")  # fmt: skip
def _join(values: Any, separator: Any = ", ") -> str:
    result, between = "", op.text(separator)
    for at, value in enumerate(op.present(op.rows(values))):
        result = op.bounded(result + (between if at else "") + op.text(value))
    return result


@_define("Texts", "before", "any, text -> text", "What stands before the first occurrence; all of it when there is none.", 'before("DE01-77", "-")', "DE01")  # fmt: skip
def _before(value: Any, part: Any) -> str:
    return op.text(value).partition(op.text(part) or "\0")[0]


@_define("Texts", "after", "any, text -> text", "What stands after the first occurrence; nothing when there is none.", 'after("salesforce-006A", "-")', "006A")  # fmt: skip
def _after(value: Any, part: Any) -> str:
    return op.text(value).partition(op.text(part) or "\0")[2]


@_define("Texts", "text", "any, number? -> text", "A value as text; a number with so many places.", "text(2.5, 2)", "2.50")
def _text(value: Any, places: Any = None) -> str:
    return op.text(value if places is None else _round(value, places))


@_define("Texts", "split", "any, text -> texts", "The parts between separators, each trimmed.", 'split("a; b", ";")', "[a, b]")
def _split(value: Any, separator: Any) -> list[Any]:
    return op.sized([part.strip() for part in op.text(value).split(op.text(separator) or "\0")])


# --- logic


@_define("Logic", "coalesce", "any, any* -> any", "The first value that is not blank.", 'coalesce(blank, "EUR")', "EUR")
def _coalesce(*values: Any) -> Any:
    return next((value for value in values if not _is_blank(value)), None)


@_define("Logic", "is_blank", "any -> boolean", "Whether a field is absent, or a text or list is empty.", 'is_blank("  ")', "true")  # fmt: skip
def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


@_define("Logic", "if_error", "any, any -> any", "The second value when the first cannot be computed.", "if_error(1 / 0, 7)", "7", lazy=True)  # fmt: skip
def _if_error(value: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    return op.attempt(value, otherwise)


@_define("Logic", "yes_no", "any -> boolean", "`true`, `T`, `yes` or 1 as yes; `false`, `F`, `no` or 0 as no.", 'yes_no("T")', "true")  # fmt: skip
def _yes_no(value: Any) -> bool:
    try:
        return to_boolean(value)
    except Unfit as exc:
        raise Unfit(f"{short(value)} {exc}") from None


# --- dates


@_define("Dates", "date", "any, number?, number? -> date", "A day from year, month and day, or from a text.", "date(2026, 1, 31)", "2026-01-31")  # fmt: skip
def _date(year: Any, month: Any = None, day: Any = None) -> date:
    if month is None and day is None:
        return _day(year)
    try:
        return date(_whole(year, 1, 9999), _whole(month, 1, 12), _whole(day, 1, 31))
    except ValueError as exc:
        raise Unfit(f"there is no such day: {exc}") from None


@_define("Dates", "year", "any -> number", "The year of a date.", 'year("2026-03-31")', "2026")
def _year(value: Any) -> Decimal:
    return Decimal(_day(value).year)


@_define("Dates", "month", "any -> number", "The month of a date, 1 to 12.", 'month("2026-03-31")', "3")
def _month(value: Any) -> Decimal:
    return Decimal(_day(value).month)


@_define("Dates", "day", "any -> number", "The day of the month.", 'day("2026-03-31")', "31")
def _day_of(value: Any) -> Decimal:
    return Decimal(_day(value).day)


@_define("Dates", "add_days", "any, number -> date", "So many days later.", 'add_days("2026-12-31", 1)', "2027-01-01")
def _add_days(value: Any, days: Any) -> date:
    try:
        return _day(value) + timedelta(days=_whole(days, -1_000_000, 1_000_000))
    except OverflowError as exc:
        raise Unfit("the date lies outside the years 1 to 9999") from exc


@_define("Dates", "add_months", "any, number -> date", "So many months later; the last day of a shorter month.", 'add_months("2026-01-31", 1)', "2026-02-28")  # fmt: skip
def _add_months(value: Any, months: Any) -> date:
    start = _day(value)
    index = start.year * 12 + start.month - 1 + _whole(months, -120_000, 120_000)
    year, month = index // 12, index % 12 + 1
    if not 1 <= year <= 9999:
        raise Unfit("the date lies outside the years 1 to 9999")
    return date(year, month, min(start.day, monthrange(year, month)[1]))


@_define("Dates", "months_between", "any, any -> number", "Full months from the first date to the second.", 'months_between("2026-01-15", "2026-04-14")', "2")  # fmt: skip
def _months_between(start: Any, end: Any) -> Decimal:
    first, last = _day(start), _day(end)
    if last < first:
        return -_months_between(last, first)
    months = (last.year - first.year) * 12 + last.month - first.month
    # From the 31st to the end of a shorter month is a full month, as add_months would have it.
    return Decimal(months if _add_months(first, months) <= last else months - 1)


@_define("Dates", "days_between", "any, any -> number", "Days from the first date to the second.", 'days_between("2026-01-01", "2026-01-31")', "30")  # fmt: skip
def _days_between(start: Any, end: Any) -> Decimal:
    return Decimal((_day(end) - _day(start)).days)


@_define("Dates", "end_of_month", "any, number? -> date", "The last day of the month, or of so many months later.", 'end_of_month("2026-02-03")', "2026-02-28")  # fmt: skip
def _end_of_month(value: Any, months: Any = Decimal(0)) -> date:
    later = _add_months(_day(value).replace(day=1), months)
    return later.replace(day=monthrange(later.year, later.month)[1])


@_define("Dates", "format_date", "any, text -> text", "A date by a pattern of YYYY, YY, MMM, MM, M, DD and D.", 'format_date("2026-01-05", "MMM YYYY")', "Jan 2026")  # fmt: skip
def _format_date(value: Any, pattern: Any) -> str:
    at = _day(value)
    parts = {"YYYY": f"{at.year:04}", "YY": f"{at.year % 100:02}", "MMM": _MONTHS[at.month - 1], "MM": f"{at.month:02}"}
    parts |= {"M": str(at.month), "DD": f"{at.day:02}", "D": str(at.day)}
    return _DATE_PARTS.sub(lambda match: parts[match[0]], op.text(pattern)[:100])


# --- lists: the second and third argument are computed for each item


@_define("Lists", "sum", "list, number?, boolean? -> number", "The sum of a list, or of an expression for each item, where a condition holds.", "sum(lines, net.amount, kind != 'usage')", "350.50", item_wise=True)  # fmt: skip
def _sum(values: list[Any]) -> Decimal:
    return op.total(values)


@_define("Lists", "count", "list, boolean? -> number", "How many items, or how many for which a condition holds.", "count(lines, quantity > 1)", "1", item_wise=True)  # fmt: skip
def _count(values: list[Any]) -> Decimal:
    return Decimal(sum(1 for value in values if value is not None and value is not False))


@_define("Lists", "any", "list, boolean? -> boolean", "Whether the condition holds for at least one item.", "any(lines, kind == 'usage')", "true", item_wise=True)  # fmt: skip
def _any(values: list[Any]) -> bool:
    return any(op.truth(value) for value in values)


@_define("Lists", "all", "list, boolean? -> boolean", "Whether the condition holds for every item (yes for an empty list).", "all(lines, quantity > 0)", "false", item_wise=True)  # fmt: skip
def _all(values: list[Any]) -> bool:
    return all(op.truth(value) for value in values)


@_define("Lists", "first", "list, any?, boolean? -> any", "The first item, or an expression for the first item that fits.", "first(lines, product, kind == 'usage')", "API", item_wise=True)  # fmt: skip
def _first(values: list[Any]) -> Any:
    return next((value for value in values if value is not None), None)


@_define("Lists", "values", "list, any?, boolean? -> list", "An expression for each item that fits, as a list.", "values(lines, product, quantity > 0)", "[SEAT, SETUP]", item_wise=True)  # fmt: skip
def _values(values: list[Any]) -> list[Any]:
    return op.present(values)


@_define("Lists", "unique", "list, any? -> list", "The different values, in the order they come.", "unique([2, 1, 2])", "[2, 1]", item_wise=True)  # fmt: skip
def _unique(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in op.present(values):
        if not any(op.equal(value, known) for known in found[:1000]):
            found.append(value)
    return found


@_define("Lists", "sort", "list, any? -> list", "From the smallest to the largest.", "sort([2, 1, 3])", "[1, 2, 3]", item_wise=True)  # fmt: skip
def _sort(values: list[Any]) -> list[Any]:
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


def _whole(value: Any, least: int, most: int = op.MAX_TEXT) -> int:
    try:
        found = to_integer(op.number(value))
    except Unfit:
        raise Unfit(f"a whole number is needed here, not {short(value)}") from None
    if not least <= found <= most:
        raise Unfit(f"{found} is not between {least} and {most}")
    return found


BUILTINS = Functions(_BUILTIN)
