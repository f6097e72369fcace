"""Slots, asynchronous jobs and ordered faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest
from tests.sandbox.netsuite.client import Answer, Client

from tieline_sandbox.netsuite import Sandbox

KEY = "cac827ea-3543-4cda-add2-bae634326c27"
ASYNC = {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": KEY}


def company(name: str, **changed: Any) -> dict[str, Any]:
    return {"companyName": name, "subsidiary": {"id": "1"}} | changed


async def finished(client: Client, location: str) -> dict[str, Any]:
    for _ in range(100):
        job: dict[str, Any] = (await client.call("GET", location)).body
        if job["completed"]:
            return job
        await asyncio.sleep(0.01)
    raise AssertionError("the job did not finish")


async def crowd(client: Client, count: int) -> list[Answer]:
    return list(await asyncio.gather(*(client.record("GET", "customer") for _ in range(count))))


async def test_requests_beyond_the_slots_are_refused(client: Client, sandbox: Sandbox) -> None:
    """Five slots, eight requests at once: three get 429, and nothing is queued for them."""
    await client.control("configure", {"service_ms": 50})
    answers = await crowd(client, 8)
    assert Counter(answer.status for answer in answers) == {200: 5, 429: 3}
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.code, refused.body["title"]) == ("CONCURRENCY_LIMIT_EXCEEDED", "Too Many Requests")
    assert sandbox.documents()["slots"] == [{"refused": 3, "peak": 5}]
    await client.control("configure", {"slots": 8})
    assert {answer.status for answer in await crowd(client, 8)} == {200}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("misleading_login", 401, "INVALID_LOGIN"), ("limit_as_400", 400, "SSS_REQUEST_LIMIT_EXCEEDED")],
)
async def test_the_limit_may_show_as_something_else(client: Client, kind: str, status: int, code: str) -> None:
    """Reports tell of a good login refused under load, and of the RESTlet wording; the token stays good."""
    await client.control("configure", {"service_ms": 50, "slots": 1})
    await client.control("faults", {"kind": kind, "times": 1})
    answers = await crowd(client, 2)
    refused = next(answer for answer in answers if answer.status != 200)
    assert (refused.status, refused.code) == (status, code)
    assert (await client.record("GET", "customer")).status == 200


async def test_governance_limits_are_for_administrators(client: Client) -> None:
    path = "/services/rest/system/v1/governanceLimits"
    assert (await client.call("GET", path)).body["accountConcurrencyLimit"] == 5
    await client.control("configure", {"administrator": False})
    assert (await client.call("GET", path)).status == 403


async def test_an_asynchronous_create_is_polled_to_its_result(client: Client) -> None:
    """202 with the job's address; then the job, its task, and the answer the request would have had."""
    await client.control("configure", {"job_ms": 20})
    queued = await client.record("POST", "customer", company("Later"), ASYNC)
    assert (queued.status, queued.headers["Preference-Applied"]) == (202, "respond-async")
    location = queued.headers["Location"]
    assert (await client.call("GET", location)).body["progress"] in ("pending", "processing")
    assert (await client.call("GET", f"{location}/task/1/result")).status == 400
    assert (await finished(client, location))["progress"] == "succeeded"
    tasks = (await client.call("GET", f"{location}/task")).body["items"]
    assert [task["id"] for task in tasks] == ["1"]
    assert (await client.call("GET", f"{location}/task/1")).body["progress"] == "succeeded"
    result = await client.call("GET", f"{location}/task/1/result")
    assert (result.status, await client.read(f"customer/{result.id}") is not None) == (204, True)


async def test_an_idempotency_key_serves_one_asynchronous_request(client: Client) -> None:
    """The repeat is a Conflict with status 400 that points at the first job; only one record stands."""
    first = await client.record("POST", "customer", company("Once"), ASYNC)
    again = await client.record("POST", "customer", company("Once"), ASYNC)
    assert (again.status, again.code, again.body["title"]) == (400, "IDEMPOTENCY_ERROR", "Conflict")
    assert again.headers["Location"] == first.headers["Location"]
    await finished(client, first.headers["Location"])
    customers = (await client.control("documents/customer", method="GET"))["customer"]
    assert sum(one.get("companyName") == "Once" for one in customers) == 1
    odd = await client.record("POST", "customer", company("X"), ASYNC | {"X-NetSuite-Idempotency-Key": "mine"})
    assert (odd.status, odd.body["o:errorDetails"][0]["o:errorHeader"]) == (400, "X-NetSuite-Idempotency-Key")


async def test_a_batch_succeeds_in_part(client: Client) -> None:
    """One faulty record among good ones: the job has failed, the good ones stand, each task tells its own."""
    items = [company("A", externalId="a"), {"companyName": "B"}, company("C", externalId="c")]
    queued = await client.record("POST", "customer", {"items": items}, ASYNC)
    location = queued.headers["Location"]
    assert (await finished(client, location))["progress"] == "failed"
    states = [(await client.call("GET", f"{location}/task/{number}")).body["progress"] for number in (1, 2, 3)]
    assert states == ["succeeded", "failed", "succeeded"]
    refused = await client.call("GET", f"{location}/task/2/result")
    assert (refused.status, "Primary Subsidiary" in refused.detail) == (400, True)
    assert (await client.record("GET", "customer/eid:c")).status == 200


async def test_batches_upsert_update_and_delete(client: Client) -> None:
    """Bodies name their records by externalId or id; deletes by ?ids=; more than 100 are refused, and so is haste."""
    later = {"Prefer": "respond-async"}
    body = {"items": [company("P", externalId="p"), company("Q", externalId="q")]}
    assert (await client.record("PUT", "customer", body)).body["o:errorDetails"][0]["o:errorHeader"] == "Prefer"
    queued = await client.record("PUT", "customer", body, later)
    assert (await finished(client, queued.headers["Location"]))["progress"] == "succeeded"
    queued = await client.record("PATCH", "customer", {"items": [{"externalId": "p", "phone": "7"}]}, later)
    await finished(client, queued.headers["Location"])
    assert (await client.read("customer/eid:p"))["phone"] == "7"
    queued = await client.record("DELETE", "customer?ids=eid:p,eid:q", headers=later)
    await finished(client, queued.headers["Location"])
    assert (await client.record("GET", "customer/eid:q")).status == 404
    many = {"items": [company("M")] * 101}
    assert (await client.record("POST", "customer", many, later)).status == 400


async def test_ordered_refusals_come_in_netsuites_words(client: Client) -> None:
    """The kernel's `status` fault, with and without a code."""
    for fault, code in (
        ({"status": 429}, "CONCURRENCY_LIMIT_EXCEEDED"),
        ({"status": 503}, "UNEXPECTED_ERROR"),
        ({"status": 401}, "INVALID_LOGIN"),
        ({"status": 400, "code": "SSS_REQUEST_LIMIT_EXCEEDED"}, "SSS_REQUEST_LIMIT_EXCEEDED"),
    ):
        await client.control("faults", {"kind": "status"} | fault)
        refused = await client.record("GET", "customer")
        assert (refused.status, refused.code) == (fault["status"], code)


async def test_an_answer_may_be_lost_after_the_record_was_saved(client: Client) -> None:
    """A reset connection and a 500 look like failure; the records stand all the same."""
    await client.control("faults", {"kind": "drop_response", "method": "POST"})
    with pytest.raises(aiohttp.ClientError):
        await client.record("POST", "customer", company("Lost", externalId="lost"))
    await client.control("faults", {"kind": "error_after_save", "method": "POST"})
    failed = await client.record("POST", "customer", company("Err", externalId="err"))
    assert (failed.status, failed.code) == (500, "UNEXPECTED_ERROR")
    for external_id in ("lost", "err"):
        assert (await client.record("GET", f"customer/eid:{external_id}")).status == 200


async def test_scripts_and_other_users_refuse_writes(client: Client) -> None:
    """A user event script may refuse any write; an update may meet another's."""
    await client.control("faults", {"kind": "script_refusal", "path": "customer"})
    assert "user event script" in (await client.record("POST", "customer", company("S"))).detail
    await client.control("faults", {"kind": "record_changed"})
    assert "Record has been changed." in (await client.record("PATCH", "customer/1", {"phone": "1"})).detail
    assert (await client.record("PATCH", "customer/1", {"phone": "1"})).status == 204


async def test_seeds_keep_their_ids_and_restate_the_first_world(client: Client) -> None:
    """An id given in a seed is kept and counted on from; a period or currency that is there already is changed."""
    seeded = await client.control(
        "seed",
        {
            "subsidiary": [
                {"id": 50, "name": "JP01", "country": "JP", "currency": "JPY"},
                {"name": "X", "currency": "1"},
            ],
            "accountingPeriod": [{"periodName": "Mar 2026", "closed": True}],
            "currency": [{"symbol": "CHF", "name": "Franc"}, {"symbol": "GBP", "isInactive": True}],
            "customer": [{"companyName": "Imported", "subsidiary": "50", "id": "700", "externalId": "imp"}],
        },
    )
    assert [one["id"] for one in seeded["subsidiary"]] == ["50", "51"]
    assert (seeded["accountingPeriod"][0]["startDate"], seeded["currency"][1]["name"]) == (
        "2026-03-01",
        "British Pound",
    )
    assert (await client.record("POST", "customer", company("Next"))).id == "701"
    sale = {"entity": {"externalId": "imp"}, "item": {"items": [{"item": {"id": "1"}, "amount": 10}]}}
    assert "accounting period" in (await client.record("POST", "invoice", sale)).detail
    again = await client.control("seed", {"customer": [{"companyName": "I", "subsidiary": "50", "id": "700"}]})
    assert "already exists" in again["error"]


async def test_the_control_api_refuses_what_it_does_not_know(client: Client) -> None:
    """A wrong seed, setting or act is explained and changes nothing; reset returns to the first world."""
    assert "Primary Subsidiary" in (await client.control("seed", {"customer": [{"companyName": "Z"}]}))["error"]
    assert "widget" in (await client.control("seed", {"widget": []}))["error"]
    assert "speed" in (await client.control("configure", {"speed": 1}))["error"]
    assert "dance" in (await client.control("act/dance", {}))["error"]
    await client.control("reset", {})
    documents = await client.control("documents", method="GET")
    assert (documents["customer"], documents["subsidiary"], len(documents["accountingPeriod"])) == ([], [], 240)
