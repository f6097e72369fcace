"""Why a rule asked: the comparisons of its formula that hold for a document, with the numbers on both sides.

Made for showing: what cannot be worked out is left out, and the formula itself is shown beside it. It decides nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tieline.mapping.formula import EvaluationError, compile_formula
from tieline.mapping.functions import BUILTINS
from tieline.mapping.grammar import FormulaError, Parsed, parse

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Gt: "more than", ast.GtE: "at least", ast.Lt: "less than", ast.LtE: "at most",
    ast.Eq: "", ast.NotEq: "not", ast.In: "among", ast.NotIn: "none of",
}  # fmt: skip


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that holds: `discount`, `40 %`, `more than`, `30 %`; of equals `than` is "".

    `items` are the places (from 0) of the list's items it holds for, empty where the formula does not look at a list.
    """

    field: str
    found: str
    than: str
    limit: str
    items: tuple[int, ...] = ()


def reasons(formula: str, document: dict[str, Any]) -> list[Reason]:
    """The comparisons of a formula that hold for a document; none where they cannot be worked out."""
    try:
        parsed = parse(formula)
    except FormulaError:
        return []
    return list(_within(parsed, parsed.tree, [(-1, document)], document))


def _within(parsed: Parsed, node: ast.AST, items: list[tuple[int, Any]], root: Any) -> Iterator[Reason]:
    """Those below a node. `items` are what fields are looked up in: the document at -1, or the items of a list."""
    if isinstance(node, ast.Compare):
        yield from _compared(parsed, node, items, root)
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        function = BUILTINS.get(node.func.id)
        rows = _value(parsed.text_of(node.args[0]), items[0][1], root) if function and function.item_wise else None
        if isinstance(rows, list):
            for part in node.args[1:]:
                yield from _within(parsed, part, list(enumerate(rows)), root)
            return
    for child in ast.iter_child_nodes(node):
        yield from _within(parsed, child, items, root)


def _compared(parsed: Parsed, node: ast.Compare, items: list[tuple[int, Any]], root: Any) -> Iterator[Reason]:
    words = _OPERATORS.get(type(node.ops[0]))
    if len(node.ops) != 1 or words is None:
        return
    left, right = parsed.text_of(node.left), parsed.text_of(node.comparators[0])
    found: dict[tuple[str, str], list[int]] = {}
    for at, item in items:
        if _value(parsed.text_of(node), item, root) is True:
            sides = _shown(left, left, item, root), _shown(right, left, item, root)
            found.setdefault(sides, []).append(at)
    for (value, limit), places in found.items():
        held = tuple(at for at in places if at >= 0)
        yield Reason(field=_name(left), found=value, than=words, limit=limit, items=held)


def _shown(text: str, field: str, item: Any, root: Any) -> str:
    """A side of a comparison, with the unit of the field that is compared."""
    value = _value(text, item, root)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if field.endswith("_percent"):
        return f"{_number(value)} %"
    if field.endswith(".amount"):
        currency = _value(f"{field.removesuffix('.amount')}.currency", item, root)
        return f"{_number(value)} {currency or ''}".strip()
    return _number(value)


def _number(value: Any) -> str:
    try:
        return f"{Decimal(str(value)).normalize():f}"
    except ArithmeticError:
        return "blank" if value is None else str(value)


def _name(text: str) -> str:
    """A field as people say it: `contract.value.amount` is the value, `discount_percent` the discount."""
    words = [part for part in text.lstrip("$.").split(".") if part not in ("amount", "contract")]
    return " ".join(words).removesuffix("_percent").replace("_", " ") or text


def _value(text: str, item: Any, root: Any) -> Any:
    try:
        return compile_formula(text).evaluate(item, root=root)
    except (FormulaError, EvaluationError):
        return None
