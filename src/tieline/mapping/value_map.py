"""Value maps: our word → their word, one table for each kind of thing, corrected by people and versioned by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tieline.mapping.compiler import column_problem
from tieline.mapping.problems import Problems, nearest, nearest_hint
from tieline.mapping.values import Unfit, plain, short, to_text
from tieline.mapping.yaml_source import Entry, Fields, Node, read_yaml, read_yaml_file

KEYS = ("value_map", "version", "owner", "note", "entries")
Scalar = str | int | Decimal | bool | None
Row = Scalar | dict[str, Scalar]
Cells = dict[str, str]
"""An entry as text, column by column; a map of single values has the one column `value`."""


class Unmapped(Unfit):
    """A key, or one of its columns, is missing from a value map."""

    def __init__(self, value_map: str, key: str, near: list[str], column: str = "") -> None:
        self.value_map = value_map
        self.key = key
        self.nearest = near
        self.column = column
        what = f"has no '{column}'" if column else "is not"
        hint = f"; nearest: {', '.join(repr(n) for n in near)}" if near else ""
        super().__init__(f"'{key}' {what} in value map '{value_map}'{hint}")


class ValueMap(msgspec.Struct, frozen=True):
    """`entries` maps a key to one value, or to a value for each column (each system)."""

    name: str
    entries: dict[str, Row]
    version: int = 1
    owner: str = ""
    note: str = ""
    file: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """The columns that rows have; empty for a map of single values."""
        return frozenset(c for row in self.entries.values() if isinstance(row, dict) for c in row)

    def get(self, key: Any, column: str = "") -> Scalar:
        """The value for a key, None for a blank key. Raises Unmapped (an Unfit) with the nearest keys."""
        if key is None:
            return None
        word = key if key.__class__ is str else to_text(key)
        row = self.entries.get(word)
        if row is None:
            raise Unmapped(self.name, word, nearest(word, self.entries, 3))
        if not isinstance(row, dict):
            return row
        value = row.get(column)
        if value is None:
            raise Unmapped(self.name, word, [], column)
        return value

    @property
    def content_hash(self) -> str:
        """SHA-256 over the entries, whatever their order in the file."""
        return content_hash({"value_map": self.name, "entries": self.entries})

    def with_entry(self, key: str, value: Row) -> ValueMap:
        """This map with one entry added or corrected, as the next version. Raises ValueError for an unknown column."""
        if not key.strip():
            raise ValueError("a key must not be empty")
        if isinstance(value, dict):
            value = {**(row if isinstance(row := self.entries.get(key), dict) else {}), **value}
            for column in value:
                if self.columns and (problem := column_problem(self.name, self.columns, column)):
                    raise ValueError(problem)
        elif self.columns:
            raise ValueError(f"value map '{self.name}' has columns: {', '.join(sorted(self.columns))}")
        return msgspec.structs.replace(self, entries={**self.entries, key: value}, version=self.version + 1)

    def cells(self, key: str) -> Cells:
        """An entry as text; {} where there is none."""
        row = self.entries.get(key)
        if isinstance(row, dict):
            return {column: to_text(cell) for column, cell in row.items() if cell is not None}
        return {} if row is None else {"value": to_text(row)}

    def corrected(self, key: str, cells: Cells) -> ValueMap:
        """As with_entry, from what a person wrote; without any cells the entry is taken out."""
        if cells:
            return self.with_entry(key, dict(cells) if self.columns else next(iter(cells.values())))
        left = {name: row for name, row in self.entries.items() if name != key}
        return msgspec.structs.replace(self, entries=left, version=self.version + 1)

    @property
    def label(self) -> str:
        """Name, version and the beginning of the content hash."""
        return f"{self.name} v{self.version} ({self.content_hash[:8]})"


def load_value_map(source: Path | str, file: str = "") -> ValueMap:
    """Read a value map from a file, or from a text. Raises ProblemsFound with everything wrong in it."""
    root, problems = read_yaml_file(source) if isinstance(source, Path) else read_yaml(source, file or "<text>")
    found = value_map_from(root, problems)
    problems.raise_if_any()
    return found


def value_map_from(root: Node, problems: Problems) -> ValueMap:
    """Read a value map from a YAML node, adding what is wrong to `problems`."""
    fields = Fields(root, problems, "a value map")
    fields.only(KEYS)
    entries: dict[str, Row] = {}
    node = fields.require("entries")
    if node is not None and not node.is_map:
        problems.add(node.mark, "'entries' of a value map must be a mapping of keys to values")
    elif node is not None:
        entries = {key: _row(key, entry, problems) for key, entry in node.value.items()}
        _same_kind(entries, node, problems)
    name = fields.text("value_map")
    if not name:
        problems.add(fields.mark("value_map"), "a value map needs a name")
    return ValueMap(
        name, entries, fields.integer("version", 1), fields.text("owner"), fields.text("note"), problems.file
    )


def _row(key: str, entry: Entry, problems: Problems) -> Row:
    if entry.node.is_map:
        for column, inner in entry.node.value.items():
            if inner.node.is_map or inner.node.is_list:
                problems.add(inner.node.mark, f"column '{column}' of '{key}' must hold one value")
        return {c: None if e.node.is_map or e.node.is_list else e.node.value for c, e in entry.node.value.items()}
    if entry.node.is_list or entry.node.value is None:
        problems.add(entry.node.mark, f"'{key}' must have one value, or a value for each column")
        return None
    return entry.node.value  # type: ignore[no-any-return]


def _same_kind(entries: dict[str, Row], node: Node, problems: Problems) -> None:
    if not entries:
        return
    with_columns = sum(isinstance(row, dict) for row in entries.values())
    if 0 < with_columns < len(entries):
        odd = next(k for k, row in entries.items() if isinstance(row, dict) is not (2 * with_columns > len(entries)))
        problems.add(node.value[odd].mark, f"'{odd}' differs from the other entries: either all have columns or none")
    # A column that only one of many rows has is nearly always misspelt.
    counts: dict[str, list[str]] = {}
    for key, row in entries.items():
        for column in row if isinstance(row, dict) else ():
            counts.setdefault(column, []).append(key)
    for column, keys in counts.items():
        hint = nearest_hint(column, [c for c in counts if len(counts[c]) > 2]) if len(keys) == 1 else ""
        if hint and with_columns > 2:
            problems.add(node.value[keys[0]].node.value[column].mark, f"column '{column}' stands only here{hint}")


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON: sorted keys, exact numbers."""
    encoded = msgspec.json.encode(_canonical(content), order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(inner) for inner in value]
    if isinstance(value, Decimal):
        return {"number": format(value, "f")} if value.is_finite() else short(value)
    return plain(value)
