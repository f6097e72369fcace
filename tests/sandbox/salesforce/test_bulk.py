"""Bulk API 2.0: states, uploads, and results that tell each row's own outcome."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest
from tests.sandbox.salesforce.client import Client, Reply

CSV = {"Content-Type": "text/csv"}


async def ingest(org: Client, operation: str, text: str, sobject: str = "Account", **how: str) -> dict[str, Any]:
    """Create a job, upload, close it and wait: the job as it ended."""
    job = (await org.call("POST", "jobs/ingest", {"object": sobject, "operation": operation, **how})).body
    assert job["state"] == "Open", job
    assert (await org.call("PUT", f"/{job['contentUrl']}", text.encode(), headers=CSV)).status == 201
    closed = await org.call("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    assert closed.body["state"] == "UploadComplete"
    return await ended(org, "ingest", job["id"])


async def ended(org: Client, kind: str, job_id: str) -> dict[str, Any]:
    for _ in range(100):
        info: dict[str, Any] = (await org.call("GET", f"jobs/{kind}/{job_id}")).body
        if info["state"] in ("JobComplete", "Failed", "Aborted"):
            return info
        await asyncio.sleep(0.01)
    raise AssertionError(info)


async def rows(org: Client, job: dict[str, Any], kind: str) -> list[dict[str, str]]:
    reply = await org.call("GET", f"jobs/ingest/{job['id']}/{kind}")
    assert reply.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


async def test_each_row_has_its_own_outcome_in_a_job_that_completes(org: Client) -> None:
    """A complete job says nothing of its rows."""
    job = await ingest(org, "insert", 'Name,AnnualRevenue\n"A, Inc.",5\n,7\nC,x\n')

    good, bad = await rows(org, job, "successfulResults"), await rows(org, job, "failedResults")

    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 3, 2)
    assert [(row["sf__Created"], row["Name"]) for row in good] == [("true", "A, Inc.")]
    assert bad[0]["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert bad[1]["sf__Error"].startswith("INVALID_TYPE_ON_FIELD_IN_RECORD")
    assert (await org.get("Account", good[0]["sf__Id"]))["AnnualRevenue"] == 5


async def test_upserts_name_parents_by_external_id_and_clear_fields_with_na(org: Client) -> None:
    parent = await org.create("Account", Name="Parent", Tieline_Id__c="p-1")
    old = await org.create("Account", Name="Old", Tieline_Id__c="c-1", Phone="030")
    text = "Tieline_Id__c,Name,Phone,Parent.Tieline_Id__c\nc-1,,#N/A,p-1\nc-2,New,,\n"

    job = await ingest(org, "upsert", text, externalIdFieldName="Tieline_Id__c")

    good = await rows(org, job, "successfulResults")
    record = await org.get("Account", old)
    assert [row["sf__Created"] for row in good] == ["false", "true"]
    assert (record["Name"], record["Phone"], record["ParentId"]) == ("Old", None, parent)


async def test_updates_and_deletes_go_by_id(org: Client) -> None:
    one, two = await org.create("Account", Name="A"), await org.create("Account", Name="B")
    changed = await ingest(org, "update", f"Id,Name\n{one},Z\n001000000000000AAA,Q\n")
    gone = await ingest(org, "delete", f"Id\n{two}\n")

    assert (await org.get("Account", one))["Name"] == "Z"
    assert [row["sf__Id"] for row in await rows(org, changed, "failedResults")] == ["001000000000000AAA"]
    assert gone["numberRecordsFailed"] == 0
    assert (await org.call("GET", f"sobjects/Account/{two}")).status == 404


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Name,Nonsense\nA,1\n", "InvalidBatch : Field name not found : Nonsense"),
        ("Name,Boss.Name\nA,1\n", "InvalidBatch : Unable to find relationship: Boss"),
        ("Name\r\nA\r\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"),
    ],
)
async def test_a_file_salesforce_cannot_read_fails_the_job_and_no_row_is_touched(
    org: Client, text: str, message: str
) -> None:
    job = await ingest(org, "insert", text)

    assert (job["state"], job["errorMessage"]) == ("Failed", message)
    assert (await org.query("SELECT COUNT() FROM Account"))["totalSize"] == 0


async def test_a_job_that_dies_half_way_says_which_rows_it_never_reached(org: Client) -> None:
    await org.control("faults", {"kind": "bulk_job_fails", "skip": 1})
    job = await ingest(org, "insert", "Name\n" + "".join(f"A{i}\n" for i in range(300)))

    left = await rows(org, job, "unprocessedrecords")

    assert (job["state"], job["numberRecordsProcessed"]) == ("Failed", 200)
    assert [row["Name"] for row in left] == [f"A{i}" for i in range(200, 300)]


async def test_an_aborted_job_does_nothing(org: Client) -> None:
    await org.control("configure", {"bulk_step_s": 0.2})
    job = (await org.call("POST", "jobs/ingest", {"object": "Account", "operation": "insert"})).body
    await org.call("PUT", f"/{job['contentUrl']}", b"Name\nA\n", headers=CSV)
    await org.call("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    early = await org.call("GET", f"jobs/ingest/{job['id']}/successfulResults")
    await org.call("PATCH", f"jobs/ingest/{job['id']}", {"state": "Aborted"})

    assert early.status == 400
    assert (await ended(org, "ingest", job["id"]))["state"] == "Aborted"
    assert (await org.call("DELETE", f"jobs/ingest/{job['id']}")).status == 204
    assert (await org.call("GET", f"jobs/ingest/{job['id']}")).status == 404


async def query_job(org: Client, soql: str) -> dict[str, Any]:
    job = (await org.call("POST", "jobs/query", {"operation": "query", "query": soql})).body
    return await ended(org, "query", job["id"])


async def page(org: Client, job: dict[str, Any], **params: str) -> tuple[list[dict[str, str]], str, Reply]:
    reply = await org.call("GET", f"jobs/query/{job['id']}/results", params=params)
    found = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert str(len(found)) == reply.headers["Sforce-NumberOfRecords"]
    return found, reply.headers["Sforce-Locator"], reply


async def test_a_query_job_gives_its_records_page_by_page(org: Client) -> None:
    """The locator is opaque and "null" at the end; every record comes once."""
    org.sandbox.seed("Account", [{"Name": f"A{i:03}"} for i in range(250)])
    job = await query_job(org, "SELECT Name, IsDeleted, Parent.Name, SystemModstamp FROM Account")

    first, locator, _ = await page(org, job, maxRecords="100")
    second, locator, _ = await page(org, job, maxRecords="100", locator=locator)
    third, end, _ = await page(org, job, maxRecords="100", locator=locator)

    assert end == "null"
    assert sorted(row["Name"] for row in first + second + third) == [f"A{i:03}" for i in range(250)]
    assert (first[0]["IsDeleted"], first[0]["Parent.Name"]) == ("false", "")
    assert first[0]["SystemModstamp"].endswith(".000Z")


async def test_a_bulk_query_takes_no_children_and_no_bad_soql(org: Client) -> None:
    nested = await query_job(org, "SELECT Id, (SELECT Id FROM Contacts) FROM Account")
    bad = await org.call("POST", "jobs/query", {"operation": "query", "query": "SELECT FROM Account"})

    assert (nested["state"], "FUNCTIONALITY_NOT_ENABLED" in nested["errorMessage"]) == ("Failed", True)
    assert bad.status == 400


async def test_jobs_are_counted_in_the_limits(org: Client) -> None:
    await query_job(org, "SELECT Id FROM Account")
    limits = (await org.call("GET", "limits")).body
    assert limits["DailyBulkV2QueryJobs"] == {"Max": 10_000, "Remaining": 9_999}
