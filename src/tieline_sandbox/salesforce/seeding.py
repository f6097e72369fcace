"""Records stored as if they had always been there: no permissions, no announcements, given ids and dates kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieline_sandbox.salesforce import pricing, rules
from tieline_sandbox.salesforce.errors import ApiError
from tieline_sandbox.salesforce.ids import normalized
from tieline_sandbox.salesforce.model import USER_ID, Org
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.store import Record
from tieline_sandbox.salesforce.values import kept, stamp


def seed(org: Org, kind: str, records: list[Record]) -> list[Record]:
    """Store records of one object. Raises KeyError for an unknown object or field, ValueError for a bad value."""
    sobject = org.schema[kind]
    now = stamp(org.world.now())
    blank = sobject.blank | {
        name: USER_ID for name in ("CreatedById", "LastModifiedById", "OwnerId") if name in sobject.blank
    }
    try:
        stored = [_stored(org, sobject, given, blank, now) for given in records]
    except ApiError as error:
        raise ValueError(f"{kind}: {error}") from error
    if lines := pricing.OF_LINE.get(sobject.name):
        _total(org, lines, [line[lines.parent_field] for line in stored])
    elif (lines := pricing.OF_PARENT.get(sobject.name)) and org.store.tables[lines.sobject].records:
        _total(org, lines, [record["Id"] for record in stored])
    return [org.store.tables[sobject.name].records[record["Id"]] for record in stored]


def _stored(org: Org, sobject: SObject, given: Record, blank: Record, now: str) -> Record:
    values = _values(org, sobject, given)
    record_id = values.get("Id") or org.store.tables[sobject.name].new_id()
    record = blank | org.numbers(sobject) | values | {"Id": record_id}
    record["CreatedDate"] = values.get("CreatedDate") or values.get("SystemModstamp") or now
    record["SystemModstamp"] = values.get("SystemModstamp") or record["CreatedDate"]
    record["LastModifiedDate"] = values.get("LastModifiedDate") or record["SystemModstamp"]
    _derive(org, sobject, record, values)
    org.store.put(sobject.name, record)
    return record


def _values(org: Org, sobject: SObject, given: Record) -> Record:
    values: Record = {}
    for key, value in given.items():
        if key == "_ProductCode":
            values["Product2Id"] = _product(org, value)
        elif key != "attributes":
            field = sobject.fields.get(key.lower())
            if field is None:
                raise KeyError(f"{sobject.name}.{key}")
            values[field.name] = _id(value) if field.type == "id" else kept(field, value)
    return values


def _derive(org: Org, sobject: SObject, record: Record, values: Record) -> None:
    if sobject.name == "Opportunity":
        rules.stage_fields(record, values)
        record["HasOpportunityLineItem"] = bool(values.get("HasOpportunityLineItem"))
    elif lines := pricing.OF_LINE.get(sobject.name):
        if record["UnitPrice"] is None and record["TotalPrice"] is None:
            record["UnitPrice"] = Decimal("0.00")
        pricing.line_totals(lines, record, values)
        pricing.line_names(org.store, lines, record)
        if record["ListPrice"] is None:
            entry = org.store.get("PricebookEntry", record["PricebookEntryId"])
            record["ListPrice"] = entry["UnitPrice"] if entry else record["UnitPrice"]
    elif sobject.name == "Contact":
        rules.contact_name(record)
    elif sobject.name == "PricebookEntry":
        rules.entry_names(org.store, record)
    elif sobject.name == "Quote":
        rules.quote_fields(org.store, record)
    elif sobject.name in ("Contract", "Order"):
        rules.status_fields(sobject.name, record)


def _total(org: Org, lines: pricing.Lines, parent_ids: list[str]) -> None:
    for parent_id in dict.fromkeys(parent_ids):
        pricing.retotal(_Quietly(org), lines, parent_id)


class _Quietly:
    """Writes what a rule changed without a new modification date: seeded records keep theirs."""

    def __init__(self, org: Org) -> None:
        self.store = org.store

    def touch(self, sobject: str, record: Record) -> None:
        self.store.put(sobject, record)


def _product(org: Org, code: Any) -> str:
    found = next(iter(org.store.tables["Product2"].ids_where("ProductCode", str(code))), None)
    if found is None:
        raise KeyError(f"Product2 with ProductCode {code}")
    return found


def _id(value: Any) -> str | None:
    if value is None:
        return None
    id18 = normalized(str(value))
    if id18 is None:
        raise ValueError(f"not a Salesforce id: {value}")
    return id18
