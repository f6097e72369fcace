"""What systems and people are told: events, entities with their JSON Schemas, errors."""

from __future__ import annotations

import importlib
import pkgutil
import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

import tieline
from tieline.app.reference.markdown import doc, fields_table, page, prose
from tieline.domain import KINDS
from tieline.errors import TielineError
from tieline.events import EVENTS, type_name


def events() -> str:
    """The catalogue: what each event says."""
    parts = [
        (
            "Every business event. Its type is `tieline.<Name>.v<version>`, its envelope is CloudEvents 1.0 "
            "with the extensions `correlationid` (the deal) and `causationid` (the event behind it). `tieline "
            "events --cloudevents` prints them so. A released version is never edited: an incompatible change "
            "is a new version with an upcaster."
        ),
    ]
    for name, kind in EVENTS.items():
        schema = _schema_name(kind)
        parts += [
            f"## {name}",
            f"{prose(doc(kind))}\n\n`{type_name(kind)}`, [JSON Schema](schemas/{schema})",
            fields_table(kind),
        ]
    return page("Events", *parts)


def entities() -> str:
    """Canonical documents and the values inside of them."""
    parts = [
        "The canonical documents. Amounts are exact decimals with a currency, dates are ISO 8601, times are aware UTC."
    ]
    for name, kind in KINDS.items():
        parts += [f"## {name}", f"{prose(doc(kind))}\n\n[JSON Schema](schemas/{name}.json)", fields_table(kind)]
    parts.append("## Values inside of them")
    inner = {k.__name__: k for kind in KINDS.values() for k in _types_in(kind) if k not in KINDS.values()}
    for name, value in sorted(inner.items()):
        parts += [f"### {name}", prose(doc(value)), _members(value)]
    return page("Entities", *parts)


def errors() -> str:
    """The tree of errors; a class is named by what its caller does next."""
    _load_everything()
    lines = [
        f"{'  ' * depth}- **{kind.__name__}**{_vendor(kind)}: {prose(doc(kind))}"
        for depth, kind in _tree(TielineError, 0)
    ]
    return page(
        "Errors",
        "An error is named by what the caller does next. Vendors' errors become these in each connector's "
        "`errors.py`, with the vendor's own code and request id kept. The command line ends with 2 for a "
        "ConfigurationError and with 1 for every other.",
        "\n".join(lines),
    )


def _types_in(kind: type[Any]) -> Iterator[type[Any]]:
    """The structs and enumerations that a struct is made of, at any depth."""
    if issubclass(kind, StrEnum):
        return
    for field in msgspec.structs.fields(kind):
        for inner in (field.type, *typing.get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct | StrEnum):
                yield inner
                yield from _types_in(inner)


def _members(value: type[Any]) -> str:
    if issubclass(value, StrEnum):
        return "One of " + ", ".join(f"`{member.value}`" for member in value) + "."
    return fields_table(value)


def _schema_name(kind: type[Any]) -> str:
    return f"{kind.__name__}.v{getattr(kind, 'version', 1)}.json"


def _schema(kind: type[Any]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _tree(kind: type[BaseException], depth: int) -> Iterator[tuple[int, type[BaseException]]]:
    yield depth, kind
    for inner in sorted(set(kind.__subclasses__()), key=lambda k: (k.__name__, k.__module__)):
        if inner.__module__.startswith("tieline."):
            yield from _tree(inner, depth + 1)


def _vendor(kind: type[Any]) -> str:
    """Whose connector an error belongs to; vendors may use the same name."""
    _, _, rest = kind.__module__.partition("tieline.connectors.")
    return f" ({rest.partition('.')[0]})" if rest else ""


def _load_everything() -> None:
    for module in pkgutil.walk_packages(tieline.__path__, "tieline."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def schemas() -> dict[str, str]:
    """File name → JSON Schema, of every event and entity."""
    made = {_schema_name(kind): _schema(kind) for kind in EVENTS.values()}
    return made | {f"{name}.json": _schema(kind) for name, kind in KINDS.items()}
