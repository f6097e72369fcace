"""JSON Schemas of the files this room reads, for editors that complete and check YAML while it is written."""

from __future__ import annotations

from typing import Any

from tieline.mapping.table import EACH_KEYS, EXAMPLE_KEYS, RULE_KEYS, TABLE_KEYS
from tieline.mapping.value_map import KEYS
from tieline.mapping.values import KINDS, ROUNDING_MODES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: dict[str, Any] = {"type": "string"}
_FORMULA: dict[str, Any] = {"type": ["string", "number", "boolean"], "description": "a formula"}
_PLACES: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 20}
_ROUND: dict[str, Any] = {
    "anyOf": [
        _PLACES,
        {
            "type": "object",
            "properties": {"places": _PLACES, "mode": {"enum": list(ROUNDING_MODES)}},
            "required": ["places"],
            "additionalProperties": False,
        },
    ]
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "formula": _FORMULA,
    "when": _FORMULA,
    "where": _FORMULA,
    "const": {},
    "default": {},
    "args": {"type": "array", "items": _TEXT, "minItems": 1},
    "as": {"enum": list(KINDS)},
    "required": {"type": "boolean"},
    "truncate": {"type": "boolean"},
    "keep_null": {"type": "boolean"},
    "max_length": {"type": "integer", "minimum": 1},
    "round": _ROUND,
    "fields": {"$ref": "#/$defs/fields"},
    "version": {"type": "integer"},
    "given": {},
    "expect": {},
    "refs": {"type": "object", "additionalProperties": {"type": "object"}},
}


def closed(keys: tuple[str, ...], required: tuple[str, ...], special: dict[str, Any]) -> dict[str, Any]:
    """An object of these keys and no others; a key is a text unless `special` says what it is."""
    properties = {key: special.get(key, _TEXT) for key in keys}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def mapping_format() -> dict[str, Any]:
    """The schema of a mapping table."""
    single = closed(RULE_KEYS, (), _SPECIAL)
    single["oneOf"] = [{"required": [key]} for key in ("from", "formula", "const", "args")]
    every = closed(EACH_KEYS, ("each", "fields"), _SPECIAL)
    fields = {"type": "object", "minProperties": 1, "additionalProperties": {"anyOf": [single, every]}}
    examples = {"type": "array", "items": closed(EXAMPLE_KEYS, ("given", "expect"), _SPECIAL)}
    table = closed(TABLE_KEYS, ("mapping", "version", "fields"), {**_SPECIAL, "examples": examples})
    return {"$schema": DIALECT, "title": "Tieline mapping table", **table, "$defs": {"fields": fields}}


def value_map_format() -> dict[str, Any]:
    """The schema of a value map."""
    value = {"type": ["string", "number", "boolean"]}
    row = {"type": "object", "minProperties": 1, "additionalProperties": {**value, "type": [*value["type"], "null"]}}
    entries = {"type": "object", "additionalProperties": {"anyOf": [value, row]}}
    table = closed(KEYS, ("value_map", "entries"), {**_SPECIAL, "entries": entries})
    return {"$schema": DIALECT, "title": "Tieline value map", **table}
