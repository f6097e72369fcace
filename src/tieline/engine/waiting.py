"""Who waits for what: runs in memory by a future, runs asleep on disk by their row.

The invariant: what arrives at a topic reaches everyone who waits there, each exactly once. A run may wait at several
places at the same time, even twice at the same topic (branches that wait for one parent).
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

from tieline.engine.records import EffectKey, RunRow

APPLIED = "applied:"
AT_LANE = "lane:"
Arrival = asyncio.Future[Any]


def applied_topic(key: EffectKey) -> str:
    """Where runs wait for a document to stand."""
    return f"{APPLIED}{key}"


def lane_topic(connection: str) -> str:
    """Where runs sleep that a lane let go of."""
    return f"{AT_LANE}{connection}"


class WaitingRoom:
    """Looked up by topic and by run, so that thousands may wait."""

    def __init__(self) -> None:
        self._at: dict[str, set[Arrival]] = {}
        self._of: dict[str, dict[Arrival, str]] = {}
        self._sleepers: dict[str, dict[str, None]] = {}
        self._asleep: dict[str, tuple[RunRow, list[str]]] = {}
        self._longest: dict[str, None] = {}
        self.on_parents = 0
        """How many waits are for documents to stand."""

    def expect(self, run_id: str, address: str) -> Arrival:
        """A run begins to wait at a topic."""
        future: Arrival = asyncio.get_running_loop().create_future()
        self._at.setdefault(address, set()).add(future)
        self._of.setdefault(run_id, {})[future] = address
        if address.startswith(APPLIED):
            self.on_parents += 1
            self._longest.pop(run_id, None)
        else:
            self._longest.setdefault(run_id)
        return future

    def expect_no_more(self, run_id: str, address: str, future: Arrival) -> None:
        """The wait is over, whether anything arrived or not."""
        self.on_parents -= address.startswith(APPLIED)
        self._at[address].discard(future)
        if not self._at[address]:
            del self._at[address]
        del self._of[run_id][future]
        if not self._of[run_id]:
            del self._of[run_id]
            self._longest.pop(run_id, None)

    def topics(self, run_id: str) -> list[str]:
        """Where a run waits in memory."""
        return list(self._of.get(run_id, {}).values())

    def is_waiting(self, run_id: str) -> bool:
        """Whether a run waits, and for nothing that has arrived."""
        futures = self._of.get(run_id, ())
        return bool(futures) and not any(future.done() for future in futures)

    def can_sleep(self, run_id: str) -> bool:
        """Whether a run may be put out of memory: only events are found again on disk, standing documents are not."""
        return self.is_waiting(run_id) and not any(t.startswith(APPLIED) for t in self.topics(run_id))

    def longest_waiting(self, number: int) -> list[str]:
        """Up to `number` runs that may be put out of memory, those that wait longest first."""
        return list(islice(filter(self.can_sleep, self._longest), number))

    def put_to_sleep(self, row: RunRow, topics: list[str]) -> None:
        """From now on the run is nothing but its row and what wakes it."""
        self._asleep[row.id] = (row, topics)
        for address in topics:
            self._sleepers.setdefault(address, {})[row.id] = None

    def rouse(self, run_id: str) -> RunRow | None:
        """Take a sleeping run out of the room; None when it does not sleep."""
        row, topics = self._asleep.pop(run_id, (None, []))
        for address in set(topics):
            del self._sleepers[address][run_id]
            if not self._sleepers[address]:
                del self._sleepers[address]
        return row

    def wake(self, address: str, what: Any) -> list[RunRow]:
        """Hand over what arrived; returns the sleeping runs that must run again."""
        for future in self._at.get(address, set()):
            if not future.done():
                future.set_result(what)
        roused = [self.rouse(run_id) for run_id in list(self._sleepers.get(address, ()))]
        return [row for row in roused if row is not None]

    def call_back(self, address: str, number: int) -> list[RunRow]:
        """Rouse up to `number` of those that sleep at a topic, who sleeps longest first."""
        first = list(islice(self._sleepers.get(address, ()), number))
        return [row for run_id in first if (row := self.rouse(run_id)) is not None]

    @property
    def is_owed_a_turn(self) -> bool:
        """Whether somebody sleeps here only because a lane was too slow for everyone."""
        return any(address.startswith(AT_LANE) for address in self._sleepers)
