"""What bites a machine or its operator, done to a running Tieline: a full disk, a lock, a backup, a second hub…

Each episode says what it saw. One that does not go as promised says so too, and counts as wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from tieline.app.demo.world import SECRETS
from tieline.app.torture.disk import FILL
from tieline.app.torture.nursery import Order
from tieline.app.torture.schedule import EPISODES
from tieline.app.torture.stage import TortureStage
from tieline.engine.records import OPEN_RUNS
from tieline.storage.sqlite import SqliteStore

LOCKED_S = 2.0
NOTICES_WITHIN_S = 10.0
SKEW_S = 300.0
TORTURED = "tieline.app.torture.disk:tortured"
FEE_1, FEE_2 = ("look", "charge"), ("look_twice", "charge_more")
"""The steps of the project's own process, before and after it was changed: no journal fits both."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an episode saw. `wrong` when it was not as promised."""

    episode: str
    seen: str
    wrong: bool = False


class Episodes:
    """The episodes of one run."""

    def __init__(self, stage: TortureStage) -> None:
        self._stage = stage
        self._database = stage.project / "tieline.db"
        self._backup = stage.folder / "backup.db"
        self._hands_off = asyncio.Lock()
        self.told: list[Told] = []
        self.restored_at = ""

    async def perform(self, name: str) -> None:
        """Do it, and note what was seen."""
        doings: dict[str, Callable[[], Awaitable[str]]] = {
            "lock": self._locked,
            "full-disk": self._full,
            "second-hub": self._second_hub,
            "clock-ahead": lambda: self._with_clock(SKEW_S),
            "backup": self._restored,
            "clock-behind": lambda: self._with_clock(-SKEW_S),
            "upgrade": self._changed,
        }
        try:
            self.told.append(Told(episode=EPISODES[name], seen=await doings[name]()))
        except _NotAsPromised as broken:
            self.told.append(Told(episode=EPISODES[name], seen=str(broken), wrong=True))

    async def approve_all(self) -> None:
        """Finance works through its approvals, while the file is not being exchanged."""
        while True:
            async with self._hands_off:
                with contextlib.suppress(Exception):  # the disk is full, the file is locked: again later
                    await self._stage.approve()
            await asyncio.sleep(0.3)

    async def _locked(self) -> str:
        """Another program holds the file, as a copying tool or a curious person does."""
        if not self._backup.exists():
            await asyncio.to_thread(self._save)

        def hold() -> None:
            connection = sqlite.connect(str(self._database), timeout=30, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(LOCKED_S)
            connection.execute("ROLLBACK")
            connection.close()

        await asyncio.to_thread(hold)
        return f"held for {LOCKED_S:g} s; the hub waited" if self._stage.hub.alive else "held; the hub stopped"

    def _save(self) -> None:
        source, copy = (sqlite.connect(str(path), timeout=30) for path in (self._database, self._backup))
        source.backup(copy)
        source.close()
        copy.close()

    async def _full(self) -> str:
        """SQLite may not take one page more. Then there is space again, and the hub is started."""
        os.kill(self._stage.hub.pid, FILL)
        try:
            status = await asyncio.wait_for(self._stage.hub.ended(), NOTICES_WITHIN_S)
        except TimeoutError:
            await self._stage.hub.kill()
            raise _NotAsPromised(f"the hub did not notice a full disk in {NOTICES_WITHIN_S:g} s") from None
        await self._start()
        if status != 2:
            raise _NotAsPromised(f"the hub ended with {status} on a full disk, not with 2")
        return "the hub said that the disk is full and stopped (exit 2); started again with space"

    async def _second_hub(self) -> str:
        """An operator starts the hub a second time."""
        command = [sys.executable, "-m", "tieline", "up", "--project", str(self._stage.project), "--port", "0"]
        second = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **SECRETS},
        )
        try:
            _, words = await asyncio.wait_for(second.communicate(), 60)
        except TimeoutError:
            second.kill()
            await second.wait()
            raise _NotAsPromised("the second hub did not refuse") from None
        text = " ".join(words.decode(errors="replace").split())
        if second.returncode != 2 or "worked on by another hub" not in text:
            raise _NotAsPromised(f"the second hub ended with {second.returncode}: {text[-300:]}")
        return "the second hub refused (exit 2) and named the process that has the file"

    async def _with_clock(self, ahead_s: float) -> str:
        """The machine's clock was set: the hub goes on with it for its next life."""
        await self._stage.hub.kill()
        self._stage.order = Order(seam=TORTURED, arguments={"clock_ahead_s": ahead_s})
        await self._start()
        self._stage.order = Order(seam=TORTURED)
        return f"a life with a clock {abs(ahead_s):g} s {'ahead' if ahead_s > 0 else 'behind'}"

    async def _restored(self) -> str:
        """The hub dies, and yesterday's copy of its database is put in place of today's."""
        if not self._backup.exists():
            raise _NotAsPromised("no backup was taken before")
        async with self._hands_off:
            await self._stage.hub.kill()
            before = await _last_event(self._stage.store)
            await self._stage.store.close()
            for path in self._database.parent.glob("tieline.db-*"):
                path.unlink()
            self._database.write_bytes(self._backup.read_bytes())
            self._stage.store = SqliteStore(self._database)
            after = await _last_event(self._stage.store)
            self.restored_at = (await self._stage.sandboxes.get("salesforce", "/health"))["now"]
            await self._start()
        return f"the log went back from event {before} to event {after}"

    async def _changed(self) -> str:
        """A process gets a new version between two lives, while runs of the old one are under way."""
        end = time.monotonic() + NOTICES_WITHIN_S
        while time.monotonic() < end:
            if await self._stage.store.runs(states=OPEN_RUNS, process="fee"):
                break
            await asyncio.sleep(0.05)
        await self._stage.hub.kill()
        write_process(self._stage.project, FEE_2)
        self._stage.order = Order(seam=TORTURED, fresh=True)
        under_way = await self._stage.store.runs(states=OPEN_RUNS, process="fee")
        await self._start()
        return f"{len(under_way)} runs of the old version were under way; the hub went on with both"

    async def _start(self) -> None:
        self._stage.hub = self._stage.new_hub()
        if not await self._stage.hub.start():
            raise _NotAsPromised(f"the hub did not start; see {self._stage.folder}/hub.log")


def write_process(project: Path, steps: tuple[str, str]) -> None:
    """The project's own process, which goes with every posted order: a step, a while, another step."""
    first, second = steps
    text = _PROCESS.replace("FIRST", first).replace("SECOND", second)
    (project / "processes" / "fee.py").write_text(text, encoding="utf-8")


class _NotAsPromised(Exception):
    """An episode that did not go as we say it does."""


async def _last_event(store: SqliteStore) -> int:
    newest = await store.events(limit=1, newest=True)
    return newest[0].seq if newest else 0


_PROCESS = '''"""A process of the project's own: it goes with every posted order."""

from __future__ import annotations

import asyncio

from tieline.engine.process import process
from tieline.engine.run import Run
from tieline.events import OrderPosted


def FIRST(document: str) -> str:
    return document


def SECOND(document: str) -> str:
    return document


@process("fee", on=OrderPosted, key=lambda posted: posted.contract)
async def fee(run: Run, posted: OrderPosted) -> None:
    """Look, wait a while, charge."""
    await run.step(FIRST, posted.document)
    await asyncio.sleep(3.0)
    await run.step(SECOND, posted.document)


PROCESSES = [fee]
'''
