"""Read YAML into nodes that know their place. Plain data only: no tags, anchors, binary floats or duplicate keys."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from tieline.mapping.problems import Mark, Problems, ProblemsFound, nearest_hint

MAX_FILE_CHARACTERS = 20_000_000
MAX_BRACKETS = 500
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_TAGS = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
_INTEGER = re.compile(r"[-+]?\d{1,1000}", re.ASCII)


class Node(msgspec.Struct, frozen=True):
    """A YAML node. `value` is a scalar (str, int, Decimal, bool, None), a list of Node, or a dict of key → Entry."""

    value: Any
    mark: Mark
    style: str = ""
    raw: str = ""
    indent: int = 0

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def position(self, offset: int) -> Mark:
        """Where the character at `offset` of a text value stands in the file."""
        before = self.raw[:offset]
        line, column = before.count("\n"), offset - (before.rfind("\n") + 1)
        if self.style in ("|", ">"):
            return Mark(self.mark.line + 1 + line, self.indent + column + 1)
        if self.style == "'":
            column += before.count("'")
        return Mark(self.mark.line + line, self.mark.column + column + (1 if self.style else 0))


class Entry(msgspec.Struct, frozen=True):
    """One key of a YAML mapping, with the place of the key itself."""

    mark: Mark
    node: Node


def read_yaml_file(path: Path) -> tuple[Node, Problems]:
    """Read a file. Raises ProblemsFound when it cannot be read or is no YAML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise _failed(str(path), Mark(), f"the file cannot be read: {exc}") from exc
    return read_yaml(text, str(path))


def read_yaml(text: str, file: str = "<text>") -> tuple[Node, Problems]:
    """Read a text; the Problems already hold duplicate keys, anchors, tags. Raises ProblemsFound on a syntax error."""
    if len(text) > MAX_FILE_CHARACTERS:
        raise _failed(file, Mark(), f"the file is larger than {MAX_FILE_CHARACTERS:,} characters")
    for number, line in enumerate(text.splitlines(), 1):
        # The YAML reader recurses for each bracket; no table nests so deep.
        if line.count("[") + line.count("{") > MAX_BRACKETS:
            raise _failed(file, Mark(number), f"this line has more than {MAX_BRACKETS} brackets")
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = Mark(mark.line + 1, mark.column + 1) if mark else Mark()
        raise _failed(file, where, f"this is not YAML: {exc.problem or exc.context}") from exc
    except (YAMLError, ValueError, RecursionError) as exc:
        raise _failed(file, Mark(), f"this is not YAML: {exc}") from exc
    problems = Problems(file)
    if root is None:
        raise _failed(file, Mark(), "the file is empty")
    return _Converter(problems, text.splitlines()).node(root), problems


def _failed(file: str, mark: Mark, message: str) -> ProblemsFound:
    problems = Problems(file)
    problems.add(mark, message)
    return ProblemsFound(problems.found)


class _Converter:
    def __init__(self, problems: Problems, lines: list[str]) -> None:
        self.problems = problems
        self.lines = lines
        self.seen: set[int] = set()

    def node(self, node: Any) -> Node:
        mark = _mark(node)
        # An alias is the same node met twice; tables are read by people, and nested aliases can grow without end.
        if id(node) in self.seen:
            self.problems.add(mark, "anchors and aliases are not used in tables; write the value out")
            return Node(None, mark)
        self.seen.add(id(node))
        tag = str(node.tag or "")
        if tag and tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            self.problems.add(mark, f"tags like {tag.replace('tag:yaml.org,2002:', '!!')} are not used in tables")
        if isinstance(node, MappingNode):
            return Node(self.entries(node), mark)
        if isinstance(node, SequenceNode):
            return Node([self.node(child) for child in node.value], mark)
        return self.scalar(node, mark)

    def entries(self, node: MappingNode) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            mark = _mark(key_node)
            if not isinstance(key_node, ScalarNode):
                self.problems.add(mark, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in entries:
                self.problems.add(mark, f"'{key}' stands here twice; first on line {entries[key].mark.line}")
                continue
            entries[key] = Entry(mark, self.node(value_node))
        return entries

    def scalar(self, node: ScalarNode, mark: Mark) -> Node:
        # ruamel marks where a folded scalar was folded with a bell character
        style, raw = str(node.style or ""), str(node.value).replace("\a", "")
        kind = str(node.tag or "").rsplit(":", 1)[-1]
        return Node(raw if style else _resolve(kind, raw), mark, style, raw, self.indent(style, mark))

    def indent(self, style: str, mark: Mark) -> int:
        if style not in ("|", ">"):
            return 0
        following = self.lines[mark.line : mark.line + 1]
        return len(following[0]) - len(following[0].lstrip(" ")) if following else 0


def _mark(node: Any) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _resolve(kind: str, raw: str) -> str | int | Decimal | bool | None:
    # Dates stay text, as in JSON; 0x1F, 1_000 and .inf are texts too: a table holds only numbers a ledger could hold.
    if kind == "null":
        return None
    if kind == "bool":
        return raw.lower() == "true"
    if kind == "int" and _INTEGER.fullmatch(raw):
        return int(raw)
    if kind == "float" and _NUMBER.fullmatch(raw):
        return Decimal(raw)
    return raw


class Fields:
    """Reads the keys of one YAML mapping, reporting what is missing, unknown or of the wrong kind."""

    def __init__(self, node: Node, problems: Problems, what: str) -> None:
        self.node = node
        self.problems = problems
        self.what = what
        self.entries: dict[str, Entry] = node.value if node.is_map else {}
        if not node.is_map:
            problems.add(node.mark, f"{what} must be a mapping of keys to values")

    def only(self, known: tuple[str, ...]) -> None:
        """Report each key that is not known."""
        for key, entry in self.entries.items():
            if key not in known:
                self.problems.add(entry.mark, f"unknown key '{key}' in {self.what}{nearest_hint(key, known)}")

    def find(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.node if entry else None

    def mark(self, key: str) -> Mark:
        """Where the value of `key` stands, or the whole mapping when it is absent."""
        node = self.find(key)
        return node.mark if node else self.node.mark

    def require(self, key: str) -> Node | None:
        node = self.find(key)
        if node is None and self.node.is_map:
            self.problems.add(self.node.mark, f"{self.what} needs '{key}'")
        return node

    def text(self, key: str, default: str = "") -> str:
        found: str = self.scalar(key, str, "a text", default)
        return found

    def integer(self, key: str, default: int = 0) -> int:
        found: int = self.scalar(key, int, "a whole number", default)
        return found

    def flag(self, key: str, default: bool = False) -> bool:
        found: bool = self.scalar(key, bool, "true or false", default)
        return found

    def scalar(self, key: str, kind: type[Any], wanted: str, default: Any) -> Any:
        node = self.find(key)
        if node is None or node.value is None:
            return default
        if type(node.value) is kind:
            return node.value
        if kind is str and node.raw and not node.is_map and not node.is_list:
            return node.raw  # `owner: 12` and `column: no` are meant as words
        self.problems.add(node.mark, f"'{key}' of {self.what} must be {wanted}")
        return default

    def items(self, key: str) -> list[Node]:
        node = self.find(key)
        if node is None or node.value is None:
            return []
        if not node.is_list:
            self.problems.add(node.mark, f"'{key}' of {self.what} must be a list")
            return []
        return list(node.value)
