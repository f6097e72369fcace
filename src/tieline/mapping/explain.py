"""Why a field of a target document has its value: the rule in words, where it stands, who owns it, what it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tieline.mapping import operations as op
from tieline.mapping.codegen import ITEM_NAMES, uses_item
from tieline.mapping.compile import _NO_REFS, Mapping, Refs
from tieline.mapping.formula import Formula, compile_formula
from tieline.mapping.paths import FieldPath, Segment, format_segments, parse_path, walk
from tieline.mapping.problems import nearest_hint
from tieline.mapping.rule_text import describe, rule_text
from tieline.mapping.table import Expression, Rule
from tieline.mapping.values import Unfit, plain


class Explanation(msgspec.Struct, frozen=True):
    """`value` is what run gives at `target`, None when nothing stands there; `failure` says why."""

    target: str
    value: Any
    rule: str
    table: str
    version: int
    label: str
    file: str
    line: int
    owner: str
    note: str
    sources: list[tuple[str, Any]]
    failure: str = ""

    def __str__(self) -> str:
        reads = "; ".join(f"{path} = {value}" for path, value in self.sources)
        made = self.failure or f"{self.value}"
        return (
            f"{self.target} = {made}\n  {self.rule}\n  {reads}\n  {self.label}, {self.file}:{self.line}, {self.owner}"
        )


class _Place(msgspec.Struct):
    """A rule and the item it looks at; `prefix` leads there in the source, `target` names it as failures do."""

    rule: Rule
    item: Any
    prefix: str
    index: int | None = None
    target: str = ""


def explain(
    mapping: Mapping, source: dict[str, Any], target: str, *, connection: str = "", refs: Refs = _NO_REFS
) -> Explanation:
    """Explain one field of the target, for example `item.items[1].amount`.

    Raises ValueError for a target that no rule of the table fills, with the nearest one that is.
    """
    segments = parse_path(target).segments
    place = _find(mapping, mapping.table.rules, segments, _Place(mapping.table.rules[0], source, ""), source)
    if place is None:
        known = [row.target for row in describe(mapping.table)]
        raise ValueError(f"no rule of {mapping.name} fills '{target}'{nearest_hint(target, known)}")
    document, failures = mapping.attempt(source, connection=connection, refs=refs)
    rule = place.rule
    failing = [f for f in failures if f.target == place.target]
    value = None if failing else _value(document, segments)
    return Explanation(
        target=target, value=value, rule=rule_text(rule), table=mapping.name, version=mapping.version,
        label=mapping.label, file=mapping.table.file, line=rule.mark.line, owner=rule.owner or mapping.table.owner,
        note=rule.note or mapping.table.note, sources=_sources(mapping, place, source),
        failure=failing[0].reason if failing else "",
    )  # fmt: skip


def _find(
    mapping: Mapping, rules: Sequence[Rule], wanted: tuple[Segment, ...], here: _Place, root: Any
) -> _Place | None:
    for rule in rules:
        length = len(rule.target)
        if rule.target == wanted[:length] or wanted == rule.target[: len(wanted)]:
            name = f"{here.target}.{rule.target_text}" if here.target else rule.target_text
            place = _Place(rule, here.item, here.prefix, here.index, name)
            rest = wanted[length:]
            if rule.each is None or len(rest) < 2 or not isinstance(rest[0], int):
                return place
            inner = _item(mapping, place, rest[0], root)
            return _find(mapping, rule.rules, rest[1:], inner, root) if inner else None
    return None


def _item(mapping: Mapping, place: _Place, position: int, root: Any) -> _Place | None:
    """The source item that became item number `position` of the target list: filtered items are passed over."""
    rule = place.rule
    if rule.each is None:
        return None
    items = walk(root if rule.each.root else place.item, rule.each.segments) or []
    prefix = f"{rule.each}" if rule.each.root or not place.prefix else f"{place.prefix}.{rule.each}"
    able = isinstance(items, list) and ((at, i) for at, i in enumerate(items) if isinstance(i, dict) or uses_item(rule))
    kept = [(at, item) for at, item in able or () if _kept(mapping, rule.where, item, at, root)]
    if position >= len(kept):
        return None
    at, item = kept[position]
    return _Place(rule, item, f"{prefix}[{at}]", at, f"{place.target}[{at}]")


def _kept(mapping: Mapping, where: Expression | None, item: Any, at: int, root: Any) -> bool:
    if where is None:
        return True
    try:
        return op.truth(_formula(mapping, where).run(item, root, {"_index": op.clean(at)}))
    except Unfit:
        return False


def _formula(mapping: Mapping, expression: Expression) -> Formula:
    return compile_formula(
        expression.text, names=ITEM_NAMES, functions=mapping.functions, value_maps=mapping.value_maps
    )


def _sources(mapping: Mapping, place: _Place, root: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each path the rule reads, written from the root of the document, with its value."""
    rule = place.rule
    paths = [p for p in (rule.source, rule.each, rule.currency, *rule.arguments) if p is not None]
    for expression in (rule.formula, rule.when):
        paths += _formula(mapping, expression).reads if expression else ()
    found: dict[str, Any] = {}
    for path in paths:
        start = root if path.root else place.item
        name = format_segments(path.segments) if path.root or not place.prefix else f"{place.prefix}.{path}"
        name = name.removesuffix("._item")
        found[name] = place.index if path.segments == ("_index",) else _read(start, path)
    return list(found.items())


def _read(start: Any, path: FieldPath) -> Any:
    names = tuple(str(s) for s in path.segments)
    try:
        if all(isinstance(s, str) for s in path.segments):
            return plain(op.path(start, names[1:] if names[:1] == ("_item",) else names))
        return plain(walk(start, path.segments))
    except Unfit:
        return None


def _value(document: Any, segments: tuple[Segment, ...]) -> Any:
    try:
        return walk(document, segments)
    except Unfit:
        return None
