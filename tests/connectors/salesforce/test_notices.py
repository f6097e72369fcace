"""Outbound messages: believed only with the secret, read whole, acknowledged in SOAP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.connectors.salesforce.org import TOKEN, Served, seed_deals, settings_for

from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.engine.ports import Notice
from tieline.errors import InvalidMessage, TielineError
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox
from tieline_sandbox.salesforce.model import ORGANIZATION_ID

QUERY = {"token": TOKEN}


def envelope(notifications: str, organization: str = ORGANIZATION_ID, prolog: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization}</OrganizationId><ActionId>04kAa0000000001</ActionId>"
        "<SessionId>00DAa!SECRET</SessionId><EnterpriseUrl>https://x</EnterpriseUrl><PartnerUrl>https://x</PartnerUrl>"
        f"{notifications}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


def notification(number: int, deal: str = "006Aa000001XyZ1AAK", name: str = "") -> str:
    return (
        f"<Notification><Id>04lAa{number:010d}AAA</Id>"
        '<sObject xsi:type="sf:Opportunity" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{deal}</sf:Id><sf:SystemModstamp>2026-01-15T09:30:00.000Z</sf:SystemModstamp>"
        f"<sf:StageName>Closed Won</sf:StageName>{f'<sf:Name>{name}</sf:Name>' if name else ''}"
        "</sObject></Notification>"
    )


class Listener:
    """What a company's endpoint does with what Salesforce sends."""

    def __init__(self, connector: SalesforceConnector) -> None:
        self._connector = connector
        self.heard: list[Notice] = []
        self.refused = 0

    async def hear(self, request: web.Request) -> web.Response:
        try:
            self.heard += await self._connector.notices(request.headers, await request.read(), request.query)
        except TielineError:
            self.refused += 1
            return web.Response(status=400)
        status, media_type, body = self._connector.acknowledgement()
        return web.Response(status=status, body=body, headers={"Content-Type": media_type})


@asynccontextmanager
async def listening(connector: SalesforceConnector) -> AsyncIterator[tuple[Listener, str]]:
    listener = Listener(connector)
    app = web.Application()
    app.router.add_post("/salesforce", listener.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield listener, f"http://127.0.0.1:{port}/salesforce"
    finally:
        await runner.cleanup()


def announce(org: Sandbox, url: str) -> None:
    message = {
        "name": "Deal won",
        "object": "Opportunity",
        "when": {"IsWon": True},
        "fields": ["Id", "SystemModstamp", "StageName"],
        "url": url,
    }
    org.configure({"outbound_messages": [message], "outbound_retry_s": [0.01]})


def win(org: Sandbox, deals: list[str]) -> None:
    sobject = org.org.sobject("Opportunity")
    with org.org.unit():
        for deal in deals:
            org.org.update(sobject, org.org.get(sobject, deal), {"StageName": "Closed Won"})


async def test_deals_won_in_one_transaction_are_heard_and_acknowledged_once(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """Salesforce sends again until it hears Ack true: one delivery means that ours is understood."""
    deals = seed_deals(org, 3, StageName="Negotiation")
    async with listening(salesforce) as (listener, url):
        announce(org, f"{url}?token={TOKEN}")
        win(org, deals)
        await asyncio.wait_for(org.webhooks.idle(), 5)

    assert {notice.native_id for notice in listener.heard} == set(deals)
    assert len({notice.id for notice in listener.heard}) == 3
    assert {notice.kind for notice in listener.heard} == {"opportunity"}
    assert all(notice.stamp.endswith("Z") for notice in listener.heard)
    assert [entry["attempt"] for entry in org.webhooks.log] == [1]


async def test_a_redelivery_carries_the_same_id(salesforce: SalesforceConnector, org: Sandbox) -> None:
    """The intake drops what it has seen by this id."""
    deals = seed_deals(org, 1, StageName="Negotiation")
    org.faults.add(Fault(kind="webhook_duplicate"))
    async with listening(salesforce) as (listener, url):
        announce(org, f"{url}?token={TOKEN}")
        win(org, deals)
        await asyncio.wait_for(org.webhooks.idle(), 5)

    assert len(listener.heard) == 2
    assert len({notice.id for notice in listener.heard}) == 1


async def test_a_message_without_the_secret_is_not_believed(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deals = seed_deals(org, 1, StageName="Negotiation")
    async with listening(salesforce) as (listener, url):
        announce(org, f"{url}?token=guessed")
        win(org, deals)
        await asyncio.wait_for(org.webhooks.idle(), 5)

    assert listener.heard == []
    assert listener.refused == 2


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": "outbound-secreT"}, {"token": "päß"}])
async def test_the_token_must_be_exactly_right(salesforce: SalesforceConnector, query: dict[str, str]) -> None:
    with pytest.raises(InvalidMessage) as refused:
        await salesforce.notices({}, envelope(notification(1)), query)

    assert TOKEN not in str(refused.value)


async def test_without_a_configured_token_nothing_is_believed(served: Served) -> None:
    """An empty secret must not match an empty token."""
    connector = SalesforceConnector("salesforce", settings_for(served.url, outbound_message_token=""))

    with pytest.raises(InvalidMessage):
        await connector.notices({}, envelope(notification(1)), {"token": ""})


async def test_a_message_of_another_org_is_not_believed(served: Served) -> None:
    connector = SalesforceConnector("salesforce", settings_for(served.url, organization_id=ORGANIZATION_ID[:15]))

    assert await connector.notices({}, envelope(notification(1)), QUERY)
    with pytest.raises(InvalidMessage, match="another Salesforce org"):
        await connector.notices({}, envelope(notification(1), "00DZz0000000001"), QUERY)


async def test_a_notification_is_read_whole_and_the_session_left_out(salesforce: SalesforceConnector) -> None:
    """The session id in a message is a credential: it must not reach the event log."""
    heard = await salesforce.notices({}, envelope(notification(7, name="A &amp; B")), QUERY)

    assert heard == [
        Notice(
            id="04lAa0000000007AAA",
            kind="opportunity",
            native_id="006Aa000001XyZ1AAK",
            stamp="2026-01-15T09:30:00.000Z",
            raw={
                "Id": "006Aa000001XyZ1AAK",
                "SystemModstamp": "2026-01-15T09:30:00.000Z",
                "StageName": "Closed Won",
                "Name": "A & B",
            },
        )
    ]
    assert "SECRET" not in repr(heard)


@pytest.mark.parametrize(
    "body",
    [
        envelope(notification(1), prolog='<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'),
        envelope(notification(1), prolog='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
        envelope(notification(1)).decode().encode("utf-16"),
        b"\xff\xfe\x00",
        b"",
        b"not xml",
        b"<html><body>moved</body></html>",
        envelope(""),
        envelope("".join(notification(i) for i in range(101))),
        envelope("<Notification><Id>04l1</Id></Notification>"),
        envelope(notification(1, deal="")),
        envelope(notification(1)).replace(b"09:30", b"soon"),
        envelope(notification(1)).replace(b"</notifications>", b""),
        b"<a>" + b" " * (4 * 1024 * 1024) + b"</a>",
    ],
    ids=[
        "entities", "external", "utf16", "bytes", "empty", "text", "html", "none", "too many", "no record", "no id",
        "no time", "cut", "huge",
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_an_invalid_message(salesforce: SalesforceConnector, body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        await salesforce.notices({}, body, QUERY)
