"""Functions of formulas: their signatures, written as `"text, number? -> number"`, and the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tieline.mapping.shapes import (
    ANYTHING,
    BLANK,
    BOOLEAN,
    DATE,
    DATETIME,
    NUMBER,
    SCALARS,
    TEXT,
    Shape,
    list_of,
    union,
)

KINDS: dict[str, Shape] = {
    "number": NUMBER,
    "text": TEXT,
    "boolean": BOOLEAN,
    "date": DATE,
    "datetime": DATETIME,
    "blank": BLANK,
    "any": ANYTHING,
    "list": list_of(ANYTHING),
    "numbers": list_of(NUMBER),
    "texts": list_of(TEXT),
    "object": Shape({"object"}),
    "day": Shape({"date", "datetime", "text"}),
    "scalar": Shape(SCALARS | {"blank"}),
}


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: `text`, `text|blank`, `number?` (may be left out), `any*` (any number of them)."""

    shape: Shape
    words: str
    optional: bool = False
    many: bool = False


class Function(msgspec.Struct, frozen=True):
    """A named function: pure, exact, and without access to anything but its arguments.

    `item_wise` functions take expressions computed for each item of their first argument; `lazy` ones receive
    their arguments as closures.
    """

    name: str
    call: Callable[..., Any]
    parameters: tuple[Parameter, ...] | None
    gives: Shape = ANYTHING
    signature: str = ""
    doc: str = ""
    example: str = ""
    result: str = ""
    group: str = ""
    item_wise: bool = False
    lazy: bool = False

    @property
    def least(self) -> int:
        return sum(1 for p in self.parameters or () if not p.optional and not p.many)

    @property
    def most(self) -> int | None:
        if self.parameters is None or any(p.many for p in self.parameters):
            return None
        return len(self.parameters)

    def parameter(self, at: int) -> Parameter | None:
        if not self.parameters:
            return None
        if at < len(self.parameters):
            return self.parameters[at]
        return self.parameters[-1] if self.parameters[-1].many else None

    def wrong_count(self, given: int) -> str:
        """A sentence when `given` arguments are too few or too many, else nothing."""
        if self.parameters is None or (given >= self.least and (self.most is None or given <= self.most)):
            return ""
        most = "or more" if self.most is None else f"to {self.most}" if self.most != self.least else ""
        wanted = f"{self.least} {most}".strip()
        return f"{self.name}() takes {wanted} argument{'' if wanted == '1' else 's'}, {given} given: {self.signature}"


def function(name: str, call: Callable[..., Any], signature: str = "", *, doc: str = "") -> Function:
    """Declare a function for formulas and tables: `function("known_product", known, "text -> boolean")`.

    The call gets numbers as Decimal, texts, booleans, dates, lists and None. It raises ValueError with the rest of
    the sentence "the value …" when it cannot answer. Without a signature arguments are counted but not typed.
    """
    if not signature:
        return Function(name, call, _counted(call), ANYTHING, f"{name}(…)", doc)
    takes, _, gives = signature.partition("->")
    parameters = tuple(_parameter(word.strip()) for word in takes.split(",") if word.strip())
    return Function(
        name, call, parameters, _shape(gives.strip() or "any"), f"{name}({takes.strip()}) → {gives.strip()}", doc
    )


def _parameter(word: str) -> Parameter:
    optional, many = word.endswith("?"), word.endswith("*")
    return Parameter(_shape(word.rstrip("?*")), word, optional, many)


def _shape(words: str) -> Shape:
    names = [w.strip() for w in words.split("|")]
    unknown = [n for n in names if n not in KINDS]
    if unknown:
        raise ValueError(f"unknown kind {unknown[0]!r} in a signature; known: {', '.join(KINDS)}")
    return KINDS[names[0]] if len(names) == 1 else union(*(KINDS[n] for n in names))


def _counted(call: Callable[..., Any]) -> tuple[Parameter, ...] | None:
    try:
        found = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    return tuple(Parameter(ANYTHING, p.name, p.default is not p.empty, p.kind is p.VAR_POSITIONAL) for p in positional)


class Functions(Mapping[str, Function]):
    """The functions a table may use, by name."""

    def __init__(self, functions: Iterable[Function] = ()) -> None:
        self._by_name = {f.name: f for f in functions}

    def with_(self, more: Mapping[str, Any] | Iterable[Function]) -> Functions:
        """These functions and more; a bare callable is declared without types."""
        if isinstance(more, Mapping):
            declared = [f if isinstance(f, Function) else function(name, f) for name, f in more.items()]
        else:
            declared = list(more)
        return Functions([*self._by_name.values(), *declared])

    def __getitem__(self, name: str) -> Function:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
