"""Compile a mapping table and run it: a source document in, a target document out, exact and without side effects."""

from __future__ import annotations

import collections.abc as abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tieline.mapping.check import check
from tieline.mapping.codegen import Fault, Program
from tieline.mapping.failures import FieldFailure, failed
from tieline.mapping.functions import BUILTINS
from tieline.mapping.paths import format_segments, walk
from tieline.mapping.problems import ProblemsFound
from tieline.mapping.rule_text import lookups_in
from tieline.mapping.signatures import Function, Functions
from tieline.mapping.steps import MissingRef
from tieline.mapping.table import Rule, Table
from tieline.mapping.value_map import Unmapped, ValueMap, content_hash
from tieline.mapping.values import Unfit, short

Refs = abc.Mapping[tuple[str, str], str]
Extra = abc.Mapping[str, Callable[..., Any]] | Iterable[Function]
_NO_REFS: Refs = {}


class Mapping:
    """A compiled mapping table. Safe to share between threads and tasks; holds no state of a document."""

    def __init__(self, table: Table, value_maps: abc.Mapping[str, ValueMap], functions: Functions) -> None:
        self.table = table
        self.value_maps = value_maps
        self.functions = functions
        self.name = table.name
        self.version = table.version
        used = {name: value_maps[name].content_hash for name in sorted(lookups_in(table.rules))}
        self.content_hash = content_hash({"mapping": table.name, "rules": _rules_content(table.rules), "maps": used})
        self._program = Program(table, functions, value_maps)

    @property
    def label(self) -> str:
        """Name, version and the beginning of the content hash: what an effect records as its mapping."""
        return f"{self.name} v{self.version} ({self.content_hash[:8]})"

    def run(self, source: dict[str, Any], *, connection: str = "", refs: Refs = _NO_REFS) -> dict[str, Any]:
        """Make the target document.

        connection   the source connection, for `as: id`
        refs         (kind, canonical id) → id at the target, for `ref:`
        Numbers come out as Decimal (or int where the rule says integer), dates as ISO text.
        Raises MissingReference, UnmappedValue or MappingFailed (all TranslationErrors) with every failing field.
        """
        document, faults = self.attempt(source, connection=connection, refs=refs)
        if faults:
            raise failed(self.name, self.version, faults)
        return document

    def attempt(
        self, source: dict[str, Any], *, connection: str = "", refs: Refs = _NO_REFS
    ) -> tuple[dict[str, Any], list[FieldFailure]]:
        """As run, but give what could be made together with what could not."""
        if not isinstance(source, dict):
            raise failed(self.name, self.version, [self._no_document(source)])
        document, faults = self._program.translate(source, connection, refs)
        return document, [self._failure(source, fault) for fault in faults]

    def refs(self, source: dict[str, Any], *, connection: str = "") -> list[tuple[str, str]]:
        """(kind, canonical id) of each document this one refers to, each once, in the order of the table."""
        return list(dict.fromkeys(self._program.needed(source, connection)))

    @property
    def source_code(self) -> str:
        """The Python the table was compiled to, for the curious."""
        return self._program.source

    def _failure(self, source: dict[str, Any], fault: Fault) -> FieldFailure:
        number, positions, item, exc = fault
        rule = self._program.rules[number]
        path = rule.source if rule.source is not None else rule.each
        ref = (exc.kind, exc.id) if isinstance(exc, MissingRef) else None
        unmapped = (exc.value_map, exc.key, tuple(exc.nearest)) if isinstance(exc, Unmapped) else None
        value = _value_at(source if path and path.root else item, path.segments if path else ())
        return FieldFailure(
            _target(self.table.rules, rule, positions),
            _source(rule),
            short(value) if path else "",
            _sentence(exc, value if path else None, rule),
            self.table.file,
            rule.mark.line,
            rule.owner or self.table.owner,
            ref,
            unmapped,
        )

    def _no_document(self, source: Any) -> FieldFailure:
        reason = f"the source is {short(source)}, not an object"
        return FieldFailure(self.table.target, "", short(source), reason, self.table.file, 1, self.table.owner)

    def __repr__(self) -> str:
        return f"<Mapping {self.label}>"


def compile_table(
    table: Table, *, value_maps: abc.Mapping[str, ValueMap] | None = None, functions: Extra = ()
) -> Mapping:
    """Check a table without schemas and compile it. Raises ProblemsFound with everything wrong in it.

    `functions` are the connector's named functions, name → callable (or Function where types matter).
    """
    maps = value_maps or {}
    known = BUILTINS.with_(functions)
    problems = check(table, value_maps=maps, functions=known)
    if problems:
        raise ProblemsFound(problems)
    return Mapping(table, maps, known)


def _sentence(exc: Exception, value: Any, rule: Rule) -> str:
    if isinstance(exc, (MissingRef, Unmapped)):
        return str(exc)
    if not isinstance(exc, Unfit):
        # A connector's function answered with an error of its own.
        what = f"{rule.function}() failed" if rule.function else "failed"
        return f"{what} on {short(value)}: {exc or type(exc).__name__}"
    if rule.formula and not str(exc).startswith(("is ", "has ")):
        return f"`{rule.formula.text}`: {exc}"
    return f"{short(value)} {exc}" if value is not None and not isinstance(value, (dict, list)) else str(exc)


def _value_at(item: Any, segments: tuple[Any, ...]) -> Any:
    try:
        return walk(item, segments)
    except Unfit:
        return None


def _source(rule: Rule) -> str:
    if rule.formula:
        return "a formula"
    return str(rule.source or rule.each or ", ".join(map(str, rule.arguments)) or "")


def _target(rules: Sequence[Rule], wanted: Rule, positions: tuple[int, ...]) -> str:
    """The full target path, with the position of each list on the way."""
    found = _find(rules, wanted, positions)
    return found if found is not None else wanted.target_text


def _find(rules: Sequence[Rule], wanted: Rule, positions: tuple[int, ...]) -> str | None:
    for rule in rules:
        if rule is wanted:
            return rule.target_text + "".join(f"[{p}]" for p in positions)
        if rule.rules:
            inner = _find(rule.rules, wanted, positions[1:])
            if inner is not None:
                at = f"[{positions[0]}]" if positions else ""
                return f"{format_segments(rule.target)}{at}.{inner}"
    return None


def _rules_content(rules: Sequence[Rule]) -> list[Any]:
    """The rules as data, without what does not change the result: owner, note and place."""
    content = []
    for rule in rules:
        plain = rule.node.plain()
        kept = {key: value for key, value in plain.items() if key not in ("owner", "note", "fields")}
        content.append({"target": rule.target_text, **kept, "fields": _rules_content(rule.rules)})
    return content
