"""How many calls an account has left: the day's quota is budgeted rather than hit.

Calls are counted over the last 24 hours, hour by hour. Where a system counts from midnight instead, that is the
careful side: no day holds more calls than some 24 hours. The invariant: what Tieline counts is never less than what
it sent in the window, and what the system itself says replaces it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from tieline.engine.ports import Limits, Usage
from tieline.engine.turns import Priority

DAY_S = 86_400.0
HOURS = 24
FREELY = 0.5
"""The part of its share that background work may use as fast as it likes; what is left is spread over a day."""
LOOK_AGAIN_S = 900.0
"""So often a class whose share is used up may make a call all the same, to hear what the system says by now."""


class Window:
    """Calls of the last `span_s` seconds, in `parts`. A part counts until all of it is too old."""

    def __init__(self, span_s: float, parts: int, counts: Sequence[int] = (), at: float = 0.0) -> None:
        """`counts` are the parts as of `at`, the newest last."""
        self._part_s, self._size = span_s / parts, parts + 1
        self._counts = deque([0] * (self._size - len(counts)) + list(counts[-self._size :]), maxlen=self._size)
        self._index = int(at // self._part_s)
        self._total = sum(self._counts)

    def add(self, now: float, calls: int) -> None:
        self._move(now)
        self._counts[-1] += calls
        self._total += calls

    def used(self, now: float) -> int:
        self._move(now)
        return self._total

    def counts(self, now: float) -> list[int]:
        """The parts, the newest last."""
        self._move(now)
        return list(self._counts)

    def room_at(self, now: float, allowed: int) -> float:
        """When fewer than `allowed` calls will be in the window, if none is made until then."""
        left, oldest = self.used(now), self._index - self._size + 1
        for number, count in enumerate(self._counts):
            if left < allowed:
                return max(now, (oldest + number - 1 + self._size) * self._part_s)
            left -= count
        return (self._index + self._size) * self._part_s

    def _move(self, now: float) -> None:
        index = int(now // self._part_s)
        for _ in range(min(index - self._index, self._size)):
            self._total -= self._counts[0]
            self._counts.append(0)
        self._index = max(index, self._index)


class Budget:
    """The day's calls of one account: our own against `limits`, everyone's against what the system says of itself.

    Times are seconds since 1970.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._mine = Window(DAY_S, HOURS)
        self._told = self._others = 0
        self._seen = self._under_way = 0
        self._last = [0.0 for _ in Priority]

    def restore(self, per_day: int, used: int, hours: Sequence[int], at: datetime) -> None:
        """Go on from what was kept at `at`."""
        self._mine = Window(DAY_S, HOURS, hours, at.timestamp())
        if used != sum(hours):  # what the system said of others; when it was about us alone, it will say so again
            self._told, self._others = per_day, used - sum(hours)

    def start(self, priority: int, now: float) -> None:
        """A call begins: it counts as one until it is known how many requests it took."""
        self._last[priority] = now
        self._under_way += 1
        self._mine.add(now, 1)

    def finish(self, usage: Usage | None, now: float) -> int:
        """A call is over; `usage` is what its connector knows by now. Returns how many requests it took beside one."""
        self._under_way -= 1
        if usage is None:
            return 0
        uncounted, self._seen = usage.calls - self._seen - 1, usage.calls
        self._mine.add(now, uncounted)
        self._told = usage.per_day or self._told
        if usage.used is not None:  # the system may not have seen yet what is under way
            self._others = usage.used - self._mine.used(now) + self._under_way
        return uncounted

    @property
    def is_limited(self) -> bool:
        """Whether there is any daily limit."""
        return bool(self._limits.per_day or self._told)

    def today(self, now: float) -> tuple[int, int]:
        """(calls used, calls allowed) in 24 hours: of our own limit and the system's, the one that is nearer its end.

        Nothing is allowed (0) where there is no limit.
        """
        mine = self._mine.used(now)
        ours, theirs = (mine, self._limits.per_day), (max(mine + self._others, 0), self._told)
        limits = [limit for limit in (ours, theirs) if limit[1]]
        return max(limits, key=lambda limit: limit[0] / limit[1], default=ours)

    def hours(self, now: float) -> list[int]:
        """Our own calls, hour by hour, the present one last."""
        return self._mine.counts(now)

    def spent(self, now: float) -> bool:
        """Whether nobody may call any more."""
        used, per_day = self.today(now)
        return 0 < per_day <= used

    def wait_s(self, priority: int, now: float) -> float:
        """How long a class must wait for its next call: 0 when it may go."""
        used, per_day = self.today(now)
        if used >= per_day:
            return self.frees_at(now) - now
        share = per_day * (1 - self._limits.reserve * priority / Priority.BACKGROUND)
        if used < (share * FREELY if priority == Priority.BACKGROUND else share):
            return 0.0
        pause = min(DAY_S / (share - used), LOOK_AGAIN_S) if used < share else LOOK_AGAIN_S
        return max(self._last[priority] + pause - now, 0.0)

    def frees_at(self, now: float) -> float:
        """When a spent day has room again, or the system is asked whether it has."""
        _, per_day = self.today(now)
        if per_day == self._limits.per_day:
            return self._mine.room_at(now, per_day)
        free = self._mine.room_at(now, per_day - self._others)
        return max(min(free, max(self._last) + LOOK_AGAIN_S), now)

    def held_back(self, now: float) -> str:
        """What waits because of the quota, in words; "" when nothing does."""
        (used, per_day), kept = self.today(now), self._limits.reserve
        said = f"{used:,} of {per_day:,} calls of 24 hours are used"
        if not per_day or used < per_day * (1 - kept) * FREELY:
            return ""
        if used >= per_day:
            return f"daily quota spent: {said}; next call {datetime.fromtimestamp(self.frees_at(now), UTC):%H:%M} UTC"
        pace = "waits" if used >= per_day * (1 - kept) else "goes slowly"
        return f"background work {pace}: {said}, the last {kept:.0%} are kept for postings"
