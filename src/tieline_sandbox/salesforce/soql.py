"""SOQL, read into a small tree: SELECT with parents and child subqueries, WHERE, ORDER BY, LIMIT, OFFSET, COUNT().

GROUP BY, TYPEOF, polymorphic and geographic functions are not read; they are refused as MALFORMED_QUERY.
Source: SOQL and SOSL Reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from tieline_sandbox.salesforce import errors

Path = tuple[str, ...]
Kind = Literal["string", "number", "date", "datetime", "boolean", "null", "days"]


class Name(NamedTuple):
    """A field, through its parents (`Account.Name`), and where it stands in the text."""

    path: Path
    at: int


class Literal_(NamedTuple):  # noqa: N801 - Literal is taken by typing
    """A value in a condition. `days` is a span of days relative to today: (first, last), both included."""

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


@dataclass(slots=True)
class Query:
    """One SELECT. `sobject` names an object, or in a child subquery a relationship."""

    text: str
    sobject: Name
    fields: list[Name] = field(default_factory=list)
    children: list[Query] = field(default_factory=list)
    count: bool = False
    every: str | None = None
    where: Condition | None = None
    order: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<days>(?:LAST|NEXT)_N_DAYS:\d+)
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<mark><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "_": "\\_", "%": "\\%"}
_OPERATORS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_DAYS = {"TODAY": (0, 0), "YESTERDAY": (-1, -1), "TOMORROW": (1, 1)}
_RESERVED = frozenset(
    {"WHERE", "ORDER", "LIMIT", "OFFSET", "FROM", "AND", "OR", "NOT", "GROUP", "HAVING", "FOR", "WITH"}
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Query:
    """The tree of a query. Raises ApiError MALFORMED_QUERY at the first token that does not fit."""
    parser = _Parser(text)
    query = parser.select()
    parser.end()
    return query


class _Parser:
    """Recursive descent over the tokens; one method a rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._split())
        self.place = 0

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at, end = 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None or match.lastgroup is None:
                rest = self.text[at:].lstrip()
                raise errors.malformed_query(self.text, len(self.text) - len(rest), rest[:1])
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        tokens.append(_Token("end", "", end))
        return tokens

    # tokens

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def take(self) -> _Token:
        token = self.token
        self.place += 1
        return token

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "name" and self.token.text.upper() in words

    def accept(self, text: str) -> bool:
        if self.token.kind in ("name", "mark") and self.token.text.upper() == text:
            self.place += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.unexpected()

    def unexpected(self) -> errors.ApiError:
        return errors.malformed_query(self.text, self.token.at, self.token.text)

    def end(self) -> None:
        if self.token.kind != "end":
            raise self.unexpected()

    # rules

    def select(self) -> Query:
        self.expect("SELECT")
        query = Query(self.text, Name((), self.token.at))
        self._select_list(query)
        self.expect("FROM")
        query.sobject = self._name()
        if self.token.kind == "name" and self.token.text.upper() not in _RESERVED:
            self.take()  # an alias; nothing here needs it
        if self.accept("WHERE"):
            query.where = self._any_of()
        if self.accept("ORDER"):
            self.expect("BY")
            query.order = self._orders()
        if self.accept("LIMIT"):
            query.limit = self._whole_number()
        if self.accept("OFFSET"):
            query.offset = self._whole_number()
        return query

    def _select_list(self, query: Query) -> None:
        while True:
            if self.accept("("):
                query.children.append(self.select())
                self.expect(")")
            else:
                self._select_item(query)
            if not self.accept(","):
                return

    def _select_item(self, query: Query) -> None:
        name = self._name()
        word = name.path[0].upper()
        if word == "COUNT" and self.accept("("):
            self.expect(")")
            query.count = True
        elif word == "FIELDS" and self.accept("("):
            if not self.is_word("ALL", "STANDARD", "CUSTOM"):
                raise self.unexpected()
            query.every = self.take().text.upper()
            self.expect(")")
        else:
            query.fields.append(name)

    def _any_of(self) -> Condition:
        parts = [self._all_of()]
        while self.accept("OR"):
            parts.append(self._all_of(after_or=True))
        return parts[0] if len(parts) == 1 else Both("OR", tuple(parts))

    def _all_of(self, *, after_or: bool = False) -> Condition:
        parts = [self._one()]
        while not after_or and self.accept("AND"):
            parts.append(self._one())
        if self.is_word("AND") or (len(parts) > 1 and self.is_word("OR")):
            # Salesforce refuses AND beside OR without parentheses rather than guess which binds first
            raise self.unexpected()
        return parts[0] if len(parts) == 1 else Both("AND", tuple(parts))

    def _one(self) -> Condition:
        if self.accept("NOT"):
            return Not(self._one())
        if self.accept("("):
            inside = self._any_of()
            self.expect(")")
            return inside
        name = self._name()
        if self.token.text in _OPERATORS:
            return Compare(name, _OPERATORS[self.take().text], (self._literal(),))
        if self.accept("LIKE"):
            return Compare(name, "LIKE", (self._literal(),))
        negated = self.accept("NOT")
        self.expect("IN")
        return self._membership(name, "NOT IN" if negated else "IN")

    def _membership(self, name: Name, operator: str) -> Condition:
        self.expect("(")
        if self.is_word("SELECT"):
            subquery = self.select()
            self.expect(")")
            return Compare(name, operator, (), subquery)
        values = [self._literal()]
        while self.accept(","):
            values.append(self._literal())
        self.expect(")")
        return Compare(name, operator, tuple(values))

    def _literal(self) -> Literal_:
        token = self.token
        literal = _literal(token)
        if literal is None:
            raise self.unexpected()
        self.take()
        return literal

    def _orders(self) -> list[Order]:
        orders = []
        while True:
            name = self._name()
            descending = self.accept("DESC")
            if not descending:
                self.accept("ASC")
            nulls_first = True
            if self.accept("NULLS"):
                nulls_first = self.accept("FIRST")
                if not nulls_first:
                    self.expect("LAST")
            orders.append(Order(name, descending, nulls_first))
            if not self.accept(","):
                return orders

    def _name(self) -> Name:
        if self.token.kind != "name" or self.token.text.upper() in _RESERVED:
            raise self.unexpected()
        token = self.take()
        return Name(tuple(token.text.split(".")), token.at)

    def _whole_number(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdigit():
            raise self.unexpected()
        return int(self.take().text)


def _literal(token: _Token) -> Literal_ | None:
    upper = token.text.upper()
    if token.kind == "string":
        unescaped = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), token.text[1:-1])
        return Literal_("string", unescaped, token.at)
    if token.kind == "number":
        return Literal_("number", Decimal(token.text), token.at)
    if token.kind in ("date", "datetime"):
        return Literal_("date" if token.kind == "date" else "datetime", token.text, token.at)
    if token.kind == "days":
        days = int(token.text.split(":")[1])
        return Literal_("days", (-days, 0) if upper.startswith("LAST") else (1, days), token.at)
    if token.kind != "name":
        return None
    if upper in _DAYS:
        return Literal_("days", _DAYS[upper], token.at)
    words: dict[str, tuple[Kind, bool | None]] = {
        "TRUE": ("boolean", True), "FALSE": ("boolean", False), "NULL": ("null", None),
    }  # fmt: skip
    return Literal_(*words[upper], token.at) if upper in words else None
