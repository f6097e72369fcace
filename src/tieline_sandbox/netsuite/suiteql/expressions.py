"""Compile SuiteQL expressions into functions of a row. SQL's three truths hold: a comparison with NULL is neither.

A row is a tuple with one record of each table of the FROM clause, in order; None where an outer join found nothing.
Dates and times are naive datetimes on the company's clock, numbers int or Decimal, flags the texts T and F.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tieline_sandbox.netsuite.errors import bad_query
from tieline_sandbox.netsuite.suiteql.columns import Column
from tieline_sandbox.netsuite.suiteql.syntax import (
    Call,
    Case,
    Literal,
    Name,
    Node,
    Operation,
    Select,
    Subquery,
    syntax_error,
)
from tieline_sandbox.netsuite.suiteql.tables import Table
from tieline_sandbox.netsuite.suiteql.values import FUNCTIONS, as_date, as_number, as_text

Row = tuple[Any, ...]
Evaluate = Callable[[Row], Any]
AGGREGATES = frozenset({"COUNT", "SUM", "MIN", "MAX", "AVG"})

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: Decimal(left) / Decimal(right),
}
_NUMERIC = frozenset({"ROUND", "ABS", "LENGTH", "TO_NUMBER", "INSTR"})


@dataclass(frozen=True, slots=True)
class Compiled:
    """`kind` is number, text, date, time, truth or null. `tables` are the places in the row it reads."""

    kind: str
    evaluate: Evaluate
    tables: frozenset[int] = frozenset()
    constant: bool = False


@dataclass
class Scope:
    """The tables in reach, what time it is, and how to run a query inside the query."""

    sources: list[tuple[str, str, Table]]  # alias, table name, table
    now: datetime
    run: Callable[[Select], list[Any]]
    grouped: bool = False

    def find(self, name: Name) -> tuple[int, Column]:
        for at, (alias, table_name, table) in enumerate(self.sources):
            if name.table is not None and name.table not in (alias, table_name):
                continue
            column = table.columns.get(name.column) or _custom(table, name.column)
            if column is not None:
                return at, column
        shown = f"{name.table}.{name.column}" if name.table else name.column
        known = ", ".join(f"{alias}={table_name}" for alias, table_name, _ in self.sources)
        raise bad_query(f"Search error occurred: Unknown identifier '{shown}'. Available identifiers are: {{{known}}}.")


def _custom(table: Table, name: str) -> Column | None:
    if table.custom is None or not name.startswith(table.custom[0]):
        return None
    get = table.custom[1]

    def read(row: Any) -> Any:
        held = get(row, name)
        if isinstance(held, dict):
            return held.get("id")
        return ("T" if held else "F") if isinstance(held, bool) else held

    return Column("text", read)


def compile_node(scope: Scope, node: Node) -> Compiled:
    match node:
        case Literal(value):
            return _literal(value)
        case Name(None, "sysdate" | "current_date" | "systimestamp" | "current_timestamp"):
            return _clock(scope, node.column)
        case Name():
            return _column(scope, node)
        case Call():
            return _call(scope, node)
        case Case():
            return _case(scope, node)
        case Operation():
            return _operation(scope, node)
        case Subquery(select):
            values = scope.run(select)
            return _literal(values[0] if values else None)


def _literal(value: Any) -> Compiled:
    if isinstance(value, bool):
        value = "T" if value else "F"
    kind = "null" if value is None else "text" if isinstance(value, str) else "number"
    if isinstance(value, datetime):
        kind = "date"
    return Compiled(kind, lambda _: value, constant=True)


def _clock(scope: Scope, name: str) -> Compiled:
    now = scope.now
    return Compiled("date" if "date" in name else "time", lambda _: now, constant=True)


def _column(scope: Scope, name: Name) -> Compiled:
    at, column = scope.find(name)
    return _reader(column.kind, column.get, at)


def _reader(kind: str, get: Callable[[Any], Any], at: int) -> Compiled:
    def read(row: Row) -> Any:
        record = row[at]
        return None if record is None else get(record)

    return Compiled(kind, read, frozenset({at}))


def _operation(scope: Scope, node: Operation) -> Compiled:
    if node.operator == "IN":
        return _membership(scope, node)
    parts = [compile_node(scope, one) for one in node.operands]
    tables = frozenset().union(*(part.tables for part in parts))
    left = parts[0].evaluate
    match node.operator:
        case "AND":
            return Compiled("truth", _both(left, parts[1].evaluate), tables)
        case "OR":
            return Compiled("truth", _either(left, parts[1].evaluate), tables)
        case "NOT":
            return Compiled("truth", lambda row: None if (held := left(row)) is None else not held, tables)
        case "IS NULL":
            return Compiled("truth", lambda row: left(row) in (None, ""), tables)
        case "LIKE":
            return Compiled("truth", _like(left, parts[1]), tables)
        case "BETWEEN":
            least = _comparison(">=", parts[0], parts[1])
            return Compiled("truth", _both(least, _comparison("<=", parts[0], parts[2])), tables)
        case "NEGATE":
            return Compiled("number", lambda row: None if (held := left(row)) is None else -held, tables)
        case "||":
            right = parts[1].evaluate
            return Compiled("text", lambda row: as_text(left(row)) + as_text(right(row)), tables)
        case sign if sign in _COMPARE:
            return Compiled("truth", _comparison(sign, parts[0], parts[1]), tables)
    return Compiled("number", _arithmetic(_ARITHMETIC[node.operator], *parts), tables)


def _both(left: Evaluate, right: Evaluate) -> Evaluate:
    def both(row: Row) -> bool | None:
        one = left(row)
        if one is False:
            return False
        other = right(row)
        return other if one else (False if other is False else None)

    return both


def _either(left: Evaluate, right: Evaluate) -> Evaluate:
    def either(row: Row) -> bool | None:
        one = left(row)
        if one:
            return True
        other = right(row)
        return True if other else (None if one is None or other is None else False)

    return either


def _comparison(sign: str, left: Compiled, right: Compiled) -> Evaluate:
    compare, (one, other) = _COMPARE[sign], _alike(left, right)

    def test(row: Row) -> bool | None:
        held, against = one(row), other(row)
        return None if held is None or against is None else compare(held, against)

    return test


def _alike(left: Compiled, right: Compiled) -> tuple[Evaluate, Evaluate]:
    """Two sides of one kind: texts beside numbers or dates are read as such, constants only once."""
    for kind, convert in (("number", as_number), ("date", as_date), ("time", as_date)):
        if kind in (left.kind, right.kind):
            return _converted(left, convert), _converted(right, convert)
    return left.evaluate, right.evaluate


def _converted(side: Compiled, convert: Callable[[Any], Any]) -> Evaluate:
    evaluate = side.evaluate
    if side.kind not in ("text", "null") and not (side.kind == "number" and convert is as_date):
        return evaluate
    if side.constant:
        value = convert(evaluate(()))
        return lambda _: value
    return lambda row: convert(evaluate(row))


def _membership(scope: Scope, node: Operation) -> Compiled:
    subject = compile_node(scope, node.operands[0])
    if len(node.operands) == 2 and isinstance(node.operands[1], Subquery):
        members = [_literal(value) for value in scope.run(node.operands[1].select)]
    else:
        members = [compile_node(scope, one) for one in node.operands[1:]]
    tables = subject.tables.union(*(member.tables for member in members))
    if not all(member.constant for member in members):
        tests = [_comparison("=", subject, member) for member in members]
        return Compiled("truth", lambda row: any(test(row) for test in tests), tables)
    values = {_alike(subject, member)[1](()) for member in members}
    read = subject.evaluate

    def test(row: Row) -> bool | None:
        held = read(row)
        return None if held is None else held in values

    return Compiled("truth", test, tables)


def _like(left: Evaluate, pattern: Compiled) -> Evaluate:
    if not pattern.constant:
        raise syntax_error()
    parts = (".*" if sign == "%" else "." if sign == "_" else re.escape(sign) for sign in as_text(pattern.evaluate(())))
    matcher = re.compile("".join(parts), re.DOTALL)
    return lambda row: None if (held := left(row)) is None else matcher.fullmatch(as_text(held)) is not None


def _arithmetic(compute: Callable[[Any, Any], Any], left: Compiled, right: Compiled) -> Evaluate:
    one, other = _converted(left, as_number), _converted(right, as_number)

    def evaluate(row: Row) -> Any:
        held, by = one(row), other(row)
        return None if held is None or by is None else compute(held, by)

    return evaluate


def _case(scope: Scope, node: Case) -> Compiled:
    branches = [(compile_node(scope, test), compile_node(scope, value)) for test, value in node.branches]
    otherwise = compile_node(scope, node.otherwise)
    tables = otherwise.tables.union(*(part.tables for branch in branches for part in branch))

    def evaluate(row: Row) -> Any:
        for test, value in branches:
            if test.evaluate(row):
                return value.evaluate(row)
        return otherwise.evaluate(row)

    return Compiled(branches[0][1].kind, evaluate, tables)


def _call(scope: Scope, node: Call) -> Compiled:
    if node.function in AGGREGATES:
        return _aggregate(scope, node)
    if node.function == "BUILTIN.DF":
        return _display(scope, node)
    parts = [compile_node(scope, one) for one in node.arguments]
    tables = frozenset().union(*(part.tables for part in parts))
    constant = all(part.constant for part in parts)
    function = FUNCTIONS.get(node.function)
    if function is None or not parts:
        raise bad_query(f"Search error occurred: Unknown function '{node.function}'.")

    def evaluate(row: Row) -> Any:
        return function(*(part.evaluate(row) for part in parts))

    if constant:
        value = evaluate(())
        return Compiled(_kind_of(node.function, parts), lambda _: value, tables, constant=True)
    return Compiled(_kind_of(node.function, parts), evaluate, tables)


def _kind_of(function: str, parts: list[Compiled]) -> str:
    if function in ("TO_DATE", "TO_TIMESTAMP"):
        return "date" if function == "TO_DATE" else "time"
    if function in _NUMERIC:
        return "number"
    if function in ("NVL", "COALESCE", "TRUNC", "GREATEST", "LEAST"):
        return parts[0].kind
    return "text"


def _display(scope: Scope, node: Call) -> Compiled:
    """BUILTIN.DF: what a person sees in the field instead of its stored value."""
    if len(node.arguments) != 1 or not isinstance(node.arguments[0], Name):
        raise syntax_error()
    at, column = scope.find(node.arguments[0])
    return _reader("text", column.label, at) if column.label else _column(scope, node.arguments[0])


def _aggregate(scope: Scope, node: Call) -> Compiled:
    """Evaluated on a group: its row is the tuple of the group's rows."""
    if not scope.grouped:
        raise bad_query("Search error occurred: Invalid or unsupported search. An aggregate is not allowed here.")
    if node.star:
        return Compiled("number", len)
    if len(node.arguments) != 1:
        raise syntax_error()
    scope.grouped = False
    part = compile_node(scope, node.arguments[0])
    scope.grouped = True
    read = part.evaluate if node.function in ("COUNT", "MIN", "MAX") else _converted(part, as_number)

    def evaluate(rows: Row) -> Any:
        values = [value for row in rows if (value := read(row)) is not None]
        if node.distinct:
            values = list(dict.fromkeys(values))
        if node.function == "COUNT":
            return len(values)
        if not values:
            return None
        if node.function in ("MIN", "MAX"):
            return min(values) if node.function == "MIN" else max(values)
        total = sum(values)
        return total if node.function == "SUM" else Decimal(total) / len(values)

    return Compiled(part.kind if node.function in ("MIN", "MAX") else "number", evaluate)
