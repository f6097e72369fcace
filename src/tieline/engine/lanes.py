"""A lane per connection: who may call when, and what travels together.

A lane owns the account's slots and rate, gathers concurrent items of one kind into the vendor's bulk call, and parks
while the system is down: items that wait lose no attempt, and other lanes never notice. The invariant: an item is
given back to its caller exactly once, or stays queued.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import structlog

from tieline.engine.ports import Limits
from tieline.engine.records import LaneStatus
from tieline.errors import OutcomeUnknown, RateLimited, TielineError, VendorUnavailable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
AGE_S = 2.0
"""How much older a less urgent item must be to go before a more urgent one: nothing starves."""

_log = structlog.get_logger("tieline.lane")


class Priority(IntEnum):
    """What goes first: postings before master data before status and backfill."""

    POSTING = 0
    MASTER_DATA = 1
    BACKGROUND = 2


class Work:
    """A kind of call: how many items it carries, how many such calls run side by side, and how it is done.

    `perform` answers one result per item in order; an exception speaks for all of them.
    """

    def __init__(
        self,
        name: str,
        perform: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]],
        *,
        bulk: int = 1,
        concurrency: int = 4,
    ) -> None:
        self.name, self.perform, self.bulk, self.concurrency = name, perform, bulk, concurrency
        self.waiting: list[tuple[float, int, _Item]] = []
        self.in_flight = 0


class _Item:
    __slots__ = ("future", "payload", "rank", "seq")

    def __init__(self, payload: Any, rank: float, seq: int, future: asyncio.Future[Any]) -> None:
        self.payload, self.rank, self.seq, self.future = payload, rank, seq, future


class Lane:
    """The way to one connection."""

    def __init__(self, connection: str, limits: Limits) -> None:
        self.connection, self.limits = connection, limits
        self._works: dict[str, Work] = {}
        self._seq = 0
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._paused_until = 0.0
        self._next_token = 0.0
        self._strikes = 0
        self._state, self._reason, self._since = "open", "", datetime.now(UTC)
        self.calls = self.items = self.failures = 0

    async def call(self, work: Work, payload: Any, priority: Priority = Priority.POSTING) -> Any:
        """Have `payload` carried out with others of its kind; returns its result, or raises what stopped its call.

        Never raises VendorUnavailable or RateLimited: the item waits until the system can be reached again.
        A closed lane takes nothing more: the call is cancelled.
        """
        if self._state == "closed":
            raise asyncio.CancelledError(f"lane {self.connection} is closed")
        work = self._works.setdefault(work.name, work)
        self._seq += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        item = _Item(payload, time.monotonic() + priority * AGE_S, self._seq, future)
        heapq.heappush(work.waiting, (item.rank, item.seq, item))
        self._pump_soon()
        return await future

    def status(self) -> LaneStatus:
        """How the lane is doing now."""
        return LaneStatus(
            connection=self.connection,
            state=self._state,
            reason=self._reason,
            queued=sum(not item.future.done() for w in self._works.values() for _, _, item in w.waiting),
            in_flight=self._in_flight,
            slots=self.limits.slots,
            calls=self.calls,
            items=self.items,
            failures=self.failures,
            since=self._since,
            updated_at=datetime.now(UTC),
        )

    async def close(self) -> None:
        """Let calls under way finish (their outcome matters), then stop; queued items are cancelled."""
        self._state = "closed"
        for work in self._works.values():
            for _, _, item in work.waiting:
                item.future.cancel()
            work.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    def _pump_soon(self) -> None:
        # everything that becomes ready in the same turn of the loop may still join the same bulk call
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._pump)

    def _pump(self) -> None:
        self._timer = None
        while self._state != "closed":
            now = time.monotonic()
            if (pause := max(self._paused_until, self._next_token) - now) > 0:
                self._timer = asyncio.get_running_loop().call_later(pause, self._pump)
                return
            slots = 1 if self._state == "parked" else self.limits.slots
            if self._in_flight >= slots or (work := self._next_work()) is None:
                return
            batch = self._take(work)
            if batch:
                self._start(work, batch, now)

    def _next_work(self) -> Work | None:
        ready = [w for w in self._works.values() if w.waiting and w.in_flight < w.concurrency]
        return min(ready, key=lambda w: w.waiting[0][:2]) if ready else None

    def _take(self, work: Work) -> list[_Item]:
        batch: list[_Item] = []
        while work.waiting and len(batch) < work.bulk:
            _, _, item = heapq.heappop(work.waiting)
            if not item.future.done():
                batch.append(item)
        return batch

    def _start(self, work: Work, batch: list[_Item], now: float) -> None:
        if self.limits.per_second:
            self._next_token = max(self._next_token, now) + 1 / self.limits.per_second
        work.in_flight += 1
        self._in_flight += 1
        self.calls += 1
        self.items += len(batch)
        task = asyncio.create_task(self._perform(work, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, work: Work, batch: list[_Item]) -> None:
        try:
            results: Sequence[Any] = await work.perform([item.payload for item in batch])
            if len(results) != len(batch):
                wrong = f"{self.connection} answered {len(results)} results to {len(batch)} items of {work.name}"
                results = [OutcomeUnknown(wrong)] * len(batch)
        except Exception as error:  # noqa: BLE001 - every failure is handed to the callers
            results = [error] * len(batch)
        finally:
            work.in_flight -= 1
            self._in_flight -= 1
        try:
            self._judge(results)
        finally:  # whatever goes wrong with the book-keeping (a log that cannot be written), nobody waits for ever
            for item, result in zip(batch, results, strict=True):
                self._give_back(work, item, result)
            self._pump_soon()

    def _give_back(self, work: Work, item: _Item, result: Any) -> None:
        if item.future.done():
            return
        if isinstance(result, VendorUnavailable | RateLimited):
            if self._state == "closed":
                item.future.cancel()
                return
            heapq.heappush(work.waiting, (item.rank, item.seq, item))
        elif isinstance(result, Exception) and not isinstance(result, TielineError):
            item.future.set_exception(result)
        else:
            item.future.set_result(result)

    def _judge(self, results: Sequence[Any]) -> None:
        if self._state == "closed":
            return
        stop = next((r for r in results if isinstance(r, VendorUnavailable | RateLimited)), None)
        if stop is None:
            if self._state in ("parked", "throttled"):
                self._enter("open", "")
            self._strikes = 0
            return
        self.failures += 1
        down, now = isinstance(stop, VendorUnavailable), time.monotonic()
        if down and now >= self._paused_until:
            # calls that fail side by side are one outage, not many
            self._strikes += 1
        pause = min(FIRST_PAUSE_S * 2 ** max(self._strikes - 1, 0), LONGEST_PAUSE_S) if down else FIRST_PAUSE_S
        if down and self._paused_until > now:
            pause = 0.0
        self._paused_until = max(self._paused_until, now + max(stop.retry_after_s, pause))
        self._enter("parked" if down else "throttled", str(stop))

    def _enter(self, state: str, reason: str) -> None:
        if state != self._state:
            self._since = datetime.now(UTC)
            _log.info("lane", connection=self.connection, state=state, reason=reason)
        self._state, self._reason = state, reason


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is gone."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
