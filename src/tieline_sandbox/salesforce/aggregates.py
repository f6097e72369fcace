"""Grouped answers of SOQL: COUNT, COUNT_DISTINCT, SUM, AVG, MIN and MAX, over everything or by the fields of GROUP BY.

Nulls count for nothing, and make a group of their own. Source: SOQL and SOSL Reference, "Aggregate Functions".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tieline_sandbox.salesforce.schema import NUMBER, Field
from tieline_sandbox.salesforce.store import Record

Get = Callable[[Record], Any]
Json = dict[str, Any]


class Column(NamedTuple):
    """One value of a group: the function ("" for a field of GROUP BY), where its values come from, and its name."""

    function: str
    get: Get
    name: str


def fits(function: str, field: Field) -> bool:
    """Whether a function takes a field."""
    if function in ("SUM", "AVG"):
        return field.type in NUMBER
    if function in ("MIN", "MAX"):
        return field.type not in ("boolean", "address", "textarea")
    return field.type != "address"


def grouped(records: Iterable[Record], keys: Sequence[Get], columns: Sequence[Column]) -> list[Json]:
    """One row for each group, in the order of their keys; without keys one row for all records, even for none."""
    groups: dict[tuple[Any, ...], list[Record]] = {} if keys else {(): []}
    for record in records:
        groups.setdefault(tuple(get(record) for get in keys), []).append(record)
    return [_row(groups[key], columns) for key in sorted(groups, key=lambda key: [_order(value) for value in key])]


def _row(records: list[Record], columns: Sequence[Column]) -> Json:
    row: Json = {"attributes": {"type": "AggregateResult"}}
    for column in columns:
        values = [value for record in records if (value := column.get(record)) is not None]
        row[column.name] = _value(column.function, values)
    return row


def _value(function: str, values: list[Any]) -> Any:
    if function == "COUNT":
        return len(values)
    if function == "COUNT_DISTINCT":
        return len({value.casefold() if isinstance(value, str) else value for value in values})
    if not values:
        return None
    if function == "SUM":
        return sum(values, Decimal(0))
    if function == "AVG":
        return sum(values, Decimal(0)) / len(values)
    return {"MIN": min, "MAX": max}[function](values) if function else values[0]


def _order(value: Any) -> tuple[bool, Any]:
    return value is not None, value.casefold() if isinstance(value, str) else value
