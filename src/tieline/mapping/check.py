"""Check a mapping table against both schemas, the value maps and the functions, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tieline.mapping.codegen import ITEM_NAMES
from tieline.mapping.compiler import ValueMaps, column_problem
from tieline.mapping.formula import Formula, check_formula
from tieline.mapping.functions import BUILTINS
from tieline.mapping.grammar import FormulaError
from tieline.mapping.paths import FieldPath, Segment
from tieline.mapping.problems import Mark, Problem, Problems, nearest_hint
from tieline.mapping.shapes import (
    ANYTHING,
    BLANK,
    BOOLEAN,
    NUMBER,
    TEXT,
    JsonSchema,
    Shape,
    follow,
    record,
)  # fmt: skip
from tieline.mapping.signatures import Function
from tieline.mapping.table import Expression, Rule, Table

# What each conversion can be given, and what it makes.
_TAKES = {
    "string": {"text", "number", "boolean", "date", "datetime"},
    "integer": {"number", "text"},
    "decimal": {"number", "text"},
    "boolean": {"boolean", "text", "number"},
    "date": {"date", "datetime", "text"},
    "datetime": {"datetime", "text"},
    "money": {"number", "text", "object"},
    "id": {"text", "number"},
}
_MAKES = {
    "string": TEXT, "integer": NUMBER, "decimal": NUMBER, "boolean": BOOLEAN, "id": TEXT,
    "date": Shape({"date", "text"}), "datetime": Shape({"datetime", "text"}),
    "money": record({"amount": NUMBER, "currency": TEXT}),
}  # fmt: skip


def check(
    table: Table,
    source_schema: JsonSchema | None = None,
    target_schema: JsonSchema | None = None,
    value_maps: ValueMaps | None = None,
    functions: Mapping[str, Function] = BUILTINS,
) -> list[Problem]:
    """Every problem of a table. A schema that is None allows any field on that side.

    Found are: paths that leave a schema, types that cannot agree, required target fields without a rule, unknown
    value maps, columns and functions, and formulas that are not well typed.
    """
    checker = _Checker(table, value_maps or {}, functions)
    source, target = Shape.from_schema(source_schema), Shape.from_schema(target_schema)
    checker.level(table.rules, source, source, target, (), Mark())
    return sorted(checker.problems.found)


class _Checker:
    def __init__(self, table: Table, maps: ValueMaps, functions: Mapping[str, Function]) -> None:
        self.problems = Problems(table.file)
        self.maps = maps
        self.functions = functions

    def level(
        self, rules: Sequence[Rule], item: Shape, root: Shape, target: Shape, inside: tuple[str, ...], mark: Mark
    ) -> None:
        for rule in rules:
            wanted = follow(target, rule.target, through_lists=False)
            if isinstance(wanted, str):
                self.problems.add(rule.mark, f"target: {wanted}")
                wanted = ANYTHING
            if rule.when:
                self.truth(rule.when, item, root, inside)
            if rule.each is not None:
                self.each(rule, item, root, wanted, inside)
            else:
                self.value(rule, item, root, wanted, inside)
        self.filled(rules, target, mark)
        self.positions(rules)

    def each(self, rule: Rule, item: Shape, root: Shape, wanted: Shape, inside: tuple[str, ...]) -> None:
        assert rule.each is not None  # noqa: S101
        found = self.path(rule.each, rule.mark_of("each"), item, root, inside)
        if not found.is_any and "list" not in found.kinds:
            self.problems.add(rule.mark_of("each"), f"'{rule.each}' is {found}, not a list")
        if not wanted.is_any and "list" not in wanted.kinds:
            self.problems.add(rule.mark, f"target '{rule.target_text}' takes {wanted}, not a list")
        names = ITEM_NAMES
        inner = ANYTHING if found.is_any else found.item
        if rule.where:
            self.truth(rule.where, inner, root, names)
        self.level(rule.rules, inner, root, ANYTHING if wanted.is_any else wanted.item, names, rule.mark)

    def value(self, rule: Rule, item: Shape, root: Shape, wanted: Shape, inside: tuple[str, ...]) -> None:
        given = self.given(rule, item, root, inside)
        if rule.function:
            given = self.called(rule, given)
        if rule.lookup:
            given = self.looked_up(rule, given)
        self.currency(rule, given, item, root, inside)
        if rule.rounding and not given.is_any and not given.solid & {"number", "text", "object"}:
            self.problems.add(rule.mark_of("round"), f"'round' needs a number, and this is {given}")
        if rule.convert:
            given = self.converted(rule, given)
        if rule.ref:
            given = TEXT
        self.agrees(rule, given, wanted)

    def given(self, rule: Rule, item: Shape, root: Shape, inside: tuple[str, ...]) -> Shape:
        if rule.source is not None:
            return self.path(rule.source, rule.mark_of("from"), item, root, inside)
        if rule.formula:
            formula = self.formula(rule.formula, item, root, inside)
            return formula.shape if formula else ANYTHING
        for at, path in enumerate(rule.arguments):
            nodes = rule.node.value["args"].node.value
            self.path(path, nodes[at].mark if at < len(nodes) else rule.mark, item, root, inside)
        return _constant(rule.constant) if rule.has_constant else ANYTHING

    def path(self, path: FieldPath, mark: Mark, item: Shape, root: Shape, inside: tuple[str, ...]) -> Shape:
        segments = path.segments
        start = root if path.root else item
        if inside and not path.root and segments[0] in ("_index", "_item"):
            start, segments = (NUMBER if segments[0] == "_index" else item), segments[1:]
        found = follow(start, segments, through_lists=False)
        if isinstance(found, str):
            self.problems.add(mark, found)
            return ANYTHING
        return found

    def formula(self, expression: Expression, item: Shape, root: Shape, inside: tuple[str, ...]) -> Formula | None:
        try:
            formula = check_formula(
                expression.text, shape=item, root=root, names=inside, functions=self.functions, value_maps=self.maps
            )
        except FormulaError as exc:
            self.problems.add(expression.node.position(exc.offset), exc.message)
            return None
        for issue in formula.issues:
            self.problems.add(expression.node.position(issue.offset), issue.message)
        return formula

    def truth(self, expression: Expression, item: Shape, root: Shape, inside: tuple[str, ...]) -> None:
        formula = self.formula(expression, item, root, inside)
        if formula and not formula.shape.is_any and "boolean" not in formula.shape.kinds:
            self.problems.add(expression.node.mark, f"a condition gives yes or no, and this gives {formula.shape}")

    def called(self, rule: Rule, given: Shape) -> Shape:
        known = self.functions.get(rule.function)
        mark = rule.mark_of("fn")
        if known is None:
            self.problems.add(mark, f"unknown function '{rule.function}'{nearest_hint(rule.function, self.functions)}")
            return ANYTHING
        if known.item_wise or known.lazy:
            self.problems.add(mark, f'{rule.function}() is used in formulas; write formula: "{rule.function}(…)"')
        elif wrong := known.wrong_count(len(rule.arguments) or 1):
            self.problems.add(mark, wrong)
        return known.gives

    def looked_up(self, rule: Rule, given: Shape) -> Shape:
        mark = rule.mark_of("lookup")
        if rule.lookup not in self.maps:
            self.problems.add(mark, f"unknown value map '{rule.lookup}'{nearest_hint(rule.lookup, self.maps)}")
        elif problem := column_problem(rule.lookup, self.maps[rule.lookup].columns, rule.column):
            self.problems.add(rule.mark_of("column" if rule.column else "lookup"), problem)
        if not given.is_any and given.solid and given.solid <= {"list", "object"}:
            self.problems.add(mark, f"the key of a lookup is one value, and this is {given}")
        return ANYTHING

    def currency(self, rule: Rule, given: Shape, item: Shape, root: Shape, inside: tuple[str, ...]) -> None:
        if rule.currency is not None:
            self.path(rule.currency, rule.mark_of("currency"), item, root, inside)
        elif rule.convert == "money" and not given.is_any and "object" not in given.kinds:
            self.problems.add(rule.mark_of("as"), "'as: money' needs 'currency', the path of the currency code")

    def converted(self, rule: Rule, given: Shape) -> Shape:
        if not given.is_any and given.solid and not given.solid & _TAKES[rule.convert]:
            self.problems.add(rule.mark_of("as"), f"{given} cannot become {rule.convert}")
        return _MAKES[rule.convert]

    def agrees(self, rule: Rule, given: Shape, wanted: Shape) -> None:
        if given.is_any or wanted.is_any or not given.solid:
            return
        target = rule.target_text
        if not wanted.kinds & _accepted(given):
            self.problems.add(rule.mark, f"target '{target}' takes {wanted}, and this gives {given}")
        elif wanted.choices and rule.has_constant and rule.constant not in wanted.choices:
            hint = nearest_hint(str(rule.constant), wanted.choices)
            known = ", ".join(sorted(wanted.choices))
            self.problems.add(rule.mark_of("const"), f"'{rule.constant}' is none of {known}{hint}")

    def filled(self, rules: Sequence[Rule], target: Shape, mark: Mark) -> None:
        """Report required target fields that no rule fills, in this object and in the ones opened by dots."""
        for prefix in sorted({rule.target[:at] for rule in rules for at in range(len(rule.target))}, key=str):
            here = follow(target, prefix, through_lists=False)
            if isinstance(here, str):
                continue
            present = {
                r.target[len(prefix)]
                for r in rules
                if r.target[: len(prefix)] == prefix and len(r.target) > len(prefix)
            }
            for name in here.required:
                if name not in present:
                    where = ".".join([*map(str, prefix), name])
                    self.problems.add(mark, f"the target requires '{where}', and no rule fills it")

    def positions(self, rules: Sequence[Rule]) -> None:
        """List positions of targets must begin at 0 and leave none out."""
        used: dict[tuple[Segment, ...], dict[int, Mark]] = {}
        for rule in rules:
            for at, segment in enumerate(rule.target):
                if isinstance(segment, int):
                    used.setdefault(rule.target[:at], {}).setdefault(segment, rule.mark)
        for places in used.values():
            for position, mark in places.items():
                if position and position - 1 not in places:
                    self.problems.add(mark, f"position [{position}] is filled and [{position - 1}] is not")


def _accepted(given: Shape) -> set[str]:
    """Kinds of targets that a value of this shape may fill; dates travel as text, amounts may too."""
    kinds = set(given.solid)
    if kinds & {"date", "datetime"}:
        kinds |= {"text"}
    if "text" in kinds:
        kinds |= {"date", "datetime", "number"} if not given.choices else {"text"}
    if "number" in kinds:
        kinds |= {"number"}
    return kinds


def _constant(value: object) -> Shape:
    if isinstance(value, bool):
        return BOOLEAN
    if value is None:
        return BLANK
    if isinstance(value, str):
        return TEXT
    return Shape({"list"}) if isinstance(value, list) else ANYTHING if isinstance(value, dict) else NUMBER
