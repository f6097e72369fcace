"""Formulas: exact, pure and bounded. Parsed and typed once, then plain Python that can reach nothing but its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tieline.errors import TranslationError
from tieline.mapping import operations as op
from tieline.mapping.compiler import Compiler, Issue, Scope, ValueMaps
from tieline.mapping.functions import BUILTINS
from tieline.mapping.grammar import FormulaError, parse
from tieline.mapping.paths import FieldPath
from tieline.mapping.shapes import ANYTHING, Shape
from tieline.mapping.signatures import Function
from tieline.mapping.values import Unfit

Run = Callable[[Any, Any, Mapping[str, Any]], Any]

_OPERATIONS: dict[str, Any] = {
    "_path": op.path, "_clean": op.clean, "_add": op.add, "_sub": op.subtract, "_mul": op.multiply, "_div": op.divide,
    "_neg": op.negate, "_num": op.number, "_join": op.join, "_truth": op.truth, "_eq": op.equal, "_lt": op.less,
    "_le": op.at_most, "_in": op.contained, "_rows": op.rows, "_picked": op.picked, "_sized": op.sized,
    "_at": lambda value, at: op.clean(value[at]) if isinstance(value, list) and at < len(value) else None,
}  # fmt: skip


class EvaluationError(TranslationError):
    """A formula could not be computed from this data; the message is for the person who must put the data right."""


class Formula:
    """A compiled formula.

    text     as it was written
    reads    the field paths it reads, in order of appearance; inside lists without positions
    shape    what it gives
    issues   what the checker found; empty when it may run
    """

    __slots__ = ("issues", "reads", "run", "shape", "text")

    def __init__(self, text: str, run: Run, reads: tuple[FieldPath, ...], shape: Shape, issues: list[Issue]) -> None:
        self.text = text
        self.run = run
        self.reads = reads
        self.shape = shape
        self.issues = issues

    def evaluate(self, document: Any, *, root: Any = None, names: Mapping[str, Any] | None = None) -> Any:
        """The value for a document (or for the item of a list, with `root` the document it is in).

        `names` are the caller's own (`_index`, the names of a rule's `let`). Raises EvaluationError.
        """
        try:
            return self.run(document, document if root is None else root, names or {})
        except Unfit as exc:
            raise EvaluationError(f"`{self.text}`: {exc}") from exc

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"


def compile_formula(
    text: str,
    *,
    shape: Shape = ANYTHING,
    root: Shape | None = None,
    names: Iterable[str] | Mapping[str, Shape] = (),
    functions: Mapping[str, Function] = BUILTINS,
    value_maps: ValueMaps | None = None,
) -> Formula:
    """Parse, check and compile a formula.

    `shape` is what the formula's fields are looked up in, `root` what `$.` means (by default the same).
    Raises FormulaError for the first thing wrong; `check_formula` returns all of them instead.
    """
    formula = check_formula(text, shape=shape, root=root, names=names, functions=functions, value_maps=value_maps)
    for issue in formula.issues:
        raise FormulaError(text, issue.offset, issue.message)
    return formula


def check_formula(
    text: str,
    *,
    shape: Shape = ANYTHING,
    root: Shape | None = None,
    names: Iterable[str] | Mapping[str, Shape] = (),
    functions: Mapping[str, Function] = BUILTINS,
    value_maps: ValueMaps | None = None,
) -> Formula:
    """As compile_formula, with everything wrong in `issues`. Raises FormulaError only when it cannot be parsed."""
    known = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, ANYTHING)
    compiler = Compiler(parse(text), functions, value_maps)
    code, found = compiler.compile(Scope(shape, root if root is not None else shape, known))
    return Formula(text, _closure(code, compiler.constants), tuple(compiler.reads), found, compiler.issues)


def _closure(code: str, constants: Mapping[str, Any]) -> Run:
    # The code is made of our own helper names and numbered constants only: no text of the formula enters it. Builtins
    # are taken away all the same, so that a mistake in the compiler would end in a NameError.
    space = {"__builtins__": {}, **_OPERATIONS, **constants}
    made: dict[str, Any] = {}
    exec(compile(f"def formula(d, r, n):\n    return {code}", "<formula>", "exec"), space, made)  # noqa: S102
    run: Run = made["formula"]
    return run
