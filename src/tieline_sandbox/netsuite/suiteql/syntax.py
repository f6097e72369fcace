"""The part of SuiteQL (SQL-92 with Oracle's habits) that integrations write, as a syntax tree.

SELECT [DISTINCT] [TOP n] … FROM a [JOIN b ON …] [WHERE …] [GROUP BY … [HAVING …]] [ORDER BY …]
[FETCH FIRST n ROWS ONLY].
Raises NetSuiteError INVALID_PARAMETER for anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tieline_sandbox.netsuite.errors import bad_query

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"[^"]*")
      | (?P<word>[A-Za-z_][\w$\#]*)
      | (?P<sign><>|!=|<=|>=|\|\||[=<>+\-*/(),.?])
    )""",
    re.VERBOSE | re.DOTALL,
)
COMPARISONS = {"=", "<>", "!=", "<", ">", "<=", ">="}
_CLAUSES = {
    *("FROM", "WHERE", "GROUP", "HAVING", "ORDER", "FETCH", "OFFSET", "JOIN", "LEFT", "INNER", "RIGHT", "FULL"),
    *("CROSS", "ON", "UNION", "AND", "OR", "AS", "ASC", "DESC", "NULLS", "THEN", "ELSE", "END", "WHEN", "OUTER"),
}


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A column, with the table or alias before its dot when there is one. Lower case."""

    table: str | None
    column: str


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]
    star: bool = False
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`operator` is AND, OR, NOT, NEGATE, LIKE, IN, BETWEEN, IS NULL, a comparison, or an arithmetic sign."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Case:
    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Subquery:
    select: Select


Node = Literal | Name | Call | Operation | Case | Subquery


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the result; `star` is the table or alias whose columns are all meant ("" for every table)."""

    node: Node | None
    alias: str | None
    star: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    table: str
    alias: str
    left: bool
    on: Node | None


@dataclass(frozen=True, slots=True)
class Order:
    node: Node
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class Select:
    outputs: list[Output]
    sources: list[Source]
    where: Node | None = None
    group_by: list[Node] = field(default_factory=list)
    having: Node | None = None
    order_by: list[Order] = field(default_factory=list)
    distinct: bool = False
    first: int | None = None


def parse(text: str, params: list[Any]) -> Select:
    parser = _Parser(_tokens(text), params)
    select = parser.select()
    if not parser.at_end():
        raise syntax_error()
    return select


def syntax_error() -> Exception:
    return bad_query("Search error occurred: Invalid or unsupported search.")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, text.rstrip().rstrip(";")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if not text[at:].strip():
                break
            raise syntax_error()
        at = match.end()
        kind = match.lastgroup or ""
        if kind != "comment":
            tokens.append((kind, match[kind]))
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], params: list[Any]) -> None:
        self._tokens, self._at, self._params = tokens, 0, list(params)

    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def _peek(self, ahead: int = 0) -> str:
        """The next token in capitals; quoted text keeps its quotes."""
        at = self._at + ahead
        if at >= len(self._tokens):
            return ""
        kind, value = self._tokens[at]
        return value.upper() if kind == "word" else value

    def _take(self) -> tuple[str, str]:
        if self.at_end():
            raise syntax_error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, *words: str) -> bool:
        if all(self._peek(offset) == word for offset, word in enumerate(words)):
            self._at += len(words)
            return True
        return False

    def _expect(self, *words: str) -> None:
        if not self._accept(*words):
            raise syntax_error()

    def _word(self) -> str:
        kind, value = self._take()
        if kind == "quoted":
            return value[1:-1].lower()
        if kind != "word":
            raise syntax_error()
        return value.lower()

    def _count(self) -> int:
        kind, value = self._take()
        if kind != "number" or not value.isdigit():
            raise syntax_error()
        return int(value)

    # --- statement --------------------------------------------------------------------------------------------------

    def select(self) -> Select:
        self._expect("SELECT")
        distinct = self._accept("DISTINCT")
        first = self._count() if self._accept("TOP") else None
        outputs = [self._output()]
        while self._accept(","):
            outputs.append(self._output())
        self._expect("FROM")
        found = Select(outputs, self._sources(), distinct=distinct, first=first)
        if self._accept("WHERE"):
            found.where = self._expression()
        if self._accept("GROUP", "BY"):
            found.group_by = self._list()
        if self._accept("HAVING"):
            found.having = self._expression()
        if self._accept("ORDER", "BY"):
            found.order_by = [self._order()]
            while self._accept(","):
                found.order_by.append(self._order())
        if self._accept("FETCH"):
            if not (self._accept("FIRST") or self._accept("NEXT")):
                raise syntax_error()
            found.first = self._count()
            if not (self._accept("ROWS", "ONLY") or self._accept("ROW", "ONLY")):
                raise syntax_error()
        return found

    def _output(self) -> Output:
        if self._accept("*"):
            return Output(None, None, star="")
        if self._peek(1) == "." and self._peek(2) == "*":
            table = self._word()
            self._at += 2
            return Output(None, None, star=table)
        node = self._expression()
        if self._accept("AS"):
            return Output(node, self._word())
        named = not self.at_end() and self._tokens[self._at][0] in ("word", "quoted") and self._peek() not in _CLAUSES
        return Output(node, self._word() if named else None)

    def _sources(self) -> list[Source]:
        sources = [self._source(left=False, joined=False)]
        while True:
            if self._accept(",") or self._accept("CROSS", "JOIN"):
                sources.append(self._source(left=False, joined=False))
            elif self._accept("JOIN") or self._accept("INNER", "JOIN"):
                sources.append(self._source(left=False, joined=True))
            elif self._accept("LEFT", "JOIN") or self._accept("LEFT", "OUTER", "JOIN"):
                sources.append(self._source(left=True, joined=True))
            else:
                return sources

    def _source(self, *, left: bool, joined: bool) -> Source:
        table = self._word()
        self._accept("AS")
        kind = self._tokens[self._at][0] if not self.at_end() else ""
        alias = self._word() if kind in ("word", "quoted") and self._peek() not in _CLAUSES else table
        on = None
        if joined:
            self._expect("ON")
            on = self._expression()
        return Source(table, alias, left, on)

    def _order(self) -> Order:
        node = self._expression()
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        nulls_first = descending
        if self._accept("NULLS"):
            nulls_first = self._accept("FIRST")
            if not nulls_first:
                self._expect("LAST")
        return Order(node, descending, nulls_first)

    # --- expressions ------------------------------------------------------------------------------------------------

    def _list(self) -> list[Node]:
        nodes = [self._expression()]
        while self._accept(","):
            nodes.append(self._expression())
        return nodes

    def _expression(self) -> Node:
        node = self._conjunction()
        while self._accept("OR"):
            node = Operation("OR", (node, self._conjunction()))
        return node

    def _conjunction(self) -> Node:
        node = self._negation()
        while self._accept("AND"):
            node = Operation("AND", (node, self._negation()))
        return node

    def _negation(self) -> Node:
        if self._accept("NOT"):
            return Operation("NOT", (self._negation(),))
        return self._predicate()

    def _predicate(self) -> Node:
        left = self._sum()
        if self._peek() in COMPARISONS:
            sign = self._take()[1]
            return Operation("!=" if sign == "<>" else sign, (left, self._sum()))
        if self._accept("IS"):
            negated = self._accept("NOT")
            self._expect("NULL")
            return _maybe_not(negated, Operation("IS NULL", (left,)))
        negated = self._accept("NOT")
        if self._accept("IN"):
            return _maybe_not(negated, Operation("IN", (left, *self._members())))
        if self._accept("LIKE"):
            return _maybe_not(negated, Operation("LIKE", (left, self._sum())))
        if self._accept("BETWEEN"):
            low = self._sum()
            self._expect("AND")
            return _maybe_not(negated, Operation("BETWEEN", (left, low, self._sum())))
        if negated:
            raise syntax_error()
        return left

    def _members(self) -> tuple[Node, ...]:
        self._expect("(")
        subquery = self._peek() == "SELECT"
        members: tuple[Node, ...] = (Subquery(self.select()),) if subquery else tuple(self._list())
        self._expect(")")
        return members

    def _sum(self) -> Node:
        node = self._product()
        while self._peek() in ("+", "-", "||"):
            node = Operation(self._take()[1], (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._peek() in ("*", "/"):
            node = Operation(self._take()[1], (node, self._unary()))
        return node

    def _unary(self) -> Node:
        if self._accept("-"):
            return Operation("NEGATE", (self._unary(),))
        return self._primary()

    def _primary(self) -> Node:
        kind, value = self._take()
        if kind == "number":
            return Literal(int(value) if value.isdigit() else Decimal(value))
        if kind == "text":
            return Literal(value[1:-1].replace("''", "'"))
        if value == "?":
            if not self._params:
                raise bad_query("Search error occurred: A value is missing for a parameter of the query.")
            return Literal(self._params.pop(0))
        if value == "(":
            node: Node = Subquery(self.select()) if self._peek() == "SELECT" else self._expression()
            self._expect(")")
            return node
        if kind == "word" and value.upper() in ("NULL", "CASE"):
            return Literal(None) if value.upper() == "NULL" else self._case()
        if kind not in ("word", "quoted"):
            raise syntax_error()
        return self._name(value.strip('"'))

    def _name(self, value: str) -> Node:
        parts = [value.lower()]
        while self._accept("."):
            parts.append(self._word())
        if self._accept("("):
            return self._call(".".join(parts).upper())
        if len(parts) > 2:
            raise syntax_error()
        return Name(parts[0] if len(parts) == 2 else None, parts[-1])

    def _call(self, function: str) -> Call:
        if self._accept("*"):
            self._expect(")")
            return Call(function, (), star=True)
        if self._accept(")"):
            return Call(function, ())
        distinct = self._accept("DISTINCT")
        arguments = tuple(self._list())
        self._expect(")")
        return Call(function, arguments, distinct=distinct)

    def _case(self) -> Case:
        subject = None if self._peek() == "WHEN" else self._expression()
        branches: list[tuple[Node, Node]] = []
        while self._accept("WHEN"):
            test = self._expression()
            self._expect("THEN")
            branches.append((test if subject is None else Operation("=", (subject, test)), self._expression()))
        otherwise: Node = self._expression() if self._accept("ELSE") else Literal(None)
        self._expect("END")
        return Case(tuple(branches), otherwise)


def _maybe_not(negated: bool, node: Node) -> Node:
    return Operation("NOT", (node,)) if negated else node
