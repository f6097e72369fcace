"""Deals keep being won while everything breaks, by a schedule; then calm, then the count.

The same schedule and the same deals are put before Tieline and before every contender, each on fresh systems. What
happens to a disk or by an operator (episodes) happens to Tieline only: it needs to know where the state is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.demo.deals import Deal, Sales, load
from tieline.app.demo.judge import Verdict, judge, read_systems
from tieline.app.torture.arena import Arena, ContenderArena, OurArena
from tieline.app.torture.business import Tally, tally
from tieline.app.torture.episodes import Episodes, Told
from tieline.app.torture.findings import faults_found, sold, status_went_back
from tieline.app.torture.planted import plain_deals, torture_sales
from tieline.app.torture.schedule import DAYS, EPISODES, KILL, VENDORS, Blow, Lie, Schedule, make_schedule
from tieline.engine.lanes import cancel
from tieline.engine.records import CaseState

OPENS_ON = date(2026, 1, 5)
SETTLES_WITHIN_S = 120.0
CONTENDER_SETTLES_WITHIN_S = 60.0
QUARTERS = 5
"""Until the last deal is billed and paid."""
LOGGED = 100_000

Tell = Callable[[str, float], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long, from which seed, which episodes, and who else: name → command."""

    folder: Path
    seconds: float = 60.0
    seed: int = 1
    episodes: tuple[str, ...] = tuple(EPISODES)
    contenders: dict[str, str] = {}


class Suffering(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender went through, and what stood in the systems afterwards.

    `struck` counts the lies that were really told. `verdict` and `wrong` go deeper (invoices, payments, order, cases)
    and are made for Tieline only.
    """

    name: str
    seconds: float
    kills: int
    struck: dict[str, int]
    requests: int
    unsettled: str
    tally: Tally
    told: list[Told] = []
    verdict: Verdict | None = None
    wrong: list[str] = []

    @property
    def survived(self) -> bool:
        """Nothing lost, doubled or unequal, nothing else wrong, and every episode went as we promise."""
        return self.tally.right and not self.wrong and not self.unsettled and not any(t.wrong for t in self.told)


async def torment(plan: Plan, tell: Tell) -> tuple[Schedule, list[Suffering]]:
    """Put Tieline, then each contender through the schedule."""
    schedule = make_schedule(plan.seed, plan.seconds, plan.episodes)
    folder = plan.folder / "tieline"
    folder.mkdir(parents=True)
    ours = OurArena(folder, plan.seed, OPENS_ON)
    async with ours.stage:
        found = [await _Ordeal("tieline", ours, schedule, tell).ours(ours)]
    for name, command in plan.contenders.items():
        folder = plan.folder / name
        folder.mkdir(parents=True)
        arena = ContenderArena(name, command, folder, plan.seed, OPENS_ON)
        async with arena.stage:
            found.append(await _Ordeal(name, arena, schedule, tell).theirs())
    return schedule, found


class _Ordeal:
    """One contender and the schedule."""

    def __init__(self, name: str, arena: Arena, schedule: Schedule, tell: Tell) -> None:
        self._name, self._arena, self._schedule, self._tell = name, arena, schedule, tell
        self._boxes = arena.stage.sandboxes
        self._sales: Sales = torture_sales(schedule.deals, schedule.seed, OPENS_ON)
        self._kills = 0
        self._began = time.monotonic()

    async def ours(self, arena: OurArena) -> Suffering:
        """Tieline: every deal, every episode, and the deep count at the end."""
        await self._begin()
        episodes = Episodes(arena.stage)
        approver = asyncio.create_task(episodes.approve_all())
        try:
            await self._break_everything(self._sales.deals, episodes.perform)
            unsettled = await self._calm()
            for quarter in range(QUARTERS):
                self._say("months pass until everything is billed and paid", quarter / QUARTERS)
                await self._boxes.advance(92)
                unsettled = unsettled or await arena.settled(SETTLES_WITHIN_S)
        finally:
            approver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await approver
        systems = await read_systems(self._boxes)
        cases = await arena.stage.store.cases(states=[CaseState.OPEN])
        expected = {d.opportunity_id: d.trouble for d in self._sales.deals if d.trouble}
        verdict = judge([sold(d) for d in self._sales.deals], systems, set(expected))
        written = await self._boxes.get("salesforce", f"/requests?last={LOGGED}")
        wrong = faults_found(verdict, cases, expected) + status_went_back(written["requests"], episodes.restored_at)
        counted = tally(self._sales, plain_deals(self._sales), systems)
        return await self._suffering(counted, unsettled, told=episodes.told, verdict=verdict, wrong=wrong)

    async def theirs(self) -> Suffering:
        """Another: the deals without a planted problem, and the documents of the protocol."""
        await self._begin()
        deals = plain_deals(self._sales)
        await self._break_everything(deals, None)
        unsettled = await self._calm(CONTENDER_SETTLES_WITHIN_S)
        return await self._suffering(tally(self._sales, deals, await read_systems(self._boxes)), unsettled)

    async def _begin(self) -> None:
        self._say("loading accounts and deals", 0.0)
        await load(self._boxes, self._sales)
        await self._boxes.post("salesforce", "/record", {"bodies": True, "last": LOGGED})
        self._began = time.monotonic()

    async def _break_everything(self, deals: Sequence[Deal], perform: Callable[[str], Awaitable[None]] | None) -> None:
        """The three strands of the schedule, side by side."""
        wanted = {id(d) for d in deals}
        wins = [(w, [d for n in w.deals if id(d := self._sales.deals[n]) in wanted]) for w in self._schedule.wins]

        async def win() -> None:
            telling = []
            for when, group in wins:
                await self._until(when.at)
                self._say("deals are won, everything breaks", when.at / self._schedule.seconds)
                if group:  # who is told may be dead at the moment: nobody else waits for it
                    telling.append(asyncio.create_task(self._arena.won(group, when.told)))
            await asyncio.gather(*telling)

        await together(win(), self._lie(self._schedule.lies), self._strike(self._schedule.blows, perform))

    async def _lie(self, lies: Sequence[Lie]) -> None:
        for lie in lies:
            await self._until(lie.at)
            for vendor in [lie.vendor] if lie.vendor else VENDORS:
                await self._boxes.fault(vendor, **lie.fault)

    async def _strike(self, blows: Sequence[Blow], perform: Callable[[str], Awaitable[None]] | None) -> None:
        for blow in blows:
            await self._until(blow.at)
            if blow.name == KILL:
                await self._arena.stage.hub.kill()
                self._kills += 1
                await self._arena.restart()
            elif blow.name == DAYS:
                await self._boxes.advance(2)
            elif perform is not None:
                await perform(blow.name)
            if not self._arena.stage.hub.alive:
                await self._arena.restart()

    async def _calm(self, within_s: float = SETTLES_WITHIN_S) -> str:
        """No more lies; the hub stands. Wait until it has done what it has to do."""
        self._say("calm: waiting until everything is settled", 1.0)
        for vendor in VENDORS:
            await self._boxes.lift_faults(vendor)
        if not self._arena.stage.hub.alive:
            await self._arena.restart()
        return await self._arena.settled(within_s)

    async def _suffering(self, counted: Tally, unsettled: str, **more: object) -> Suffering:
        struck = Counter[str]()
        for vendor in VENDORS:
            for kind, number in (await self._boxes.get(vendor, "/faults/struck")).items():
                struck[kind] += number
        return Suffering(
            name=self._name,
            seconds=round(time.monotonic() - self._began, 1),
            kills=self._kills,
            struck=dict(sorted(struck.items())),
            requests=await self._arena.stage.requests(),
            unsettled=unsettled,
            tally=counted,
            **more,  # type: ignore[arg-type]
        )

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))

    def _say(self, what: str, done: float) -> None:
        self._tell(f"{self._name}: {what}", done)


async def together(*strands: Coroutine[Any, Any, None]) -> None:
    """Run side by side; when one fails the others end with it."""
    tasks = [asyncio.create_task(strand) for strand in strands]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            await cancel(task)
