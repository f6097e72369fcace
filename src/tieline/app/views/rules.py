"""Fields of documents and the rules that fill them: leaves, selection by name, a rule found without its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tieline.mapping import Mapping, Table
from tieline.mapping.explain import Explanation, explain
from tieline.mapping.failures import FieldFailure
from tieline.mapping.paths import Segment, format_segments, parse_path
from tieline.mapping.rule_text import rule_text
from tieline.mapping.table import Rule

COMMON_NAMES: dict[str, tuple[str, ...]] = {
    "amount": ("amount", "payment", "price_in_cents"),
    "total": ("amount", "payment", "price_in_cents"),
    "customer": ("entity.id", "customer.id", "existingAccountNumber"),
    "date": ("tranDate", "orderDate", "start_date"),
    "due": ("dueDate", "due_date"),
    "line": ("custcol_crm_line",),
}
"""What people call a field → what systems call it; the whole end of a path counts, list positions aside."""


class RuleStep(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of a mapping table that fills a field. `reads` are paths in the source, as far as the rule names them."""

    rule: str
    table: str
    label: str
    owner: str
    note: str
    file: str
    line: int
    reads: list[str]


class Once(Mapping):
    """A mapping that makes a document once, however many of its fields are explained."""

    def __init__(self, mapping: Mapping) -> None:
        self.__dict__.update(mapping.__dict__)
        self._made: tuple[dict[str, Any], list[FieldFailure]] | None = None

    def attempt(self, source: dict[str, Any], **options: Any) -> tuple[dict[str, Any], list[FieldFailure]]:
        if self._made is None:
            self._made = super().attempt(source, **options)
        return self._made


def leaves(document: Any, path: tuple[Segment, ...] = ()) -> Iterator[tuple[tuple[Segment, ...], Any]]:
    """Every value of a document with its path, in order; empty lists and objects have none."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*path, name))
    elif isinstance(document, list):
        for at, value in enumerate(document):
            yield from leaves(value, (*path, at))
    else:
        yield path, document


def plain(path: Sequence[Segment]) -> str:
    """`item.items[0].amount` → `item.items.amount`, in lower case: how people name a field."""
    return ".".join(segment for segment in path if isinstance(segment, str)).casefold()


def ends_with(path: Sequence[Segment], name: str) -> bool:
    """Whether a path ends with a dotted name, list positions aside."""
    return f".{plain(path)}".endswith(f".{name.casefold()}")


def select(document: Any, field: str, explained: dict[tuple[Segment, ...], Explanation]) -> list[tuple[Segment, ...]]:
    """The leaves that a field name means: an exact path, the end of one, a common name, or what a rule reads.

    Raises ValueError naming the fields there are.
    """
    every = [path for path, _ in leaves(document)]
    if not field:
        return every
    exact = [path for path in every if format_segments(path) == field or format_segments(path).startswith(f"{field}.")]
    names = (field, *COMMON_NAMES.get(field.casefold(), ()))
    wanted = exact or [path for path in every if any(ends_with(path, name) for name in names)]
    if not wanted:
        wanted = [path for path, e in explained.items() if any(ends_with(_path(read), field) for read, _ in e.sources)]
    if not wanted:
        known = ", ".join(dict.fromkeys(plain_text(path) for path in every))
        raise ValueError(f"the document has no field {field!r}; it has: {known}")
    return wanted


def plain_text(path: Sequence[Segment]) -> str:
    """As plain, in the document's own spelling and with `[]` where a list is."""
    return "".join("[]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")


def _path(text: str) -> tuple[Segment, ...]:
    return parse_path(text).segments


def explained(
    mapping: Mapping, source: dict[str, Any], document: Any, connection: str, refs: dict[tuple[str, str], str]
) -> dict[tuple[Segment, ...], Explanation]:
    """Each leaf of a document explained by the table as it stands; a leaf that no rule fills any more is left out."""
    once, found = Once(mapping), {}
    for path, _ in leaves(document):
        try:
            found[path] = explain(once, source, format_segments(path), connection=connection, refs=refs)
        except ValueError:
            continue
    return found


def rule_for(table: Table, label: str, path: Sequence[Segment]) -> RuleStep | None:
    """The rule that fills a field, found without the source document; None where the table fills no such field."""
    rules, prefix, rest = table.rules, "", tuple(path)
    while (rule := _first(rules, rest)) is not None:
        beyond = rest[len(rule.target) :]
        if rule.each is None or len(beyond) < 2 or not isinstance(beyond[0], int):
            return RuleStep(
                rule=rule_text(rule),
                table=table.name,
                label=label,
                owner=rule.owner or table.owner,
                note=rule.note,
                file=table.file,
                line=rule.mark.line,
                reads=[_full(prefix, str(p), p.root) for p in _reads(rule)],
            )
        # a rule that passes items over makes positions of source and target differ
        position = "…" if rule.where else str(beyond[0])
        prefix = _full(prefix, f"{rule.each}[{position}]", rule.each.root)
        rules, rest = rule.rules, beyond[1:]
    return None


def _first(rules: Sequence[Rule], path: tuple[Segment, ...]) -> Rule | None:
    fits = (r for r in rules if r.target == path[: len(r.target)] or path == r.target[: len(path)])
    return next(fits, None) if path else None


def _reads(rule: Rule) -> list[Any]:
    return [path for path in (rule.source, *rule.arguments) if path is not None]


def _full(prefix: str, path: str, root: bool) -> str:
    return path.removeprefix("$.") if root or not prefix else f"{prefix}.{path}"


def same_value(left: Any, right: Any) -> bool:
    """Whether two values are the same whatever they are written as: 1.50, "1.5" and Decimal("1.500") are."""
    if left == right or str(left) == str(right):
        return True
    try:
        return Decimal(str(left)) == Decimal(str(right))
    except ArithmeticError:
        return False
