"""A rule in words that finance can read, and the things a table refers to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from tieline.mapping.paths import format_segments
from tieline.mapping.table import Rule, Table
from tieline.mapping.values import short

_LOOKUP = re.compile(r"""\blookup\s*\(\s*["']([^"']+)["']""")
_WORDS = {
    "string": "as text", "integer": "as a whole number", "decimal": "as a number", "boolean": "as yes or no",
    "date": "as a date", "datetime": "as a moment in UTC", "money": "as money", "id": "as a canonical id",
}  # fmt: skip


class RuleRow(msgspec.Struct, frozen=True):
    """One line of a table for documentation."""

    target: str
    source: str
    rule: str
    owner: str
    note: str


def describe(table: Table) -> list[RuleRow]:
    """The table as rows, lists opened: `item.items[].amount`."""
    return list(_rows(table, table.rules, ""))


def _rows(table: Table, rules: Iterable[Rule], prefix: str) -> Iterator[RuleRow]:
    for rule in rules:
        target = f"{prefix}{rule.target_text}"
        yield RuleRow(target, source_text(rule), rule_text(rule), rule.owner or table.owner, rule.note)
        yield from _rows(table, rule.rules, f"{target}[].")


def source_text(rule: Rule) -> str:
    """Where the value comes from."""
    if rule.has_constant:
        return ""
    if rule.formula:
        return ""
    return str(rule.source or rule.each or ", ".join(map(str, rule.arguments)))


def rule_text(rule: Rule) -> str:
    """What is done with it, as one sentence without a full stop."""
    parts = [_beginning(rule)]
    if rule.function:
        parts.append(f"read by {rule.function}()")
    if rule.lookup:
        parts.append(f"looked up in {rule.lookup}{f', column {rule.column}' if rule.column else ''}")
    if rule.convert:
        parts.append(_WORDS[rule.convert] + (f" in {rule.currency}" if rule.currency else ""))
    if rule.rounding:
        parts.append(f"rounded {rule.rounding.mode} to {rule.rounding.places} places")
    if rule.ref:
        parts.append(f"as the target's id of that {rule.ref}")
    if rule.max_length:
        parts.append(f"{'cut at' if rule.truncate else 'at most'} {rule.max_length} characters")
    if rule.default is not None:
        parts.append(f"{short(rule.default)} when blank")
    if rule.required:
        parts.append("required")
    if rule.where:
        parts.append(f"where `{rule.where.text.strip()}`")
    if rule.when:
        parts.append(f"only when `{rule.when.text.strip()}`")
    return ", ".join(part for part in parts if part)


def _beginning(rule: Rule) -> str:
    if rule.has_constant:
        return f"always {short(rule.constant)}"
    if rule.formula:
        return f"`{' '.join(rule.formula.text.split())}`"
    if rule.each is not None:
        return f"one item for each of {rule.each}"
    if rule.source is not None:
        return f"{rule.source}"
    return f"from {', '.join(format_segments(path.segments) for path in rule.arguments)}"


def lookups_in(rules: Iterable[Rule]) -> set[str]:
    """The value maps that rules and their formulas use."""
    found: set[str] = set()
    for rule in rules:
        found |= {rule.lookup} if rule.lookup else set()
        for expression in (rule.formula, rule.when, rule.where):
            found |= set(_LOOKUP.findall(expression.text)) if expression else set()
        found |= lookups_in(rule.rules)
    return found
