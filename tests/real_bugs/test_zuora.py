"""Mistakes that integrations of Zuora are known for. Each test shows a plain client making the mistake on the sandbox,
and the connector not making it on the same tenant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from tests.connectors.zuora.tenant import (
    ACME,
    CATALOGUE,
    CUSTOMER,
    ORDER,
    START,
    TABLES,
    USAGE,
    Served,
    account,
    order,
    send,
    usage_batch,
)
from tests.connectors.zuora.test_notices import PASSWORD, SECRET, USER, headers

from tieline.connectors.zuora import ZuoraConnector
from tieline.domain import CreditNote, Money
from tieline.engine.ports import Applied, Notice
from tieline.errors import RejectedByVendor
from tieline_sandbox.kernel.app import decode_json, encode_json
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.zuora import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAL = "006Aa000001DealAAA"
CENT = Decimal("0.01")


class Tenant(NamedTuple):
    """A tenant with a customer, a plain session with it, and the connector."""

    served: Served
    http: aiohttp.ClientSession
    zuora: ZuoraConnector

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """What a plain client sees: the status and the body."""
        form = {"client_id": self.zuora.settings.client_id, "client_secret": "sandbox-secret"}
        url = self.served.url
        async with self.http.post(f"{url}/oauth/token", data={"grant_type": "client_credentials", **form}) as response:
            signed = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
        data = None if body is None else encode_json(body)
        sent = {**signed, "Content-Type": "application/json"}
        async with self.http.request(method, url + path, data=data, headers=sent) as response:
            return response.status, decode_json(await response.read())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing() -> AsyncIterator[Served]:
    sandbox = Sandbox(World(START, seed=7))
    async with serving([sandbox]) as urls:
        yield Served(sandbox, urls["zuora"])


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(standing: Served) -> AsyncIterator[Tenant]:
    await standing.control("reset", {})
    standing.sandbox.world.set(START)
    standing.sandbox.seed("products", list(CATALOGUE))
    zuora = standing.connect(callout_user=USER, callout_password=PASSWORD, callout_secret=SECRET)
    async with aiohttp.ClientSession() as http:
        await send(zuora, CUSTOMER, account(ACME))
        yield Tenant(standing, http, zuora)
    await zuora.close()


async def test_a_status_of_200_is_taken_for_a_booked_order(tenant: Tenant) -> None:
    """Zuora refuses with HTTP 200 and `success: false`: who looks at the status believes in an order that is not."""
    wire = order()
    wire["existingAccountNumber"] = "nobody"
    status, _ = await tenant.call("POST", "/v1/orders", wire)
    believed = status == 200
    assert believed
    assert not tenant.served.standing("orders")
    refused = await send(tenant.zuora, ORDER, wire)
    assert isinstance(refused, RejectedByVendor)
    assert "Cannot find entity by key: 'nobody'" in str(refused)


async def test_a_refusal_inside_a_bulk_answer_is_counted_as_stored(tenant: Tenant) -> None:
    """An action answers 200 with a result for each object; three were sent, two stand, and nobody is told."""
    await send(tenant.zuora, ORDER, order())
    record = {"AccountNumber": ACME, "ChargeNumber": f"C-{DEAL}L3", "UOM": "API calls", "StartDateTime": "2026-02-01"}
    objects = [{**record, "Quantity": 1}, {**record, "Quantity": 2, "UOM": "Furlong"}, {**record, "Quantity": 3}]
    status, answer = await tenant.call("POST", "/v1/action/create", {"type": "Usage", "objects": objects})
    believed = len(answer) if status == 200 else 0
    assert (believed, len(tenant.served.standing("usages"))) == (3, 2)
    batch = usage_batch("U-1", DEAL, 1, 2, 3)
    batch["rows"][1]["UOM"] = "Furlong"
    refused = await send(tenant.zuora, USAGE, batch)
    assert isinstance(refused, RejectedByVendor)
    assert "Row 2" in str(refused)
    assert len(tenant.served.standing("usages")) == 2
    assert isinstance(await send(tenant.zuora, USAGE, usage_batch("U-1", DEAL, 1, 2, 3), key="mended"), Applied)
    assert len(tenant.served.standing("usages")) == 5


def callout(event: str) -> bytes:
    return msgspec.json.encode({"event": event, "SubscriptionNumber": f"S-{DEAL}"})


class LastWordWins:
    """A plain receiver: what the latest callout says is the state."""

    status = ""

    def receive(self, body: bytes) -> None:
        self.status = {"SubscriptionActivated": "active", "SubscriptionCancelled": "cancelled"}[
            msgspec.json.decode(body)["event"]
        ]


async def test_callouts_that_overtake_each_other_leave_the_wrong_state(tenant: Tenant) -> None:
    """A retried "activated" arrives after "cancelled": who believes callouts bills a subscription that has ended."""
    await send(tenant.zuora, ORDER, order())
    body = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-02-01"}
    await tenant.call("PUT", f"/v1/subscriptions/S-{DEAL}/cancel", body)
    late_first = [callout("SubscriptionCancelled"), callout("SubscriptionActivated")]
    plain = LastWordWins()
    for one in late_first:
        plain.receive(one)
    assert plain.status == "active"
    for one in late_first:
        (notice,) = await tenant.zuora.notices(headers(one), one, {})
        assert await status_behind(tenant, notice) == "cancelled"


async def status_behind(tenant: Tenant, notice: Notice) -> str:
    """A notice is a reason to look; what stands is read."""
    (wire,) = await tenant.zuora.fetch(notice.kind, [notice.native_id])
    assert wire is not None
    return str(read("zuora.subscription -> subscription", wire)["status"])


def read(table: str, wire: dict[str, Any]) -> dict[str, Any]:
    mapping = TABLES.mapping(table)
    return dict(mapping.run(wire, connection="zuora"))


def spread(amount: Decimal, lines: int) -> list[Decimal]:
    """A plain way to give a sum back: the same share for each line, each rounded as one rounds."""
    return [(amount / lines).quantize(CENT, ROUND_HALF_UP)] * lines


async def test_a_credit_spread_over_lines_exceeds_its_invoice_by_a_cent(tenant: Tenant) -> None:
    """200.00 over three lines is 66.67 three times, 200.01: an ERP refuses it, or worse, does not."""
    (invoice_id, items) = await invoice_of_three_lines(tenant)
    plain = spread(Decimal("200.00"), 3)
    assert sum(plain) == Decimal("200.01")
    lines = [{"invoiceItemId": i["id"], "amount": a, "skuName": "x"} for i, a in zip(items, plain, strict=True)]
    status, answer = await tenant.call("POST", f"/v1/credit-memos/invoice/{invoice_id}", {"items": lines})
    assert (status, answer["success"]) == (200, False)

    whole = [{"invoiceItemId": i["id"], "amount": i["chargeAmount"], "skuName": "x"} for i in items]
    apply = {"autoPost": True, "autoApplyToInvoiceUponPosting": True}
    _, made = await tenant.call("POST", f"/v1/credit-memos/invoice/{invoice_id}", {"items": whole, **apply})
    (wire,) = await tenant.zuora.fetch("credit_memo", [made["number"]])
    assert wire is not None
    document = read("zuora.credit_memo -> credit_note", wire)
    note = msgspec.convert(document, CreditNote, strict=False)
    assert note.amount == Money(Decimal("200.00"), "EUR")
    assert sum(line.net.amount for line in note.lines) == Decimal("200.00")
    for line, share in zip(document["lines"], plain, strict=True):
        line["net"]["amount"] = share
    with pytest.raises(msgspec.ValidationError, match=r"add up to 200\.01"):
        msgspec.convert(document, CreditNote, strict=False)


async def invoice_of_three_lines(tenant: Tenant) -> tuple[str, Sequence[dict[str, Any]]]:
    """A posted invoice of 66.66, 66.67 and 66.67."""
    wire = order()
    action = wire["subscriptions"][0]["orderActions"][0]["createSubscription"]
    setup = next(p for p in action["subscribeToRatePlans"] if p["productRatePlanNumber"] == "PRP-SETUP")
    action["subscribeToRatePlans"] = [
        line(setup, n, price) for n, price in enumerate(("66.66", "66.67", "66.67"), start=1)
    ]
    await send(tenant.zuora, ORDER, wire)
    await tenant.served.advance(15)
    (invoice,) = tenant.served.standing("invoices")
    assert invoice["amount"] == Decimal("200.00")
    return invoice["id"], tenant.served.standing("invoice-items")


def line(setup: dict[str, Any], number: int, price: str) -> dict[str, Any]:
    (charge,) = setup["chargeOverrides"]
    priced = {"pricing": {"oneTimeFlatFee": {"listPrice": Decimal(price)}}, "chargeNumber": f"C-{number}"}
    return {**setup, "subscriptionRatePlanNumber": f"SRP-{number}", "chargeOverrides": [{**charge, **priced}]}
