"""The `q` of a collection: `companyName START_WITH "Acme" AND isInactive IS false`, with AND, OR and parentheses.

Operators after Oracle help "Record Collection Filtering" (section_1545222128). A select field compares by its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tieline_sandbox.netsuite.errors import bad_parameter
from tieline_sandbox.netsuite.store import Record

Predicate = Callable[[Record], bool]

_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*")|('(?:[^'\\]|\\.)*')|(\[)|(\])|([(),])|([^\s(),\[\]"']+))""")
_NO_VALUE = {"EMPTY"}
_TWO_VALUES = {"BETWEEN", "WITHIN"}
_MANY_VALUES = {"ANY_OF"}

_ONE_VALUE: dict[str, Callable[[Any, Any], bool]] = {
    "IS": lambda held, given: held == given,
    "EQUAL": lambda held, given: held == given,
    "ON": lambda held, given: held == given,
    "CONTAIN": lambda held, given: str(given).lower() in str(held).lower(),
    "START_WITH": lambda held, given: str(held).lower().startswith(str(given).lower()),
    "END_WITH": lambda held, given: str(held).lower().endswith(str(given).lower()),
    "GREATER": lambda held, given: held > given,
    "GREATER_OR_EQUAL": lambda held, given: held >= given,
    "LESS": lambda held, given: held < given,
    "LESS_OR_EQUAL": lambda held, given: held <= given,
    "AFTER": lambda held, given: held > given,
    "ON_OR_AFTER": lambda held, given: held >= given,
    "BEFORE": lambda held, given: held < given,
    "ON_OR_BEFORE": lambda held, given: held <= given,
}


def parse_filter(query: str) -> Predicate:
    """Raises NetSuiteError INVALID_PARAMETER pointing at q."""
    tokens = [next(part for part in match if part) for match in _TOKEN.findall(query)]
    parser = _Parser(tokens)
    predicate = parser.alternatives()
    if parser.peek():
        raise _refusal(f"Unexpected '{parser.peek()}'.")
    return predicate


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = tokens, 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        if self._at == len(self._tokens):
            raise _refusal("The filter ends too early.")
        self._at += 1
        return self._tokens[self._at - 1]

    def alternatives(self) -> Predicate:
        found = [self._conjunction()]
        while self.peek().upper() == "OR":
            self.take()
            found.append(self._conjunction())
        return found[0] if len(found) == 1 else lambda doc: any(one(doc) for one in found)

    def _conjunction(self) -> Predicate:
        found = [self._condition()]
        while self.peek().upper() == "AND":
            self.take()
            found.append(self._condition())
        return found[0] if len(found) == 1 else lambda doc: all(one(doc) for one in found)

    def _condition(self) -> Predicate:
        if self.peek() == "(":
            self.take()
            inner = self.alternatives()
            if self.take() != ")":
                raise _refusal("A parenthesis is not closed.")
            return inner
        field, operator = self.take(), self.take().upper()
        negated = operator.endswith("_NOT")
        test = self._test(operator.removesuffix("_NOT").replace("ENDWITH", "END_WITH"))
        return lambda doc: test(_held(doc, field)) != negated

    def _test(self, operator: str) -> Callable[[Any], bool]:
        if operator in _NO_VALUE:
            return lambda held: held in (None, "")
        if operator in _MANY_VALUES:
            many = self._values()
            return lambda held: any(_compare(_ONE_VALUE["IS"], held, one) for one in many)
        if operator in _TWO_VALUES:
            low, high = self._values()[:2]
            least, most = _ONE_VALUE["GREATER_OR_EQUAL"], _ONE_VALUE["LESS_OR_EQUAL"]
            return lambda held: _compare(least, held, low) and _compare(most, held, high)
        if operator not in _ONE_VALUE:
            raise _refusal(f"Unknown operator '{operator}'.")
        value, compare = _unquoted(self.take()), _ONE_VALUE[operator]
        return lambda held: _compare(compare, held, value)

    def _values(self) -> list[str]:
        if self.take() not in ("[", "("):
            raise _refusal("A list of values is expected.")
        values = []
        while (token := self.take()) not in ("]", ")"):
            if token != ",":  # noqa: S105 - a comma
                values.append(_unquoted(token))
        if not values:
            raise _refusal("A list of values is empty.")
        return values


def _held(doc: Record, field: str) -> Any:
    value = doc.get(field)
    return value.get("id") if isinstance(value, dict) else value


def _compare(compare: Callable[[Any, Any], bool], held: Any, given: str) -> bool:
    if held is None:
        return False
    if isinstance(held, bool):
        return compare(held, given.lower() in ("true", "t"))
    if isinstance(held, int | Decimal):
        try:
            return compare(Decimal(held), Decimal(given))
        except InvalidOperation:
            return False
    return compare(*_as_dates(str(held), given))


def _as_dates(held: str, given: str) -> tuple[str, str]:
    """Dates may be given as M/D/YYYY; a held time is cut to the day when only a day is given."""
    if re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}", given):
        given = datetime.strptime(given, "%m/%d/%Y").strftime("%Y-%m-%d")  # noqa: DTZ007 - a calendar day
    if re.fullmatch(r"\d{4}-\d\d-\d\d", given) and re.match(r"\d{4}-\d\d-\d\dT", held):
        held = held[:10]
    return held, given


def _unquoted(token: str) -> str:
    return token[1:-1].replace('\\"', '"') if token[:1] in ('"', "'") else token


def _refusal(detail: str) -> Exception:
    return bad_parameter("q", f"Invalid query expression. {detail}")
