"""The text of a value map: written anew, or a file's own text with single entries changed.

The invariant: an edit leaves every other character of the file as it was, comments and columns of spaces included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from tieline.errors import ConfigurationError
from tieline.mapping.problems import ProblemsFound
from tieline.mapping.value_map import Cells, Row, Scalar, ValueMap, load_value_map
from tieline.mapping.values import to_text

_PLAIN = re.compile(r"[A-Za-z]([\w ./()&+-]*[\w.)+])?", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def write_value_map(value_map: ValueMap) -> str:
    """A whole map as a file of its own."""
    head = [
        f"value_map: {_scalar(value_map.name)}",
        f"version: {value_map.version}",
        *([f"owner: {_scalar(value_map.owner)}"] if value_map.owner else []),
        *([f"note: {_scalar(value_map.note)}"] if value_map.note else []),
        "entries:",
    ]
    rows = [f"  {_scalar(key)}: {_row(row)}" for key, row in value_map.entries.items()]
    return "\n".join([*head, *rows]) + "\n"


def edit_value_map(text: str, changed: Mapping[str, Cells], version: int, file: str) -> str:
    """A file's text with entries set to these cells ({}: taken out) and its version number.

    Raises ConfigurationError where the file is written in a way that only a person can edit.
    """
    wanted = load_value_map(text, file)
    for key, cells in changed.items():
        wanted = wanted.corrected(key, cells)
    edited = text
    for key, cells in changed.items():
        edited = _set(edited, key, cells, bool(wanted.columns), file)
    edited = _numbered(edited, version)
    try:
        found = load_value_map(edited, file)
    except ProblemsFound as error:
        raise _by_hand(file) from error
    if found.content_hash != wanted.content_hash or found.version != version:
        raise _by_hand(file)
    return edited


def _set(text: str, key: str, cells: Cells, with_columns: bool, file: str) -> str:
    entries = _child(_root(text), "entries")
    if not isinstance(entries, MappingNode) or entries.flow_style or not entries.value:
        raise _by_hand(file)
    found = next(((k, v) for k, v in entries.value if k.value == key), None)
    if found is None:
        return _append(text, entries, _entry(key, cells, with_columns)) if cells else text
    if not cells:
        start = text.rfind("\n", 0, found[0].start_mark.index) + 1
        return text[:start] + text[_line_end(text, _end(found[1])) + 1 :]
    return _cells(text, found[1], cells)


def _cells(text: str, row: Node, cells: Cells) -> str:
    """An entry that is there: only the cells that differ are written."""
    if not isinstance(row, MappingNode):
        return _spliced(text, row, next(iter(cells.values())))
    held = {column.value: value for column, value in row.value}
    new = {column: cell for column, cell in cells.items() if column not in held}
    if new and row.flow_style:
        at = _end(row) - 1
        added = "".join(f", {_scalar(column)}: {_scalar(cell)}" for column, cell in new.items())
        text = text[:at].rstrip(" ") + added + text[at:]
    elif new:
        first, at = row.value[0][0], _line_end(text, _end(row))
        indent = "\n" + " " * first.start_mark.column
        text = text[:at] + "".join(f"{indent}{_scalar(c)}: {_scalar(cell)}" for c, cell in new.items()) + text[at:]
    # from the last to the first, so that places before stay right
    for column, value in sorted(held.items(), key=lambda item: -item[1].start_mark.index):
        if column in cells and str(value.value) != cells[column]:
            text = _spliced(text, value, cells[column])
    return text


def _append(text: str, entries: MappingNode, line: str) -> str:
    key, last = entries.value[-1]
    at = _line_end(text, _end(last))
    if text[at - 1 : at] == "\r":
        at -= 1
    ending = "\r\n" if "\r\n" in text else "\n"
    return f"{text[:at]}{ending}{' ' * key.start_mark.column}{line}{text[at:]}"


def _spliced(text: str, node: Node, value: str) -> str:
    return text[: node.start_mark.index] + _scalar(value) + text[_end(node) :]


def _numbered(text: str, version: int) -> str:
    node = _child(_root(text), "version")
    if node is not None:
        return text[: node.start_mark.index] + str(version) + text[_end(node) :]
    at = _line_end(text, _end(_child(_root(text), "value_map")))
    return f"{text[:at]}\nversion: {version}{text[at:]}"


def _root(text: str) -> Any:
    return YAML(typ="rt", pure=True).compose(text)


def _child(node: Any, name: str) -> Any:
    return next((value for key, value in node.value if key.value == name), None)


def _end(node: Any) -> int:
    """Where a node ends; that of a mapping in lines is where its last value ends, not where the next key begins."""
    while isinstance(node, MappingNode) and not node.flow_style and node.value:
        node = node.value[-1][1]
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.index) - 1
    return int(node.end_mark.index)


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _entry(key: str, cells: Cells, with_columns: bool) -> str:
    return f"{_scalar(key)}: {_row(dict(cells) if with_columns else next(iter(cells.values())))}"


def _row(row: Row) -> str:
    if not isinstance(row, dict):
        return _scalar(row)
    return f"{{{', '.join(f'{_scalar(column)}: {_scalar(cell)}' for column, cell in row.items())}}}"


def _scalar(value: Scalar) -> str:
    """A value that reads back as that very value: a JSON string is a YAML string."""
    if not isinstance(value, str):
        return "null" if value is None else to_text(value)
    plain = _PLAIN.fullmatch(value) and value.casefold() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


def _by_hand(file: str) -> ConfigurationError:
    return ConfigurationError(f"{file} is written in a way that only a person can edit; put the entries in by hand")
