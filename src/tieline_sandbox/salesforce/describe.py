"""What the org says of its own objects: describe, the list of objects, the versions and the limits."""

from __future__ import annotations

from typing import Any

from tieline_sandbox.salesforce.schema import NUMBER, SOBJECTS, TEXT, Field, SObject

Json = dict[str, Any]
VERSIONS = {"59.0": "Winter '24", "60.0": "Spring '24", "61.0": "Summer '24", "62.0": "Winter '25"}
_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "date": "xsd:date",
    "datetime": "xsd:dateTime", "currency": "xsd:double", "double": "xsd:double", "percent": "xsd:double",
    "address": "urn:address",
}  # fmt: skip


def versions() -> list[Json]:
    return [{"label": label, "url": f"/services/data/v{v}", "version": v} for v, label in VERSIONS.items()]


def basics(sobject: SObject, version: str) -> Json:
    url = f"/services/data/v{version}/sobjects/{sobject.name}"
    urls = {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"}
    writable = sobject.writable
    flags = {"createable": writable, "updateable": writable, "deletable": writable, "undeletable": writable}
    return {
        "name": sobject.name,
        "label": sobject.name,
        "labelPlural": sobject.plural,
        "keyPrefix": sobject.prefix,
        "custom": False,
        "queryable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        **flags,
        "urls": urls,
    }


def global_describe(version: str) -> Json:
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [basics(s, version) for s in SOBJECTS.values()]}


def describe(sobject: SObject, version: str, *, unique: bool) -> Json:
    children = [
        {"childSObject": c.sobject, "field": c.field, "relationshipName": c.name, "cascadeDelete": False}
        for c in sobject.children.values()
    ]
    fields = [_field(f, unique=unique) for f in sobject.fields.values()]
    return basics(sobject, version) | {"fields": fields, "childRelationships": children, "recordTypeInfos": []}


def _field(field: Field, *, unique: bool) -> Json:
    system = not field.create and not field.update
    length = field.length if field.type in TEXT or field.type in ("id", "reference") else 0
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "length": length,
        "byteLength": length * 3,
        "precision": 18 if field.type in NUMBER and field.type != "int" else 0,
        "scale": field.scale,
        "digits": 8 if field.type == "int" else 0,
        "custom": field.custom,
        "nillable": not field.required and field.type not in ("boolean", "id"),
        "createable": field.create,
        "updateable": field.update,
        "defaultedOnCreate": field.default is not None or system,
        "externalId": field.external_id,
        "unique": field.external_id and unique,
        "idLookup": field.external_id or field.type == "id",
        "filterable": not (field.type == "textarea" and field.length > 255),
        "sortable": field.type != "address",
        "groupable": field.type in ("string", "reference", "boolean", "picklist"),
        "calculated": False,
        "restrictedPicklist": bool(field.values),
        "picklistValues": [
            {"active": True, "defaultValue": v == field.default, "label": v, "value": v} for v in field.values
        ],
        "referenceTo": [field.refers_to] if field.refers_to else [],
        "relationshipName": field.relationship or None,
    }


def limits(used: int, allowed: int) -> Json:
    return {
        "DailyApiRequests": {"Max": allowed, "Remaining": max(0, allowed - used)},
        "ConcurrentAsyncGetReportInstances": {"Max": 200, "Remaining": 200},
        "DataStorageMB": {"Max": 1024, "Remaining": 1024},
        "HourlyODataCallout": {"Max": 20000, "Remaining": 20000},
        "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000},
    }
