"""Callouts: believed only when every configured proof fits, and known again however often they are sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.connectors.zuora.tenant import CUSTOMER, ORDER, Served, account, order, send, settings_for

from tieline.connectors.zuora import ZuoraConnector, webhooks
from tieline.errors import InvalidMessage

SECRET, USER, PASSWORD = "hush", "tieline", "pass:word"
BODY = msgspec.json.encode({"event": "InvoicePosted", "InvoiceId": "8ad0", "InvoiceNumber": "INV00000001"})
NOW = time.time()
SETTINGS = settings_for("http://127.0.0.1:9", callout_user=USER, callout_password=PASSWORD, callout_secret=SECRET)


def headers(body: bytes = BODY, *, at: float | None = None, secret: str = SECRET, user: str = USER) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    pair = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return {"x-zuora-timestamp": stamp, "X-ZUORA-SIGNATURE": signature, "authorization": f"Basic {pair}"}


async def test_a_signed_callout_is_a_hint_with_a_number() -> None:
    connector = ZuoraConnector("zuora", SETTINGS)
    (notice,) = await connector.notices(headers(), BODY, {})
    assert (notice.kind, notice.native_id, notice.action) == ("invoice", "INV00000001", "InvoicePosted")
    assert notice.id == "InvoicePosted:INV00000001"
    assert connector.acknowledgement()[0] == 200


def test_a_redelivery_has_the_same_id() -> None:
    """Zuora-Request-Id is new on every attempt, so it must not matter."""
    first = webhooks.notices(SETTINGS, {**headers(), "Zuora-Request-Id": "one"}, BODY)
    again = webhooks.notices(SETTINGS, {**headers(at=time.time() - 60), "Zuora-Request-Id": "two"}, BODY)
    assert first[0].id == again[0].id


EVENTS: list[tuple[dict[str, str], str, str, str]] = [
    ({"event": "SubscriptionActivated", "SubscriptionId": "a", "SubscriptionNumber": "S-1"}, "subscription", "S-1", ""),
    (
        {"event": "SubscriptionCancelled", "SubscriptionNumber": "S-1", "Status": "Ended"},
        "subscription",
        "S-1",
        ":Ended",
    ),
    ({"event": "CreditMemoPosted", "CreditMemoId": "b", "CreditMemoNumber": "CM1"}, "credit_memo", "CM1", ""),
    ({"event": "PaymentProcessed", "PaymentNumber": "P-1"}, "payment", "P-1", ""),
    ({"event": "PaymentDeclined", "PaymentId": "c"}, "payment", "c", ""),
]


@pytest.mark.parametrize(("content", "kind", "native_id", "status"), EVENTS)
def test_every_event_names_its_object(content: dict[str, str], kind: str, native_id: str, status: str) -> None:
    body = msgspec.json.encode(content)
    (notice,) = webhooks.notices(SETTINGS, headers(body), body)
    assert (notice.kind, notice.native_id) == (kind, native_id)
    assert notice.id == f"{content['event']}:{native_id}{status}"


@pytest.mark.parametrize(
    "given",
    [
        {},
        headers(secret="guess"),
        headers(user="mallory"),
        {**headers(), "authorization": "Basic not base64!"},
        {**headers(), "authorization": "Bearer x"},
        {**headers(), "X-ZUORA-SIGNATURE": ""},
        {**headers(), "X-ZUORA-SIGNATURE": "ü"},
        headers(BODY + b" "),
        headers(at=NOW - 301),
        headers(at=NOW + 301),
        {**headers(), "x-zuora-timestamp": "soon"},
    ],
)
def test_forged_and_stale_callouts_are_not_believed(given: dict[str, str]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        webhooks.notices(SETTINGS, given, BODY, NOW)
    assert SECRET not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(InvalidMessage, match="callout_secret"):
        webhooks.notices(settings_for("http://127.0.0.1:9"), headers(), BODY)


@pytest.mark.parametrize(
    ("secrets", "dropped"),
    [
        ({"callout_secret": SECRET}, ("authorization",)),
        ({"callout_user": USER, "callout_password": PASSWORD}, ("x-zuora-timestamp", "X-ZUORA-SIGNATURE")),
    ],
)
def test_one_proof_is_enough_where_one_is_configured(secrets: dict[str, str], dropped: tuple[str, ...]) -> None:
    given = {name: value for name, value in headers().items() if name not in dropped}
    assert webhooks.notices(settings_for("http://127.0.0.1:9", **secrets), given, BODY)


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"[]", b'{"event": "TaxRun"}', b'{"event": "InvoicePosted"}'])
def test_a_signed_body_that_says_nothing_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        webhooks.notices(SETTINGS, headers(body), body)


def test_header_names_are_the_tenants_own_choice() -> None:
    settings = settings_for("http://x", callout_secret=SECRET, timestamp_header="X-T", signature_header="X-S")
    given = headers()
    named = {"x-t": given["x-zuora-timestamp"], "X-S": given["X-ZUORA-SIGNATURE"]}
    assert webhooks.notices(settings, named, BODY)


async def test_what_a_tenant_sends_is_understood(served: Served) -> None:
    """Callouts of a real activation, taken off the wire."""
    received: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        received.put_nowait((dict(request.headers), await request.read()))
        return web.Response()

    runner = web.AppRunner(app := web.Application())
    app.router.add_post("/", take)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    served.sandbox.world.set(datetime.now(UTC))
    target: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/", "basic": [USER, PASSWORD], "hmac_secret": SECRET}
    await served.control("configure", {"callouts": target})
    connector = served.connect(callout_user=USER, callout_password=PASSWORD, callout_secret=SECRET)
    await send(connector, CUSTOMER, account())
    await send(connector, ORDER, order())
    (notice,) = await connector.notices(*(await asyncio.wait_for(received.get(), 5)), {})
    assert (notice.kind, notice.native_id) == ("subscription", "S-006Aa000001DealAAA")
    (subscription,) = await connector.fetch(notice.kind, [notice.native_id])
    assert subscription is not None
    assert subscription["status"] == "Active"
    await connector.close()
    await runner.cleanup()
