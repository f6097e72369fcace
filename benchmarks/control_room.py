"""The control room on a large store: every list and the page of a deal, through the hub's own HTTP, signed in.

The store is filled with copies of a true deal; the lines of the list are varied, so that filters choose as in life.
Client and hub share one process and loop: what is measured is what a browser on the machine would wait at the most.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

import httpx
from msgspec.structs import replace
from tests.support.company import Company
from tests.support.room import signed_in

from benchmarks import report
from benchmarks.history import Pattern, carried_deal, opportunity_of, write
from tieline.app.deals import list_changed_deals
from tieline.app.demo.world import SECRETS
from tieline.app.hub import running
from tieline.app.principal import Role
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.engine.ports import Batch, Store
from tieline.engine.records import Effect, ListedDeal
from tieline.events import Event
from tieline.storage.searching import fold
from tieline.storage.sqlite import SqliteStore

FULL = os.environ.get("BENCH_FULL") == "1"
STORED = (10_000, 100_000, *((1_000_000,) if FULL else ()))
LOOKS = 60
LONG = 2_000
"""Events, and as many writes, of the one deal that has been going on for ever."""
BARS = {"p99_ms of every page": 100}
_FIRST = ("Granite", "Willow", "Harbour", "Copper", "Meridian", "Juniper", "Falcon", "Orchard")
_SECOND = ("Medical", "Logistics", "Textiles", "Optics", "Energy", "Foods", "Software")
_STATUSES = ("Paid", "Paid", "Paid", "Invoiced", "Order posted", "Needs attention")


async def main() -> None:
    report.heading(f"The control room on up to {STORED[-1]:,} stored runs")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        pattern, carried = await carried_deal(Path(name) / "done", activates=True)
        folder = Path(name) / "stored"
        shutil.copytree(carried, folder, ignore=shutil.ignore_patterns("tieline.db*"))
        deals = 0
        for size in STORED:
            target = size // pattern.runs
            listed = await _fill(folder, pattern, deals, target)
            deals = target
            print(f"\n{target * pattern.runs:,} runs, {target:,} deals; {listed:,.0f} deals listed a second")
            pages = await _pages(folder, deals)
            report.table(pages)
            rows += [{"stored_runs": target * pattern.runs, "deals": deals, **page} for page in pages]
    report.keep("control_room", {"bars": BARS, "pages": rows})


# --- the store --------------------------------------------------------------------------------------------------------


async def _fill(folder: Path, pattern: Pattern, done: int, target: int) -> float:
    """Write the deals up to a number, and list them; lines a second."""
    store = SqliteStore(folder / "tieline.db")
    await write(store, pattern, range(done, target))
    started = time.perf_counter()
    while await list_changed_deals(store, store, _ever()):
        pass
    taken = time.perf_counter() - started
    await _vary(store)
    if not done:
        await _go_on_for_ever(store, f"salesforce-{opportunity_of(0)}")
    await store.close()
    return (target - done) / taken


async def _vary(store: SqliteStore) -> None:
    """Names, amounts, states and days that differ; all copies are of one customer otherwise."""
    chance, before = Random(7), None
    while page := await store.deals(before=before, limit=5_000):
        await store.commit(Batch(deals=[_varied(deal, chance) for deal in page]))
        before = page[-1].seq


def _varied(deal: ListedDeal, chance: Random) -> ListedDeal:
    name = f"{chance.choice(_FIRST)} {chance.choice(_SECOND)} {chance.randrange(10_000)}"
    cents = chance.randrange(1_000, 100_000_000)
    return replace(
        deal,
        name=f"{name} - platform",
        customer_name=name,
        customer_folded=fold(name),
        amount=f"{cents // 100}.{cents % 100:02d}",
        amount_e4=cents * 100,
        currency=chance.choice(("EUR", "USD", "GBP")),
        status=chance.choice(_STATUSES),
        won_on=f"{date(2026, 1, 1) - timedelta(days=chance.randrange(1_500)):%Y-%m-%d}",
    )


async def _go_on_for_ever(store: SqliteStore, deal: str) -> None:
    """Give one deal thousands of entries."""
    effects = await store.effects(correlation_id=deal)
    (event, *_) = await store.events(correlation_id=deal, type="OrderPosted")
    status = [e for e in effects if e.kind == "deal_status"][-1]
    told = Event(**{f: getattr(event, f) for f in Event.__struct_fields__})
    for at in range(0, LONG, 500):
        numbers = range(at, at + 500)
        await store.commit(
            Batch(
                events=[replace(told, id=f"again/{n}", causation_id="") for n in numbers],
                effects=[_again(status, n) for n in numbers],
            )
        )
    while await list_changed_deals(store, store, _ever()):
        pass


def _again(effect: Effect, number: int) -> Effect:
    later = timedelta(seconds=number)
    return replace(effect, revision=effect.revision + 1 + number, intended_at=effect.intended_at + later)


def _ever() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


# --- the pages --------------------------------------------------------------------------------------------------------


async def _pages(folder: Path, deals: int) -> list[dict[str, Any]]:
    project = load_project(load_settings(folder, environ=SECRETS))
    async with running(project, port=0) as (desk, url):
        addresses = await _addresses(desk.view.store, deals)
        async with signed_in(Company(None, project, desk.worker, url, desk), Role.VIEWER) as client:  # type: ignore[arg-type]
            return [await _timed(client, what, address) for what, address in addresses.items()]


async def _addresses(store: Store, deals: int) -> Mapping[str, str]:
    """What is asked for, by what it is."""
    (order,) = await store.effects(connection="netsuite", kind="order", limit=1, newest=True)
    (middle,) = await store.listed_deals([f"salesforce-{opportunity_of(deals // 2)}"])
    deal, run = f"/deals/salesforce-{opportunity_of(deals // 3)}", order.run_id.replace(":", "%3A")
    return {
        "now": "/",
        "deals": "/deals",
        "deals, a page in the middle": f"/deals?before={middle.seq}",
        "deals by status and currency": "/deals?status=Needs+attention&currency=EUR",
        "deals by customer's name": "/deals?q=granite+optics",
        "deals by a common word": "/deals?q=platform&status=Invoiced",
        "deals of two letters": "/deals?q=me",
        "deals that none fits": "/deals?amount_from=999999.97&amount_to=999999.98&won_to=2020-01-01",
        "a deal by its ERP id": f"/deals?q={order.external_id}",
        "a deal": deal,
        f"a deal of {2 * LONG:,} entries": f"/deals/salesforce-{opportunity_of(0)}",
        "news of a deal": f"{deal}/news?since=99999999999999999",
        "a document's revisions": f"{deal}/documents/salesforce/deal_status/salesforce-{opportunity_of(deals // 3)}",
        "explain an order": f"/explain/netsuite/order/{order.canonical_id}",
        "explain an amount": f"/explain/netsuite/order/{order.canonical_id}?field=amount",
        "cases": "/cases",
        "approvals": "/approvals",
        "rules": "/rules",
        "processes": "/processes",
        "a process": "/processes/quote-to-cash",
        "a run": f"/processes/runs/{run}",
        "systems": "/systems",
        "a system": "/systems/netsuite",
        "audit": "/audit",
        "audit of a type": "/audit?type=OrderPosted",
    }


async def _timed(client: httpx.AsyncClient, what: str, address: str) -> dict[str, Any]:
    taken: list[float] = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        answer = await client.get(address)
        taken.append((time.perf_counter() - started) * 1000)
        if answer.status_code >= 400:
            raise SystemExit(f"{address} answers {answer.status_code}")
        if sum(taken) > 10_000:  # a slow one is slow after a few looks too
            break
    cuts = quantiles(taken[1:], n=100, method="inclusive")  # the first one compiles the template
    return {
        "page": what,
        "p50_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "kb": round(len(answer.content) / 1024),
    }


if __name__ == "__main__":
    asyncio.run(main())
