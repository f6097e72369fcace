"""Bulk API 2.0 jobs: their states, and the work itself, done row by row in transactions of 200.

States go Open → UploadComplete → InProgress → JobComplete, Failed or Aborted, `step_s` of real time apart. A job that
completes may still have refused every row: outcomes are in the results, never in the state.
Source: Bulk API 2.0 and Bulk API Developer Guide.
"""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.collections import upsert
from tieline_sandbox.salesforce.ids import mint
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.query import Queries
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.store import Record
from tieline_sandbox.salesforce.values import stamp

ROWS_AT_ONCE = 200
DELIMITERS = {"COMMA": ",", "BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
ENDED = ("JobComplete", "Failed", "Aborted")
NULL = "#N/A"

Row = dict[str, str]


class JobFailed(Exception):
    """What ends a job as Failed; the rows not reached stay unprocessed."""


@dataclass
class Job:
    """One job and what became of its rows. A query job has `query` and `found`, an ingest job the rest."""

    id: str
    operation: str
    object: str
    version: str
    created: str
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    external_id: str = ""
    query: str = ""
    state: str = "Open"
    error: str = ""
    modified: str = ""
    upload: bytes | None = None
    header: Sequence[str] = ()
    successful: list[tuple[str, bool, Row]] = field(default_factory=list)
    failed: list[tuple[str, str, Row]] = field(default_factory=list)
    unprocessed: list[Row] = field(default_factory=list)
    found: list[list[str]] = field(default_factory=list)

    @property
    def processed(self) -> int:
        return len(self.found) if self.query else len(self.successful) + len(self.failed)

    def table(self, columns: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> bytes:
        """CSV as the job was asked to write it; every value stands in quotes."""
        out = io.StringIO(newline="")
        ending = LINE_ENDINGS[self.line_ending]
        writer = csv.writer(out, delimiter=DELIMITERS[self.delimiter], lineterminator=ending, quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        writer.writerows(rows)
        return out.getvalue().encode()


class Jobs:
    """The jobs of one org. Work needs a running event loop, as everything that is served has one."""

    def __init__(self, org: Org, faults: Faults) -> None:
        self._org, self._faults = org, faults
        self._queries = Queries(org)
        self._jobs: dict[str, Job] = {}
        self.step_s = 0.02

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def get(self, job_id: str, *, query: bool) -> Job:
        """Raises ApiError NOT_FOUND."""
        job = self._jobs.get(job_id) or next((j for i, j in self._jobs.items() if i[:15] == job_id), None)
        if job is None or bool(job.query) is not query:
            raise errors.no_resource()
        return job

    def add(self, operation: str, sobject: str, version: str, **how: Any) -> Job:
        now = stamp(self._org.world.now())
        job_id = mint("750", len(self._jobs) + 1)
        job = self._jobs[job_id] = Job(job_id, operation, sobject, version, now, modified=now, **how)
        if job.query:
            self.close(job)
        return job

    def remove(self, job: Job) -> None:
        del self._jobs[job.id]

    def close(self, job: Job) -> None:
        """No more data comes: the job is queued."""
        self._move(job, "UploadComplete")
        asyncio.get_running_loop().call_later(self.step_s, self._begin, job)

    def abort(self, job: Job) -> None:
        if job.state not in ENDED:
            self._move(job, "Aborted")

    def _begin(self, job: Job) -> None:
        if job.state == "UploadComplete":
            self._move(job, "InProgress")
            asyncio.get_running_loop().call_later(self.step_s, self._work, job)

    def _work(self, job: Job) -> None:
        if job.state != "InProgress":
            return
        try:
            if job.query:
                deleted = job.operation == "queryAll"
                job.header, job.found = self._queries.rows(job.query, job.version, deleted=deleted)
            else:
                self._ingest(job)
            self._move(job, "JobComplete")
        except (JobFailed, errors.ApiError) as problem:
            job.error = str(problem)
            self._move(job, "Failed")

    def _move(self, job: Job, state: str) -> None:
        job.state, job.modified = state, stamp(self._org.world.now())

    # ingest

    def _ingest(self, job: Job) -> None:
        sobject = self._org.sobject(job.object)
        job.header, rows = _read(job)
        job.unprocessed = rows
        for column in job.header:
            _check_column(self._org, sobject, column)
        while job.unprocessed:
            if self._faults.strike("bulk_job_fails", path=f"/{sobject.name}"):
                raise JobFailed("InternalServerError : The job could not be processed")
            chunk, job.unprocessed = job.unprocessed[:ROWS_AT_ONCE], job.unprocessed[ROWS_AT_ONCE:]
            with self._org.unit():
                for row in chunk:
                    self._attempt(job, sobject, row)

    def _attempt(self, job: Job, sobject: SObject, row: Row) -> None:
        try:
            with self._org.unit():
                record_id, created = self._save(job, sobject, _data(sobject, row))
            job.successful.append((record_id, created, row))
        except errors.ApiError as error:
            if isinstance(error, errors.BadJsonValue):
                error = _bad_value(sobject, error.field, row)
            given = next((value for name, value in row.items() if name.lower() == "id"), "")
            job.failed.append((given, f"{error.code}:{error.message}:{''.join(error.fields or ())} --", row))

    def _save(self, job: Job, sobject: SObject, data: Record) -> tuple[str, bool]:
        if job.operation == "insert":
            return str(self._org.create(sobject, data)["Id"]), True
        if job.operation == "upsert":
            value = next((data.pop(name) for name in list(data) if name.lower() == job.external_id.lower()), None)
            if value in (None, ""):
                raise errors.ApiError(400, "MISSING_ARGUMENT", f"{job.external_id} not specified", [])
            result = upsert(self._org, sobject, job.external_id, str(value), data)
            return str(result["id"]), bool(result["created"])
        record_id = next((data.pop(name) for name in list(data) if name.lower() == "id"), None)
        if record_id is None:
            message = f"Id not specified in {'an update' if job.operation == 'update' else 'a delete'} call"
            raise errors.ApiError(400, "MISSING_ARGUMENT", message, [])
        record = self._org.get(sobject, str(record_id))
        if job.operation == "delete":
            self._org.delete(sobject, record)
        else:
            self._org.update(sobject, record, data)
        return str(record["Id"]), False


def _read(job: Job) -> tuple[list[str], list[Row]]:
    """The upload as rows. Raises JobFailed for line endings that differ from the job's, or no rows at all."""
    text = (job.upload or b"").decode("utf-8", "replace")
    outside_quotes = "".join(itertools.islice(text.split('"'), 0, None, 2))
    has_crlf = "\r\n" in outside_quotes
    if "\n" in outside_quotes and has_crlf is not (job.line_ending == "CRLF"):
        problem = f"LineEnding is invalid on user data. Current LineEnding setting is {job.line_ending}"
        raise JobFailed(f"ClientInputError : {problem}")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter])
    header = next(lines, [])
    rows = [dict(zip(header, line, strict=False)) for line in lines if line]
    if not header:
        raise JobFailed("InvalidBatch : Records not found for this record batch")
    return header, rows


def _check_column(org: Org, sobject: SObject, column: str) -> None:
    relationship, dot, name = column.partition(".")
    reference = sobject.parents.get(relationship.lower()) if dot else None
    if dot and reference is None:
        raise JobFailed(f"InvalidBatch : Unable to find relationship: {relationship}")
    fields = org.schema[reference.refers_to].fields if reference else sobject.fields
    if (name if dot else column).lower() not in fields:
        raise JobFailed(f"InvalidBatch : Field name not found : {column}")


def _data(sobject: SObject, row: Row) -> Record:
    """What a row says of a record: an empty cell says nothing, #N/A says null."""
    data: Record = {}
    for column, cell in row.items():
        relationship, dot, name = column.partition(".")
        if cell == "":
            continue
        if dot:
            data[relationship] = {name: cell}
            continue
        boolean = sobject.fields[column.lower()].type == "boolean"
        data[column] = None if cell == NULL else cell.lower() if boolean else cell
    return data


def _bad_value(sobject: SObject, name: str, row: Row) -> errors.ApiError:
    label = sobject.fields[name.lower()].label
    value: Any = next((cell for column, cell in row.items() if column.lower() == name.lower()), "")
    message = f"{label}: value not of required type: {value}"
    return errors.ApiError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", message, [name])
