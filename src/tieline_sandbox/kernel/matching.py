"""Which requests are the same, and how two that are not differ.

The invariant: two requests are the same exactly when no difference is told between them. The order of a query, of a
form and of the members of an object makes none, nor does the spelling of a number; headers are not looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tieline_sandbox.kernel.exchanges import Request
from tieline_sandbox.kernel.hiding import FORM, json_of

MOST_DIFFERENCES = 10
_COMPARED = 1_000
"""So many requests of the same method and path are compared to find the nearest."""
_SHOWN = 100
_ABSENT = object()


def key_of(request: Request) -> Hashable:
    """Equal for requests that are the same."""
    return _frozen(_content(request))


def nearest(asked: Request, recorded: Iterable[Request]) -> tuple[Request | None, list[str]]:
    """The recorded request most like this one, and what differs."""
    places: dict[tuple[str, str], list[Request]] = {}
    for each in recorded:
        places.setdefault((each.method, each.path), []).append(each)
    if not places:
        return None, []
    place = max(places, key=lambda each: (each[1] == asked.path, each[0] == asked.method, _common(each[1], asked.path)))
    found = min(places[place][:_COMPARED], key=lambda each: _distance(asked, each))
    return found, _differences(asked, found)


def _distance(asked: Request, other: Request) -> tuple[int, int]:
    alike = _common(asked.query, other.query) + _common(asked.body.text, other.body.text)
    return len(_differences(asked, other)), -alike


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _differences(asked: Request, recorded: Request) -> list[str]:
    told = (f"{where}: {text}" for where, text in _compared(_content(asked), _content(recorded), ""))
    return list(islice(told, MOST_DIFFERENCES))


def _content(request: Request) -> dict[str, Any]:
    """All that counts of a request."""
    body: Any = request.body.base64 or request.body.text
    if FORM in request.headers.get("content-type", ""):
        body = _by_name(request.body.text)
    elif (parsed := json_of(request.body.text)) is not None:
        body = parsed
    return {"method": request.method, "path": request.path, "query": _by_name(request.query), "body": body}


def _by_name(text: str) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        named.setdefault(name, []).append(value)
    return named


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return "object", frozenset((name, _frozen(inside)) for name, inside in value.items())
    if isinstance(value, list):
        return "array", tuple(_frozen(inside) for inside in value)
    # to Python true is 1
    return ("boolean", value) if isinstance(value, bool) else value


def _compared(asked: Any, recorded: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(asked, dict) and isinstance(recorded, dict):
        for name in (*asked, *(each for each in recorded if each not in asked)):
            inside = f"{where}.{name}" if where else name
            yield from _compared(asked.get(name, _ABSENT), recorded.get(name, _ABSENT), inside)
    elif isinstance(asked, list) and isinstance(recorded, list) and len(asked) == len(recorded):
        for place, pair in enumerate(zip(asked, recorded, strict=True)):
            yield from _compared(*pair, f"{where}[{place}]" if len(asked) > 1 else where)
    elif asked is _ABSENT or recorded is _ABSENT or _frozen(asked) != _frozen(recorded):
        yield where, f"asked {_shown(asked, recorded)}, recorded {_shown(recorded, asked)}"


def _shown(value: Any, other: Any) -> str:
    """A value in a few words; of a long text the part where it leaves the other."""
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, str) and isinstance(other, str):
        start = max(0, _common(value, other) - _SHOWN // 2)
        value = ("…" if start else "") + value[start:]
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
