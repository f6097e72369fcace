"""A lane per connection: who may call when, and what travels together.

A lane owns the account's slots, rates and daily quota, gathers concurrent items of one kind into the vendor's bulk
call, and parks while the system is down: items that wait lose no attempt, and other lanes never notice. Whose turn it
is stands in `turns.py`, what is left of the day in `quota.py`. The invariant: an item is given back to its caller
exactly once, or stays queued; while a person holds the lane nothing begins, or (draining) nothing new.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import structlog

from tieline.engine.clock import SystemClock
from tieline.engine.measures import SystemMeasures
from tieline.engine.ports import Clock, Limits, Usage
from tieline.engine.quota import Budget, Window
from tieline.engine.records import Hold, LaneStatus
from tieline.engine.turns import Caller, Item, Line, Priority, Turns, asked_by, asking
from tieline.errors import OutcomeUnknown, RateLimited, TielineError, VendorUnavailable

__all__ = ["Caller", "Lane", "Priority", "Withdrawn", "Work", "asked_by", "asking", "cancel"]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
LONG_WAIT_S = 5.0
"""A lane whose first item waits longer than this keeps the runs behind it for long."""
KEPT_AT_LEAST = 100
"""So many items stay in the line whatever happens: somebody must find out when the system is back."""

carried: ContextVar[Sequence[Item]] = ContextVar("carried", default=())
"""What the call under way in this task carries, for whoever watches calls."""

_log = structlog.get_logger("tieline.lane")
_CLOCK = SystemClock()


class Withdrawn(asyncio.CancelledError):
    """The lane let go of an item before it was sent: its run goes out of memory and comes back later."""


class Work:
    """A kind of call: how many items it carries, how many such calls run side by side, and how it is done.

    `perform` answers one result per item in order; an exception speaks for all of them. One that `finishes` finds out
    what became of an earlier call: a lane that drains still takes it.
    """

    def __init__(
        self,
        name: str,
        perform: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]],
        *,
        bulk: int = 1,
        concurrency: int = 4,
        finishes: bool = False,
    ) -> None:
        self.name, self.perform, self.bulk, self.concurrency = name, perform, bulk, concurrency
        self.finishes = finishes
        self.cost = 1 / bulk
        self.line = Line()
        self.in_flight = 0


class Lane:
    """The way to one connection. `usage` asks its connector what it knows of the account's calls."""

    def __init__(self, connection: str, limits: Limits, clock: Clock = _CLOCK) -> None:
        self.connection, self.limits, self._clock = connection, limits, clock
        self.usage: Callable[[], Usage | None] = lambda: None
        self.measures = SystemMeasures()
        self._works: dict[str, Work] = {}
        self._turns, self._budget = Turns(), Budget(limits)
        self._minute = Window(60.0, 12)
        self._seq = 0
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.TimerHandle | None = None
        self._paused_until = 0.0
        self._next_token = 0.0
        self._strikes = 0
        self._state, self._reason, self._since = "open", "", clock.now()
        self._spent = False
        self._held: Hold | None = None
        self._behind: list[tuple[Work, Item]] = []
        self.calls = self.items = self.failures = 0

    async def call(self, work: Work, payload: Any) -> Any:
        """Have `payload` carried out with others of its kind; returns its result, or raises what stopped its call.

        Never raises VendorUnavailable or RateLimited: the item waits until the system can be reached again.
        A closed lane takes nothing more: the call is cancelled. Raises Withdrawn when the lane lets go of it.
        """
        if self._state == "closed":
            raise asyncio.CancelledError(f"lane {self.connection} is closed")
        work = self._works.setdefault(work.name, work)
        loop, caller = asyncio.get_running_loop(), asking.get()
        self._seq += 1
        start = self._turns.place(caller, work.cost)
        item = Item(payload, caller, start, self._seq, loop.time(), loop.create_future())
        if self._held is not None or self._state != "open":
            item.begin_waiting()
        if self._held is not None and self._held.drain and not work.finishes:
            self._behind.append((work, item))
        else:
            work.line.push(item)
        self._pump_soon()
        try:
            return await item.future
        except asyncio.CancelledError:
            item.end_waiting()
            if item.withdrawn:
                raise Withdrawn(f"lane {self.connection} let go of it") from None
            raise

    # --- how it is ----------------------------------------------------------------------------------------------------

    def status(self) -> LaneStatus:
        """How the lane is doing now."""
        now, queued = self._clock.now(), self.queued
        used, per_day = self._budget.today(now.timestamp())
        spent = self._budget.spent(now.timestamp()) and self._state != "closed"
        held_back = self._budget.held_back(now.timestamp()) if spent or queued else ""
        state, reason = "parked" if spent else self._state, held_back if spent else self._reason or held_back
        if (held := self._held) is not None and state != "closed":
            reason = f"{held.words()} ({state}: {reason})" if reason else held.words()
            state = self._held_state(held)
        return LaneStatus(
            connection=self.connection,
            state=state,
            reason=reason,
            queued=queued,
            in_flight=self._in_flight,
            slots=self.limits.slots,
            calls=self.calls,
            items=self.items,
            failures=self.failures,
            per_day=per_day,
            used_today=used,
            hours=self._budget.hours(now.timestamp()),
            since=self._held.at if self._held else self._since,
            updated_at=now,
        )

    def _held_state(self, held: Hold) -> str:
        if not held.drain:
            return "paused"
        return "draining" if self._in_flight or any(self._in_line()) else "drained"

    def restore(self, kept: LaneStatus) -> None:
        """Take up what an earlier life used of the day's quota."""
        self._budget.restore(kept.per_day, kept.used_today, kept.hours, kept.updated_at)

    @property
    def queued(self) -> int:
        """How many items wait."""
        return sum(1 for _ in self._in_line()) + len(self._waiting_behind())

    def runs(self) -> set[str]:
        """The runs that wait here."""
        return {item.caller.run_id for item in [*self._in_line(), *self._waiting_behind()]} - {""}

    def _in_line(self) -> Iterator[Item]:
        return (item for work in self._works.values() for item in work.line.waiting())

    def _waiting_behind(self) -> list[Item]:
        """What came since the lane drains, and is still waited for."""
        return [item for _, item in self._behind if not item.future.done()]

    def is_stuck(self) -> bool:
        """Whether what waits here waits for long: the system is down, throttles or is slow, or a person holds it."""
        if self._held is not None:
            return True
        now = asyncio.get_running_loop().time()
        if self._state == "parked" or self._paused_until - now > 1 or self._budget.spent(self._clock.now().timestamp()):
            return True
        heads = [head for work in self._works.values() for p in Priority if (head := work.line.head(p))]
        return any(now - item.since > LONG_WAIT_S for _, _, item in heads)

    # --- held by a person ---------------------------------------------------------------------------------------------

    def hold(self, held: Hold) -> None:
        """Begin nothing more. What is under way ends; when it drains, what is queued is finished too."""
        self._held = held
        self._keep_waiting()
        _log.info("lane", connection=self.connection, state=self._held_state(held), reason=held.words())
        self._pump_soon()

    def release(self) -> None:
        """Work again; what came meanwhile takes its place in the line."""
        if self._held is None:
            return
        self._held = None
        for work, item in self._behind:
            work.line.push(item)
        self._behind.clear()
        _log.info("lane", connection=self.connection, state=self._state, reason="released")
        self._pump_soon()

    # --- room for others ----------------------------------------------------------------------------------------------

    def withdraw(self, number: int) -> list[str]:
        """Let go of up to `number` runs, those that would go last; returns their ids. Nothing of theirs was sent."""
        waiting = self._waiting_behind()
        if not (self._held and self._held.drain):  # one that drains promised to finish its line: only these may go
            waiting += self._in_line()
        waiting.sort(key=lambda item: (item.caller.priority, item.start, item.seq), reverse=True)
        runs = dict.fromkeys(item.caller.run_id for item in waiting[:-KEPT_AT_LEAST] if item.caller.run_id)
        gone = set(list(runs)[:number])
        mine = [item for item in waiting if item.caller.run_id in gone]
        for item in mine:
            item.withdrawn = True
            item.future.cancel()
        self._turns.withdraw(mine)
        for work in self._works.values():
            work.line.sweep()
        self._behind = [(work, item) for work, item in self._behind if not item.future.done()]
        return list(gone)

    async def close(self) -> None:
        """Let calls under way finish (their outcome matters), then stop; queued items are cancelled."""
        self._state = "closed"
        for item in [*self._in_line(), *self._waiting_behind()]:
            item.future.cancel()
        for work in self._works.values():
            work.line.clear()
        for timer in (self._timer, self._opening):
            if timer is not None:
                timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    # --- calls --------------------------------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        # everything that becomes ready in the same turn of the loop may still join the same bulk call
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._pump)

    def _pump(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._state != "closed" and not (self._held and not self._held.drain):
            now = loop.time()
            if (pause := self._pause_until(now) - now) > 0:
                self._timer = loop.call_later(pause, self._pump)
                return
            slots = 1 if self._state == "parked" else self.limits.slots
            if self._in_flight >= slots or (turn := self._next_turn()) is None:
                return
            work, priority = turn
            self._start(work, priority, work.line.take(priority, work.bulk), now)

    def _pause_until(self, now: float) -> float:
        until = max(self._paused_until, self._next_token)
        if self.limits.per_minute and self._minute.used(now) >= self.limits.per_minute:
            until = max(until, self._minute.room_at(now, self.limits.per_minute))
        return until

    def _next_turn(self) -> tuple[Work, int] | None:
        """The work and the priority that have the next call; None when nothing may go now."""
        first: dict[int, tuple[tuple[float, int, Item], Work]] = {}
        for work in self._works.values():
            if work.in_flight < work.concurrency:
                for priority, heap in enumerate(work.line.heaps):
                    if heap and (head := work.line.head(priority)) is not None:
                        best = first.get(priority)
                        if best is None or head < best[0]:
                            first[priority] = (head, work)
        waiting = sorted(first)
        if waiting and self._budget.is_limited:
            waiting = self._within_budget(waiting)
        if not waiting:
            return None
        chosen = self._turns.choose(waiting)
        return first[chosen][1], chosen

    def _within_budget(self, waiting: list[int]) -> list[int]:
        """Those that the day's quota lets go; for the others, be there when it does."""
        now = self._clock.now().timestamp()
        waits = {priority: self._budget.wait_s(priority, now) for priority in waiting}
        later = [wait for wait in waits.values() if wait > 0]
        if later:
            if self._opening is not None:
                self._opening.cancel()
            self._opening = asyncio.get_running_loop().call_later(min(later), self._pump_soon)
        if self._budget.spent(now) != self._spent:
            self._spent = not self._spent
            reason = self._budget.held_back(now) if self._spent else "the daily quota has room again"
            _log.info("lane", connection=self.connection, state="parked" if self._spent else self._state, reason=reason)
        return [priority for priority, wait in waits.items() if wait <= 0]

    def _start(self, work: Work, priority: int, batch: list[Item], now: float) -> None:
        if self.limits.per_second:
            self._next_token = max(self._next_token, now) + 1 / self.limits.per_second
        if self.limits.per_minute:
            self._minute.add(now, 1)
        self._budget.start(priority, self._clock.now().timestamp())
        self._turns.serve(batch)
        work.in_flight += 1
        self._in_flight += 1
        self.calls += 1
        self.items += len(batch)
        for item in batch:
            item.begin_waiting()
        task = asyncio.create_task(self._perform(work, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, work: Work, batch: list[Item]) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            carried.set(batch)
            results: Sequence[Any] = await work.perform([item.payload for item in batch])
            if len(results) != len(batch):
                wrong = f"{self.connection} answered {len(results)} results to {len(batch)} items of {work.name}"
                results = [OutcomeUnknown(wrong)] * len(batch)
        except Exception as error:  # noqa: BLE001 - every failure is handed to the callers
            results = [error] * len(batch)
        finally:
            work.in_flight -= 1
            self._in_flight -= 1
            self.measures.called(len(batch), asyncio.get_running_loop().time() - begun)
        try:
            self._count()
            self._judge(results)
        finally:  # whatever goes wrong with the book-keeping (a log that cannot be written), nobody waits for ever
            for item, result in zip(batch, results, strict=True):
                self._give_back(work, item, result)
            self._pump_soon()

    def _count(self) -> None:
        uncounted = self._budget.finish(self.usage(), self._clock.now().timestamp())
        if uncounted and self.limits.per_minute:
            self._minute.add(asyncio.get_running_loop().time(), uncounted)

    def _give_back(self, work: Work, item: Item, result: Any) -> None:
        if item.future.done():
            return
        if isinstance(result, VendorUnavailable | RateLimited):
            if self._state == "closed":
                item.future.cancel()
                return
            work.line.push(item)
            return
        item.end_waiting()
        if isinstance(result, Exception) and not isinstance(result, TielineError):
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
        down, now = isinstance(stop, VendorUnavailable), asyncio.get_running_loop().time()
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
            self._since = self._clock.now()
            if state != "open":
                self._keep_waiting()
            _log.info("lane", connection=self.connection, state=state, reason=reason)
        self._state, self._reason = state, reason

    def _keep_waiting(self) -> None:
        """What is queued waits for the system, or for the person who holds it."""
        for item in self._in_line():
            item.begin_waiting()


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is gone."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
