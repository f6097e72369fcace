"""SOQL, read into a small tree: SELECT with parents and child subqueries, WHERE, GROUP BY, ORDER BY, LIMIT, OFFSET.

HAVING, TYPEOF, polymorphic and geographic functions are not read; they are refused as MALFORMED_QUERY.
Source: SOQL and SOSL Reference.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.soqltree import (
    Aggregate,
    Both,
    Compare,
    Condition,
    Kind,
    Literal_,
    Name,
    Not,
    Order,
    Query,
)

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
_SPANS = frozenset(
    f"{which}_{unit}" for which in ("LAST", "THIS", "NEXT") for unit in ("WEEK", "MONTH", "QUARTER", "YEAR")
)
_DAYS = {"TODAY": (0, 0), "YESTERDAY": (-1, -1), "TOMORROW": (1, 1)}
_FUNCTIONS = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
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
        query.sobject = self._object()
        if self.token.kind == "name" and self.token.text.upper() not in _RESERVED:
            self.take()  # an alias; nothing here needs it
        if self.accept("WHERE"):
            query.where = self._any_of()
        if self.accept("GROUP"):
            self.expect("BY")
            query.group.append(self._name())
            while self.accept(","):
                query.group.append(self._name())
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
        if word in _FUNCTIONS and self.accept("("):
            if word == "COUNT" and self.accept(")"):
                query.count = True
                return
            inside = self._name()
            self.expect(")")
            named = self.token.kind == "name" and self.token.text.upper() != "FROM"
            alias = self.take().text if named else f"expr{len(query.aggregates)}"
            query.aggregates.append(Aggregate(word, inside, alias))
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

    def _object(self) -> Name:
        """What stands behind FROM, be it the object called Order."""
        if self.token.kind != "name":
            raise self.unexpected()
        token = self.take()
        return Name(tuple(token.text.split(".")), token.at)

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
    if upper in _SPANS:
        return Literal_("days", upper, token.at)
    words: dict[str, tuple[Kind, bool | None]] = {
        "TRUE": ("boolean", True), "FALSE": ("boolean", False), "NULL": ("null", None),
    }  # fmt: skip
    return Literal_(*words[upper], token.at) if upper in words else None
