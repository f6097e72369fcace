"""Limits and ordered faults: the daily allowance, locked rows, validation rules, status faults, the control API."""

from __future__ import annotations

from typing import Any

import aiohttp
from tests.sandbox.salesforce.client import Client


async def test_every_answer_tells_the_usage(org: Client) -> None:
    """Sforce-Limit-Info counts calls, refused ones too."""
    for used in (1, 2):
        reply = await org.call("GET", "limits")
        assert reply.headers["Sforce-Limit-Info"] == f"api-usage={used}/100000"
    missing = await org.call("GET", "sobjects/Nothing/x")
    assert missing.headers["Sforce-Limit-Info"] == "api-usage=3/100000"
    assert (await org.call("GET", "limits")).body["DailyApiRequests"] == {"Max": 100000, "Remaining": 99996}


async def test_the_daily_allowance_ends_and_comes_back_after_a_day(org: Client) -> None:
    """403 REQUEST_LIMIT_EXCEEDED until 24 hours of the world's clock have passed."""
    await org.control("configure", {"daily_api_requests": 1})
    assert (await org.call("GET", "limits")).status == 200
    reply = await org.call("GET", "limits")
    assert (reply.status, reply.body) == (
        403,
        [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
    )
    await org.control("clock", {"days": 1})
    assert (await org.call("GET", "limits")).status == 200


async def test_a_locked_row_refuses_one_write(org: Client) -> None:
    """UNABLE_TO_LOCK_ROW on a record, alone or inside a collection; the retry goes through."""
    ids = [await org.create("Account", Name=name) for name in "AB"]
    await org.control("faults", {"kind": "lock_row", "path": f"/Account/{ids[1]}", "times": 2})
    single = await org.call("PATCH", f"sobjects/Account/{ids[1]}", {"Phone": "1"})
    assert single.body[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    records = [{"attributes": {"type": "Account"}, "Id": i, "Phone": "2"} for i in ids]
    rows = (await org.call("PATCH", "composite/sobjects", {"records": records})).body
    assert [r["success"] for r in rows] == [True, False]
    assert rows[1]["errors"][0]["message"] == "unable to obtain exclusive access to this record"
    assert (await org.call("PATCH", f"sobjects/Account/{ids[1]}", {"Phone": "3"})).status == 204


async def test_a_validation_rule_speaks_the_companys_words(org: Client) -> None:
    """FIELD_CUSTOM_VALIDATION_EXCEPTION with the rule's own message, matched on the record's content."""
    order = {"kind": "validation_rule", "body": '"Name":"Bad', "code": "Names must be good", "times": None}
    await org.control("faults", order)
    reply = await org.call("POST", "sobjects/Account", {"Name": "Bad one"})
    assert reply.body[0]["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert reply.body[0]["message"] == "Names must be good"
    await org.create("Account", Name="Good one")


async def test_status_faults_are_worded_by_salesforce(org: Client) -> None:
    """503 is SERVER_UNAVAILABLE; there is no 429, too many calls at once are 403."""
    await org.control("faults", {"kind": "status", "status": 503})
    reply = await org.call("GET", "limits")
    assert (reply.status, reply.body[0]["errorCode"]) == (503, "SERVER_UNAVAILABLE")
    await org.control("faults", {"kind": "status", "status": 429})
    reply = await org.call("GET", "limits")
    assert (reply.status, reply.body[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


async def test_a_dropped_answer_leaves_the_record(org: Client) -> None:
    """The kernel's drop_response: the client sees a reset, the account exists; nothing protects a second POST."""
    await org.control("faults", {"kind": "drop_response", "method": "POST", "path": "sobjects"})
    try:
        await org.call("POST", "sobjects/Account", {"Name": "Once"})
    except aiohttp.ServerDisconnectedError:
        await org.create("Account", Name="Once")
    assert len(org.sandbox.documents("Account")["Account"]) == 2


async def test_seeds_keep_what_they_are_given(org: Client) -> None:
    """Ids, dates and totals given stay; lines name products by code; faulty seeds are refused with a reason."""
    seeds = {
        "Account": [{"Id": "001A0000006Vm9r", "Name": "A"}],
        "Product2": [{"Name": "Seat", "ProductCode": "SEAT"}],
        "Opportunity": [
            {
                "Id": "006A0000006Vm9r",
                "Name": "O",
                "StageName": "Closed Won",
                "CloseDate": "2026-01-01",
                "AccountId": "001A0000006Vm9r",
                "SystemModstamp": "2026-01-02T03:04:05Z",
            }
        ],
        "OpportunityLineItem": [
            {
                "OpportunityId": "006A0000006Vm9r",
                "_ProductCode": "seat",
                "Quantity": 2,
                "UnitPrice": 5,
                "TotalPrice": 120,
            }
        ],
    }
    stored = await org.control("seed", seeds)
    assert stored["Account"][0]["Id"] == "001A0000006Vm9rIAC"
    deal = org.sandbox.documents("Opportunity")["Opportunity"][0]
    assert (deal["Amount"], deal["IsWon"], deal["SystemModstamp"]) == (120, True, "2026-01-02T03:04:05.000+0000")
    faulty: list[dict[str, list[dict[str, Any]]]] = [
        {"Acount": [{}]},
        {"Account": [{"Nme": "x"}]},
        {"Account": [{"Name": 5}]},
    ]
    for wrong in faulty:
        async with org.http.post(f"{org.base}/_sandbox/seed", json=wrong) as response:
            assert response.status == 400


async def test_reset_forgets_everything(org: Client) -> None:
    """After a reset neither records nor sessions are left."""
    await org.create("Account", Name="A")
    await org.control("reset", {})
    assert (await org.call("GET", "limits")).status == 401
    assert org.sandbox.documents("Account")["Account"] == []
