"""What an account says of its own fields, as JSON Schema: the same form in which tables are checked, so that one
checker finds the mistakes of a table and the drift of a system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

JsonSchema = dict[str, Any]

_TYPES: Mapping[str, JsonSchema] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "list": {"type": "array"},
    "object": {"type": "object"},
}


@runtime_checkable
class DescribesFields(Protocol):
    """A connector whose vendor tells the fields of an account. `tieline connectors drift` asks for it."""

    async def describe(self, shape: str) -> JsonSchema | None:
        """The JSON Schema of a wire shape as this account has it now; None for one the vendor does not describe.

        `shape` is a name of the connector's `schemas` ("salesforce.opportunity"). Raises TielineErrors as reads do.
        """


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an account. `kind` is text, number, boolean, date, datetime, list, object, or any.

    `schema` replaces `kind` for a field with fields of its own. `required` says that a new record must carry it and
    the vendor fills in nothing; `nullable` that it may be read empty.
    """

    name: str
    kind: str = "any"
    schema: JsonSchema | None = None
    required: bool = False
    nullable: bool = True


def object_schema(fields: Iterable[Described]) -> JsonSchema:
    """A record of exactly these fields: a table that names another one is reported."""
    known = list(fields)
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in known},
        "required": [field.name for field in known if field.required],
        "additionalProperties": False,
    }


def list_schema(items: JsonSchema) -> JsonSchema:
    """A list of such records."""
    return {"type": "array", "items": items}


def _property(field: Described) -> JsonSchema:
    schema = field.schema or _TYPES.get(field.kind, {})
    return {"anyOf": [schema, {"type": "null"}]} if schema and field.nullable else schema
