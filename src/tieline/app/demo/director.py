"""The demonstration from start to end: serve, sell, break things, let time pass, settle, judge."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tieline.app import cases as people
from tieline.app.demo.clerk import BillingClerk
from tieline.app.demo.deals import Sales, load, make_sales
from tieline.app.demo.export import Export, Loaded, load_export, read_export
from tieline.app.demo.judge import Sold, Systems, Verdict, judge, read_systems
from tieline.app.demo.sales import SalesTeam
from tieline.app.demo.stage import Stage
from tieline.app.principal import local_principal
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.engine.records import CaseFilter, CaseRow, CaseState
from tieline.errors import TielineError

OPENS_ON = date(2026, 1, 5)
MONTHS = 38
WIN_AT_ONCE = 10

Tell = Callable[[str, float], None]
"""Told of the stage and how far it is (0 to 1)."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to show."""

    deals: int = 200
    seed: int = 1
    faults: bool = True
    folder: Path | None = None
    export: Export | None = None


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One entry added to a value map, and what it released."""

    value_map: str
    key: str
    like: str
    cases: int
    posted_before: int


class Outcome(msgspec.Struct, kw_only=True):
    """What was seen at the end."""

    verdict: Verdict
    cases: list[CaseRow]
    kills: int
    faults: int
    seconds: float
    folder: Path
    approved: int
    requests: int
    example_invoice: str = ""
    corrections: list[Correction] = []


async def perform(plan: Plan, tell: Tell) -> Outcome:
    """Run the demonstration. Raises TielineError when a part of it cannot be started or does not settle."""
    folder = plan.folder or Path(tempfile.mkdtemp(prefix="tieline-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    if plan.export is None:
        async with Stage(folder, plan.seed, OPENS_ON) as stage:
            return await _Show(plan, stage, tell).run()
    tell("reading the export", 0.0)
    loaded = read_export(plan.export)
    async with Stage(folder, plan.seed, loaded.latest_close + timedelta(days=2), poll_s=15.0) as stage:
        return await _ExportShow(stage, tell).run(loaded)


class _Show:
    def __init__(self, plan: Plan, stage: Stage, tell: Tell) -> None:
        self._plan, self._stage, self._tell = plan, stage, tell
        self._boxes = stage.sandboxes
        self._faults = 0
        self._approved = 0
        self._team = SalesTeam(stage)

    async def run(self) -> Outcome:
        started = time.monotonic()
        self._tell("loading accounts and deals into Salesforce", 0.0)
        sales = make_sales(self._plan.deals, self._plan.seed, OPENS_ON)
        await load(self._boxes, sales)
        approver = asyncio.create_task(self._approve_all())
        try:
            await self._sell(sales)
            self._tell("waiting until every deal is ordered, posted or in a case", 1.0)
            await self._stage.settled()
            await self._live(sales)
            self._tell("settling", 1.0)
            await self._stage.settled()
        finally:
            approver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await approver
        self._tell("counting in the systems themselves", 1.0)
        systems = await read_systems(self._boxes)
        verdict, cases = await self._judge(sales, systems)
        return Outcome(
            verdict=verdict,
            cases=cases,
            kills=self._stage.kills,
            faults=self._faults,
            seconds=round(time.monotonic() - started, 1),
            folder=self._stage.folder,
            approved=self._approved,
            requests=await self._stage.requests(),
            example_invoice=_example(systems),
        )

    # --- selling ------------------------------------------------------------------------------------------------------

    async def _sell(self, sales: Sales) -> None:
        """Sales representatives close deals in Salesforce; meanwhile things break."""
        if self._plan.faults:
            await self._order_faults()
        groups = [sales.deals[at : at + WIN_AT_ONCE] for at in range(0, len(sales.deals), WIN_AT_ONCE)]
        for number, group in enumerate(groups):
            self._tell("deals are won, systems fail", number / len(groups))
            await self._team.win([d.opportunity_id for d in group])
            if self._plan.faults and number == len(groups) // 3:
                await self._fault("netsuite", kind="outage", seconds=2.0)
            if self._plan.faults and number == len(groups) // 2:
                await self._stage.kill_hub()
            await asyncio.sleep(0.1)

    async def _order_faults(self) -> None:
        """Lies of a network and limits of the vendors, spread over the first minutes."""
        many = max(2, self._plan.deals // 20)
        await self._fault("salesforce", kind="webhook_duplicate", times=many, skip=2)
        await self._fault("salesforce", kind="webhook_reorder", times=2, skip=5)
        await self._fault("salesforce", kind="webhook_drop", times=1, skip=9)
        await self._fault("zuora", kind="webhook_drop", times=2, skip=11)
        await self._fault("zuora", kind="webhook_duplicate", times=many, skip=20)
        await self._fault("netsuite", kind="drop_response", method="PUT", path="customer", times=2, skip=3)
        await self._fault("netsuite", kind="drop_response", method="PUT", path="salesOrder", times=2, skip=9)
        await self._fault("netsuite", kind="drop_request", method="PUT", path="salesOrder", times=2, skip=15)
        await self._fault("zuora", kind="drop_response", method="POST", path="/v1/orders", times=2, skip=6)
        await self._fault("zuora", kind="cut_response", method="POST", path="/v1/accounts", times=1, skip=4)
        await self._fault("zuora", kind="status", status=429, path="/v1/orders", times=3, skip=12)
        await self._fault("salesforce", kind="expire_tokens", times=1, skip=30)
        await self._fault("kantata", kind="drop_response", method="POST", path="workspaces", times=1, skip=1)

    async def _fault(self, vendor: str, **fault: Any) -> None:
        await self._boxes.fault(vendor, **fault)
        self._faults += int(fault.get("times", 1))

    async def _approve_all(self) -> None:
        """Finance works through its approvals."""
        while True:
            waiting = await self._stage.store.cases(states=[CaseState.OPEN], case_class="approval")
            for case in waiting:
                await people.decide(
                    self._stage.store,
                    [case],
                    "approve",
                    by=local_principal("fiona.finance"),
                    reason="within this quarter's plan",
                )
                self._approved += 1
            await asyncio.sleep(0.5)

    # --- months pass --------------------------------------------------------------------------------------------------

    async def _live(self, sales: Sales) -> None:
        """Usage is metered, bill runs invoice, customers pay; one declines at first, one gets a credit, one cancels."""
        billing = BillingClerk(self._stage)
        metered = [d for d in sales.deals if d.usage_line_id and not d.trouble]
        plain = [d for d in sales.deals if not d.trouble and not d.usage_line_id]
        await billing.log_in()
        await billing.decline_next(plain[0].account_id if plain else "", times=2)
        credited = False
        for month in range(MONTHS):
            self._tell("months pass: usage, bill runs, payments", month / MONTHS)
            day = OPENS_ON + timedelta(days=30 * month + 25)
            for deal in metered:
                quantity = Decimal(((month + 3) * 7919 + len(deal.name) * 977) % 70_000)
                if day < date.fromisoformat(deal.lines[-1]["Service_End__c"]):
                    await billing.meter(deal, quantity, day)
            await self._boxes.advance(30)
            if month == 2 and len(plain) > 2:
                await self._stage.settled(quiet_s=0.5)
                await billing.cancel(plain[-1].opportunity_id)
            if not credited and len(plain) > 2:
                credited = await billing.credit_open_invoice({d.opportunity_id for d in plain[1:-1]}, Decimal("10.00"))
            await asyncio.sleep(0.05)
        for deal in metered:
            deal.usage = await billing.metered(deal)

    # --- judging ------------------------------------------------------------------------------------------------------

    async def _judge(self, sales: Sales, systems: Systems) -> tuple[Verdict, list[CaseRow]]:
        cases = await self._stage.store.cases(states=[CaseState.OPEN])
        waiting = {case.correlation_id.rpartition("-")[2] for case in cases}
        sold = [
            Sold(
                opportunity_id=d.opportunity_id,
                account_id=d.account_id,
                currency=d.currency,
                value=d.value,
                overage=d.overage(),
                services=d.services,
            )
            for d in sales.deals
        ]
        return judge(sold, systems, waiting), cases


class _ExportShow:
    """A company's own export: found by sweeping, no webhook told of it; one correction per cause that has a remedy."""

    def __init__(self, stage: Stage, tell: Tell) -> None:
        self._stage, self._tell, self._boxes = stage, tell, stage.sandboxes

    async def run(self, loaded: Loaded) -> Outcome:
        started = time.monotonic()
        self._tell(f"loading {len(loaded.opportunities)} opportunities into Salesforce", 0.0)
        sold = await load_export(self._boxes, loaded)
        follower = asyncio.create_task(self._follow(len(sold)))
        try:
            await self._found(len(sold))
            await self._stage.settled(within_s=1_800)
            corrections = await self._correct()
            await self._stage.settled(within_s=1_800)
            await self._boxes.advance(45)
            await self._stage.settled(within_s=1_800)
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
        self._tell("counting in the systems themselves", 1.0)
        cases = await self._stage.store.cases(states=[CaseState.OPEN])
        waiting = {case.correlation_id.rpartition("-")[2] for case in cases}
        systems = await read_systems(self._boxes)
        return Outcome(
            verdict=judge(sold, systems, waiting),
            cases=cases,
            kills=self._stage.kills,
            faults=0,
            seconds=round(time.monotonic() - started, 1),
            folder=self._stage.folder,
            approved=0,
            requests=await self._stage.requests(),
            example_invoice=_example(systems),
            corrections=corrections,
        )

    async def _found(self, number: int) -> None:
        """Wait until the sweep has told of every won deal. Raises TielineError when it does not."""
        for _ in range(1_200):
            if len(await self._stage.store.events(type="OpportunityWon", limit=number)) >= number:
                return
            await asyncio.sleep(0.5)
        raise TielineError(f"the sweep did not find {number} won deals; see {self._stage.folder}/hub.log")

    async def _correct(self) -> list[Correction]:
        """What revenue operations does: for each unknown product, say which known one is meant."""
        done: list[Correction] = []
        posted = len(await self._boxes.documents("netsuite", "salesOrder"))
        for group in await people.groups(
            self._stage.store, CaseFilter(case_class="unknown-product"), datetime.now(UTC)
        ):
            key = group.of.cause.partition(":")[2]
            known = _meant(group.example.message)
            if known == "none":
                continue  # like nothing we sell: a person must say what it is
            project = load_project(load_settings(self._stage.project, secrets=False))
            products = project.mappings.value_map("products")
            released = await people.correct_value_map(
                self._stage.store,
                products,
                key,
                people.like(products, known),
                by=local_principal("rita.revops"),
                reason=f"{key} is {known}, mistyped",
                causes=[group.of.cause],
            )
            correction = Correction(
                value_map="products", key=key, like=known, cases=len(released), posted_before=posted
            )
            done.append(correction)
        return done

    async def _follow(self, number: int) -> None:
        """Show how far the deals are."""
        while True:
            counts = await self._stage.store.count_runs()
            done = counts.get(("quote-to-cash", "done"), 0)
            posted = counts.get(("post-invoice", "done"), 0) + counts.get(("post-payment", "done"), 0)
            waiting = len(await self._stage.store.cases(states=[CaseState.OPEN]))
            words = f"{done} of {number} deals ordered, {posted} documents posted, {waiting} in cases"
            self._tell(words, (done + posted) / (3 * number))
            await asyncio.sleep(1.0)


def _example(systems: Systems) -> str:
    """An invoice worth looking at: the one with the most lines."""
    longest = max(systems.ns_invoices, key=lambda i: len(i["item"]["items"]), default=None)
    return str(longest["otherRefNum"]) if longest else ""


def _meant(message: str) -> str:
    """The nearest product that the case itself proposes."""
    return message.partition("nearest: `")[2].partition("`")[0]
