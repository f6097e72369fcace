"""What a SOQL query says, as a small tree: names with their place in the text, conditions, orders and groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

Path = tuple[str, ...]
Kind = Literal["string", "number", "date", "datetime", "boolean", "null", "days"]


class Name(NamedTuple):
    """A field, through its parents (`Account.Name`), and where it stands in the text."""

    path: Path
    at: int


class Literal_(NamedTuple):  # noqa: N801 - Literal is taken by typing
    """A value in a condition. `days` is a span of days relative to today: (first, last), or the name of a literal."""

    kind: Kind
    value: str | Decimal | bool | tuple[int, int] | None
    at: int


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`; IN and NOT IN have many values, or a subquery of one field."""

    name: Name
    operator: str
    values: tuple[Literal_, ...]
    subquery: Query | None = None


@dataclass(frozen=True, slots=True)
class Both:
    """AND or OR of several conditions."""

    operator: Literal["AND", "OR"]
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Compare | Both | Not


class Order(NamedTuple):
    name: Name
    descending: bool
    nulls_first: bool


class Aggregate(NamedTuple):
    """`MAX(CloseDate) last`; without a name of its own it is called expr0, expr1…"""

    function: str
    field: Name
    alias: str


@dataclass(slots=True)
class Query:
    """One SELECT. `sobject` names an object, or in a child subquery a relationship."""

    text: str
    sobject: Name
    fields: list[Name] = field(default_factory=list)
    children: list[Query] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    group: list[Name] = field(default_factory=list)
    count: bool = False
    every: str | None = None
    where: Condition | None = None
    order: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
