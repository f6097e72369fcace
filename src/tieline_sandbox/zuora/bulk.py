"""Many at once: CRUD actions, imports of a file, and what a query leaves in a file.

An action answers 200 with one result for each object, and a refusal among them is a result like the others.
Source: Zuora API reference, "Actions", "Imports", "Data queries" and "Exports".
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Callable
from typing import Any

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.zuora import catalog, imports, usage, zoql
from tieline_sandbox.zuora.access import Answer, Call, Handler, multipart
from tieline_sandbox.zuora.errors import Record, Refusal, Resource, invalid, missing, not_found
from tieline_sandbox.zuora.handlers import body_of
from tieline_sandbox.zuora.model import USER, Tenant
from tieline_sandbox.zuora.usage import UsageRefused

MOST_OBJECTS = 50
_KINDS = {
    "usage": "usage",
    "product": "product",
    "productrateplan": "product-rate-plan",
    "productrateplancharge": "product-rate-plan-charge",
}


# Actions


def create(t: Tenant, call: Call) -> Any:
    """POST /v1/action/create."""
    kind, objects = _asked(call, "objects")
    make = usage.create if kind == "usage" else catalog.CREATE[kind]
    return [_result(lambda body: str(make(t, body)["id"]), body) for body in objects]


def update(t: Tenant, call: Call) -> Any:
    """POST /v1/action/update: each object names itself by `Id`."""
    kind, objects = _asked(call, "objects")
    return [_result(lambda body: _update(t, kind, body), body) for body in objects]


def delete(t: Tenant, call: Call) -> Any:
    """POST /v1/action/delete: usage that is not rated yet."""
    kind, ids = _asked(call, "ids")
    return [_deleted(_result(lambda key: _delete(t, kind, key), key)) for key in ids]


def _asked(call: Call, listed: str) -> tuple[str, list[Any]]:
    body = body_of(call)
    kind = _KINDS.get(str(body.get("type") or "").casefold())
    if kind is None:
        raise invalid(Resource.UNKNOWN, f"Invalid type: {body.get('type')}")
    if not body.get(listed):
        raise missing(Resource.UNKNOWN, listed)
    if len(body[listed]) > MOST_OBJECTS:
        raise invalid(Resource.UNKNOWN, f"The number of objects exceeds the limit of {MOST_OBJECTS}.")
    return kind, body[listed]


def _result(deed: Callable[[Any], str], asked: Any) -> Record:
    try:
        return {"Success": True, "Id": deed(asked)}
    except UsageRefused as refused:
        code, message = refused.code, str(refused)
    except Refusal as refusal:
        code, message = "INVALID_VALUE", refusal.message
    return {"Success": False, "Errors": [{"Code": code, "Message": message}]}


def _update(t: Tenant, kind: str, body: Record) -> str:
    if kind != "usage":
        return str(catalog.update(t, kind, body.get("Id", ""), {k: v for k, v in body.items() if k != "Id"})["id"])
    record = t.usages.get(body.get("Id"), Resource.USAGE)
    usage.update(t, record, body)
    return str(record["id"])


def _delete(t: Tenant, kind: str, key: str) -> str:
    if kind != "usage":
        raise UsageRefused("Objects of the catalogue are deleted one by one.", "CANNOT_DELETE")
    record = t.usages.get(key, Resource.USAGE)
    if record["rbeStatus"] != "Pending":
        raise UsageRefused("Only the usage records with the Pending status can be deleted.", "CANNOT_DELETE")
    t.usages.remove(record)
    return key


def _deleted(result: Record) -> Record:
    names = {"Success": "success", "Id": "id", "Errors": "errors"}
    return {names[k]: v for k, v in result.items()}


# Imports


def create_import(t: Tenant, call: Call) -> Record:
    """POST /v1/object/import: a form of `ImportType`, `Name` and `File`."""
    form = {k.casefold(): v for k, v in multipart(call.headers.get("content-type", ""), call.raw).items()}
    for field in ("importtype", "file"):
        if field not in form:
            raise missing(Resource.USAGE, field)
    if form["importtype"][1].decode() != "Usage":
        raise invalid(Resource.USAGE, "'ImportType' value should be one of: Usage")
    file_name, content = form["file"]
    if len(content) > usage.FILE_LIMIT_BYTES:
        raise invalid(Resource.USAGE, "The file size exceeds the limit of 4 MB.")
    name = form["name"][1].decode() if "name" in form else file_name
    return {"Success": True, "Id": imports.start(t, name, content)["id"]}


def get_import(t: Tenant, call: Call) -> Any:
    """GET /v1/object/import/{id}."""
    record = t.imports.find(call.params["key"])
    if record is None:
        return Answer({"done": True, "size": 0, "records": [{}]}, 404)
    return {k: v for k, v in catalog.pascal(record).items() if v is not None}


# Queries that end in a file


def submit_query(t: Tenant, call: Call) -> Any:
    """POST /query/jobs: accepted at once, run a moment later. The SQL is read as far as ZOQL goes."""
    body = body_of(call)
    for field in ("query", "outputFormat", "compression", "output"):
        if not body.get(field):
            return Answer({"code": "MISSING_FIELD", "message": f"'{field}' may not be empty"}, 400)
    job: Record = {
        "id": f"{t.world.random.getrandbits(256):064x}",
        "query": body["query"],
        "useIndexJoin": bool(body.get("useIndexJoin")),
        "sourceData": body.get("sourceData") or "LIVE",
        "remainingRetries": 3,
        "createdBy": USER * 2,
        "updatedOn": t.now(),
        "queryStatus": "accepted",
    }
    t.jobs[job["id"]] = job

    def work() -> None:
        try:
            job.update(_written(t, body["query"], body["outputFormat"], call.base_url), queryStatus="completed")
        except zoql.MalformedQuery as error:
            job.update(queryStatus="failed", errorMessage=str(error))

    asyncio.get_running_loop().call_later(t.settings.async_delay_s, work)
    return {"data": dict(job)}


def _written(t: Tenant, statement: str, form: str, base_url: str) -> Record:
    rows = zoql.rows(t, re.sub(r"\s+limit\s+\d+\s*$", "", statement, flags=re.IGNORECASE))
    file_id = t.new_id()
    t.files[file_id] = b"".join(encode_json(r) + b"\n" for r in rows) if form == "JSON" else _csv(rows)
    return {"dataFile": f"{base_url}/v1/files/{file_id}", "outputRows": len(rows), "processingTime": 1}


def _csv(rows: list[Record]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for r in rows for name in r)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def get_query(t: Tenant, call: Call) -> Any:
    """GET /query/jobs/{id}."""
    job = t.jobs.get(call.params["key"])
    if job is None:
        return Answer({"code": "NOT_FOUND", "message": f"No query job {call.params['key']}"}, 404)
    return {"data": job}


def create_export(t: Tenant, call: Call) -> Record:
    """POST /v1/object/export: a CSV of a ZOQL statement, ready at once."""
    body = body_of(call)
    if not body.get("Query"):
        raise missing(Resource.UNKNOWN, "Query")
    record = {"Id": t.new_id(), "Name": body.get("Name"), "Format": body.get("Format") or "csv", "Query": body["Query"]}
    try:
        made = _written(t, body["Query"], "CSV", "")
        record |= {"Status": "Completed", "FileId": made["dataFile"].rpartition("/")[2]}
    except zoql.MalformedQuery as error:
        record |= {"Status": "Failed", "StatusReason": str(error)}
    t.jobs[record["Id"]] = record
    return {"Success": True, "Id": record["Id"]}


def get_export(t: Tenant, call: Call) -> Any:
    """GET /v1/object/export/{id}."""
    return t.jobs.get(call.params["key"]) or Answer({"done": True, "size": 0, "records": [{}]}, 404)


def get_file(t: Tenant, call: Call) -> Answer:
    """GET /v1/files/{id}: the bytes."""
    content = t.files.get(call.params["key"])
    if content is None:
        raise not_found(call.params["key"])
    return Answer(content)


ACTIONS: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/action/create", create),
    ("POST", "/v1/action/update", update),
    ("POST", "/v1/action/delete", delete),
]
FILES: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/object/import", create_import),
    ("GET", "/v1/object/import/{key}", get_import),
    ("POST", "/v1/object/export", create_export),
    ("GET", "/v1/object/export/{key}", get_export),
]
QUERIES: list[tuple[str, str, Handler]] = [
    ("POST", "/query/jobs", submit_query),
    ("GET", "/query/jobs/{key}", get_query),
]
