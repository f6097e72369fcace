"""The stage of a torture: hubs that can be forked in a moment, and a world that can be brought back."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import date
from pathlib import Path

from tieline.app import cases as people
from tieline.app.demo.stage import Stage
from tieline.app.principal import local_principal
from tieline.app.torture.lives import Life, Nursery
from tieline.app.torture.nursery import Order
from tieline.engine.records import CaseState

QUIET_S = 0.15
LOOK_EVERY_S = 0.05
APPROVER = local_principal("fiona.finance")


class ForkedHub:
    """A hub of the stage's nursery; what it is started with stands in `stage.order`."""

    def __init__(self, stage: TortureStage) -> None:
        self._stage = stage
        self._life: Life | None = None

    @property
    def alive(self) -> bool:
        return self._life is not None and self._life.alive

    @property
    def pid(self) -> int:
        return self._life.pid if self._life is not None else 0

    async def start(self) -> bool:
        """Start, and wait until it serves; False when it died before."""
        self._life = await self._stage.nursery.live(self._stage.order)
        return await self._life.serves

    async def ended(self) -> int:
        """Wait until it is gone."""
        return await asyncio.shield(self._life.ended) if self._life is not None else 0

    async def kill(self) -> None:
        if self._life is not None:
            await self._life.kill()

    async def stop(self) -> None:
        if self._life is not None:
            await self._life.stop()


class TortureStage(Stage):
    """A stage whose hub is forked by a nursery."""

    hub: ForkedHub

    def __init__(self, folder: Path, seed: int, opens_on: date, poll_s: float, order: Order | None = None) -> None:
        self.order = order or Order()
        super().__init__(folder, seed, opens_on, poll_s)
        self.nursery = Nursery(self.project, folder / "hub.log")

    def new_hub(self) -> ForkedHub:
        return ForkedHub(self)

    async def __aexit__(self, *_: object) -> None:
        await self.hub.kill()
        await self.nursery.stop()
        await super().__aexit__()

    def set_timeouts(self, seconds: float) -> None:
        """Give every connection this long for an answer, and Kantata this long until its "not here" is believed."""
        path = self.project / "tieline.toml"
        text = re.sub(r"(?m)^(connector = .*)$", rf"\1\ntimeout_s = {seconds}", path.read_text(encoding="utf-8"))
        path.write_text(re.sub(r"(?m)^(token = .*)$", r"\1\nsettle_after_s = 0.2", text), encoding="utf-8")

    async def quiet(self, within_s: float) -> str:
        """Wait until nothing moves any more, approving on the way. Returns what still moved at the end of the time."""
        end, since = time.monotonic() + within_s, None
        while True:
            busy = await self.approve() or await self.busy()
            now = time.monotonic()
            since = None if busy else since or now
            if since is not None and now - since >= QUIET_S:
                return ""
            if now > end:
                return busy or "never quiet for long enough"
            await asyncio.sleep(LOOK_EVERY_S)

    async def approve(self) -> str:
        """Finance agrees to all that waits for it. Returns what was done, "" for nothing."""
        waiting = await self.store.cases(states=[CaseState.OPEN], case_class="approval")
        try:
            for case in waiting:
                await people.decide(self.store, [case], "approve", by=APPROVER, reason="within this quarter's plan")
        except people.NotDecidable:
            return "a decision that somebody else took"
        return f"{len(waiting)} approvals" if waiting else ""
