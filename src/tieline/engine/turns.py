"""Whose turn it is at a lane: the urgent first, every process its share, and nobody for ever last.

Two rules, both counted in calls and not in seconds. Between priorities: the most urgent goes, but one that was passed
over PATIENCE times is next. Within a priority: start-time fair queueing (Goyal, Vin and Cheng, 1996): an item is
placed behind those of its own process, not behind those of others. The invariant: while items of a priority wait, at
least one of any PATIENCE + 2 calls in a row begins with one of them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, NamedTuple

from tieline.engine.measures import waiting

PATIENCE = 8
"""How often a less urgent item lets more urgent ones go first."""


class Priority(IntEnum):
    """What goes first: postings before master data before status and backfill."""

    POSTING = 0
    MASTER_DATA = 1
    BACKGROUND = 2


class Caller(NamedTuple):
    """Who asks: the process that gets a share of the lane, and the run that waits ("" for none)."""

    process: str = ""
    run_id: str = ""
    priority: Priority = Priority.POSTING


asking: ContextVar[Caller] = ContextVar("asking", default=Caller())  # noqa: B039 - a tuple, nobody can change it
"""Who is at work in this task. A run sets it once, and whatever is called on its behalf is the run's."""


@contextmanager
def asked_by(caller: Caller) -> Iterator[None]:
    """What is called inside of the block is asked by `caller`."""
    token = asking.set(caller)
    try:
        yield
    finally:
        asking.reset(token)


class Item:
    """Something to carry out. `start` is its place among those of its priority."""

    __slots__ = ("_watched", "caller", "future", "payload", "seq", "since", "start", "watch", "withdrawn")

    def __init__(
        self, payload: Any, caller: Caller, start: float, seq: int, since: float, future: asyncio.Future[Any]
    ) -> None:
        self.payload, self.caller, self.start, self.seq, self.since = payload, caller, start, seq, since
        self.future, self.withdrawn = future, False
        self.watch, self._watched = waiting.get(), False

    def begin_waiting(self) -> None:
        """From now on its run waits for the system, and not for us."""
        if self.watch is not None and not self._watched:
            self._watched = True
            self.watch.begin()

    def end_waiting(self) -> None:
        if self.watch is not None and self._watched:
            self._watched = False
            self.watch.end()


class Line:
    """The items of one kind that wait, by priority."""

    __slots__ = ("heaps",)

    def __init__(self) -> None:
        self.heaps: tuple[list[tuple[float, int, Item]], ...] = tuple([] for _ in Priority)

    def push(self, item: Item) -> None:
        heapq.heappush(self.heaps[item.caller.priority], (item.start, item.seq, item))

    def head(self, priority: int) -> tuple[float, int, Item] | None:
        """The first item of a priority that somebody still waits for."""
        heap = self.heaps[priority]
        while heap and heap[0][2].future.done():
            heapq.heappop(heap)
        return heap[0] if heap else None

    def take(self, first: int, most: int) -> list[Item]:
        """Up to `most` items for one call: those of priority `first`, then whoever else finds room."""
        taken: list[Item] = []
        for heap in (self.heaps[first], *self.heaps):
            while heap and len(taken) < most:
                item = heapq.heappop(heap)[2]
                if not item.future.done():
                    taken.append(item)
        return taken

    def waiting(self) -> Iterator[Item]:
        """Every item that somebody waits for."""
        return (item for heap in self.heaps for _, _, item in heap if not item.future.done())

    def sweep(self) -> None:
        """Forget the items that nobody waits for."""
        for heap in self.heaps:
            heap[:] = [entry for entry in heap if not entry[2].future.done()]
            heapq.heapify(heap)

    def clear(self) -> None:
        for heap in self.heaps:
            heap.clear()


class Turns:
    """The order of one lane."""

    def __init__(self) -> None:
        self._now = [0.0 for _ in Priority]
        self._free: dict[tuple[Priority, str], float] = {}
        self._passed = [0 for _ in Priority]

    def place(self, caller: Caller, cost: float) -> float:
        """Where an item goes that takes `cost` calls: behind its own process, not behind the others."""
        key = (caller.priority, caller.process)
        start = max(self._now[caller.priority], self._free.get(key, 0.0))
        self._free[key] = start + cost
        return start

    def choose(self, waiting: list[int]) -> int:
        """Which of these priorities (the most urgent first) has the next call."""
        passed, chosen = self._passed, waiting[0]
        if len(waiting) == 1:
            passed[chosen] = 0
            return chosen
        chosen = next((p for p in waiting if passed[p] >= PATIENCE), chosen)
        passed[chosen] = 0
        for priority in waiting:
            if priority > chosen:
                passed[priority] += 1
        return chosen

    def serve(self, items: Iterable[Item]) -> None:
        """These go now: whoever comes next is placed behind them."""
        now = self._now
        for item in items:
            if item.start > now[item.caller.priority]:
                now[item.caller.priority] = item.start

    def withdraw(self, items: Iterable[Item]) -> None:
        """These, the last of their processes, are gone: their places are free again."""
        for item in items:
            key = (item.caller.priority, item.caller.process)
            self._free[key] = min(self._free[key], item.start)
