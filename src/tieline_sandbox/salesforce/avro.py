"""Events as Avro: the schema of a topic, its fingerprint, and payloads with their bitmaps of fields.

Compound fields (addresses, the name of a person) are records of their own. A bitmap has bit n for the schema's n-th
field; fields inside a compound stand as `n-0x…`. Source: Pub/Sub API guide, "Event Deserialization Considerations".
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import fastavro

from tieline_sandbox.salesforce.eventbus import Happening, entity_event
from tieline_sandbox.salesforce.schema import Field, SObject

NAMESPACE = "com.sforce.eventbus"
_HEADER_TYPES = [
    "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW",
]  # fmt: skip
_ADDRESS = ("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode")
_NOT_CARRIED = ("id", "isdeleted", "systemmodstamp")
_EPOCH = date(1970, 1, 1)
Json = dict[str, Any]


class Coded(NamedTuple):
    """The schema of one object's events. `places` says where a stored field stands: (place, place in a compound)."""

    id: str
    text: str
    parsed: Any
    places: dict[str, tuple[int, int | None]]


def schema_of(sobject: SObject) -> Coded:
    """The schema for the object as it is now."""
    return _schema(sobject.name, tuple(sobject.fields.values()), event=sobject.event)


def payload(event: Happening, coded: Coded) -> bytes:
    """The event's Avro body."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, coded.parsed, _platform(event) if event.change is None else _change(event, coded))
    return out.getvalue()


@lru_cache(maxsize=256)
def _schema(name: str, fields: tuple[Field, ...], *, event: bool) -> Coded:
    columns: list[Json] = []
    places: dict[str, tuple[int, int | None]] = {}
    known: set[str] = set()
    carried = [f for f in fields if f.name.lower() not in _NOT_CARRIED]
    if event:
        carried = [f for f in carried if f.name not in ("ReplayId", "EventUuid")]
    else:
        columns.append({"name": "ChangeEventHeader", "type": _header()})
    compounds = _compounds(name, carried)
    for compound, parts in compounds.items():
        for place, part in enumerate(parts):
            places[part] = (len(columns), place)
        columns.append({"name": compound, "type": ["null", _compound(compound, parts, known)], "default": None})
    for field in carried:
        if field.type != "address" and field.name not in places and field.name not in compounds:
            places[field.name] = (len(columns), None)
            columns.append(_column(field, required=event and field.name in ("CreatedDate", "CreatedById")))
    record = {
        "type": "record",
        "name": name if event else entity_event(name),
        "namespace": NAMESPACE,
        "fields": columns,
    }
    text = json.dumps(record, separators=(",", ":"))
    fingerprint = base64.urlsafe_b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest())
    return Coded(fingerprint.decode().rstrip("="), text, fastavro.parse_schema(record), places)


def _header() -> Json:
    texts = {"type": "array", "items": "string"}
    kinds: list[tuple[str, Any]] = [
        ("entityName", "string"), ("recordIds", texts),
        ("changeType", {"type": "enum", "name": "ChangeType", "symbols": _HEADER_TYPES}),
        ("changeOrigin", "string"), ("transactionKey", "string"), ("sequenceNumber", "int"),
        ("commitTimestamp", "long"), ("commitNumber", "long"), ("commitUser", "string"),
        ("nulledFields", texts), ("diffFields", texts), ("changedFields", texts),
    ]  # fmt: skip
    fields = [{"name": name, "type": kind} for name, kind in kinds]
    return {"type": "record", "name": "ChangeEventHeader", "fields": fields}


def _compounds(sobject: str, fields: Iterable[Field]) -> dict[str, list[str]]:
    """Compound fields and the stored fields they are made of."""
    found = {
        f.name: [f.name.removesuffix("Address") + part for part in _ADDRESS] for f in fields if f.type == "address"
    }
    return {"Name": ["FirstName", "LastName"], **found} if sobject == "Contact" else found


def _compound(name: str, parts: list[str], known: set[str]) -> Any:
    kind = "PersonName" if name == "Name" else "Address"
    if kind in known:
        return kind
    known.add(kind)
    own = [part if kind == "PersonName" else part.removeprefix(name.removesuffix("Address")) for part in parts]
    return {
        "type": "record",
        "name": kind,
        "fields": [{"name": part, "type": ["null", "string"], "default": None} for part in own],
    }


def _column(field: Field, *, required: bool) -> Json:
    kinds: dict[str, Any] = {
        "boolean": "boolean", "int": "int", "currency": "double", "double": "double", "percent": "double",
        "date": {"type": "int", "logicalType": "date"},
        "datetime": {"type": "long", "logicalType": "timestamp-millis"},
    }  # fmt: skip
    kind = kinds.get(field.type, "string")
    if required:
        return {"name": field.name, "type": "long" if field.type == "datetime" else kind}
    return {"name": field.name, "type": ["null", kind], "default": None}


def _platform(event: Happening) -> Json:
    return {name: _value(event.sobject, name, event.record.get(name)) for name in event.fields}


def _change(event: Happening, coded: Coded) -> Json:
    update = event.change == "UPDATE"
    nulled = [name for name in event.fields if event.record[name] is None]
    body: Json = {
        "ChangeEventHeader": {
            "entityName": event.sobject.name,
            "recordIds": list(event.record_ids),
            "changeType": event.change,
            "changeOrigin": "com/salesforce/api/rest/62.0",
            "transactionKey": event.transaction,
            "sequenceNumber": event.sequence,
            "commitTimestamp": int(event.at.timestamp() * 1000),
            "commitNumber": event.commit,
            "commitUser": event.record.get("LastModifiedById") or "",
            "nulledFields": _bitmaps(nulled, coded) if update else [],
            "diffFields": [],
            "changedFields": _bitmaps(event.fields, coded) if update else [],
        }
    }
    for name in event.fields:
        place = coded.places.get(name)
        if place is None:
            continue
        column = coded.parsed["fields"][place[0]]["name"]
        value = _value(event.sobject, name, event.record[name])
        if place[1] is None:
            body[column] = value
        else:
            part = name if column == "Name" else name.removeprefix(column.removesuffix("Address"))
            body.setdefault(column, {})[part] = value
    return body


def _bitmaps(names: Iterable[str], coded: Coded) -> list[str]:
    """One bitmap of the top level, and one for each compound with changes inside."""
    top, inside = 0, dict[int, int]()
    for place, part in (coded.places[name] for name in names if name in coded.places):
        if part is None:
            top |= 1 << place
        else:
            inside[place] = inside.get(place, 0) | 1 << part
    return ([f"0x{top:02X}"] if top else []) + [f"{place}-0x{bits:02X}" for place, bits in sorted(inside.items())]


def _value(sobject: SObject, name: str, value: Any) -> Any:
    kind = sobject.fields[name.lower()].type
    if value is None:
        return None
    if kind == "date":
        return (date.fromisoformat(value) - _EPOCH).days
    if kind == "datetime":
        return int(datetime.fromisoformat(value).astimezone(UTC).timestamp() * 1000)
    return float(value) if isinstance(value, Decimal) else value
