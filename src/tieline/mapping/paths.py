"""Paths: `customer.name`, `lines[0].id`, `$.Id` from the root, `_item` and `_index` inside a list."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from tieline.mapping.values import Unfit, kind_of

Segment = str | int
_SEGMENT = re.compile(r"([^.\[\]$\s][^.\[\]]*)|\[(\d{1,4})\]")


class FieldPath(msgspec.Struct, frozen=True):
    """A path inside a document. `root` is set when it starts at the document and not at the item of the list."""

    segments: tuple[Segment, ...]
    root: bool = False

    def __str__(self) -> str:
        inner = format_segments(self.segments)
        return (f"$.{inner}" if inner else "$") if self.root else inner


@lru_cache(maxsize=4096)
def parse_path(text: str) -> FieldPath:
    """Read a path. Raises ValueError with what is wrong."""
    root = text == "$" or text.startswith("$.")
    rest = text[2:] if root else text
    segments: list[Segment] = []
    at = 0
    while at < len(rest):
        match = _SEGMENT.match(rest, at)
        if match is None:
            raise ValueError(f"'{text}' is not a path: field names are separated by dots, list positions are [0]")
        segments.append(match[1].rstrip() if match[1] is not None else int(match[2]))
        at = match.end()
        if at < len(rest) and rest[at] == ".":
            at += 1
            if at == len(rest):
                raise ValueError(f"'{text}' ends with a dot")
    if not segments and not root:
        raise ValueError("a path must not be empty")
    return FieldPath(tuple(segments), root)


def format_segments(segments: tuple[Segment, ...]) -> str:
    """`("lines", 0, "id")` → `lines[0].id`."""
    text = ""
    for segment in segments:
        text += f"[{segment}]" if isinstance(segment, int) else f".{segment}" if text else segment
    return text


def walk(value: Any, segments: tuple[Segment, ...]) -> Any:
    """The value at a path, None where anything on the way is absent.

    Raises Unfit when the path enters something that is no object or list.
    """
    for segment in segments:
        if value is None:
            return None
        if isinstance(value, dict) and isinstance(segment, str):
            value = value.get(segment)
        elif isinstance(value, list) and isinstance(segment, int):
            value = value[segment] if segment < len(value) else None
        else:
            wanted = "a list" if isinstance(segment, int) else "an object"
            raise Unfit(f"holds {kind_of(value)} where {wanted} with '{segment}' was expected")
    return value


def put(target: dict[str, Any], segments: tuple[Segment, ...], value: Any) -> None:
    """Write into nested objects, making those that are missing; a list grows to the position named."""
    here: Any = target
    for at, segment in enumerate(segments[:-1]):
        empty: Any = [] if isinstance(segments[at + 1], int) else {}
        if isinstance(segment, int):
            _grow(here, segment)
            here[segment] = here[segment] if here[segment] is not None else empty
            here = here[segment]
        else:
            here = here.setdefault(segment, empty)
    last = segments[-1]
    if isinstance(last, int):
        _grow(here, last)
    here[last] = value


def _grow(items: list[Any], position: int) -> None:
    while len(items) <= position:
        items.append(None)
