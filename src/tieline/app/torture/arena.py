"""Where a contender stands: its systems, furnished and seeded, and itself in a process that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from datetime import date
from pathlib import Path
from typing import Protocol

import aiohttp

from tieline.app.demo.deals import Deal
from tieline.app.demo.sales import SalesTeam
from tieline.app.demo.stage import Stage
from tieline.app.torture.contenders import ContenderProcess, configuration
from tieline.app.torture.episodes import FEE_1, write_process
from tieline.app.torture.nursery import Order
from tieline.app.torture.schedule import TIMEOUT_S
from tieline.app.torture.stage import TortureStage
from tieline.errors import TielineError

SWEEPS_EVERY_S = 1.5
INSIST_FOR_S = 60.0
TELLS_AGAIN_AFTER_S = 0.3


class Arena(Protocol):
    """One contender on its own systems."""

    @property
    def stage(self) -> Stage: ...

    async def won(self, deals: list[Deal], told: int) -> None:
        """Sales closed these deals; whoever must be told of it is told, at least once and `told` times in all."""

    async def restart(self) -> None:
        """Start again after a death."""

    async def settled(self, within_s: float) -> str:
        """Wait until all work is done. Returns what was not, "" for nothing."""


class OurArena:
    """Tieline: the vendors' own webhooks and sweeps tell it what happened."""

    def __init__(self, folder: Path, seed: int, opens_on: date) -> None:
        order = Order(seam="tieline.app.torture.disk:tortured")
        self.stage = _OurStage(folder, seed, opens_on, SWEEPS_EVERY_S, order)

    async def won(self, deals: list[Deal], told: int) -> None:
        await insist(self.stage, deals)

    async def restart(self) -> None:
        self.stage.hub = self.stage.new_hub()
        await self.stage.hub.start()

    async def settled(self, within_s: float) -> str:
        return await self.stage.quiet(within_s)


class _OurStage(TortureStage):
    async def begin(self) -> None:
        self.set_timeouts(TIMEOUT_S)
        write_process(self.project, FEE_1)
        await self.nursery.start()
        await super().begin()


class ContenderArena:
    """Another program: it is told of each won deal over HTTP until it says that it has it."""

    def __init__(self, name: str, command: str, folder: Path, seed: int, opens_on: date) -> None:
        self.stage = _ContenderStage(name, shlex.split(command), folder, seed, opens_on)

    async def won(self, deals: list[Deal], told: int) -> None:
        await insist(self.stage, deals)
        await asyncio.gather(*(self._tell(deal) for deal in deals for _ in range(told)))

    async def restart(self) -> None:
        self.stage.hub = self.stage.new_hub()
        await self.stage.hub.start()

    async def settled(self, within_s: float) -> str:
        end, since = time.monotonic() + within_s, None
        pending = -1
        while time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                pending = await self.stage.contender.pending()
                now = time.monotonic()
                since = None if pending else since or now
                if since is not None and now - since >= 2.0:
                    return ""
            await asyncio.sleep(0.2)
        return f"{pending} deals still pending" if pending >= 0 else "it does not say what is pending"

    async def _tell(self, deal: Deal) -> None:
        """At least once: again until it is taken. Raises TielineError when it never is."""
        end = time.monotonic() + INSIST_FOR_S
        while not await self.stage.contender.tell(deal.opportunity_id):
            if time.monotonic() > end:
                raise TielineError(f"the contender did not take deal {deal.opportunity_id} in {INSIST_FOR_S:g} s")
            await asyncio.sleep(TELLS_AGAIN_AFTER_S)


class _ContenderStage(Stage):
    def __init__(self, name: str, command: list[str], folder: Path, seed: int, opens_on: date) -> None:
        self._name, self._command, self._seed = name, command, seed
        super().__init__(folder, seed, opens_on)

    @property
    def contender(self) -> ContenderProcess:
        return self.hub  # type: ignore[return-value]

    def new_hub(self) -> ContenderProcess:
        return ContenderProcess(self._command, self.folder / "contender.json", self.port, self.folder / "contender.log")

    async def begin(self) -> None:
        # the vendors tell Tieline; whoever else is told by us
        await self.sandboxes.post("salesforce", "/configure", {"outbound_messages": []})
        await self.sandboxes.post("zuora", "/configure", {"callouts": None})
        configuration(self.folder, self._name, self._seed, self.port, self.sandboxes.urls)
        await self.hub.start()

    async def __aexit__(self, *_: object) -> None:
        self.contender.end_servers()
        await super().__aexit__()


async def insist(stage: Stage, deals: list[Deal]) -> None:
    """Sales is being lied to as well: whoever closes a deal tries until it is closed."""
    team, end = SalesTeam(stage), time.monotonic() + INSIST_FOR_S
    while True:
        try:
            await team.win([d.opportunity_id for d in deals])
        except (aiohttp.ClientError, TimeoutError, TielineError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
        else:
            return
