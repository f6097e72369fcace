"""What a rule sees of a write before it is stored, and how the lines of a sublist are merged.

Source: Oracle help "Updating a Sublist" (section_1545295601) and "Replacing a Sublist" (section_1545297048): without
`replace`, lines with a known key are updated and all others are appended – an upsert sent twice doubles its lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tieline_sandbox.netsuite.field_sets import Sublist
from tieline_sandbox.netsuite.store import Record


@dataclass
class Draft:
    """A document about to be stored. `changed` names the body fields and sublists which the request gave."""

    kind: str
    old: Record | None
    new: Record
    changed: frozenset[str]
    seeding: bool = False
    applied: dict[str, Any] = field(default_factory=dict)  # invoice id → amount, for payments and credit memos

    @property
    def id(self) -> str:
        return str(self.new["id"])

    def lines(self, sublist: str) -> list[Record]:
        """The lines of a sublist as fresh dicts, safe to complete."""
        held = self.new.get(sublist)
        return [dict(line) for line in held["items"]] if held else []


def merge_lines(sublist: Sublist, old: Sequence[Record], given: Sequence[Record], *, replace: bool) -> list[Record]:
    """The lines after a write. A line keeps what the request leaves out; None clears a cell."""
    before = {_key(sublist, line): line for line in old}
    touched: set[Any] = set()
    added: list[Record] = []
    updated: dict[Any, Record] = {}
    for line in given:
        key = _key(sublist, line)
        if key is not None and key in before:
            updated[key] = _merged(before[key], line)
            touched.add(key)
        else:
            added.append({name: value for name, value in line.items() if value is not None})
    kept = [updated.get(key, line) for key, line in before.items() if not replace or key in touched]
    return _numbered(sublist, kept, added)


def _key(sublist: Sublist, line: Record) -> Any:
    value = line.get(sublist.key)
    return value["id"] if isinstance(value, dict) else value


def _merged(old: Record, given: Record) -> Record:
    line = old | given
    if "amount" not in given and given.keys() & {"quantity", "rate", "item"}:
        line.pop("amount", None)
    return {name: value for name, value in line.items() if value is not None}


def _numbered(sublist: Sublist, kept: list[Record], added: list[Record]) -> list[Record]:
    if sublist.fields[sublist.key].kind == "integer":
        last = max((line.get(sublist.key, 0) for line in kept), default=0)
        for number, line in enumerate(added, start=last + 1):
            line[sublist.key] = number
    return kept + added
