"""The resources below `/services/data/vXX.0`: each handler reads the call, asks the org and answers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.calls import Answer, Call
from tieline_sandbox.salesforce.collections import saved, upsert
from tieline_sandbox.salesforce.describe import basics, describe, global_describe, limits
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.query import Queries, batch_size, changed_between
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.showing import whole
from tieline_sandbox.salesforce.store import Record
from tieline_sandbox.salesforce.usage import Usage


class Resources:
    """Handlers of single records, queries and descriptions."""

    def __init__(self, org: Org, queries: Queries, usage: Usage) -> None:
        self._org, self._queries, self._usage = org, queries, usage

    # descriptions

    def resources(self, call: Call) -> Answer:
        base = f"/services/data/v{call.version}"
        return Answer(
            200, {name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "composite", "limits", "jobs")}
        )

    def limits(self, _: Call) -> Answer:
        return Answer(200, limits(self._usage))

    def sobjects(self, call: Call) -> Answer:
        return Answer(200, global_describe(self._org.schema, call.version))

    def sobject(self, call: Call) -> Answer:
        return Answer(200, {"objectDescribe": basics(self._sobject(call), call.version), "recentItems": []})

    def describe(self, call: Call) -> Answer:
        sobject = self._sobject(call)
        return Answer(200, describe(sobject, call.version, unique=self._org.guards.unique_external_ids))

    # single records

    def create(self, call: Call) -> Answer:
        sobject = self._writable(call)
        with self._org.unit():
            record = self._org.create(sobject, call.data)
        return Answer(201, saved(sobject, record), _location(call, sobject, record["Id"]))

    def retrieve(self, call: Call) -> Answer:
        sobject = self._sobject(call)
        return self._shown(call, sobject, self._org.get(sobject, call.groups[1]))

    def update(self, call: Call) -> Answer:
        sobject = self._writable(call)
        record = self._org.get(sobject, call.groups[1])
        _check_unmodified(call, record)
        _check_not_in_body(call, "Id")
        with self._org.unit():
            self._org.update(sobject, record, call.data)
        return Answer(204)

    def delete(self, call: Call) -> Answer:
        sobject = self._writable(call)
        record = self._org.get(sobject, call.groups[1])
        with self._org.unit():
            self._org.delete(sobject, record)
        return Answer(204)

    def retrieve_external(self, call: Call) -> Answer:
        sobject = self._sobject(call)
        found = self._matches(call, sobject)
        if not found:
            raise errors.no_resource()
        return self._shown(call, sobject, found[0]) if len(found) == 1 else _choices(call, sobject, found)

    def upsert(self, call: Call) -> Answer:
        sobject = self._writable(call)
        field = self._org.external_field(sobject, call.groups[1])
        found = self._matches(call, sobject)
        if len(found) > 1:
            return _choices(call, sobject, found)
        if not found and call.query.get("updateOnly") == "true":
            raise errors.no_resource()
        _check_not_in_body(call, field.name)
        with self._org.unit():
            result = upsert(self._org, sobject, field.name, call.groups[2], call.data)
        if not result["created"]:
            return Answer(200, result)
        return Answer(201, result, _location(call, sobject, result["id"]))

    def delete_external(self, call: Call) -> Answer:
        sobject = self._writable(call)
        found = self._matches(call, sobject)
        if not found:
            raise errors.no_resource()
        if len(found) > 1:
            return _choices(call, sobject, found)
        with self._org.unit():
            self._org.delete(sobject, found[0])
        return Answer(204)

    # queries

    def query(self, call: Call) -> Answer:
        return self._query(call, deleted=False)

    def query_all(self, call: Call) -> Answer:
        return self._query(call, deleted=True)

    def query_more(self, call: Call) -> Answer:
        batch = batch_size(call.headers.get("sforce-query-options"))
        return Answer(200, self._queries.more(call.groups[0], call.version, batch=batch))

    def updated(self, call: Call) -> Answer:
        return self._replicated(call, deleted=False)

    def deleted(self, call: Call) -> Answer:
        return self._replicated(call, deleted=True)

    def _query(self, call: Call, *, deleted: bool) -> Answer:
        text = call.query.get("q")
        if not text:
            raise errors.ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        batch = batch_size(call.headers.get("sforce-query-options"))
        return Answer(200, self._queries.run(text, call.version, batch=batch, deleted=deleted))

    def _replicated(self, call: Call, *, deleted: bool) -> Answer:
        sobject, start, end = self._sobject(call), call.query.get("start", ""), call.query.get("end", "")
        # a plus sign that was not escaped arrives as a blank
        found = changed_between(self._org, sobject, start.replace(" ", "+"), end.replace(" ", "+"), deleted=deleted)
        if not deleted:
            return Answer(200, {"ids": [record["Id"] for record in found], "latestDateCovered": end})
        rows = [{"id": record["Id"], "deletedDate": record["SystemModstamp"]} for record in found]
        earliest = rows[0]["deletedDate"] if rows else start
        return Answer(200, {"deletedRecords": rows, "earliestDateAvailable": earliest, "latestDateCovered": end})

    # shared

    def _sobject(self, call: Call) -> SObject:
        return self._org.sobject(call.groups[0])

    def _writable(self, call: Call) -> SObject:
        sobject = self._sobject(call)
        if not sobject.writable:
            message = f"entity type {sobject.name} does not support {call.method.lower()}"
            raise errors.ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message)
        return sobject

    def _matches(self, call: Call, sobject: SObject) -> list[Record]:
        field = self._org.external_field(sobject, call.groups[1])
        return self._org.matches(sobject, field, call.groups[2])

    def _shown(self, call: Call, sobject: SObject, record: Record) -> Answer:
        modified = datetime.fromisoformat(record["SystemModstamp"]).astimezone(UTC)
        since = _http_date(call.headers.get("if-modified-since"))
        if since is not None and modified <= since:
            return Answer(304)
        headers = {"Last-Modified": format_datetime(modified, usegmt=True)}
        shown = whole(sobject, record, call.version)
        names = [name for name in call.query.get("fields", "").split(",") if name]
        if not names:
            return Answer(200, shown, headers)
        chosen = {"attributes": shown["attributes"]}
        for name in names:
            field = sobject.fields.get(name.strip().lower())
            if field is None:
                raise errors.no_column(name, sobject.name)
            chosen[field.name] = shown[field.name]
        return Answer(200, chosen | {"Id": record["Id"]}, headers)


def _location(call: Call, sobject: SObject, record_id: str) -> dict[str, str]:
    return {"Location": f"/services/data/v{call.version}/sobjects/{sobject.name}/{record_id}"}


def _choices(call: Call, sobject: SObject, found: list[Record]) -> Answer:
    """300: the external id fits several records; nothing was written."""
    return Answer(300, [f"/services/data/v{call.version}/sobjects/{sobject.name}/{r['Id']}" for r in found])


def _check_not_in_body(call: Call, name: str) -> None:
    if any(key.lower() == name.lower() for key in call.data):
        message = f"The {name} field should not be specified in the sobject data."
        raise errors.ApiError(400, "INVALID_FIELD", message)


def _check_unmodified(call: Call, record: Record) -> None:
    since = _http_date(call.headers.get("if-unmodified-since"))
    if since is not None and datetime.fromisoformat(record["SystemModstamp"]) > since:
        message = "Entity has been modified since the date given in If-Unmodified-Since"
        raise errors.ApiError(412, "PRECONDITION_FAILED", message)


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None
