"""The resources of Bulk API 2.0: `jobs/ingest` and `jobs/query`, their uploads and their results in CSV.

Source: Bulk API 2.0 and Bulk API Developer Guide; locators of query results are opaque, "null" after the last page.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.calls import Answer, Call, Handler, Routes
from tieline_sandbox.salesforce.jobs import DELIMITERS, ENDED, LINE_ENDINGS, Job, Jobs
from tieline_sandbox.salesforce.model import USER_ID, Org
from tieline_sandbox.salesforce.query import Queries
from tieline_sandbox.salesforce.usage import Usage

INGEST = ("insert", "update", "upsert", "delete")
QUERY = ("query", "queryAll")
ROWS_A_BATCH = 10_000
MAX_UPLOAD = 150_000_000
Json = dict[str, Any]


class BulkResources:
    """Handlers of the jobs."""

    def __init__(self, org: Org, jobs: Jobs, usage: Usage) -> None:
        self._org, self._jobs, self._usage = org, jobs, usage
        self._queries = Queries(org)

    # ingest

    def create(self, call: Call) -> Answer:
        operation, sobject = str(call.data.get("operation")), self._org.sobject(str(call.data.get("object")))
        external_id = str(call.data.get("externalIdFieldName") or "")
        if operation not in INGEST:
            code = "FEATURENOTENABLED" if operation == "hardDelete" else "INVALIDJOB"
            raise _refused(code, f"{operation}: not enabled")
        if operation == "upsert":
            external_id = self._org.external_field(sobject, external_id).name
        job = self._jobs.add(operation, sobject.name, call.version, external_id=external_id, **_how(call))
        return Answer(200, {k: v for k, v in shown(job).items() if k in _AT_FIRST})

    def upload(self, call: Call) -> Answer:
        job = self._jobs.get(call.groups[0], query=False)
        if "text/csv" not in call.headers.get("content-type", ""):
            raise errors.ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Content type not supported. Only text/csv is.")
        if job.state != "Open" or job.upload is not None:
            raise _refused("INVALIDJOBSTATE", f"Data cannot be uploaded to a job in state {job.state}")
        if len(call.body) > MAX_UPLOAD:
            raise errors.ApiError(413, "REQUEST_ENTITY_TOO_LARGE", "The upload is larger than 150 MB")
        job.upload = call.body
        self._usage.bulk_batches += 1 + call.body.count(b"\n") // ROWS_A_BATCH
        return Answer(201)

    def change(self, call: Call) -> Answer:
        return self._change(call, query=False)

    def results(self, call: Call) -> Answer:
        """successfulResults, failedResults or unprocessedrecords."""
        job, kind = self._jobs.get(call.groups[0], query=False), call.groups[1]
        _check_ended(job)
        if kind.lower() == "unprocessedrecords":
            return Answer(200, job.table(job.header, [list(row.values()) for row in job.unprocessed]))
        if kind == "failedResults":
            header = ["sf__Id", "sf__Error", *job.header]
            return Answer(200, job.table(header, [[i, error, *row.values()] for i, error, row in job.failed]))
        header = ["sf__Id", "sf__Created", *job.header]
        rows = [[i, str(created).lower(), *row.values()] for i, created, row in job.successful]
        return Answer(200, job.table(header, rows))

    # query

    def create_query(self, call: Call) -> Answer:
        operation, query = str(call.data.get("operation")), str(call.data.get("query") or "")
        if operation not in QUERY:
            raise _refused("INVALIDJOB", f"{operation}: not an operation of a query job")
        sobject = self._queries.object_of(query, call.version)
        job = self._jobs.add(operation, sobject, call.version, query=query, **_how(call))
        self._usage.query_jobs += 1
        return Answer(200, {k: v for k, v in shown(job).items() if k in _AT_FIRST and k != "contentUrl"})

    def change_query(self, call: Call) -> Answer:
        return self._change(call, query=True)

    def query_results(self, call: Call) -> Answer:
        job = self._jobs.get(call.groups[0], query=True)
        if job.state != "JobComplete":
            raise _refused("INVALIDJOBSTATE", f"There are no results of a job in state {job.state}")
        start, size = _start(call.query.get("locator")), call.query.get("maxRecords", "")
        page = job.found[start : start + int(size)] if size.isdigit() and int(size) else job.found[start:]
        end = start + len(page)
        locator = "null" if end >= len(job.found) else base64.urlsafe_b64encode(str(end).encode()).decode().rstrip("=")
        headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(len(page))}
        return Answer(200, job.table(job.header, page), headers)

    # both

    def show(self, call: Call) -> Answer:
        return Answer(200, shown(self._jobs.get(call.groups[0], query=False)))

    def show_query(self, call: Call) -> Answer:
        return Answer(200, shown(self._jobs.get(call.groups[0], query=True)))

    def list(self, call: Call) -> Answer:
        wanted = call.groups[0] == "query"
        listed = [shown(job) for job in self._jobs if bool(job.query) is wanted]
        return Answer(200, {"done": True, "records": listed, "nextRecordsUrl": None})

    def delete(self, call: Call) -> Answer:
        return self._delete(self._jobs.get(call.groups[0], query=False))

    def delete_query(self, call: Call) -> Answer:
        return self._delete(self._jobs.get(call.groups[0], query=True))

    def _delete(self, job: Job) -> Answer:
        if job.state not in (*ENDED, "UploadComplete"):
            raise _refused("INVALIDJOBSTATE", f"A job in state {job.state} cannot be deleted")
        self._jobs.remove(job)
        return Answer(204)

    def _change(self, call: Call, *, query: bool) -> Answer:
        job, state = self._jobs.get(call.groups[0], query=query), call.data.get("state")
        if state == "Aborted":
            self._jobs.abort(job)
        elif state == "UploadComplete" and job.state == "Open" and job.upload is not None:
            self._jobs.close(job)
        else:
            raise _refused("INVALIDJOBSTATE", f"A job in state {job.state} cannot become {state}")
        return Answer(200, {k: v for k, v in shown(job).items() if k in _AT_FIRST})


def job_routes(bulk: BulkResources) -> Routes:
    one, query = r"jobs/ingest/(\w+)", r"jobs/query/(\w+)"
    queried: dict[str, Handler] = {"PATCH": bulk.change_query, "GET": bulk.show_query, "DELETE": bulk.delete_query}
    return [
        (re.compile(r"jobs/(ingest)"), {"POST": bulk.create, "GET": bulk.list}),
        (re.compile(r"jobs/(query)"), {"POST": bulk.create_query, "GET": bulk.list}),
        (re.compile(one), {"PATCH": bulk.change, "GET": bulk.show, "DELETE": bulk.delete}),
        (re.compile(query), queried),
        (re.compile(rf"{one}/batches"), {"PUT": bulk.upload}),
        (re.compile(rf"{one}/(successfulResults|failedResults|unprocessed[Rr]ecords)"), {"GET": bulk.results}),
        (re.compile(rf"{query}/results"), {"GET": bulk.query_results}),
    ]


def shown(job: Job) -> Json:
    """A job as GET shows it."""
    info: Json = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": USER_ID,
        "createdDate": job.created,
        "systemModstamp": job.modified,
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.version),
        "jobType": "V2Query" if job.query else "V2Ingest",
        "lineEnding": job.line_ending,
        "columnDelimiter": job.delimiter,
        "numberRecordsProcessed": job.processed,
        "retries": 0,
        "totalProcessingTime": job.processed,
    }
    if not job.query:
        info |= {
            "contentUrl": f"services/data/v{job.version}/jobs/ingest/{job.id}/batches",
            "numberRecordsFailed": len(job.failed),
            "apiActiveProcessingTime": job.processed,
            "apexProcessingTime": 0,
        }
    if job.external_id:
        info["externalIdFieldName"] = job.external_id
    return info | ({"errorMessage": job.error} if job.error else {})


_AT_FIRST = (
    "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "externalIdFieldName",
    "concurrencyMode", "contentType", "apiVersion", "contentUrl", "lineEnding", "columnDelimiter",
)  # fmt: skip


def _how(call: Call) -> dict[str, str]:
    delimiter = str(call.data.get("columnDelimiter") or "COMMA")
    line_ending = str(call.data.get("lineEnding") or "LF")
    if delimiter not in DELIMITERS or line_ending not in LINE_ENDINGS:
        raise _refused("INVALIDJOB", f"columnDelimiter {delimiter} or lineEnding {line_ending} is not known")
    return {"delimiter": delimiter, "line_ending": line_ending}


def _start(locator: str | None) -> int:
    if not locator:
        return 0
    try:
        return int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except ValueError:
        raise errors.ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from None


def _check_ended(job: Job) -> None:
    if job.state not in ENDED:
        raise _refused("INVALIDJOBSTATE", f"There are no results of a job in state {job.state}")


def _refused(code: str, message: str) -> errors.ApiError:
    return errors.ApiError(400, code, message)
