"""Validation and approval rules as tables. A rule that cannot be judged counts as broken: nothing slips through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tieline.errors import TranslationError
from tieline.mapping.compiler import ValueMaps
from tieline.mapping.formula import Formula
from tieline.mapping.operations import clean, rows, truth
from tieline.mapping.paths import FieldPath, parse_path, walk
from tieline.mapping.problems import Problems
from tieline.mapping.shapes import JsonSchema, Shape
from tieline.mapping.values import Unfit
from tieline.mapping.yaml_source import Fields, Node, read_yaml, read_yaml_file
from tieline.policy.formulas import Extra, Reader, Template

TABLE_KEYS = ("rules", "version", "owner", "note", "entries")
VALIDATION_KEYS = ("name", "each", "when", "require", "refuse", "say", "let", "class", "cause", "owner", "note")
APPROVAL_KEYS = ("name", "when", "approver", "within_days", "escalate_to", "say", "let", "owner", "note")
KINDS = ("validation", "approvals")


class Finding(msgspec.Struct, frozen=True):
    """A rule that a document breaks. `cause` is equal for findings that one correction would cure."""

    rule: str
    case_class: str
    cause: str
    message: str
    path: str
    owner: str


class ApprovalNeeded(msgspec.Struct, frozen=True):
    """Somebody must agree before the process goes on; after `within_days` the question goes to `escalate_to`.

    `when` is the formula that asked, of the table's `version`.
    """

    rule: str
    approver: str
    within_days: int
    escalate_to: str
    message: str
    owner: str
    when: str = ""
    version: int = 0


class Let(msgspec.Struct, frozen=True):
    """A named value of a rule, computed when something reads it."""

    name: str
    formula: Formula


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One validation rule: `test` must come out as `wanted` for each item it looks at."""

    name: str
    test: Formula
    wanted: bool
    say: Template
    cause: Template
    case_class: str
    each: FieldPath | None = None
    when: Formula | None = None
    lets: tuple[Let, ...] = ()
    owner: str = ""
    note: str = ""
    line: int = 0


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One approval rule."""

    name: str
    when: Formula
    approver: str
    say: Template
    within_days: int = 2
    escalate_to: str = ""
    lets: tuple[Let, ...] = ()
    owner: str = ""
    note: str = ""
    line: int = 0


class RuleSet(msgspec.Struct, frozen=True):
    """The rules of a validation table."""

    rules: tuple[Rule, ...]
    version: int = 1
    file: str = ""

    def evaluate(self, context: dict[str, Any]) -> list[Finding]:
        """Every broken rule, in the order of the table and of the items."""
        return [finding for rule in self.rules for finding in _judge(rule, context)]


class Approvals(msgspec.Struct, frozen=True):
    """The rules of an approval table."""

    rules: tuple[Approval, ...]
    version: int = 1
    file: str = ""

    def ask(self, context: dict[str, Any]) -> list[ApprovalNeeded]:
        """Every approval the context needs, in the order of the table."""
        asked = (_ask(rule, context, self.version) for rule in self.rules)
        return [needed for needed in asked if needed is not None]


def load_rules(
    source: Path | str,
    *,
    functions: Extra | None = None,
    schema: JsonSchema | None = None,
    value_maps: ValueMaps | None = None,
    file: str = "",
) -> RuleSet:
    """Read a validation table from a file or a text, checked against the schema of its context where one is given.

    `functions` are the facts that formulas may ask for, name → callable. Raises ProblemsFound with everything wrong.
    """
    fields, reader = _open(source, "validation", functions, schema, value_maps, file)
    rules = [_rule(node, reader, fields.text("owner")) for node in fields.items("entries")]
    _unique([rule.name for rule in rules if rule], fields, reader.problems)
    reader.problems.raise_if_any()
    return RuleSet(tuple(r for r in rules if r), fields.integer("version", 1), reader.problems.file)


def load_approvals(
    source: Path | str,
    *,
    functions: Extra | None = None,
    schema: JsonSchema | None = None,
    value_maps: ValueMaps | None = None,
    file: str = "",
) -> Approvals:
    """Read an approval table; as load_rules."""
    fields, reader = _open(source, "approvals", functions, schema, value_maps, file)
    rules = [_approval(node, reader, fields.text("owner")) for node in fields.items("entries")]
    _unique([rule.name for rule in rules if rule], fields, reader.problems)
    reader.problems.raise_if_any()
    return Approvals(tuple(r for r in rules if r), fields.integer("version", 1), reader.problems.file)


def _open(
    source: Path | str, kind: str, functions: Extra | None, schema: JsonSchema | None, maps: ValueMaps | None, file: str
) -> tuple[Fields, Reader]:
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    fields = Fields(root, problems, "a table of rules")
    fields.only(TABLE_KEYS)
    fields.require("entries")
    if fields.text("rules") != kind:
        problems.add(fields.mark("rules"), f"this table must say `rules: {kind}`")
    return fields, Reader(problems, functions, schema, maps)


def _unique(names: Sequence[str], fields: Fields, problems: Problems) -> None:
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.add(fields.mark("entries"), f"two rules are named '{name}'")


def _rule(node: Node, reader: Reader, owner: str) -> Rule | None:
    fields = Fields(node, reader.problems, "a rule")
    fields.only(VALIDATION_KEYS)
    each, item = _each(fields, reader)
    lets, names = _lets(fields, reader, item, ("_index",) if each else ())
    tests = [key for key in ("require", "refuse") if fields.find(key)]
    if len(tests) != 1:
        reader.problems.add(node.mark, "a rule has exactly one of 'require' and 'refuse'")
        return None
    test = reader.formula(fields, tests[0], item=item, names=names, truth=True)
    when = reader.formula(fields, "when", item=item, names=names, truth=True)
    say = reader.template(fields, "say", item=item, names=names) if fields.require("say") else None
    name = fields.text("name") if fields.require("name") else ""
    cause = reader.template(fields, "cause", item=item, names=names) or Template(name)
    if not (test and say and name):
        return None
    return Rule(
        name=name, test=test, wanted=tests[0] == "require", say=say, cause=cause, each=each, when=when, lets=lets,
        case_class=fields.text("class") or name, owner=fields.text("owner") or owner, note=fields.text("note"),
        line=node.mark.line,
    )  # fmt: skip


def _approval(node: Node, reader: Reader, owner: str) -> Approval | None:
    fields = Fields(node, reader.problems, "an approval rule")
    fields.only(APPROVAL_KEYS)
    lets, names = _lets(fields, reader, None, ())
    present = [bool(fields.require(key)) for key in ("name", "when", "approver", "say")]
    when = reader.formula(fields, "when", names=names, truth=True)
    say = reader.template(fields, "say", names=names)
    if fields.integer("within_days", 2) < 1:
        reader.problems.add(fields.mark("within_days"), "'within_days' must be at least 1")
    if not (all(present) and when and say):
        return None
    return Approval(
        name=fields.text("name"), when=when, approver=fields.text("approver"), say=say, lets=lets,
        within_days=fields.integer("within_days", 2), escalate_to=fields.text("escalate_to"),
        owner=fields.text("owner") or owner, note=fields.text("note"), line=node.mark.line,
    )  # fmt: skip


def _each(fields: Fields, reader: Reader) -> tuple[FieldPath | None, Shape | None]:
    text = fields.text("each")
    if not text:
        return None, None
    try:
        path = parse_path(text)
    except ValueError as exc:
        reader.problems.add(fields.mark("each"), str(exc))
        return None, None
    return path, reader.item_of(path.segments, fields.mark("each"))


def _lets(
    fields: Fields, reader: Reader, item: Shape | None, names: tuple[str, ...]
) -> tuple[tuple[Let, ...], tuple[str, ...]]:
    node = fields.find("let")
    if node is None:
        return (), names
    inner = Fields(node, reader.problems, "'let'")
    lets = []
    for name in inner.entries:
        if not name.isidentifier():
            reader.problems.add(inner.entries[name].mark, f"'{name}' must be one word of letters, digits and _")
        formula = reader.formula(inner, name, item=item, names=names)
        # A name sees only those above it, so that no circle can arise.
        names = (*names, name)
        if formula:
            lets.append(Let(name, formula))
    return tuple(lets), names


class _Names(dict[str, Any]):
    """The names of a rule; a `let` is computed at its first use, since many rules need it only for their message."""

    def __init__(self, lets: tuple[Let, ...], item: Any, root: Any, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._lets = {let.name: let.formula for let in lets}
        self._item, self._root = item, root

    def __missing__(self, name: str) -> Any:
        value = self._lets[name].run(self._item, self._root, self)
        self[name] = value
        return value


def _judge(rule: Rule, context: dict[str, Any]) -> Iterator[Finding]:
    try:
        items = [(context, "", {})] if rule.each is None else list(_items(rule.each, context))
    except Unfit as exc:
        yield _unjudged(rule, str(rule.each), exc)
        return
    for item, path, given in items:
        names = _Names(rule.lets, item, context, given)
        try:
            if rule.when is not None and not truth(rule.when.run(item, context, names)):
                continue
            broken = truth(rule.test.run(item, context, names)) is not rule.wanted
        except (Unfit, TranslationError) as exc:
            yield _unjudged(rule, path, exc)
            continue
        if broken:
            message, cause = rule.say.render(item, context, names), rule.cause.render(item, context, names)
            yield Finding(rule.name, rule.case_class, cause, message, path, rule.owner)


def _items(each: FieldPath, context: dict[str, Any]) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    for at, item in enumerate(rows(walk(context, each.segments))):
        yield item, f"{each}[{at}]", {"_index": clean(at)}


def _unjudged(rule: Rule, path: str, exc: Exception) -> Finding:
    where = f" at {path}" if path else ""
    message = f"Rule '{rule.name}' could not be judged{where}: {exc}"
    return Finding(rule.name, rule.case_class, f"{rule.name}:not-judged", message, path, rule.owner)


def _ask(rule: Approval, context: dict[str, Any], version: int) -> ApprovalNeeded | None:
    names = _Names(rule.lets, context, context, {})
    try:
        if not truth(rule.when.run(context, context, names)):
            return None
        message = rule.say.render(context, context, names)
    except (Unfit, TranslationError) as exc:
        message = f"Whether rule '{rule.name}' applies could not be judged: {exc}"
    return ApprovalNeeded(
        rule.name,
        rule.approver,
        rule.within_days,
        rule.escalate_to,
        message,
        rule.owner,
        when=rule.when.text,
        version=version,
    )
