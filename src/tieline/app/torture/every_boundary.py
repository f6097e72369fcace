"""Every boundary of a whole deal: first a life that passes them all, then for each a world whose hub dies there.

The deal goes from won to paid: approval, customers, subscription, sales order, project, invoice, payment, status. In
every world each system loses one answer, so that probing has its boundaries too. After the death a clean hub
takes up what it finds, and the systems are asked what stands. The invariant: a boundary that a life did not reach is
said to be not reached; it is never counted as survived.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.demo.deals import Deal, Sales, load, make_sales
from tieline.app.demo.judge import Verdict, judge, read_systems
from tieline.app.demo.sales import SalesTeam
from tieline.app.torture.boundaries import Boundary
from tieline.app.torture.findings import faults_found, sold
from tieline.app.torture.nursery import Order
from tieline.app.torture.stage import TortureStage
from tieline.engine.records import CaseState
from tieline.errors import TielineError
from tieline.storage.sqlite import SqliteStore

OPENS_ON = date(2026, 1, 5)
UNTIL_PAID_DAYS = 95
SETTLES_WITHIN_S = 40.0
MOST_LIVES = 4
DEATHS_A_WORLD = 4
"""A world takes as long to make as some deaths: fewer are not worth one."""
LOST_ANSWERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("zuora", {"method": "POST", "path": "/v1/accounts"}),
    ("zuora", {"method": "POST", "path": "/v1/orders"}),
    ("netsuite", {"method": "PUT", "path": "customer"}),
    ("netsuite", {"method": "PUT", "path": "salesOrder"}),
    ("netsuite", {"method": "PUT", "path": "invoice"}),
    ("kantata", {"method": "POST", "path": "workspaces"}),
    ("salesforce", {"body": "Tieline_Status__c"}),
)
"""The first answer to each of these is lost after the work was done."""
MORTAL = "tieline.app.torture.boundaries:mortal"

Tell = Callable[[str, float], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which boundaries: each `every`-th, beginning at a place that the seed chooses; `most` of them at most.

    `seam` names what stands between the hub and its disk and systems in every life; a proof of the proof plants its
    bug there.
    """

    folder: Path
    seed: int = 1
    every: int = 1
    only: str = ""
    seam: str = MORTAL
    worlds: int = max(2, min(8, 2 * (os.cpu_count() or 1)))


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """One boundary, and what stood in the systems after a hub had died there."""

    boundary: Boundary
    reached: bool
    seconds: float
    wrong: list[str]
    lost: int = 0
    doubled: int = 0
    money_equal: bool = True


class Deaths(msgspec.Struct, kw_only=True):
    """All of them. `known` is how many boundaries the deal has, of which `deaths` were tried."""

    known: int
    deaths: list[Death]
    calm: Verdict
    seconds: float
    seed: int

    @property
    def died(self) -> int:
        return sum(d.reached for d in self.deaths)

    @property
    def not_reached(self) -> list[Boundary]:
        """Boundaries that no life passed again: nothing is known about them."""
        return [d.boundary for d in self.deaths if not d.reached]

    @property
    def survived(self) -> bool:
        """Somebody died, and after every life the systems were right."""
        return self.died > 0 and not any(d.wrong for d in self.deaths)


async def die_everywhere(plan: Plan, tell: Tell) -> Deaths:
    """Find the boundaries, die at each. Raises TielineError when the calm life is not right itself."""
    started = time.monotonic()
    tell("a calm life, to find the boundaries", 0.0)
    worlds = [_World(plan, number) for number in range(plan.worlds)]
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(worlds[0])
        boundaries, calm = await first.calm()
        chosen = _chosen(boundaries, plan)
        others = worlds[1 : len(chosen) // DEATHS_A_WORLD]
        ready = [first, *await asyncio.gather(*(stack.enter_async_context(w) for w in others))]
        left, deaths = list(reversed(chosen)), list[Death]()

        async def go_on(world: _World) -> None:
            while left:
                boundary = left.pop()
                deaths.append(await world.die_at(boundary))
                tell(f"died {boundary}", len(deaths) / len(chosen))

        await asyncio.gather(*(go_on(world) for world in ready))
    place = {boundary: n for n, boundary in enumerate(chosen)}
    deaths.sort(key=lambda d: place[d.boundary])
    seconds = round(time.monotonic() - started, 1)
    return Deaths(known=len(boundaries), deaths=deaths, calm=calm, seconds=seconds, seed=plan.seed)


def _chosen(boundaries: list[Boundary], plan: Plan) -> list[Boundary]:
    fitting = [b for b in boundaries if plan.only in b.name]
    return fitting[random.Random(plan.seed).randrange(min(plan.every, len(fitting) or 1)) :: plan.every]  # noqa: S311


class _World:
    """One stage with one deal, brought back to its beginning before each life."""

    def __init__(self, plan: Plan, number: int) -> None:
        folder = plan.folder / f"world-{number}"
        folder.mkdir(parents=True)
        self._seam = plan.seam
        self._stage = _BoundaryStage(folder, plan.seed)
        self._sales = one_deal(plan.seed)

    async def __aenter__(self) -> _World:
        await self._stage.__aenter__()
        try:
            await load(self._stage.sandboxes, self._sales)
            for vendor, which in LOST_ANSWERS:
                await self._stage.sandboxes.fault(vendor, kind="drop_response", **which)
            await self._stage.sandboxes.turn("snapshot")
        except BaseException:
            await self._stage.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stage.__aexit__()

    async def calm(self) -> tuple[list[Boundary], Verdict]:
        """A life to the end: what it passed, in order, and what stood then."""
        record = self._stage.folder / "passed.jsonl"
        wrong, verdict = await self._live({"record": str(record)})
        if wrong:
            raise TielineError(f"without any death the deal is not right: {'; '.join(wrong)}; see {self._stage.folder}")
        passed = [msgspec.json.decode(line, type=Boundary) for line in record.read_bytes().splitlines()]
        return list(dict.fromkeys(passed)), verdict

    async def die_at(self, boundary: Boundary) -> Death:
        """A life that ends there, a second one that goes on, and what stands after it.

        Timing decides which of two runs comes first, so that a life may miss the boundary: then it is lived again.
        """
        started = time.monotonic()
        for _ in range(MOST_LIVES):
            wrong, verdict = await self._live({"name": boundary.name, "nth": boundary.nth})
            if wrong or self._stage.kills > 0:
                break
        return Death(
            boundary=boundary,
            reached=self._stage.kills > 0,
            seconds=round(time.monotonic() - started, 2),
            wrong=wrong,
            lost=len(verdict.lost),
            doubled=len(verdict.doubled),
            money_equal=verdict.booked == verdict.billed == verdict.posted == verdict.paid,
        )

    async def _live(self, first: dict[str, Any]) -> tuple[list[str], Verdict]:
        stage, deal = self._stage, self._sales.deals[0]
        await stage.bring_back()
        stage.order = Order(seam=self._seam, arguments=first)
        await stage.hub.start()
        stage.order = Order(seam=self._seam)
        nurse = asyncio.create_task(stage.start_again_whenever_it_dies())
        try:
            await SalesTeam(stage).win([deal.opportunity_id])
            unsettled = await stage.quiet(SETTLES_WITHIN_S)
            await stage.sandboxes.advance(UNTIL_PAID_DAYS)
            unsettled = unsettled or await stage.quiet(SETTLES_WITHIN_S)
        finally:
            nurse.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await nurse
        cases = await stage.store.cases(states=[CaseState.OPEN])
        verdict = judge([sold(deal)], await read_systems(stage.sandboxes), set())
        wrong = faults_found(verdict, cases) + ([f"it did not settle: {unsettled}"] if unsettled else [])
        await stage.hub.kill()
        return wrong, verdict


class _BoundaryStage(TortureStage):
    """Everything furnished and no hub yet; swept only at the start of a life, so that lives are alike."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed, OPENS_ON, poll_s=3_600.0)
        self._empty = folder / "empty.db"

    async def begin(self) -> None:
        self.set_timeouts(5.0)
        await SqliteStore(self._empty).close()
        await self.nursery.start()

    async def bring_back(self) -> None:
        """The world as it was before the deal was won, and an empty database."""
        if hasattr(self, "store"):
            await self.store.close()
        database = self.project / "tieline.db"
        for path in self.project.glob("tieline.db*"):
            path.unlink()
        shutil.copyfile(self._empty, database)
        await self.sandboxes.turn("restore")
        await self.http.close()
        self.http = type(self.http)()
        self.store = SqliteStore(database)
        self.hub, self.kills = self.new_hub(), 0

    async def start_again_whenever_it_dies(self) -> None:
        """What a service manager does."""
        while True:
            await self.hub.ended()
            self.kills += 1
            self.hub = self.new_hub()
            await self.hub.start()


def one_deal(seed: int) -> Sales:
    """A deal of one year with services and terms that finance must agree to; its buyer has no parent."""
    made = make_sales(200, seed, OPENS_ON)
    found = next(d for d in made.deals if _plain(d, made))
    account = {**made.accounts[found.account]}
    deal = msgspec.structs.replace(found, account=0, trouble="approval: terms")
    deal.record = {**found.record, "Payment_Terms__c": "Net 60", "Billing_Period__c": "Annual"}
    return Sales(accounts=[account], deals=[deal], opens_on=OPENS_ON)


def _plain(deal: Deal, sales: Sales) -> bool:
    one_year = deal.record["Term_Months__c"] == 12
    alone = sales.accounts[deal.account]["_parent"] is None
    metered = any(line["Charge_Type__c"] == "Usage" for line in deal.lines)
    return deal.services and one_year and alone and not metered and not deal.trouble
