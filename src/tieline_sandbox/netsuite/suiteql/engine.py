"""Run a query: choose where to begin, join, filter, group, order, and write the page of rows that was asked for.

The whole result is counted (totalResults), but only the page is written out. Source for the limits: Oracle help
"Executing SuiteQL Queries Through REST Web Services" (section_157909186990): 1,000 rows a page, 100,000 in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tieline_sandbox.netsuite.applications import Applications
from tieline_sandbox.netsuite.errors import bad_query
from tieline_sandbox.netsuite.store import Store
from tieline_sandbox.netsuite.suiteql.columns import local
from tieline_sandbox.netsuite.suiteql.expressions import (
    AGGREGATES,
    Compiled,
    Evaluate,
    Row,
    Scope,
    compile_node,
)
from tieline_sandbox.netsuite.suiteql.syntax import (
    Call,
    Case,
    Literal,
    Name,
    Node,
    Operation,
    Order,
    Output,
    Select,
    Source,
    parse,
    syntax_error,
)
from tieline_sandbox.netsuite.suiteql.tables import Data, Table, tables_for
from tieline_sandbox.netsuite.suiteql.values import as_text

MAX_ROWS = 100_000
Lookup = Callable[[Data, Any], Iterable[Any]]


class Environment:
    """The tables of one account, made once; `zone` is the company's time zone."""

    def __init__(self, store: Store, applications: Applications, zone: ZoneInfo) -> None:
        self.data = Data(store, applications, zone)
        self.tables = tables_for(zone)


@dataclass
class _Result:
    """Rows before they are written, and how to read each output column from one."""

    rows: list[Row]
    columns: list[tuple[str, Evaluate]]


def run_query(
    environment: Environment, text: str, params: list[Any], now: datetime, *, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """The page of rows, and how many rows there are in all. Raises NetSuiteError INVALID_PARAMETER.

    Every value is a text; a NULL leaves its column out of the row.
    """
    result = _Query(environment, local(now, environment.data.zone)).run(parse(text, params))
    rows = result.rows[:MAX_ROWS]
    return [_written(result.columns, row) for row in rows[offset : offset + limit]], len(rows)


def _written(columns: list[tuple[str, Evaluate]], row: Row) -> dict[str, Any]:
    written: dict[str, Any] = {"links": []}
    for name, evaluate in columns:
        value = evaluate(row)
        if value is not None and value != "":
            written[name] = as_text(value)
    return written


class _Query:
    def __init__(self, environment: Environment, now: datetime) -> None:
        self._data, self._tables, self._now = environment.data, environment.tables, now

    def run(self, select: Select) -> _Result:
        scope = self._scope(select)
        conditions, counted = _without_rownum(_conjuncts(select.where))
        rows = list(self._joined(scope, select.sources, conditions))
        grouped = bool(select.group_by) or any(_has_aggregate(output.node) for output in select.outputs)
        if counted is not None:
            rows = rows[:counted]
        if grouped:
            rows = self._groups(scope, select, rows)
            scope.grouped = True
        columns = self._columns(scope, select)
        if grouped and select.having is not None:
            having = self._compile(scope, select.having)
            rows = [row for row in rows if having(row)]
        for order in reversed(select.order_by):
            self._sort(rows, self._order_key(scope, select, columns, order), order)
        if select.distinct:
            rows = list({tuple(read(row) for _, read in columns): row for row in reversed(rows)}.values())[::-1]
        return _Result(rows if select.first is None else rows[: select.first], columns)

    def values(self, select: Select) -> list[Any]:
        """The first column of every row: what a query inside a query stands for."""
        result = self.run(select)
        read = result.columns[0][1]
        return [read(row) for row in result.rows]

    def _scope(self, select: Select) -> Scope:
        sources = []
        for source in select.sources:
            table = self._tables.get(source.table)
            if table is None:
                raise bad_query(f"Invalid search type: {source.table}.")
            sources.append((source.alias, source.table, table))
        return Scope(sources, self._now, self.values)

    # --- rows ----------------------------------------------------------------------------------------------------

    def _joined(self, scope: Scope, sources: list[Source], conditions: list[Node]) -> Iterator[Row]:
        waiting = [(node, compile_node(scope, node)) for node in conditions]
        first, waiting = _ready(waiting, 1)
        rows: Iterable[Row] = ((one,) for one in self._begin(scope, conditions))
        rows = _filtered(rows, first)
        for at in range(1, len(sources)):
            on = [(node, compile_node(scope, node)) for node in _conjuncts(sources[at].on)]
            ready, waiting = _ready(waiting, at + 1)
            rows = self._join(scope, rows, at, on, [] if sources[at].left else ready, left=sources[at].left)
            rows = _filtered(rows, ready)
        return iter(rows)

    def _begin(self, scope: Scope, conditions: list[Node]) -> Iterable[Any]:
        """Rows of the first table: by the best lookup its conditions allow, else all of them."""
        table = scope.sources[0][2]
        found: dict[str, tuple[str, list[Any]]] = {}
        for node in conditions:
            if (bound := self._bound(scope, node)) is not None:
                found.setdefault(f"{bound[0]} {bound[1]}", (bound[0], bound[2]))
        for column, lookup in table.lookups.items():
            if column == "type" and found.keys() & {"lastmodifieddate >", "id >"}:
                continue  # a key-set page is narrower than a whole type
            if f"{column} =" in found:
                return self._looked_up(lookup, found[f"{column} ="][1])
        if table.since is not None and "lastmodifieddate >" in found:
            moment = found["lastmodifieddate >"][1][0]
            since = moment.replace(tzinfo=self._data.zone).astimezone(UTC) - timedelta(seconds=1)
            return sorted(table.since(self._data, since), key=lambda entry: entry.number)
        if table.above is not None and "id >" in found:
            return table.above(self._data, int(found["id >"][1][0]) - 1)
        return table.scan(self._data)

    def _looked_up(self, lookup: Lookup, values: list[Any]) -> Iterator[Any]:
        for value in dict.fromkeys(values):
            yield from lookup(self._data, value)

    def _bound(self, scope: Scope, node: Node) -> tuple[str, str, list[Any]] | None:
        """(column, "=" or ">", constants) when the condition ties a column of the first table to constants."""
        if not isinstance(node, Operation) or node.operator not in ("=", "IN", ">", ">="):
            return None
        subject, *others = node.operands
        if not isinstance(subject, Name) or scope.find(subject)[0] != 0:
            return None
        compiled = [compile_node(scope, other) for other in others]
        if not all(part.constant for part in compiled):
            return None
        values = [part.evaluate(()) for part in compiled]
        if len(values) == 1 and isinstance(values[0], str) and subject.column == "lastmodifieddate":
            return None
        if node.operator in (">", ">=") and not isinstance(values[0], datetime | int):
            return None
        return subject.column, "=" if node.operator in ("=", "IN") else ">", values

    def _join(
        self,
        scope: Scope,
        rows: Iterable[Row],
        at: int,
        on: list[tuple[Node, Compiled]],
        where: list[tuple[Node, Compiled]],
        *,
        left: bool,
    ) -> Iterator[Row]:
        find = self._finder(scope, at, on + where)
        tests = [compiled.evaluate for _, compiled in on]
        for row in rows:
            matched = False
            for one in find(row):
                joined = (*row, one)
                if all(test(joined) for test in tests):
                    matched = True
                    yield joined
            if left and not matched:
                yield (*row, None)

    def _finder(self, scope: Scope, at: int, conditions: list[tuple[Node, Compiled]]) -> Callable[[Row], Iterable[Any]]:
        """How to find the rows of table `at` for a row of those before it: by lookup, by a hash made once, or all."""
        table: Table = scope.sources[at][2]
        for node, _ in conditions:
            if not isinstance(node, Operation) or node.operator != "=":
                continue
            for inner, outer in (node.operands, node.operands[::-1]):
                if not isinstance(inner, Name) or scope.find(inner)[0] != at:
                    continue
                key = compile_node(scope, outer)
                if at in key.tables or max(key.tables, default=-1) > at:
                    continue
                if lookup := table.lookups.get(inner.column):
                    return self._by_lookup(lookup, key.evaluate)
                return self._by_hash(table, compile_node(scope, inner).evaluate, key.evaluate, at)
        everything = list(table.scan(self._data))
        return lambda _: everything

    def _by_lookup(self, lookup: Lookup, key: Evaluate) -> Callable[[Row], Iterable[Any]]:
        def find(row: Row) -> Iterable[Any]:
            value = key(row)
            return () if value is None else lookup(self._data, value)

        return find

    def _by_hash(self, table: Table, inner: Evaluate, outer: Evaluate, at: int) -> Callable[[Row], Iterable[Any]]:
        held: dict[str, list[Any]] = {}
        for one in table.scan(self._data):
            value = inner((None,) * at + (one,))
            if value is not None:
                held.setdefault(as_text(value), []).append(one)
        return lambda row: held.get(as_text(outer(row)), ())

    # --- groups, order, output --------------------------------------------------------------------------------------

    def _groups(self, scope: Scope, select: Select, rows: list[Row]) -> list[Row]:
        keys = [compile_node(scope, node).evaluate for node in select.group_by]
        if not keys:
            return [tuple(rows)]
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(key(row) for key in keys), []).append(row)
        return [tuple(group) for group in groups.values()]

    def _compile(self, scope: Scope, node: Node) -> Evaluate:
        """In a grouped query an expression without aggregates is read from the first row of the group."""
        if not scope.grouped:
            return compile_node(scope, node).evaluate
        if _has_aggregate(node):
            if isinstance(node, Call) and node.function in AGGREGATES:
                return compile_node(scope, node).evaluate
            return _over_groups(self, scope, node)
        scope.grouped = False
        evaluate = compile_node(scope, node).evaluate
        scope.grouped = True
        return lambda group: evaluate(group[0]) if group else None

    def _columns(self, scope: Scope, select: Select) -> list[tuple[str, Evaluate]]:
        columns: list[tuple[str, Evaluate]] = []
        for output in select.outputs:
            if output.star is not None:
                columns += self._all_columns(scope, output.star)
            elif output.node is not None:
                number = len(columns) + 1
                columns.append((_label(output, number), self._compile(scope, output.node)))
        return columns

    def _all_columns(self, scope: Scope, star: str) -> list[tuple[str, Evaluate]]:
        return [
            (name, compile_node(scope, Name(alias, name)).evaluate)
            for alias, table_name, table in scope.sources
            if star in ("", alias, table_name)
            for name in table.columns
        ]

    def _order_key(self, scope: Scope, select: Select, columns: list[tuple[str, Evaluate]], order: Order) -> Evaluate:
        node = order.node
        if isinstance(node, Literal) and isinstance(node.value, int):
            if not 1 <= node.value <= len(columns):
                raise syntax_error()
            return columns[node.value - 1][1]
        if isinstance(node, Name) and node.table is None and all(output.star is None for output in select.outputs):
            for output, (name, read) in zip(select.outputs, columns, strict=True):
                if output.alias == node.column == name:
                    return read
        return self._compile(scope, node)

    def _sort(self, rows: list[Row], key: Evaluate, order: Order) -> None:
        first = order.nulls_first != order.descending

        def ranked(row: Row) -> tuple[bool, Any]:
            value = key(row)
            return ((value is None) != first, "") if value is None else (first, value)

        rows.sort(key=ranked, reverse=order.descending)


def _over_groups(query: _Query, scope: Scope, node: Node) -> Evaluate:
    """Arithmetic and functions around aggregates: compile each part for groups, then combine their values."""
    if not isinstance(node, Operation | Call):
        raise syntax_error()
    operands = node.operands if isinstance(node, Operation) else node.arguments
    parts = [query._compile(scope, operand) for operand in operands]

    def evaluate(group: Row) -> Any:
        values = tuple(Literal(part(group)) for part in parts)
        whole = Operation(node.operator, values) if isinstance(node, Operation) else Call(node.function, values)
        return compile_node(scope, whole).evaluate(())

    return evaluate


def _label(output: Output, number: int) -> str:
    if output.alias:
        return output.alias
    return output.node.column if isinstance(output.node, Name) else f"expr{number}"


def _conjuncts(node: Node | None) -> list[Node]:
    if node is None:
        return []
    if isinstance(node, Operation) and node.operator == "AND":
        return _conjuncts(node.operands[0]) + _conjuncts(node.operands[1])
    return [node]


def _without_rownum(conditions: list[Node]) -> tuple[list[Node], int | None]:
    """ROWNUM <= n among the conditions is a limit, not a column."""
    kept, limit = [], None
    for node in conditions:
        if isinstance(node, Operation) and node.operands[0] == Name(None, "rownum"):
            bound = node.operands[1]
            if node.operator not in ("<=", "<") or not isinstance(bound, Literal) or not isinstance(bound.value, int):
                raise syntax_error()
            limit = bound.value - (node.operator == "<")
        else:
            kept.append(node)
    return kept, limit


def _ready(waiting: list[tuple[Node, Compiled]], bound: int) -> tuple[list[Any], list[Any]]:
    """Split conditions into those that the first `bound` tables can decide, and the rest."""
    ready = [pair for pair in waiting if max(pair[1].tables, default=-1) < bound]
    return ready, [pair for pair in waiting if max(pair[1].tables, default=-1) >= bound]


def _filtered(rows: Iterable[Row], conditions: list[tuple[Node, Compiled]]) -> Iterable[Row]:
    for _, compiled in conditions:
        rows = filter(compiled.evaluate, rows)
    return rows


def _has_aggregate(node: Node | None) -> bool:
    match node:
        case Call(function, arguments):
            return function in AGGREGATES or any(_has_aggregate(one) for one in arguments)
        case Operation(_, operands):
            return any(_has_aggregate(one) for one in operands)
        case Case(branches, otherwise):
            return _has_aggregate(otherwise) or any(_has_aggregate(one) for branch in branches for one in branch)
    return False
