"""What an administrator sets up in an org: custom objects, fields and platform events, validation and duplicate rules.

Rules are equalities on fields, which is enough to refuse what a test or a user wants refused.
Source: Metadata API Developer Guide, CustomObject; Salesforce Help, "Duplicate Rules".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tieline_sandbox.salesforce.objects import make, ref, text
from tieline_sandbox.salesforce.schema import Field, Schema, SObject, Type
from tieline_sandbox.salesforce.store import Record

_EVENT_FIELDS = ("id", "createddate", "createdbyid")
_LENGTHS: dict[Type, int] = {"textarea": 32_768, "email": 80, "phone": 40, "picklist": 255, "reference": 18}


class CustomField(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One field to add: `name` ends in __c, `to` is what a reference refers to, `children` how its parent calls it."""

    name: str
    type: Type = "string"
    length: int = 0
    scale: int = 2
    required: bool = False
    values: tuple[str, ...] = ()
    to: str = ""
    children: str = ""
    cascade: bool = False
    external_id: bool = False
    unique: bool = False
    default: Any = None

    def field(self) -> Field:
        """Raises ValueError for a name or a type that Salesforce would not take."""
        if not self.name.endswith("__c"):
            raise ValueError(f"{self.name}: the name of a custom field ends in __c")
        if (self.type == "reference") is not bool(self.to):
            raise ValueError(f"{self.name}: `to` names the object a reference refers to")
        return Field(
            self.name,
            self.type,
            self.length or _LENGTHS.get(self.type, 255),
            scale=self.scale if self.type in ("currency", "double", "percent") else 0,
            required=self.required,
            refers_to=self.to,
            relationship=self.name.removesuffix("c") + "r" if self.to else "",
            children=f"{self.children}__r" if self.children else "",
            on_delete="cascade" if self.cascade else "keep",
            values=self.values,
            external_id=self.external_id,
            unique=self.unique,
            default=False if self.type == "boolean" and self.default is None else self.default,
        )


class CustomObject(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An object to add (`__c`), a platform event (`__e`), or a standard object that gets more fields."""

    name: str
    plural: str = ""
    fields: tuple[CustomField, ...] = ()

    def define(self, schema: Schema) -> SObject:
        """The object as it will be. Raises ValueError for a name that is neither known nor custom."""
        fields = [field.field() for field in self.fields]
        known = schema.find(self.name)
        if known is not None:
            return known.with_fields(fields)
        plural = self.plural or self.name.rpartition("__")[0].replace("_", " ")
        if self.name.endswith("__e"):
            return _event(self.name, f"e{_nth(schema, 'e')}", plural, fields)
        if self.name.endswith("__c"):
            own = [text("Name", 80), ref("OwnerId", "User"), *fields]
            return make(self.name, f"a{_nth(schema, 'a')}", plural, own)
        raise ValueError(f"{self.name}: the name of a custom object ends in __c, of a platform event in __e")


class ValidationRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Refuses a record whose fields have all of these values, in the administrator's words."""

    object: str
    when: dict[str, Any]
    message: str
    field: str = ""

    def breaks(self, sobject: str, record: Record) -> bool:
        return self.object.lower() == sobject.lower() and all(record.get(k) == v for k, v in self.when.items())


class DuplicateRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Records of one object are duplicates when these fields are equal, whatever the case, and not empty.

    `block` refuses always, `alert` unless the caller says allowSave.
    """

    object: str
    fields: tuple[str, ...]
    action: Literal["block", "alert"] = "alert"
    name: str = "Standard_Rule"
    message: str = "Use one of these records?"

    def key(self, record: Record) -> tuple[str, ...] | None:
        values = [record.get(name) for name in self.fields]
        return None if None in values else tuple(str(value).casefold() for value in values)


def _event(name: str, prefix: str, plural: str, fields: list[Field]) -> SObject:
    whole = make(name, prefix, plural, [text("ReplayId", 255, create=False), text("EventUuid", 36, create=False)])
    kept = {key: f for key, f in whole.fields.items() if key in _EVENT_FIELDS or key in ("replayid", "eventuuid")}
    return SObject(name, prefix, plural, kept | {f.name.lower(): f for f in fields})


def _nth(schema: Schema, letter: str) -> str:
    """The next key prefix of custom objects: a00, a01…"""
    return f"{sum(1 for sobject in schema if sobject.custom and sobject.prefix[0] == letter):02d}"
