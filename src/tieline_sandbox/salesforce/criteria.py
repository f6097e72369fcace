"""WHERE conditions against an object: checked, compiled to predicates, and narrowed to candidate records.

Text compares without regard to case, ids with it; a null is less and greater than nothing, and differs from every
value. Source: SOQL and SOSL Reference, "Comparison Operators".
"""

from __future__ import annotations

import operator as op
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.ids import normalized
from tieline_sandbox.salesforce.schema import NUMBER, TEXT, Field, SObject
from tieline_sandbox.salesforce.soqltree import Both, Compare, Condition, Literal_, Name, Not, Query
from tieline_sandbox.salesforce.store import Record, Store, Table
from tieline_sandbox.salesforce.values import instant, parsed_time, stamp

Predicate = Callable[[Record], bool]
Getter = Callable[[Record], Any]
Bounds = tuple[str, str | None]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge}
_EVERYTHING: Bounds = ("", None)


class Criteria:
    """The conditions of one query on one object."""

    def __init__(self, store: Store, now: datetime, zone: str, subselect: Callable[[Query], set[Any]]) -> None:
        # days begin at midnight of the user who asks, not of UTC
        self._store, self._today, self._subselect = store, now.astimezone(ZoneInfo(zone)), subselect

    # fields

    def resolve(self, sobject: SObject, name: Name, text: str) -> tuple[list[Field], Field]:
        """The reference fields on the way, then the field. Raises ApiError INVALID_FIELD."""
        path = name.path
        if len(path) > 1 and path[0].lower() == sobject.name.lower():
            path = path[1:]
        way: list[Field] = []
        for step in path[:-1]:
            parent = sobject.parents.get(step.lower())
            if parent is None:
                problem = f"Didn't understand relationship '{step}' in field path."
                raise errors.in_query("INVALID_FIELD", text, name.at, problem)
            way.append(parent)
            sobject = self._store.schema[parent.refers_to]
        field = sobject.fields.get(path[-1].lower())
        if field is None:
            raise errors.no_query_column(text, name.at, path[-1], sobject.name)
        return way, field

    def getter(self, way: list[Field], field: Field) -> Getter:
        if not way:
            return op.itemgetter(field.name)
        tables = [self._store.tables[parent.refers_to].records for parent in way]

        def through(record: Record) -> Any:
            for parent, table in zip(way, tables, strict=True):
                above = table.get(record[parent.name] or "")
                if above is None:
                    return None
                record = above
            return record[field.name]

        return through

    # predicates

    def predicate(self, sobject: SObject, condition: Condition, text: str) -> Predicate:
        """A test for one record. Raises ApiError when a field or a value does not fit."""
        if isinstance(condition, Not):
            inner = self.predicate(sobject, condition.part, text)
            return lambda record: not inner(record)
        if isinstance(condition, Both):
            parts = [self.predicate(sobject, part, text) for part in condition.parts]
            if condition.operator == "AND":
                return lambda record: all(part(record) for part in parts)
            return lambda record: any(part(record) for part in parts)
        return self._comparison(sobject, condition, text)

    def _comparison(self, sobject: SObject, condition: Compare, text: str) -> Predicate:
        way, field = self.resolve(sobject, condition.name, text)
        get, fold = self.getter(way, field), field.type in TEXT
        operator = condition.operator
        if (field.type == "textarea" and field.length > 255) or field.type == "address":
            problem = f"field '{field.name}' can not be filtered in a query call"
            raise errors.in_query("INVALID_FIELD", text, condition.name.at, problem)
        if operator == "LIKE" and field.type not in TEXT:
            raise errors.in_query("INVALID_QUERY_FILTER_OPERATOR", text, condition.name.at, "invalid operator on field")
        if operator in ("IN", "NOT IN"):
            return _member(get, self.members(field, condition, text), fold=fold, wanted=operator == "IN")
        literal = condition.values[0]
        if operator == "LIKE":
            return _like(get, str(literal.value))
        if literal.kind == "days" and field.type in ("date", "datetime"):
            return self._days(get, field, operator, literal)
        value = self.value(field, literal, text)
        if operator in ("=", "!="):
            return _member(get, {value}, fold=fold, wanted=operator == "=")
        # an empty text is null for equality, but comes before every other in an order: `Id > ''` finds all
        at = "" if value is None and literal.kind == "string" else value
        return _ordered(get, _COMPARE[operator], at, fold=fold)

    def members(self, field: Field, condition: Compare, text: str) -> set[Any]:
        if condition.subquery is not None:
            return self._subselect(condition.subquery)
        return {self.value(field, literal, text) for literal in condition.values}

    def value(self, field: Field, literal: Literal_, text: str) -> Any:
        """The literal in the form the field is kept in. Raises ApiError INVALID_FIELD for the wrong kind."""
        value = literal.value
        if literal.kind == "null":
            return None
        if field.type in ("id", "reference") and literal.kind == "string":
            if value == "":
                return None
            if (id18 := normalized(str(value))) is None:
                raise errors.in_query("INVALID_QUERY_FILTER_OPERATOR", text, literal.at, f"invalid ID field: {value}")
            return id18
        if field.type in TEXT and literal.kind == "string":
            return str(value).casefold() or None
        if field.type in NUMBER and literal.kind == "number":
            return value
        if field.type == literal.kind:
            moment = parsed_time(str(value)) if field.type == "datetime" else None
            return instant(moment) if moment else value
        quotes = "should be" if field.type in TEXT or field.type in ("id", "reference") else "should not be"
        kind = "string" if field.type in TEXT else "dateTime" if field.type == "datetime" else field.type
        problem = (
            f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes} enclosed in quotes"
        )
        raise errors.in_query("INVALID_FIELD", text, literal.at, problem)

    def _days(self, get: Getter, field: Field, operator: str, literal: Literal_) -> Predicate:
        midnight = self._today.replace(hour=0, minute=0, second=0, microsecond=0)
        if isinstance(literal.value, tuple):
            first, last = literal.value
            start, after = midnight + timedelta(days=first), midnight + timedelta(days=last + 1)
        else:
            start, after = _span(midnight, str(literal.value))
        write = stamp if field.type == "datetime" else (lambda moment: moment.date().isoformat())
        low, high = write(start), write(after)
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda v: low <= v < high, "!=": lambda v: not low <= v < high,
            "<": lambda v: v < low, "<=": lambda v: v < high, ">": lambda v: v >= high, ">=": lambda v: v >= low,
        }  # fmt: skip
        test = tests[operator]
        return lambda record: (value := get(record)) is not None and test(value)

    # candidates

    def candidates(self, table: Table, condition: Condition | None, text: str) -> Iterable[str] | None:
        """Ids that may match, by an index; None when no index helps. Some may not match: the predicate decides."""
        if condition is None or isinstance(condition, Not):
            return None
        if isinstance(condition, Both):
            found = [self.candidates(table, part, text) for part in condition.parts]
            known = [ids for ids in found if ids is not None]
            if condition.operator == "AND":
                return min(known, key=lambda ids: len(list(ids)), default=None)
            return dict.fromkeys(i for ids in known for i in ids) if len(known) == len(found) else None
        if condition.operator not in ("=", "IN") or len(condition.name.path) > 1:
            return None
        field = table.sobject.fields.get(condition.name.path[0].lower())
        if field is None or not (field.type == "id" or table.indexed(field.name)):
            return None
        values = self.members(field, condition, text)
        if None in values:
            return None
        if field.type == "id":
            return [value for value in sorted(values) if value in table.records]
        return dict.fromkeys(i for value in values for i in table.ids_where(field.name, value))

    def bounds(self, condition: Condition | None) -> Bounds:
        """The span of SystemModstamp outside which nothing matches; ("", None) when it is not bounded."""
        if isinstance(condition, Both):
            spans = [self.bounds(part) for part in condition.parts]
            lows, highs = [low for low, _ in spans], [high for _, high in spans]
            if condition.operator == "AND":
                return max(lows), min((h for h in highs if h is not None), default=None)
            return min(lows), None if None in highs else max(h for h in highs if h is not None)
        if not isinstance(condition, Compare) or [p.lower() for p in condition.name.path] != ["systemmodstamp"]:
            return _EVERYTHING
        literal = condition.values[0] if condition.values else None
        if literal is None or literal.kind != "datetime" or condition.operator not in ("=", "<", "<=", ">", ">="):
            return _EVERYTHING
        moment = parsed_time(str(literal.value))
        at = instant(moment) if moment else ""
        low = at if condition.operator in ("=", ">", ">=") else ""
        return low, at if condition.operator in ("=", "<", "<=") else None


def _span(midnight: datetime, literal: str) -> tuple[datetime, datetime]:
    """From when until before when a literal like LAST_MONTH reaches. Weeks begin on Sunday."""
    which, unit = literal.split("_")
    place = {"LAST": -1, "THIS": 0, "NEXT": 1}[which]
    if unit == "WEEK":
        sunday = midnight - timedelta(days=(midnight.weekday() + 1) % 7)
        return sunday + timedelta(weeks=place), sunday + timedelta(weeks=place + 1)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    index = (midnight.year * 12 + midnight.month - 1) // months + place

    def month(number: int) -> datetime:
        return midnight.replace(year=number // 12, month=number % 12 + 1, day=1)

    return month(index * months), month((index + 1) * months)


def _member(get: Getter, values: set[Any], *, fold: bool, wanted: bool) -> Predicate:
    if not fold:
        return lambda record: (get(record) in values) is wanted
    folded = {_folded(value) for value in values}
    return lambda record: (_folded(get(record)) in folded) is wanted


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _ordered(get: Getter, compare: Callable[[Any, Any], bool], value: Any, *, fold: bool) -> Predicate:
    if value is None:
        return lambda _: False
    if fold:
        return lambda record: (v := get(record)) is not None and compare(v.casefold(), value)
    return lambda record: (v := get(record)) is not None and compare(v, value)


def _like(get: Getter, pattern: str) -> Predicate:
    parts = re.split(r"(\\[_%]|[_%])", pattern)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(p) or re.escape(p[1:] if p in ("\\_", "\\%") else p) for p in parts)
    match = re.compile(regex, re.IGNORECASE | re.DOTALL).fullmatch
    return lambda record: (v := get(record)) is not None and match(v) is not None
