"""The demonstration that goes on: deals are won, days pass, systems fail now and then, and people look at the pages.

Approvals and cases are left to whoever looks: that is what there is to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path

from tieline.app.demo.clerk import BillingClerk
from tieline.app.demo.deals import load, make_sales
from tieline.app.demo.director import OPENS_ON
from tieline.app.demo.sales import SalesTeam
from tieline.app.demo.stage import Stage
from tieline.app.settings import HubSettings

BEFORE = 30
"""Deals that are won, and months of them billed, before anybody looks."""
AT_ONCE = 40
WIN_EVERY_S = 3.0
DAY_EVERY_S = 1.0
OUTAGE_EVERY = 40
"""Deals between two outages of a system."""
OUTAGE_S = 20.0

Say = Callable[[str], None]


class LiveShow:
    """A company at work, its hub on the usual port where that is free."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed, self._chance = seed, random.Random(seed)  # noqa: S311 - a demonstration, not a secret
        self.stage = Stage(folder, seed, OPENS_ON, port=HubSettings().port)

    async def run(self, stop: asyncio.Event, ready: Callable[[str], None], say: Say) -> None:
        """Go on until `stop`; `ready` is told the address of the pages. Raises TielineError when nothing can start."""
        async with self.stage as stage:
            team = SalesTeam(stage)
            say("loading accounts and deals into Salesforce")
            await self._begin(team)
            ready(f"http://127.0.0.1:{stage.port}")
            workers = [asyncio.create_task(self._sell(team, say)), asyncio.create_task(self._days_pass())]
            stopping = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait({stopping, *workers}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()  # what broke is told, not passed over
            finally:
                for task in (stopping, *workers):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def _begin(self, team: SalesTeam) -> None:
        """A past worth looking at: deals of every kind, some months billed and paid, one collection declined."""
        sales = make_sales(BEFORE, self._seed, OPENS_ON)
        await load(self.stage.sandboxes, sales)
        plain = next(d for d in sales.deals if not d.trouble and not d.usage_line_id)
        await team.win([d.opportunity_id for d in sales.deals])
        await self.stage.settled()
        billing = BillingClerk(self.stage)
        await billing.log_in()
        await billing.decline_next(plain.account_id, times=4)
        await self.stage.sandboxes.advance(55)
        await self.stage.settled()

    async def _sell(self, team: SalesTeam, say: Say) -> None:
        boxes, won = self.stage.sandboxes, 0
        for more in count(1):
            today = datetime.fromisoformat((await boxes.get("salesforce", "/clock"))["now"]).date()
            sales = make_sales(AT_ONCE, self._seed + more, today)
            await load(boxes, sales)
            for deal in sales.deals:
                await asyncio.sleep(WIN_EVERY_S * self._chance.uniform(0.5, 1.5))
                await team.win([deal.opportunity_id])
                say(f"won: {deal.name}")
                won += 1
                if won % OUTAGE_EVERY == OUTAGE_EVERY // 2:
                    vendor = self._chance.choice(("netsuite", "zuora"))
                    say(f"{vendor} is down for {OUTAGE_S:g} seconds")
                    await boxes.fault(vendor, kind="outage", seconds=OUTAGE_S)

    async def _days_pass(self) -> None:
        while True:
            await asyncio.sleep(DAY_EVERY_S)
            await self.stage.sandboxes.advance(1)
