"""Answers that a sandbox of good manners never gives: pages inside records, pages of somebody else, rows astray."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.connectors.salesforce.org import settings_for, status_call

from tieline.connectors.salesforce.connector import DEAL_STATUS, SalesforceConnector
from tieline.errors import OutcomeUnknown, RejectedByVendor, VendorUnavailable

DEAL = "006Aa000001XyZ1AAK"
BASE = "/services/data/v62.0"


@asynccontextmanager
async def answering(answers: Mapping[str, Any], status: int = 200) -> AsyncIterator[SalesforceConnector]:
    """A connector to an org that answers each path with these words and no others."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/services/oauth2/token":
            return web.json_response({"access_token": "t"})
        body = answers[request.path]
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(status=status, body=content, headers={"X-SFDC-Request-Id": "R-7"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = SalesforceConnector("salesforce", settings_for(f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        yield connector
    finally:
        await connector.close()
        await runner.cleanup()


def lines(first: int, last: int, **page: Any) -> dict[str, Any]:
    return {"totalSize": 5, "records": [{"Id": f"00k{i}"} for i in range(first, last + 1)], **page}


async def test_the_lines_of_a_long_deal_are_read_to_the_last_page() -> None:
    """A child relationship has pages of its own: stopping at the first would bill part of the deal."""
    deal = {"Id": DEAL, "OpportunityLineItems": lines(1, 2, done=False, nextRecordsUrl=f"{BASE}/query/01g-2")}
    answers = {
        f"{BASE}/query": {"totalSize": 1, "done": True, "records": [deal]},
        f"{BASE}/query/01g-2": lines(3, 4, done=False, nextRecordsUrl=f"{BASE}/query/01g-4"),
        f"{BASE}/query/01g-4": lines(5, 5, done=True),
    }
    async with answering(answers) as salesforce:
        found = (await salesforce.fetch("opportunity", [DEAL]))[0]

    assert found is not None
    assert [line["Id"] for line in found["OpportunityLineItems"]["records"]] == [f"00k{i}" for i in range(1, 6)]


@pytest.mark.parametrize("body", [b"<html>Down for maintenance</html>", [], [{"success": True}] * 2, {}, [1], b""])
async def test_a_write_answered_with_something_else_is_in_doubt(body: Any) -> None:
    """Status 200 of a proxy says nothing about the deal."""
    async with answering({f"{BASE}/composite/sobjects": body}) as salesforce:
        with pytest.raises(OutcomeUnknown):
            await salesforce.send(DEAL_STATUS, [status_call(DEAL)])


@pytest.mark.parametrize("body", [b"<html>Down for maintenance</html>", [], {}, b""])
async def test_a_read_answered_with_something_else_is_an_outage(body: Any) -> None:
    async with answering({f"{BASE}/query": body}) as salesforce:
        with pytest.raises(VendorUnavailable):
            await salesforce.probe(DEAL_STATUS, [status_call(DEAL)])


async def test_the_request_id_of_a_refused_row_is_kept() -> None:
    """It is what Salesforce's support asks for first."""
    row = {"success": False, "errors": [{"statusCode": "ENTITY_IS_LOCKED", "message": "locked", "fields": []}]}
    async with answering({f"{BASE}/composite/sobjects": [row]}) as salesforce:
        refused = (await salesforce.send(DEAL_STATUS, [status_call(DEAL)]))[0]

    assert isinstance(refused, RejectedByVendor)
    assert refused.request_id == "R-7"
    assert "locked by an approval" in str(refused)
