"""What is counted while the hub works: how much comes and goes, and how long it takes. In memory, for the last hour.

The invariant: nothing here is needed for a decision, and nothing grows: a restart begins these figures anew, and their
size depends on the connections only. What must survive is read from the store (docs/decisions/0027).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import time
from typing import Generic, TypeVar

from tieline.events import CaseOpened, LoggedEvent, decode_event, event_name

HOUR_S = 3600
SLOT_S = 10
"""Flows are kept in slots of so many seconds, for an hour."""
RECENT_MINUTES = 5
"""Percentiles are of so many minutes."""
FINEST_S, STEPS, DOUBLINGS = 0.0005, 4, 18
BOUNDS = tuple(FINEST_S * 2 ** (step / STEPS) for step in range(STEPS * DOUBLINGS + 1))
"""Upper bounds of the classes that times are counted in, each a fifth wider than the one below: 0.5 ms to 131 s."""

T = TypeVar("T")


class Stopwatch:
    """How long a run waited for others: for systems, people, events. Waits that overlap count once."""

    __slots__ = ("_begun", "_open", "_total")

    def __init__(self) -> None:
        self._open, self._begun, self._total = 0, 0.0, 0.0

    def begin(self) -> None:
        self._open += 1
        if self._open == 1:
            self._begun = _loop_time()

    def end(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._total += _loop_time() - self._begun

    @property
    def waited_s(self) -> float:
        return self._total + (_loop_time() - self._begun if self._open else 0.0)


waiting: ContextVar[Stopwatch | None] = ContextVar("waiting", default=None)
"""The stopwatch of the run at work in this task; None where nobody measures."""


@contextmanager
def waiting_for_others() -> Iterator[None]:
    """What the run does inside of the block is no work of ours: it waits."""
    if (watch := waiting.get()) is None:
        yield
        return
    watch.begin()
    try:
        yield
    finally:
        watch.end()


class Ring(Generic[T]):
    """The last so many parts of time, each with a value of its own; those that are too old begin anew."""

    def __init__(self, parts: int, part_s: float, new: Callable[[], T]) -> None:
        self._part_s, self._new = part_s, new
        self._cells = [new() for _ in range(parts)]
        self._index = -1

    def at(self, now: float) -> int:
        """The place of the present part."""
        index = int(now // self._part_s)
        if index > self._index:
            for passed in range(max(self._index + 1, index - len(self._cells) + 1), index + 1):
                self._cells[passed % len(self._cells)] = self._new()
            self._index = index
        return self._index % len(self._cells)  # a clock that was set back adds to the newest part

    def now(self, now: float) -> T:
        """The present value, to be added to."""
        return self._cells[self.at(now)]

    def set(self, now: float, value: T) -> None:
        self._cells[self.at(now)] = value

    def last(self, now: float, number: int) -> list[T]:
        """The last values, the present one last."""
        place = self.at(now)
        return [self._cells[(place - back) % len(self._cells)] for back in range(number - 1, -1, -1)]


class Flow:
    """How many came, in all and lately."""

    def __init__(self) -> None:
        self.total = 0
        self._slots: Ring[int] = Ring(HOUR_S // SLOT_S, SLOT_S, int)

    def add(self, number: int, now: float) -> None:
        self.total += number
        self._slots.set(now, self._slots.now(now) + number)

    def a_minute(self, now: float, minutes: int = 1) -> float:
        """How many a minute, over the last minutes. The oldest slot counts as far as it lies within."""
        slots = minutes * 60 // SLOT_S
        oldest, *rest = self._slots.last(now, slots + 1)
        return (sum(rest) + oldest * (1 - now % SLOT_S / SLOT_S)) / minutes

    def by_minute(self, now: float) -> list[int]:
        """The last hour, minute by minute; the present minute, which is not over, last."""
        each = 60 // SLOT_S
        begun = int(now // SLOT_S) % each + 1  # so that minutes begin where the clock's minutes do
        slots = self._slots.last(now, HOUR_S // SLOT_S - each + begun)
        return [sum(slots[i : i + each]) for i in range(0, len(slots), each)]


class Latencies:
    """How long something took: counted in classes, in all and lately. A percentile is right to a fifth."""

    def __init__(self) -> None:
        self.counts, self.sum_s = [0] * (len(BOUNDS) + 1), 0.0
        self._minutes: Ring[list[int]] = Ring(HOUR_S // 60, 60.0, lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float, now: float) -> None:
        seconds = max(seconds, 0.0)
        place = bisect_left(BOUNDS, seconds)
        self.counts[place] += 1
        self.sum_s += seconds
        self._minutes.now(now)[place] += 1

    def percentiles(self, now: float, shares: Iterable[float] = (0.5, 0.95, 0.99)) -> list[float | None]:
        """Seconds that such shares of the last minutes stayed below; None where nothing was measured."""
        counts = [sum(column) for column in zip(*self._minutes.last(now, RECENT_MINUTES), strict=True)]
        return [_percentile(counts, share) for share in shares]

    def by_minute(self, now: float, share: float) -> list[float | None]:
        """One percentile for each minute of the last hour."""
        return [_percentile(counts, share) for counts in self._minutes.last(now, HOUR_S // 60)]

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper bound, how many were not above it) for every doubling, since the hub started."""
        found, below = [], 0
        for place, count in enumerate(self.counts[:-1]):
            below += count
            if place % STEPS == 0:
                found.append((BOUNDS[place], below))
        return found

    @property
    def total(self) -> int:
        return sum(self.counts)


def _percentile(counts: list[int], share: float) -> float | None:
    total = sum(counts)
    if not total:
        return None
    wanted, below = share * total, 0.0
    for place, count in enumerate(counts):
        if count and below + count >= wanted:
            upper = BOUNDS[min(place, len(BOUNDS) - 1)]
            lower = BOUNDS[place - 1] if 0 < place < len(BOUNDS) else upper if place else 0.0
            return lower + (upper - lower) * (wanted - below) / count
        below += count
    return BOUNDS[-1]


class SystemMeasures:
    """One connection: events that came from it, calls and items that went to it, documents that stand there by us.

    `vendor` is how long its calls took; `added` how long it took from the event that started a run until the run's
    document stood there, less the time in which the run waited for systems, people and other events.
    """

    def __init__(self) -> None:
        self.events, self.calls, self.items, self.documents = Flow(), Flow(), Flow(), Flow()
        self.vendor, self.added = Latencies(), Latencies()

    def called(self, items: int, seconds: float) -> None:
        """A call with so many items was answered, or failed, after so long."""
        now = time()
        self.calls.add(1, now)
        self.items.add(items, now)
        self.vendor.add(seconds, now)

    def stands(self, added_s: float | None) -> None:
        """A document was written there; `added_s` None where it cannot be said how long it took us."""
        now = time()
        self.documents.add(1, now)
        if added_s is not None:
            self.added.add(added_s, now)


class Measures:
    """All that the hub counts of its work. `cases` counts the cases opened since the start, by class."""

    def __init__(self, systems: Mapping[str, SystemMeasures]) -> None:
        self.systems = systems
        self.cases: Counter[str] = Counter()
        self.events = 0

    def observe(self, event: LoggedEvent) -> None:
        """An event of the log, as it is dispatched."""
        self.events += 1
        if (system := self.systems.get(event.source)) is not None:
            system.events.add(1, time())
        if event_name(event.type) == CaseOpened.__name__:
            data = decode_event(event)
            self.cases[data.case_class if isinstance(data, CaseOpened) else ""] += 1


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
