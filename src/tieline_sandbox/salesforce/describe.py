"""What the org says of its own objects: describe, the list of objects, the versions and the limits."""

from __future__ import annotations

from typing import Any

from tieline_sandbox.salesforce.schema import NUMBER, TEXT, Field, Schema, SObject
from tieline_sandbox.salesforce.usage import Usage

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
    changes = writable and not sobject.event
    flags = {"createable": writable, "updateable": changes, "deletable": changes, "undeletable": changes}
    return {
        "name": sobject.name,
        "label": sobject.name.removesuffix("__c").removesuffix("__e").replace("_", " "),
        "labelPlural": sobject.plural,
        "keyPrefix": sobject.prefix,
        "custom": sobject.custom,
        "customSetting": False,
        "deprecatedAndHidden": False,
        "queryable": not sobject.event,
        "replicateable": not sobject.event,
        "retrieveable": not sobject.event,
        "searchable": not sobject.event,
        "triggerable": True,
        "mergeable": "MasterRecordId" in sobject.blank,
        **flags,
        "urls": urls,
    }


def global_describe(schema: Schema, version: str) -> Json:
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [basics(s, version) for s in schema]}


def describe(sobject: SObject, version: str, *, unique: bool) -> Json:
    children = [
        {
            "childSObject": c.sobject,
            "field": c.field,
            "relationshipName": c.name,
            "cascadeDelete": c.on_delete == "cascade",
            "restrictedDelete": c.on_delete == "refuse",
            "deprecatedAndHidden": False,
        }
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
        "defaultedOnCreate": field.default is not None or system,
        "externalId": field.external_id,
        "unique": field.unique or (field.external_id and unique),
        "caseSensitive": False,
        "autoNumber": bool(field.format),
        "cascadeDelete": field.on_delete == "cascade",
        "updateable": field.update,
        "permissionable": not field.required and not system,
        "nameField": field.name == "Name",
        "deprecatedAndHidden": False,
        "defaultValue": field.default,
        "idLookup": field.external_id or field.type == "id",
        "filterable": not (field.type == "textarea" and field.length > 255),
        "sortable": field.type != "address",
        "groupable": field.type in ("id", "string", "reference", "boolean", "picklist", "date", "int"),
        "aggregatable": field.type not in ("boolean", "address", "textarea"),
        "calculated": False,
        "restrictedPicklist": bool(field.values),
        "picklistValues": [
            {"active": True, "defaultValue": v == field.default, "label": v, "value": v} for v in field.values
        ],
        "referenceTo": [field.refers_to] if field.refers_to else [],
        "relationshipName": field.relationship or None,
    }


def limits(usage: Usage) -> Json:
    """What is left of the org's allowances, by the names Salesforce gives them."""

    def left(allowed: int, used: int = 0) -> Json:
        return {"Max": allowed, "Remaining": max(0, allowed - used)}

    return {
        "ConcurrentAsyncGetReportInstances": left(200),
        "DailyApiRequests": left(usage.allowed, usage.used),
        "DailyAsyncApexExecutions": left(250_000),
        "DailyBulkApiBatches": left(15_000, usage.bulk_batches),
        "DailyBulkV2QueryFileStorageMB": left(976_562),
        "DailyBulkV2QueryJobs": left(10_000, usage.query_jobs),
        "DailyDeliveredPlatformEvents": left(50_000, usage.delivered_events),
        "DataStorageMB": left(1024),
        "FileStorageMB": left(1024),
        "HourlyODataCallout": left(20_000),
        "HourlyPublishedPlatformEvents": left(250_000, usage.published_events),
    }
