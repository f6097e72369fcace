"""Mapping tables as data: the rules of a file with their places. Loading reports every problem of the file at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tieline.mapping.paths import FieldPath, Segment, format_segments, parse_path
from tieline.mapping.problems import Mark, Problems, nearest_hint
from tieline.mapping.values import KINDS, ROUNDING_MODES
from tieline.mapping.yaml_source import Entry, Fields, Node, read_yaml, read_yaml_file

TABLE_KEYS = ("mapping", "version", "owner", "note", "fields", "examples")
EXAMPLE_KEYS = ("name", "given", "expect", "refs", "connection")
SOURCE_KEYS = ("from", "formula", "const", "args", "each")
RULE_KEYS = (
    "from", "formula", "const", "fn", "args", "as", "currency", "ref", "lookup", "column", "required", "default",
    "max_length", "truncate", "round", "keep_null", "owner", "note", "when",
)  # fmt: skip
EACH_KEYS = ("each", "where", "fields", "required", "owner", "note", "when")
MAX_DEPTH = 8


class Expression(msgspec.Struct, frozen=True):
    """A formula and the YAML node it stands in."""

    text: str
    node: Node


class Rounding(msgspec.Struct, frozen=True):
    places: int
    mode: str = "half_up"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table. Exactly one of source, formula, constant (has_constant), arguments, each is set."""

    target: tuple[Segment, ...]
    mark: Mark
    node: Node
    source: FieldPath | None = None
    formula: Expression | None = None
    constant: Any = None
    has_constant: bool = False
    function: str = ""
    arguments: tuple[FieldPath, ...] = ()
    each: FieldPath | None = None
    where: Expression | None = None
    rules: tuple[Rule, ...] = ()
    convert: str = ""
    currency: FieldPath | None = None
    ref: str = ""
    lookup: str = ""
    column: str = ""
    required: bool = False
    default: Any = None
    max_length: int = 0
    truncate: bool = False
    rounding: Rounding | None = None
    keep_null: bool = False
    owner: str = ""
    note: str = ""
    when: Expression | None = None

    @property
    def target_text(self) -> str:
        return format_segments(self.target)

    def mark_of(self, key: str) -> Mark:
        """Where the value of a key of this rule stands."""
        entry = self.node.value.get(key) if self.node.is_map else None
        return entry.node.mark if entry else self.mark


class Example(msgspec.Struct, frozen=True):
    """A document and what it must become. `given` and `expect` are data, or {"file": name} beside the table."""

    name: str
    given: Any
    expect: Any
    refs: dict[tuple[str, str], str]
    connection: str
    mark: Mark


class Table(msgspec.Struct, frozen=True):
    """A mapping table as it was written. `source` and `target` are the names of the two shapes."""

    name: str
    source: str
    target: str
    version: int
    owner: str
    note: str
    rules: tuple[Rule, ...]
    examples: tuple[Example, ...]
    file: str


def load_table(source: Path | str, file: str = "") -> Table:
    """Read a table from a file, or from a text. Raises ProblemsFound with everything wrong in it."""
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    table = table_from(root, problems)
    problems.raise_if_any()
    return table


def table_from(root: Node, problems: Problems) -> Table:
    """Read a table from a YAML node, adding what is wrong to `problems`."""
    fields = Fields(root, problems, "a mapping table")
    fields.only(TABLE_KEYS)
    name = _name(fields, problems)
    source, target = name.split(" -> ")
    node = fields.require("fields")
    rules = _rules(node, problems, 0) if node else ()
    if fields.find("version") is None and root.is_map:
        problems.add(root.mark, "a mapping table needs 'version'")
    examples = tuple(_example(item, at, problems) for at, item in enumerate(fields.items("examples")))
    return Table(
        name, source, target, fields.integer("version", 1), fields.text("owner"), fields.text("note"), rules,
        examples, problems.file,
    )  # fmt: skip


def _name(fields: Fields, problems: Problems) -> str:
    node = fields.require("mapping")
    parts = [part.strip() for part in str(node.value if node else "").split("->")]
    if node and (len(parts) != 2 or not all(parts)):
        problems.add(
            node.mark, "'mapping' is written `source -> target`, as in `canonical.order -> netsuite.salesOrder`"
        )
    return " -> ".join(parts) if len(parts) == 2 else "? -> ?"


def _rules(node: Node, problems: Problems, depth: int) -> tuple[Rule, ...]:
    if not node.is_map or not node.value:
        problems.add(node.mark, "'fields' must name at least one target field")
        return ()
    if depth > MAX_DEPTH:
        problems.add(node.mark, f"lists are nested more than {MAX_DEPTH} deep")
        return ()
    rules = []
    for key, entry in node.value.items():
        rule = _rule(key, entry, problems, depth)
        if rule is not None:
            rules.append(rule)
    _conflicts(rules, problems)
    return tuple(rules)


def _rule(key: str, entry: Entry, problems: Problems, depth: int) -> Rule | None:
    target = _path(key, entry.mark, problems)
    if not entry.node.is_map:
        problems.add(entry.node.mark, f"'{key}' needs a rule in braces, as in {{from: {entry.node.raw or 'Id'}}}")
        return None
    if target is None or target.root or isinstance(target.segments[0], int):
        if target is not None:
            problems.add(entry.mark, f"'{key}' must begin with the name of a target field")
        return None
    fields = Fields(entry.node, problems, f"field '{key}'")
    sources = [word for word in SOURCE_KEYS if word in fields.entries]
    fields.only(EACH_KEYS if "each" in sources else RULE_KEYS)
    if len(sources) != 1:
        words = ", ".join(SOURCE_KEYS)
        what = f"has {' and '.join(sources)}" if sources else "says nothing about its source"
        problems.add(entry.mark, f"field '{key}' {what}; it needs exactly one of {words}")
        return None
    if "each" in sources:
        return _each(target, entry, fields, problems, depth)
    return _single(target, entry, fields, problems)


def _each(target: FieldPath, entry: Entry, fields: Fields, problems: Problems, depth: int) -> Rule | None:
    path = _path_at(fields, "each", problems)
    inner = fields.require("fields")
    rules = _rules(inner, problems, depth + 1) if inner else ()
    return Rule(
        target=target.segments, mark=entry.mark, node=entry.node, each=path, rules=rules,
        where=_expression(fields, "where"), when=_expression(fields, "when"), required=fields.flag("required"),
        owner=fields.text("owner"), note=fields.text("note"),
    )  # fmt: skip


def _single(target: FieldPath, entry: Entry, fields: Fields, problems: Problems) -> Rule:
    constant = fields.find("const")
    default = fields.find("default")
    rule = Rule(
        target=target.segments, mark=entry.mark, node=entry.node,
        source=_path_at(fields, "from", problems), formula=_expression(fields, "formula"),
        constant=constant.plain() if constant else None, has_constant=constant is not None,
        function=fields.text("fn"), arguments=_arguments(fields, problems),
        convert=_one_of(fields, "as", KINDS, problems), currency=_path_at(fields, "currency", problems),
        ref=fields.text("ref"), lookup=fields.text("lookup"), column=fields.text("column"),
        required=fields.flag("required"), default=default.plain() if default else None,
        max_length=fields.integer("max_length"), truncate=fields.flag("truncate"),
        rounding=_rounding(fields, problems), keep_null=fields.flag("keep_null"),
        owner=fields.text("owner"), note=fields.text("note"), when=_expression(fields, "when"),
    )  # fmt: skip
    _consistent(rule, fields, problems)
    return rule


def _consistent(rule: Rule, fields: Fields, problems: Problems) -> None:
    here = fields.entries
    needs = (("args", "fn"), ("column", "lookup"), ("truncate", "max_length"))
    for key, other in needs:
        if key in here and other not in here:
            problems.add(here[key].mark, f"'{key}' means nothing without '{other}'")
    if "currency" in here and rule.convert != "money":
        problems.add(here["currency"].mark, "'currency' means nothing without 'as: money'")
    if "max_length" in here and rule.max_length < 1:
        problems.add(here["max_length"].node.mark, "'max_length' must be at least 1")
    if rule.required and rule.default is not None:
        problems.add(here["default"].mark, "a field with a default is never missing; drop 'required' or 'default'")


def _arguments(fields: Fields, problems: Problems) -> tuple[FieldPath, ...]:
    paths = [_path(str(n.raw), n.mark, problems) for n in fields.items("args")]
    return tuple(path for path in paths if path is not None)


def _path_at(fields: Fields, key: str, problems: Problems) -> FieldPath | None:
    node = fields.find(key)
    if node is None:
        return None
    if not node.raw or node.is_map or node.is_list:
        problems.add(node.mark, f"'{key}' must be a path such as customer.name")
        return None
    return _path(node.raw, node.mark, problems)


def _path(text: str, mark: Mark, problems: Problems) -> FieldPath | None:
    try:
        return parse_path(text)
    except ValueError as exc:
        problems.add(mark, str(exc))
        return None


def _expression(fields: Fields, key: str) -> Expression | None:
    node = fields.find(key)
    if node is None:
        return None
    if node.is_map or node.is_list or not node.raw.strip():
        fields.problems.add(node.mark, f"'{key}' must be a formula")
        return None
    return Expression(node.raw, node)


def _one_of(fields: Fields, key: str, known: tuple[str, ...], problems: Problems) -> str:
    word = fields.text(key)
    if word and word not in known:
        problems.add(fields.mark(key), f"'{word}' is none of {', '.join(known)}{nearest_hint(word, known)}")
        return ""
    return word


def _rounding(fields: Fields, problems: Problems) -> Rounding | None:
    node = fields.find("round")
    if node is None:
        return None
    if not node.is_map:
        places = node.value
        if type(places) is int and 0 <= places <= 20:
            return Rounding(places)
        problems.add(node.mark, "'round' is written {places: 2, mode: half_up}")
        return None
    inner = Fields(node, problems, "'round'")
    inner.only(("places", "mode"))
    inner.require("places")
    places = inner.integer("places")
    if not 0 <= places <= 20:
        problems.add(inner.mark("places"), "'places' must lie between 0 and 20")
    return Rounding(places, _one_of(inner, "mode", tuple(ROUNDING_MODES), problems) or "half_up")


def _conflicts(rules: list[Rule], problems: Problems) -> None:
    """A target cannot be a value and hold fields, nor be written in two spellings."""
    seen: dict[tuple[Segment, ...], Rule] = {}
    for rule in rules:
        for other in seen.values():
            shorter, longer = sorted((rule.target, other.target), key=len)
            if longer[: len(shorter)] == shorter:
                problems.add(
                    rule.mark, f"'{rule.target_text}' collides with '{other.target_text}' on line {other.mark.line}"
                )
        seen[rule.target] = rule


def _example(node: Node, at: int, problems: Problems) -> Example:
    fields = Fields(node, problems, f"example {at + 1}")
    fields.only(EXAMPLE_KEYS)
    given, expect = fields.require("given"), fields.require("expect")
    refs = fields.find("refs")
    return Example(
        fields.text("name") or f"example {at + 1}",
        given.plain() if given else {},
        expect.plain() if expect else {},
        _refs(refs, problems) if refs else {},
        fields.text("connection"),
        node.mark,
    )


def _refs(node: Node, problems: Problems) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for kind, entry in node.value.items() if node.is_map else ():
        if not entry.node.is_map:
            problems.add(entry.node.mark, f"'refs' of kind '{kind}' are written {{canonical-id: external-id}}")
            continue
        found |= {(kind, key): inner.node.raw for key, inner in entry.node.value.items()}
    if not node.is_map:
        problems.add(node.mark, "'refs' are written {customer: {canonical-id: external-id}}")
    return found
