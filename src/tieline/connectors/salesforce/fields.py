"""The fields an org has now, from describe, in the shapes that tables use.

Source: REST API Developer Guide, "sObject Describe"; Object Reference, "Field Types".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tieline.connectors.salesforce.wire import SHAPES
from tieline.connectors.sdk import Described, list_schema, object_schema
from tieline.errors import VendorUnavailable

Describe = Callable[[str], Awaitable[Mapping[str, Any]]]
Schema = dict[str, Any]

SOBJECTS = {f"salesforce.{kind}": shape.sobject for kind, shape in SHAPES.items()}
"""The shapes of tables → the object that describe knows."""

LISTS = {
    "Opportunity": {"OpportunityLineItems": "OpportunityLineItem"},
    "Quote": {"QuoteLineItems": "QuoteLineItem"},
    "Order": {"OrderItems": "OrderItem"},
}
"""Object → its child relationships that are read with it."""

PARENTS = {"Opportunity": {"Owner": "User"}} | {
    name: {"Product2": "Product2"} for name in ("OpportunityLineItem", "QuoteLineItem", "OrderItem", "PricebookEntry")
}
"""Object → the parents of which fields are read with it."""

KINDS = {
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), "number"),
    **dict.fromkeys(("string", "textarea", "picklist", "multipicklist", "combobox", "email", "phone", "url"), "text"),
    **dict.fromkeys(("id", "reference", "encryptedstring"), "text"),
    **{name: name for name in ("boolean", "date", "datetime")},
}
"""describe's type → ours; any other may be anything."""


async def shape_schema(sobject: str, describe: Describe) -> Schema:
    """The JSON Schema of an object with the lists and parents that are read with it."""
    told = await describe(sobject)
    fields, children = told.get("fields"), told.get("childRelationships")
    if not isinstance(fields, list) or not isinstance(children, list):
        raise VendorUnavailable(f"Salesforce described {sobject} without fields")
    found = [_described(field) for field in fields]
    known = {child.get("relationshipName") for child in children}
    for name, child in LISTS.get(sobject, {}).items():
        if name in known:
            found.append(Described(name=name, schema=_records(await shape_schema(child, describe))))
    known = {field.get("relationshipName") for field in fields}
    for name, parent in PARENTS.get(sobject, {}).items():
        if name in known:
            found.append(Described(name=name, schema=await shape_schema(parent, describe)))
    return object_schema(found)


def _described(field: Mapping[str, Any]) -> Described:
    required = bool(field.get("createable")) and not field.get("nillable") and not field.get("defaultedOnCreate")
    return Described(
        name=str(field["name"]),
        kind=KINDS.get(str(field.get("type")), "any"),
        required=required,
        nullable=bool(field.get("nillable")),
    )


def _records(record: Schema) -> Schema:
    numbers = [Described(name="totalSize", kind="number"), Described(name="done", kind="boolean")]
    return object_schema([*numbers, Described(name="records", schema=list_schema(record), nullable=False)])
