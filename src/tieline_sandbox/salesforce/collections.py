"""sObject Collections: up to 200 records a call, each with its own outcome, or all or none.

Source: REST API Developer Guide, "sObject Collections" (a call may change object at most nine times: ten chunks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.calls import Answer, Call
from tieline_sandbox.salesforce.ids import normalized
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.showing import whole
from tieline_sandbox.salesforce.store import Record

MAX_RECORDS = 200
MAX_CHUNKS = 10
Json = dict[str, Any]
One = Callable[[Any], Json]


class _SomeFailed(Exception):
    """One record of an all-or-none call failed."""


class Collections:
    """Handlers of /composite/sobjects."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def create(self, call: Call) -> Answer:
        records = _records(call)
        _check_chunks(records)
        return self._each(records, self._create, all_or_none=_all_or_none(call))

    def update(self, call: Call) -> Answer:
        records = _records(call)
        _check_chunks(records)
        return self._each(records, self._update, all_or_none=_all_or_none(call))

    def upsert(self, call: Call) -> Answer:
        sobject, field_name = self._org.sobject(call.groups[0]), call.groups[1]
        field = self._org.external_field(sobject, field_name)
        records = _records(call)
        seen: dict[str, int] = {}
        for record in records:
            key = str(_pop(dict(record), field.name)).casefold()
            seen[key] = seen.get(key, 0) + 1

        def one(record: Record) -> Json:
            data = dict(record)
            value = _pop(data, field.name)
            if value in (None, ""):
                raise errors.ApiError(400, "MISSING_ARGUMENT", f"{field.name} not specified", [])
            if seen[str(value).casefold()] > 1:
                message = f"Duplicate external id specified: {value}"
                raise errors.ApiError(400, "DUPLICATE_VALUE", message, [field.name])
            return upsert(self._org, sobject, field.name, str(value), data)

        return self._each(records, one, all_or_none=_all_or_none(call))

    def delete(self, call: Call) -> Answer:
        ids = [text for text in call.query.get("ids", "").split(",") if text]
        if not ids:
            raise errors.ApiError(400, "MISSING_ARGUMENT", "The ids parameter is required")
        if len(ids) > MAX_RECORDS:
            raise errors.too_many_records()
        return self._each(ids, self._delete, all_or_none=call.query.get("allOrNone") == "true")

    def retrieve(self, call: Call) -> Answer:
        """GET with `ids` and `fields`, or POST with both in the body (for lists too long for a URL)."""
        source: Any = call.data if call.method == "POST" else {k: v.split(",") for k, v in call.query.items()}
        sobject = self._org.sobject(call.groups[0])
        ids, names = source.get("ids"), source.get("fields")
        if not _is_texts(ids) or not _is_texts(names):
            raise errors.ApiError(400, "MISSING_ARGUMENT", "The ids and fields parameters are required")
        if len(ids) > (2000 if call.method == "POST" else 800):
            raise errors.too_many_records()
        fields = [sobject.fields.get(name.lower()) or _no_column(name, sobject) for name in names]
        table = self._org.store.tables[sobject.name].records
        found = [table.get(normalized(text) or "") for text in ids]
        shown = [whole(sobject, r, call.version) if r and not r["IsDeleted"] else None for r in found]
        return Answer(200, [r and {k: r[k] for k in ("attributes", *(f.name for f in fields))} for r in shown])

    def _create(self, data: Record) -> Json:
        sobject = self._type_of(data)
        return saved(sobject, self._org.create(sobject, data))

    def _update(self, record: Record) -> Json:
        data = dict(record)
        text = _pop(data, "Id")
        if text is None:
            raise errors.ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
        sobject, before = self._by_id(str(text))
        self._org.update(sobject, before, data)
        return {"id": before["Id"], "success": True, "errors": []}

    def _delete(self, text: str) -> Json:
        sobject, record = self._by_id(text)
        self._org.delete(sobject, record)
        return {"id": record["Id"], "success": True, "errors": []}

    def _type_of(self, data: Record) -> SObject:
        kind = _kind_of(data)
        if kind is None:
            raise errors.ApiError(400, "INVALID_INPUT", "Include a type attribute in the attributes of each record")
        return self._org.sobject(kind)

    def _by_id(self, text: str) -> tuple[SObject, Record]:
        record_id = normalized(text)
        sobject = self._org.schema.of_id(record_id or "")
        if record_id is None or sobject is None:
            raise errors.ApiError(400, "MALFORMED_ID", f"malformed id {text}", ["Id"])
        record = self._org.store.get(sobject.name, record_id)
        if record is None:
            raise errors.bad_reference()
        if record["IsDeleted"]:
            raise errors.deleted()
        return sobject, record

    def _each(self, items: Iterable[Any], one: One, *, all_or_none: bool) -> Answer:
        """Save item by item. One call is one transaction: what it announces goes out together."""
        results: list[Json] = []
        try:
            with self._org.unit():
                results += [self._attempt(item, one) for item in items]
                _check_all(results, all_or_none=all_or_none)
        except _SomeFailed:
            undone = errors.rolled_back()
            return Answer(200, [undone.save_result(r.get("id")) if r["success"] else r for r in results])
        return Answer(200, results)

    def _attempt(self, item: Any, one: One) -> Json:
        try:
            with self._org.unit():
                return one(item)
        except errors.BadJsonValue:
            raise
        except errors.ApiError as error:
            given = item if isinstance(item, str) else next((v for k, v in item.items() if k.lower() == "id"), None)
            return error.save_result(given)


def _check_all(results: list[Json], *, all_or_none: bool) -> None:
    if all_or_none and not all(result["success"] for result in results):
        raise _SomeFailed


def saved(sobject: SObject, record: Record) -> Json:
    """The save result of a new record; a platform event is only queued, and its UUID stands in the message."""
    notes = (
        [{"statusCode": "OPERATION_ENQUEUED", "message": record["EventUuid"], "fields": []}] if sobject.event else []
    )
    return {"id": record["Id"], "success": True, "errors": notes}


def upsert(org: Org, sobject: SObject, field_name: str, value: str, data: Record) -> Json:
    """Insert or update by external id; several matches are refused and nothing is written."""
    field = org.external_field(sobject, field_name)
    found = org.matches(sobject, field, value)
    if len(found) > 1:
        ids = ", ".join(record["Id"] for record in found)
        message = f"{field.name}: more than one record found for external id field: [{ids}]"
        raise errors.ApiError(300, "DUPLICATE_EXTERNAL_ID", message, [field.name])
    if found:
        org.update(sobject, found[0], data)
        return {"id": found[0]["Id"], "success": True, "errors": [], "created": False}
    if field.type == "id":
        raise errors.bad_reference()
    record = org.create(sobject, data | {field.name: value})
    return {"id": record["Id"], "success": True, "errors": [], "created": True}


def _records(call: Call) -> list[Record]:
    records = call.data.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise errors.ApiError(400, "INVALID_INPUT", "The records list is required")
    if len(records) > MAX_RECORDS:
        raise errors.too_many_records()
    return records


def _kind_of(record: Record) -> str | None:
    attributes = record.get("attributes")
    kind = attributes.get("type") if isinstance(attributes, dict) else None
    return kind if isinstance(kind, str) else None


def _check_chunks(records: list[Record]) -> None:
    kinds = [_kind_of(record) for record in records]
    chunks = sum(1 for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1])
    if chunks > MAX_CHUNKS:
        message = "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking."
        raise errors.ApiError(400, "INVALID_INPUT", message)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _all_or_none(call: Call) -> bool:
    return call.data.get("allOrNone") is True


def _pop(data: Record, name: str) -> Any:
    for key in list(data):
        if key.lower() == name.lower():
            return data.pop(key)
    return None


def _no_column(name: str, sobject: SObject) -> Any:
    raise errors.no_column(name, sobject.name)
