"""Quote to cash over HTTP: the same deals, the same systems, carried by Tieline and by the same process on its peers.

Two phases for each contender on fresh systems: many deals at once (deals a second, processor time, calls), then one
deal at a time (latency beside the vendors' own time). Times come from the systems' own request logs.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import aiohttp

from benchmarks import report
from benchmarks.company import VENDORS, Call, Company, company, until
from benchmarks.peers.servers import free_port, fresh
from benchmarks.programs import OURS, PEERS, cpu_seconds, group, peers_missing
from tieline.app.demo.deals import Deal
from tieline.app.demo.world import SECRETS
from tieline.app.template import make_project

WARM, MANY, SINGLE = 10, 600, 60
LONGEST_S, LONGEST_ONE_S, PAUSE_S = 60.0, 8.0, 0.25
STARTS_WITHIN_S, NO_SWEEP_S = 90.0, 3600.0
BARS = {"times the best peer": 5, "calls a document": 0.4, "added p99 ms": 50}
ZUORA_A_MINUTE, SALESFORCE_A_DAY = 50_000, 100_000

Told = Callable[[Sequence[Deal]], Awaitable[None]]
"""Tells a contender of won deals, where the CRM does not do so itself."""

Ready = Callable[[aiohttp.ClientSession], Awaitable[bool]]
"""Whether a contender answers already."""

Start = Callable[[Company, Path, int], AbstractAsyncContextManager[tuple[Told, list[int]]]]
"""Starts a contender on a port; gives how it is told, and the processes that it consists of."""


class Contender(NamedTuple):
    """Who carries the deals, and how it is started."""

    name: str
    start: Start
    share: float = 1.0
    """How much of the deals it gets: a slow one still has to be finished before the second phase."""


def main(contenders: Sequence[Contender], name: str = "quote_to_cash") -> None:
    if missing := peers_missing():
        raise SystemExit(missing)
    report.heading(f"Quote to cash over HTTP: {MANY} deals at once, then {SINGLE} one by one")
    with tempfile.TemporaryDirectory() as folder:
        rows = [asyncio.run(measure(c, fresh(Path(folder) / "world"))) for c in contenders]
    tell(rows, name)


async def measure(contender: Contender, folder: Path) -> dict[str, Any]:
    """One contender on fresh systems."""
    port = free_port()
    many, single = int(MANY * contender.share), max(10, int(SINGLE * contender.share))
    async with (
        company(folder, WARM + many + single, f"http://127.0.0.1:{port}") as systems,
        contender.start(systems, folder, port) as (told, pids),
    ):
        await _carry(systems, told, WARM, 60.0)
        row = {"contender": contender.name, **await at_once(systems, told, pids, many)}
        row |= await one_by_one(systems, told, single)
        await until(lambda: _all_finished(systems, systems.deals), 15.0, 0.5)
        row |= await systems.judge(systems.deals[: systems.won])
    print(f"  {contender.name}: {row['deals_per_s']:g} deals/s, {row['calls_per_deal']:g} calls a deal", flush=True)
    return row


# --- starting ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hub(systems: Company, folder: Path, port: int) -> AsyncIterator[tuple[Told, list[int]]]:
    """Tieline's hub as `tieline up` runs it, told by the vendors' webhooks; sweeping is left out of the measure."""
    project = folder / "project"
    make_project(project, urls=systems.sandboxes.urls, poll_s=NO_SWEEP_S, port=port)
    command = [str(OURS), "-m", "tieline", "up", "--project", str(project), "--port", str(port), "--json"]

    async def told(_: Sequence[Deal]) -> None:
        """The outbound message has told it."""

    with group(command, folder / "hub.log", SECRETS) as process:
        if not await asyncio.to_thread(process.stdout.readline):  # type: ignore[union-attr]
            raise SystemExit(f"the hub did not start:\n{(folder / 'hub.log').read_text()[-1500:]}")
        yield told, [process.pid]


def by_hand(module: str, *options: str) -> Start:
    """The process written by hand on a peer, told by POST /deals."""

    @asynccontextmanager
    async def start(systems: Company, folder: Path, port: int) -> AsyncIterator[tuple[Told, list[int]]]:
        state = fresh(folder / "state")
        config = folder / "config.json"
        config.write_text(json.dumps(systems.settings(module, state, port)), encoding="utf-8")
        command = [str(PEERS), "-m", f"benchmarks.peers.contenders.{module}", *options, "--keys", str(config)]
        log = folder / "contender.log"
        with group(command, log) as process:
            try:
                async with telling(f"http://127.0.0.1:{port}", "/deals", _healthy, log) as told:
                    yield told, [process.pid, *lasting(state)]
            finally:
                end_lasting(state)

    return start


@asynccontextmanager
async def telling(base: str, path: str, ready: Ready, log: Path) -> AsyncIterator[Told]:
    """Post each deal, once the contender answers at all. Raises SystemExit when it does not in a minute."""
    async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(limit=16)) as http:

        async def post(opportunity_id: str) -> None:
            async with http.post(path, json={"opportunity_id": opportunity_id}) as answer:
                answer.raise_for_status()

        async def told(deals: Sequence[Deal]) -> None:
            await asyncio.gather(*(post(deal.opportunity_id) for deal in deals))

        async def healthy() -> bool:
            try:
                return await ready(http)
            except aiohttp.ClientError:
                return False

        if not await until(healthy, STARTS_WITHIN_S):
            raise SystemExit(f"the contender did not start; see {log}")
        yield told


async def _healthy(http: aiohttp.ClientSession) -> bool:
    async with http.get("/health") as answer:
        return answer.status == 200


def lasting(state: Path) -> list[int]:
    """Servers that a contender started for good."""
    told = state / "pids"
    return [int(pid) for pid in told.read_text(encoding="utf-8").split()] if told.exists() else []


def end_lasting(state: Path) -> None:
    for pid in lasting(state):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    time.sleep(1.0)


# --- many at once -----------------------------------------------------------------------------------------------------


async def at_once(systems: Company, told: Told, pids: list[int], number: int) -> dict[str, Any]:
    """Deals a second from the first save in the CRM to the last status in it, and what that took."""
    since, own = await systems.requests(), systems.own_calls
    spent = sum(cpu_seconds(pid) for pid in pids)
    deals = await _carry(systems, told, number, LONGEST_S)
    spent = sum(cpu_seconds(pid) for pid in pids) - spent
    done = await systems.finished(deals)
    calls = await systems.calls(since)
    taken = max(c.ends for c in calls) - min(c.begins for c in calls)
    asked = {v: sum(1 for c in calls if c.vendor == v) for v in VENDORS}
    asked["salesforce"] -= systems.own_calls - own
    total = sum(asked.values())
    documents = _documents(systems, deals)
    return {
        "deals": len(deals),
        "finished": done,
        "seconds": round(taken, 2),
        "deals_per_s": round(done / taken, 1),
        "cpu_ms_per_deal": round(spent / max(done, 1) * 1000, 1),
        "calls_per_deal": round(total / max(done, 1), 2),
        "documents_per_deal": round(documents / len(deals), 2),
        "calls_per_document": round(total / max(documents * done / len(deals), 1), 2),
        "calls": asked,
        "allowed": {
            "zuora_of_rate_percent": round(asked["zuora"] / taken * 60 / ZUORA_A_MINUTE * 100, 1),
            "salesforce_calls_for_10000_deals_percent_of_day": round(
                asked["salesforce"] / max(done, 1) * 10_000 / SALESFORCE_A_DAY * 100, 1
            ),
            "netsuite_slots_busy_percent": round(_union(c for c in calls if c.vendor == "netsuite") / taken * 100, 1),
        },
    }


async def _carry(systems: Company, told: Told, number: int, within_s: float) -> list[Deal]:
    """Win deals and wait until the CRM shows all of them done, or the time is over."""
    deals = await systems.win(number)
    await told(deals)
    end = time.monotonic() + within_s
    last, quiet_since = await systems.requests(), time.monotonic()
    while time.monotonic() < end:
        await asyncio.sleep(0.2)
        now = await systems.requests()
        if now != last:
            last, quiet_since = now, time.monotonic()
        elif time.monotonic() - quiet_since > 0.6 and await systems.finished(deals) == len(deals):
            break
    return deals


async def _all_finished(systems: Company, deals: Sequence[Deal]) -> bool:
    return await systems.finished(deals) == len(deals)


def _documents(systems: Company, deals: Sequence[Deal]) -> int:
    """What the deals put into the systems: order, subscription, project, status; and customers, twice, once each."""
    customers = len({d.account for d in deals} - {d.account for d in systems.deals[: systems.won - len(deals)]})
    return 3 * len(deals) + sum(1 for d in deals if d.services) + 2 * customers


# --- one by one -------------------------------------------------------------------------------------------------------


async def one_by_one(systems: Company, told: Told, number: int) -> dict[str, Any]:
    """From the save in the CRM to the last document of the deal, and how much of it no vendor was at work."""
    whole, added = [], []
    for _ in range(number):
        since = await systems.requests()
        (deal,) = await systems.win(1)
        await told([deal])
        calls = await _until_documents(systems, since, 2 if deal.services else 1)
        if calls:
            won = next(c for c in calls if _of_crm(c)).ends
            end = max(c.ends for c in calls if _document(c))
            at_work = _union(c for c in calls if won <= c.begins <= end and not _of_crm(c))
            whole.append((end - won) * 1000)
            added.append((end - won - at_work) * 1000)
        await asyncio.sleep(PAUSE_S)
    return {"single_deals": len(whole), "latency_ms": _percentiles(whole), "added_ms": _percentiles(added)}


async def _until_documents(systems: Company, since: dict[str, int], wanted: int) -> list[Call]:
    """The calls of a deal once its last documents stand; none when they do not in time."""
    end = time.monotonic() + LONGEST_ONE_S
    while time.monotonic() < end:
        calls = await systems.calls(since, last=100)
        if sum(1 for c in calls if _document(c)) >= wanted:
            return calls
        await asyncio.sleep(0.05)
    return []


def _document(call: Call) -> bool:
    """The sales order or the project: what a deal ends in."""
    return call.method in ("PUT", "POST") and ("/salesOrder" in call.path or call.path.endswith("/workspaces"))


def _of_crm(call: Call) -> bool:
    """A save in the CRM: the win that begins a deal, and the status that may come at any time."""
    return call.vendor == "salesforce" and call.method == "PATCH"


def _union(calls: Iterable[Call]) -> float:
    """Seconds in which at least one of the calls was under way."""
    total, reached = 0.0, 0.0
    for call in sorted(calls, key=lambda c: c.begins):
        total += max(0.0, call.ends - max(call.begins, reached))
        reached = max(reached, call.ends)
    return total


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}


# --- telling ----------------------------------------------------------------------------------------------------------


def tell(rows: Sequence[dict[str, Any]], name: str) -> None:
    """Print, keep and draw."""
    shown = [
        {
            "contender": r["contender"],
            "deals/s": r["deals_per_s"],
            "CPU ms/deal": r["cpu_ms_per_deal"],
            "calls/deal": r["calls_per_deal"],
            "calls/document": r["calls_per_document"],
            "added p50 ms": r["added_ms"].get("p50"),
            "added p99 ms": r["added_ms"].get("p99"),
            "lost": r["lost"],
            "doubled": r["doubled"],
            "wrong amounts": r["wrong_amount"],
            "finished": f"{r['finished']}/{r['deals']}",
        }
        for r in rows
    ]
    report.table(shown)
    print("\nshare of what the vendor allows while many at once:")
    report.table([{"contender": r["contender"], **r["allowed"]} for r in rows])
    kept: dict[str, Any] = {"bars": BARS, "rows": list(rows)}
    ours = [r for r in rows if r["contender"] == "Tieline"]
    others = [r for r in rows if r["contender"] != "Tieline"]
    if ours and others:
        best = max(others, key=lambda r: r["deals_per_s"])
        ratio = round(ours[0]["deals_per_s"] / best["deals_per_s"], 1)
        kept["ratio"] = {"best_peer": best["contender"], "deals_per_s": ratio}
        print(f"\nTieline carries {ratio:g} times the deals a second of the best peer, {best['contender']} (bar: 5)")
    report.keep(name, kept)
    report.draw(name, "Quote to cash over HTTP", "deals/s", [(r["contender"], r["deals_per_s"]) for r in rows])


CONTENDERS = (
    Contender("Tieline", hub),
    Contender("DBOS on SQLite", by_hand("dbos_deals", "--store", "sqlite"), share=0.25),
    Contender("DBOS on PostgreSQL", by_hand("dbos_deals", "--store", "postgres"), share=0.25),
    Contender("Restate", by_hand("restate_deals")),
    Contender("Temporal dev server", by_hand("temporal_deals"), share=0.125),
)


if __name__ == "__main__":
    main(CONTENDERS)
