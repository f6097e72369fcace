"""What all policy tables share: formulas and message templates read from YAML, with everything wrong told by place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tieline.mapping.compiler import ValueMaps
from tieline.mapping.formula import EvaluationError, Formula, check_formula
from tieline.mapping.functions import BUILTINS
from tieline.mapping.grammar import FormulaError
from tieline.mapping.problems import Mark, Problems
from tieline.mapping.shapes import ANYTHING, JsonSchema, Shape, follow
from tieline.mapping.signatures import Functions
from tieline.mapping.values import short, to_text
from tieline.mapping.yaml_source import Fields, Node

Extra = Mapping[str, Callable[..., Any]]
_SLOT = re.compile(r"\{([^{}]*)\}")
BLANK_IN_A_MESSAGE = "(blank)"


class Template(msgspec.Struct, frozen=True):
    """A message with formulas in braces: ``Product `{product}` on line {number}``. Most are just field paths."""

    text: str
    slots: tuple[Formula, ...] = ()

    def render(self, item: Any, root: Any, names: Mapping[str, Any]) -> str:
        """The message. A slot that cannot be computed is shown in its braces: a message must never fail."""
        values = iter(self.slots)
        return _SLOT.sub(lambda match: _slot(next(values), match[0], item, root, names), self.text)


def _slot(formula: Formula, written: str, item: Any, root: Any, names: Mapping[str, Any]) -> str:
    try:
        value = formula.evaluate(item, root=root, names=names)
    except EvaluationError:
        return written
    if value is None or value == "":
        return BLANK_IN_A_MESSAGE
    if isinstance(value, list):
        return ", ".join(short(v).strip("'") for v in value)
    return short(value) if isinstance(value, dict) else to_text(value)


class Reader:
    """Compiles the formulas of one file against what they may read."""

    def __init__(
        self, problems: Problems, functions: Extra | None, schema: JsonSchema | None, maps: ValueMaps | None
    ) -> None:
        self.problems = problems
        self.functions: Functions = BUILTINS.with_(functions or {})
        self.root = Shape.from_schema(schema)
        self.maps = maps

    def formula(
        self, fields: Fields, key: str, *, item: Shape | None = None, names: tuple[str, ...] = (), truth: bool = False
    ) -> Formula | None:
        """The formula under `key`, None when there is none or it is faulty."""
        node = fields.find(key)
        if node is None:
            return None
        if node.is_map or node.is_list or not node.raw.strip():
            self.problems.add(node.mark, f"'{key}' must be a formula")
            return None
        formula = self.compile(node, node.raw, 0, item, names)
        if truth and formula and not formula.shape.is_any and "boolean" not in formula.shape.kinds:
            self.problems.add(node.mark, f"'{key}' gives yes or no, and this gives {formula.shape}")
        return formula

    def template(
        self, fields: Fields, key: str, *, item: Shape | None = None, names: tuple[str, ...] = ()
    ) -> Template | None:
        """The template under `key`, None when there is none."""
        node = fields.find(key)
        if node is None:
            return None
        text = fields.text(key)
        slots = [self.compile(node, match[1], match.start(1), item, names) for match in _SLOT.finditer(text)]
        return Template(text, tuple(slot for slot in slots if slot)) if all(slots) else None

    def compile(self, node: Node, text: str, start: int, item: Shape | None, names: tuple[str, ...]) -> Formula | None:
        shape = self.root if item is None else item
        try:
            formula = check_formula(
                text, shape=shape, root=self.root, names=names, functions=self.functions, value_maps=self.maps
            )
        except FormulaError as exc:
            self.problems.add(node.position(start + exc.offset), exc.message)
            return None
        for issue in formula.issues:
            self.problems.add(node.position(start + issue.offset), issue.message)
        return formula

    def item_of(self, path: tuple[Any, ...], mark: Mark) -> Shape:
        """The shape of the items of the list at a path of the context."""
        found = follow(self.root, path, through_lists=False)
        if isinstance(found, str):
            self.problems.add(mark, found)
            return ANYTHING
        if not found.is_any and "list" not in found.kinds:
            self.problems.add(mark, f"this is {found}, not a list")
        return ANYTHING if found.is_any else found.item
