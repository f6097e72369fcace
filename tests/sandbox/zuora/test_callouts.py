"""Callouts: ids only, signed, retried, remembered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.sandbox.zuora.conftest import Zuora, account, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Receiver:
    """Takes callouts, refusing the first `refuse` of them."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse = refuse
        self.received: list[tuple[Any, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.received.append((await request.json(), dict(request.headers), raw))
        return web.Response(status=500 if len(self.received) <= self.refuse else 200, text="noted")

    def events(self) -> list[str]:
        return [body["event"] for body, _, _ in self.received]


@asynccontextmanager
async def receiving(zuora: Zuora, refuse: int = 0, **settings: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(refuse)
    app = web.Application()
    app.router.add_post("/callout", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    target = {"url": f"http://127.0.0.1:{port}/callout", "basic": ["tieline", "pw"], "hmac_secret": "s3cret"}
    await zuora.control("configure", {"callouts": target, "callout_retry_after_s": [0.01, 0.01, 0.01], **settings})
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def test_a_callout_carries_ids_and_two_proofs(zuora: Zuora) -> None:
    """Basic authentication, and an HMAC over timestamp and body; what happened must be asked for."""
    async with receiving(zuora) as receiver:
        await zuora.post("/v1/orders", order("1"))
        await zuora.sandbox.webhooks.idle()
    body, headers, raw = receiver.received[0]
    assert body == {
        "event": "SubscriptionActivated",
        "SubscriptionId": body["SubscriptionId"],
        "SubscriptionNumber": "S-1",
        "AccountId": body["AccountId"],
        "AccountNumber": "A-1",
    }
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"tieline:pw").decode()
    signed = headers["X-Zuora-Timestamp"].encode() + b"." + raw
    assert headers["X-Zuora-Signature"] == hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()


async def test_the_life_of_a_deal_is_called_out(zuora: Zuora) -> None:
    """Every event of the agreed list, once each."""
    async with receiving(zuora) as receiver:
        await zuora.post(
            "/v1/accounts", account("A-2", autoPay=True, paymentTerm="Due Upon Receipt", PaymentFails__c=1)
        )
        await zuora.post("/v1/orders", order("1", owner="A-2"))
        await zuora.advance(7)
        body = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-01-20", "runBilling": True}
        await zuora.put("/v1/subscriptions/S-1/cancel", body)
        await zuora.sandbox.webhooks.idle()
    assert sorted(receiver.events()) == [
        "CreditMemoPosted",
        "InvoicePosted",
        "PaymentDeclined",
        "PaymentProcessed",
        "SubscriptionActivated",
        "SubscriptionCancelled",
    ]


async def test_each_attempt_has_a_new_request_id_and_a_line_in_the_history(zuora: Zuora) -> None:
    """Three retries, then only the history knows; from there it can be sent again."""
    async with receiving(zuora, refuse=4) as receiver:
        await zuora.post("/v1/orders", order("1"))
        await zuora.sandbox.webhooks.idle()
        assert len({headers["Zuora-Request-Id"] for _, headers, _ in receiver.received}) == 4
        history = (await zuora.get("/v1/notification-history/callout?failedOnly=true"))["calloutHistories"]
        assert [(h["attemptedNum"], h["responseCode"]) for h in history] == [(str(n), "500") for n in (4, 3, 2, 1)]
        status, _, _ = await zuora.ask("POST", "/notifications/callout-histories/resend", [history[0]["id"]])
        assert status == 202
        await zuora.sandbox.webhooks.idle()
    assert len(receiver.received) == 5


async def test_callouts_can_be_late_or_off(zuora: Zuora) -> None:
    """Activation is told after its delay; switched off, nothing is told at all."""
    async with receiving(zuora, activation_delay_s=0.05) as receiver:
        await zuora.post("/v1/orders", order("1"))
        await zuora.sandbox.webhooks.idle()
        assert receiver.events() == []
        await asyncio.sleep(0.1)
        await zuora.sandbox.webhooks.idle()
        assert receiver.events() == ["SubscriptionActivated"]
        await zuora.control("configure", {"callouts_on": False})
        await zuora.advance(7)
        await zuora.sandbox.webhooks.idle()
    assert receiver.events() == ["SubscriptionActivated"]


async def test_a_notification_definition_sends_its_own_body(zuora: Zuora) -> None:
    """Defined over the API, with merge fields; the password is not shown again."""
    async with receiving(zuora) as receiver:
        url = zuora.sandbox.tenant.settings.callouts
        assert url is not None
        callout = {
            "name": "invoice",
            "eventTypeName": "InvoicePosted",
            "httpMethod": "POST",
            "requiredAuth": True,
            "calloutBaseurl": url["url"],
            "calloutAuth": {"username": "u", "password": "p"},
            "calloutParams": {"event": "mine", "invoice": "<Invoice.Number>", "id": "<Invoice.Id>"},
        }
        body = {"name": "invoices", "eventTypeName": "InvoicePosted", "calloutActive": True, "callout": callout}
        made = await zuora.post("/notifications/notification-definitions", body)
        assert "password" not in made["callout"]["calloutAuth"]
        await zuora.control("configure", {"callouts": None})
        await zuora.post("/v1/orders", order("1"))
        await zuora.advance(7)
        await zuora.sandbox.webhooks.idle()
        (received,) = receiver.received
        assert received[0]["invoice"] == "INV00000001"
        await zuora.ask("DELETE", f"/notifications/notification-definitions/{made['id']}")
        assert (await zuora.ask("GET", f"/notifications/notification-definitions/{made['id']}"))[0] == 404
