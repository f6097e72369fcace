"""Outbound Messages: when they fire, what they carry, and that only `<Ack>true</Ack>` ends the sending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from aiohttp import web
from tests.sandbox.salesforce.client import Client

OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
SOBJECT = "{urn:sobject.enterprise.soap.sforce.com}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
ACK = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>{}</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>"
)


class Listener:
    """An endpoint that keeps what it is sent and acknowledges on demand."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.acks: list[str] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        assert request.content_type == "text/xml"
        assert "SOAPAction" in request.headers
        self.bodies.append(await request.read())
        return web.Response(text=ACK.format(self.acks.pop(0) if self.acks else "true"), content_type="text/xml")

    async def messages(self, count: int) -> list[ET.Element]:
        """The `notifications` elements, once there are `count`."""
        for _ in range(300):
            if len(self.bodies) >= count:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(self.bodies) == count
        found = [ET.fromstring(body).find(f".//{OUTBOUND}notifications") for body in self.bodies]
        return [element for element in found if element is not None]


@pytest.fixture
async def listener(org: Client) -> AsyncIterator[Listener]:
    """A listener that is told of won deals."""
    listener = Listener()
    app = web.Application()
    app.router.add_post("/won", listener.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}/won"
    message = {
        "name": "won",
        "object": "Opportunity",
        "when": {"IsWon": True},
        "fields": ["Id", "StageName", "SystemModstamp", "Amount", "NextStep"],
        "url": listener.url,
        "organization_id": "00D000000000001EAA",
    }
    await org.control("configure", {"outbound_messages": [message], "outbound_retry_s": [0.05, 0.05, 0.05]})
    yield listener
    await runner.cleanup()


def notifications(message: ET.Element) -> list[dict[str, Any]]:
    rows = []
    for notification in message.findall(f"{OUTBOUND}Notification"):
        sobject = notification.find(f"{OUTBOUND}sObject")
        assert sobject is not None
        assert sobject.get(f"{XSI}type") == "sf:Opportunity"
        row = {child.tag.removeprefix(SOBJECT): child.text for child in sobject}
        rows.append(row | {"notification": notification.findtext(f"{OUTBOUND}Id")})
    return rows


async def test_a_deal_that_becomes_won_is_announced_once(org: Client, listener: Listener) -> None:
    """Fired by the edit that meets the criteria; later edits of a won deal, and deals not won, are silent."""
    deal = await org.opportunity(Amount="12.50")
    path = f"sobjects/Opportunity/{deal}"
    await org.call("PATCH", path, {"StageName": "Closed Won"})
    (message,) = await listener.messages(1)
    assert message.findtext(f"{OUTBOUND}OrganizationId") == "00D000000000001EAA"
    assert (message.findtext(f"{OUTBOUND}ActionId") or "").startswith("04k")
    session = message.find(f"{OUTBOUND}SessionId")
    assert session is not None
    assert session.get(f"{XSI}nil") == "true"
    assert (message.findtext(f"{OUTBOUND}PartnerUrl") or "").startswith(org.base)
    (row,) = notifications(message)
    assert (row["Id"], row["StageName"], row["Amount"]) == (deal, "Closed Won", "12.50")
    assert row["SystemModstamp"].endswith(".000Z")
    assert "NextStep" not in row
    await org.call("PATCH", path, {"NextStep": "celebrate"})
    await listener.messages(1)
    await org.call("PATCH", path, {"StageName": "Proposal"})
    await org.call("PATCH", path, {"StageName": "Closed Won"})
    assert len(await listener.messages(2)) == 2


async def test_a_collection_is_announced_in_messages_of_a_hundred(org: Client, listener: Listener) -> None:
    """150 records won in one call are two messages; every notification has its own id."""
    kind = {"attributes": {"type": "Opportunity"}}
    fields = {"Name": "D", "StageName": "Closed Won", "CloseDate": "2026-01-01"}
    await org.call("POST", "composite/sobjects", {"records": [kind | fields] * 150})
    rows = [notifications(message) for message in await listener.messages(2)]
    assert sorted(len(r) for r in rows) == [50, 100]
    assert len({row["notification"] for part in rows for row in part}) == 150


async def test_what_is_rolled_back_is_never_announced(org: Client, listener: Listener) -> None:
    """A failed all-or-none call sends nothing."""
    kind = {"attributes": {"type": "Opportunity"}}
    good = kind | {"Name": "D", "StageName": "Closed Won", "CloseDate": "2026-01-01"}
    await org.call("POST", "composite/sobjects", {"allOrNone": True, "records": [good, kind]})
    await listener.messages(0)


async def test_a_message_is_repeated_with_the_latest_data_until_acknowledged(org: Client, listener: Listener) -> None:
    """Ack false is no ack; the retry has the same notification id and the record as it is by then."""
    listener.acks = ["false", "false"]
    deal = await org.opportunity(StageName="Closed Won")
    for _ in range(100):
        if listener.bodies:
            break
        await asyncio.sleep(0.005)
    await org.call("PATCH", f"sobjects/Opportunity/{deal}", {"NextStep": "changed since"})
    rows = [notifications(m)[0] for m in await listener.messages(3)]
    assert len({row["notification"] for row in rows}) == 1
    assert "NextStep" not in rows[0]
    assert rows[-1]["NextStep"] == "changed since"


async def test_the_kernels_webhook_faults_apply(org: Client, listener: Listener) -> None:
    """A message can be lost or doubled on order."""
    await org.control("faults", {"kind": "webhook_drop", "path": "won"})
    await org.opportunity(StageName="Closed Won")
    await listener.messages(0)
    await org.control("faults", {"kind": "webhook_duplicate", "path": "won"})
    await org.opportunity(StageName="Closed Won")
    first, second = await listener.messages(2)
    assert notifications(first) == notifications(second)


async def test_a_message_on_an_unknown_field_cannot_be_configured(org: Client) -> None:
    """A typing error in the configuration is answered, not silently never fired."""
    for wrong in ({"object": "Opportunity", "fields": ["Nme"]}, {"object": "Deal"}):
        order = {"outbound_messages": [{"name": "x", "url": "http://127.0.0.1:9", **wrong}]}
        async with org.http.post(f"{org.base}/_sandbox/configure", json=order) as response:
            assert response.status == 400
            assert isinstance(response, aiohttp.ClientResponse)
