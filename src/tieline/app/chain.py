"""The watch over the log's hash chain: the hub goes on verifying where it stopped, and from the beginning once a day.

The invariant: what is said to be verified was read and found to follow, link by link, from the beginning of the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from tieline.app.principal import Permission, Principal
from tieline.app.views.listing import ChainCheck, ChainWalk
from tieline.engine.ports import Batch, Store
from tieline.engine.records import Cursor

NAME = "verified"
LOOK_EVERY_S = 10.0
ANEW_EVERY = timedelta(hours=24)
AT_ONCE = 200
WORTH_KEEPING = 1_000
"""A log shorter than this is gone through anew at every start."""
BREATH_S = 0.01
"""Between two pages the hub does what it is there for."""

_log = structlog.get_logger("tieline.audit")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain was verified. `from_start_at` is when the last look at the whole log ended.

    `broken_at` is the first event that does not follow, 0 for none, and `reason` why; then `seq` is the last that does.
    """

    seq: int
    hash: str
    at: datetime
    from_start_at: datetime
    broken_at: int = 0
    reason: str = ""


class ChainWatch:
    """Verifies beside the worker. `state` is None until the log was gone through for the first time."""

    def __init__(self, store: Store, reader: Store) -> None:
        """`store` is where the place reached is kept, `reader` what is read from."""
        self._store, self._reader = store, reader
        self._asked = asyncio.Event()
        self.state: Verified | None = None
        self.reached: int | None = None
        """How far the look is that is under way; None when none is."""

    async def follow(self) -> None:
        """Verify what comes, without end."""
        if (held := await self._store.cursor(NAME)) is not None:
            self.state = msgspec.json.decode(held.value, type=Verified)
        while True:
            try:
                await self.verify()
            except Exception as error:  # noqa: BLE001 - a watch that dies would be missed by nobody
                _log.error("the chain could not be verified", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._asked.wait()

    def again(self, by: Principal) -> None:
        """Look at the whole log once more, now. Raises NotAllowed."""
        by.require(Permission.OPERATE)
        self.reached = 0
        self._asked.set()

    async def verify(self) -> None:
        """Go on to the end of the log; from its beginning when that was asked for or is due."""
        state, now = self.state, datetime.now(UTC)
        anew = state is None or self._asked.is_set() or now - state.from_start_at > ANEW_EVERY
        self._asked.clear()
        if state is not None and not anew and (state.broken_at or await self._is_still_there(state)):
            return
        walk = ChainWalk() if anew or state is None else ChainWalk(state.seq, state.hash)
        try:
            broken = await self._walk(walk)
        finally:
            self.reached = None
        await self._keep(walk, broken, anew)

    async def _is_still_there(self, state: Verified) -> bool:
        """Nothing came: whether the last event that was verified is as it was. A log that was cut off is broken."""
        found = await self._reader.events_after(max(state.seq - 1, 0), 2) if state.seq else []
        if state.seq and (not found or found[0].seq != state.seq or found[0].hash != state.hash):
            reason = f"event {state.seq} was verified and is not there any more: the end of the log was cut off"
            await self._tell(msgspec.structs.replace(state, broken_at=state.seq, reason=reason))
            return True
        nothing_new = len(found) < 2 if state.seq else not await self._reader.events_after(0, 1)
        if nothing_new:
            self.state = msgspec.structs.replace(state, at=datetime.now(UTC))
        return nothing_new

    async def _walk(self, walk: ChainWalk) -> ChainCheck | None:
        while page := await self._reader.events_after(walk.seq, AT_ONCE):
            if (broken := walk.take(page)) is not None:
                return broken
            self.reached = walk.seq
            await asyncio.sleep(BREATH_S)
        return None

    async def _keep(self, walk: ChainWalk, broken: ChainCheck | None, anew: bool) -> None:
        now = datetime.now(UTC)
        state = Verified(
            seq=walk.seq,
            hash=walk.end().last_hash,
            at=now,
            from_start_at=now if anew or self.state is None else self.state.from_start_at,
            broken_at=broken.broken_at if broken else 0,
            reason=broken.reason if broken else "",
        )
        await self._tell(state)

    async def _tell(self, state: Verified) -> None:
        if state.broken_at:
            _log.error("the chain of the log is broken", at=state.broken_at, reason=state.reason)
        self.state = state
        if state.seq < WORTH_KEEPING and not state.broken_at:
            return
        value = msgspec.json.encode(state).decode()
        await self._store.commit(Batch(cursors=[Cursor(name=NAME, value=value, updated_at=state.at)]))
