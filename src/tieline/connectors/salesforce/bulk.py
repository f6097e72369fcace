"""Bulk API 2.0 query jobs: what a sweep uses where pages of 500 would cost too many calls.

A job is made once and read page by page with the locator of the page before; a job that is gone or failed says so.
Source: Bulk API 2.0 and Bulk API Developer Guide, "Query"; jobs live for seven days.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from tieline.connectors.sdk import Answer, Session
from tieline.errors import OutcomeUnknown, RejectedByVendor, VendorUnavailable

READY = "JobComplete"
OVER = ("Failed", "Aborted")
LAST = "null"
"""The locator behind the last page."""


class JobGone(Exception):
    """The job failed, was aborted, or does not exist any more; the sentence says why."""


class Rows(NamedTuple):
    """A page of results, and the locator of the next one, "" behind the last."""

    records: list[dict[str, str]]
    locator: str


class BulkQuery:
    """Query jobs of one org."""

    def __init__(self, session: Session, base: str) -> None:
        self._session, self._path = session, f"{base}/jobs/query"

    async def start(self, soql: str) -> str:
        """Make a job that finds deleted records too; returns its id."""
        answer = await self._ask("POST", self._path, json={"operation": "queryAll", "query": soql})
        job = _fields(answer)
        if not job.get("id"):
            raise VendorUnavailable("Salesforce made a bulk query job without an id")
        return str(job["id"])

    async def ready(self, job_id: str) -> bool:
        """Whether the results can be read. Raises JobGone."""
        try:
            job = _fields(await self._ask("GET", f"{self._path}/{quote(job_id)}"))
        except RejectedByVendor as error:
            raise JobGone(str(error)) from error
        if job.get("state") in OVER:
            raise JobGone(f"bulk query job {job_id} ended as {job['state']}: {job.get('errorMessage', '')}")
        return job.get("state") == READY

    async def page(self, job_id: str, locator: str, size: int) -> Rows:
        """The results behind a locator, "" for the first. Raises JobGone."""
        params = {"maxRecords": str(size)} | ({"locator": locator} if locator else {})
        try:
            answer = await self._ask("GET", f"{self._path}/{quote(job_id)}/results", params=params)
        except RejectedByVendor as error:
            raise JobGone(str(error)) from error
        following = answer.headers.get("sforce-locator", LAST)
        records = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))
        told = answer.headers.get("sforce-numberofrecords", "")
        if told.isdecimal() and int(told) != len(records):
            # a cut answer with status 200 looks like a short page
            raise VendorUnavailable(f"Salesforce announced {told} rows of a bulk query and sent {len(records)}")
        return Rows(records, "" if following == LAST else following)

    async def _ask(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        try:
            # a job reads only: one whose answer is lost costs nothing and is made again
            return await self._session.request(method, path, writes=False, json=json, params=params)
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error


def _fields(answer: Answer) -> dict[str, Any]:
    try:
        decoded = answer.json()
    except ValueError as error:
        raise VendorUnavailable("Salesforce answered a bulk query job with something else than JSON") from error
    return decoded if isinstance(decoded, dict) else {}
