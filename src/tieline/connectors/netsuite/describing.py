"""What an account says of its records, in the shapes that tables use.

The catalog says nothing of fields that must be filled: which those are, the account's forms and rules decide.
Source: Oracle help "Working with JSON Schema Metadata" (section_1545129726).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieline.connectors.sdk import Described, list_schema, object_schema
from tieline.engine.ports import Wire
from tieline.errors import VendorUnavailable

_KINDS = {"string": "text", "number": "number", "integer": "number", "boolean": "boolean"}
_FORMATS = {"date": "date", "date-time": "datetime"}


def record_schema(told: Wire, label: str) -> Wire:
    """Raises VendorUnavailable for an answer that describes no fields."""
    if not isinstance(told.get("properties"), Mapping):
        raise VendorUnavailable(f"NetSuite described the {label} without fields")
    return _object(told["properties"])


def _object(properties: Mapping[str, Any]) -> Wire:
    return object_schema(_field(name, field) for name, field in properties.items())


def _field(name: str, field: Mapping[str, Any]) -> Described:
    if isinstance(field.get("properties"), Mapping):
        return Described(name=name, schema=_object(field["properties"]))
    items = field.get("items")
    if isinstance(items, Mapping) and isinstance(items.get("properties"), Mapping):
        return Described(name=name, schema=list_schema(_object(items["properties"])))
    kind = _FORMATS.get(str(field.get("format"))) or _KINDS.get(str(field.get("type")), "any")
    return Described(name=name, kind=kind)
