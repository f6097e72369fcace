"""The parts by themselves: mapping, intake of signed webhooks, look-ups in the ledger.

Intake is measured at the real hub: an answer of 200 means that the event is durable, and reading goes on behind it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
import msgspec

from benchmarks import mapping, report
from benchmarks.company import Company, company, until
from benchmarks.history import Pattern, carried_deal, opportunity_of, write
from benchmarks.peers.servers import free_port, fresh
from benchmarks.quote_to_cash import hub
from tieline.app.demo.world import ORGANIZATION, SECRETS
from tieline.engine.records import EffectKey
from tieline.storage.sqlite import SqliteStore

MAPPED, POSTED, AT_ONCE, LOOKED_UP, LEDGER_DEALS = 40_000, 3_000, 64, 10_000, 1_000
BARS = {"mapping": 20_000}

Send = Callable[[int], Awaitable[None]]


async def main() -> None:
    report.heading("Parts")
    rows = [_row("mapping", median(mapping.rate(MAPPED) for _ in range(3)), f"documents of {mapping.FIELDS} fields/s")]
    with tempfile.TemporaryDirectory() as name:
        rows += await intake(fresh(Path(name) / "intake"))
        pattern, _ = await carried_deal(Path(name) / "done", activates=True)
        rows += await ledger(Path(name) / "ledger.db", pattern)
    report.table(rows)
    report.keep("parts", {"bars": BARS, "rows": rows})
    report.draw("parts", "Parts of Tieline", "/s", [(f"Tieline, {row['part']}", row["per_second"]) for row in rows])


def _row(part: str, per_second: float, what: str) -> dict[str, Any]:
    return {"part": part, "per_second": round(per_second), "what": what}


async def _rate(send: Send, number: int, at_once: int) -> float:
    """Calls a second with `at_once` of them under way."""
    numbers = iter(range(number))

    async def lane() -> None:
        for each in numbers:
            await send(each)

    started = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    return number / (time.perf_counter() - started)


# --- intake -----------------------------------------------------------------------------------------------------------


async def intake(folder: Path) -> list[dict[str, Any]]:
    """Signed webhooks a second at the hub, durable before the answer."""
    port = free_port()
    async with (
        company(folder, 40, f"http://127.0.0.1:{port}") as systems,
        hub(systems, folder, port),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        deals = await systems.win(10)
        await until(lambda: _done(systems, deals), 30.0, 0.3)
        subscriptions = [f"S-{deal.opportunity_id}" for deal in deals]
        lost = [deal.opportunity_id for deal in systems.deals[10:]]

        async def callout(number: int) -> None:
            body, headers = signed_callout(f"SubscriptionUpdated{number}", subscriptions[number % len(subscriptions)])
            await _post(http, f"http://127.0.0.1:{port}/intake/zuora", body, headers)

        async def message(number: int) -> None:
            url = f"http://127.0.0.1:{port}/intake/salesforce?token={SECRETS['TIELINE_SALESFORCE_WEBHOOK']}"
            body = outbound_message(number, lost[number % len(lost)])
            await _post(http, url, body, {"Content-Type": "text/xml"})

        return [
            _row("intake, Zuora callouts", await _rate(callout, POSTED, AT_ONCE), f"with HMAC/s, {AT_ONCE} at once"),
            _row("intake, Salesforce messages", await _rate(message, POSTED, AT_ONCE), f"SOAP/s, {AT_ONCE} at once"),
        ]


async def _done(systems: Company, deals: Any) -> bool:
    return await systems.finished(deals) == len(deals)


async def _post(http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    async with http.post(url, data=body, headers=dict(headers)) as answer:
        answer.raise_for_status()
        await answer.read()


def signed_callout(event: str, subscription: str) -> tuple[bytes, dict[str, str]]:
    """A callout as Zuora sends it, with its user, time and signature."""
    body = msgspec.json.encode({"event": event, "SubscriptionNumber": subscription, "Status": "Active"})
    stamp = str(int(time.time()))
    secret = SECRETS["TIELINE_ZUORA_CALLOUT_SECRET"].encode()
    signature = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    basic = base64.b64encode(f"tieline:{SECRETS['TIELINE_ZUORA_CALLOUT_PASSWORD']}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}
    return body, headers | {"X-Zuora-Timestamp": stamp, "X-Zuora-Signature": signature}


def outbound_message(number: int, opportunity_id: str) -> bytes:
    """An outbound message with one notification, of a change of its own."""
    stamp = f"2026-01-05T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{ORGANIZATION}</OrganizationId><ActionId>04k000000000001</ActionId>"
        f"<Notification><Id>04l{number:012d}</Id>"
        '<sObject xsi:type="sf:Opportunity" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{opportunity_id}</sf:Id><sf:SystemModstamp>{stamp}</sf:SystemModstamp></sObject>"
        "</Notification></notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


# --- ledger -----------------------------------------------------------------------------------------------------------


async def ledger(database: Path, pattern: Pattern) -> list[dict[str, Any]]:
    """Look-ups a second of effects by their key, among the effects of a thousand deals."""
    store, chance = SqliteStore(database), Random(3)
    await write(store, pattern, range(LEDGER_DEALS))

    async def look(_: int) -> None:
        deal = opportunity_of(chance.randrange(LEDGER_DEALS))
        if await store.find_effect(EffectKey("netsuite", "order", f"salesforce-{deal}")) is None:
            raise SystemExit(f"the ledger does not know the order of {deal}")

    rows = [
        _row(f"ledger look-ups, {at_once} at once", await _rate(look, LOOKED_UP, at_once), "effects by key/s")
        for at_once in (1, AT_ONCE)
    ]
    await store.close()
    return rows


if __name__ == "__main__":
    asyncio.run(main())
