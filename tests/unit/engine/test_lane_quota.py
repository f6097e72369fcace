"""The day's quota and the minute's rate of an account: budgeted, kept over a restart, and the system's word counts."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual_time import VirtualClock, run_virtually

from tieline.engine.lanes import Caller, Lane, Priority, Work, asked_by
from tieline.engine.ports import Limits, Usage
from tieline.engine.quota import DAY_S, LOOK_AGAIN_S, Window

HOUR_S = 3600.0


class Office:
    """A system that counts its calls, ours and those of others, and tells of them where `tells`."""

    def __init__(self, way: Lane, *, allowed: int = 0, each: int = 1) -> None:
        self.at: list[float] = []
        self.said: list[Any] = []
        self.others, self.allowed, self.each = 0, allowed, each
        self.work = Work("w", self.perform)
        way.usage = self.usage

    async def perform(self, items: Sequence[Any]) -> Sequence[Any]:
        self.at.append(asyncio.get_running_loop().time())
        self.said += items
        return list(items)

    def usage(self) -> Usage | None:
        made = len(self.at) * self.each
        if not self.allowed:
            return Usage(calls=made)
        return Usage(calls=made, per_day=self.allowed, used=made + self.others)


def lane(**limits: Any) -> Lane:
    return Lane("crm", Limits(slots=4, **limits), VirtualClock())


async def ask(way: Lane, work: Work, payload: Any, priority: Priority = Priority.POSTING) -> None:
    with asked_by(Caller("p", priority=priority)):
        await way.call(work, payload)


def test_postings_use_the_day_to_its_end_and_then_wait_for_room() -> None:
    """The hundred-and-first call of 24 hours waits, nothing fails, and the reason says when it goes on."""

    async def main() -> None:
        way = lane(per_day=100)
        office = Office(way)
        asked = [asyncio.ensure_future(ask(way, office.work, n)) for n in range(103)]
        await asyncio.sleep(60)
        status = way.status()
        assert (len(office.at), status.state, status.queued) == (100, "parked", 3)
        assert (status.used_today, status.per_day) == (100, 100)
        assert status.reason == "daily quota spent: 100 of 100 calls of 24 hours are used; next call 10:00 UTC"
        await asyncio.gather(*asked)
        assert DAY_S <= office.at[100] - office.at[0] <= DAY_S + 2 * HOUR_S
        assert way.status().state == "open"

    run_virtually(main())


def test_background_work_slows_down_then_stops_and_leaves_the_rest_to_postings() -> None:
    """Half of its share goes freely, the other half is spread, and the reserve is not touched."""

    async def main() -> None:
        way = lane(per_day=1_000)
        office = Office(way)
        sweeps = [asyncio.ensure_future(ask(way, office.work, "sweep", Priority.BACKGROUND)) for _ in range(2_000)]
        await asyncio.sleep(60)
        assert len(office.at) == pytest.approx(400, abs=2)
        assert "background work goes slowly: 4" in way.status().reason
        await asyncio.sleep(6 * HOUR_S)
        assert 450 < len(office.at) < 520
        postings = [asyncio.ensure_future(ask(way, office.work, "posting")) for _ in range(400)]
        await asyncio.gather(*postings)
        used = way.status().used_today
        assert used > 800
        await asyncio.sleep(HOUR_S)
        assert way.status().used_today - used <= HOUR_S / LOOK_AGAIN_S + 1
        assert way.status().reason.endswith("the last 20% are kept for postings")
        assert way.status().state == "open"
        await way.close()
        await asyncio.gather(*sweeps, return_exceptions=True)

    run_virtually(main())


def test_a_posting_does_not_wait_behind_background_work_that_is_held_back() -> None:
    async def main() -> None:
        way = lane(per_day=100)
        office = Office(way)
        await asyncio.gather(*(ask(way, office.work, n) for n in range(85)))
        sweep = asyncio.ensure_future(ask(way, office.work, "sweep", Priority.BACKGROUND))
        await asyncio.sleep(1)
        before = asyncio.get_running_loop().time()
        await ask(way, office.work, "posting")
        assert asyncio.get_running_loop().time() == before
        assert office.said[-1] == "posting"
        await sweep
        assert office.at[-1] <= LOOK_AGAIN_S + 1, "held back, but not for ever"

    run_virtually(main())


def test_what_was_used_is_known_after_a_restart() -> None:
    async def main() -> None:
        first = lane(per_day=100)
        office = Office(first)
        await asyncio.gather(*(ask(first, office.work, n) for n in range(90)))
        await asyncio.sleep(5 * HOUR_S)
        kept = first.status()
        await asyncio.sleep(HOUR_S)
        second = lane(per_day=100)
        second.restore(kept)
        other = Office(second)
        asked = [asyncio.ensure_future(ask(second, other.work, n)) for n in range(12)]
        await asyncio.sleep(1)
        assert (len(other.at), second.status().used_today) == (10, 100)
        await asyncio.gather(*asked)
        assert other.at[-1] - office.at[0] >= DAY_S

    run_virtually(main())


def test_the_systems_own_number_counts_and_is_heard_again() -> None:
    """Others use the account too: when it is used up, one call every quarter of an hour asks how it is by now."""

    async def main() -> None:
        way = lane()
        office = Office(way, allowed=1_000)
        await ask(way, office.work, "first")
        assert (way.status().used_today, way.status().per_day) == (1, 1_000)
        office.others = 1_200
        await ask(way, office.work, "second")
        asked = [asyncio.ensure_future(ask(way, office.work, n)) for n in range(50)]
        await asyncio.sleep(HOUR_S + 1)
        assert len(office.at) - 2 == HOUR_S / LOOK_AGAIN_S
        assert (way.status().state, way.status().used_today) == ("parked", 1_206)
        office.others = 0
        await asyncio.gather(*asked)
        assert asyncio.get_running_loop().time() <= HOUR_S + LOOK_AGAIN_S + 1

    run_virtually(main())


def test_a_call_that_took_several_requests_counts_as_several() -> None:
    async def main() -> None:
        way = lane(per_day=100)
        office = Office(way, each=7)
        await asyncio.gather(*(ask(way, office.work, n) for n in range(10)))
        assert way.status().used_today == 70

    run_virtually(main())


def test_calls_of_a_minute_are_kept() -> None:
    """Never more than allowed in any sixty seconds, and nearly as many as allowed in the long run."""

    async def main() -> None:
        way = lane(per_minute=30)
        office = Office(way)
        await asyncio.gather(*(ask(way, office.work, n) for n in range(300)))
        for place, at in enumerate(office.at):
            assert bisect_left(office.at, at + 60) - place <= 30
        assert office.at[-1] <= 300 / 30 * 60 * 1.2

    run_virtually(main())


def test_our_own_share_and_the_systems_limit_are_kept_each_by_itself() -> None:
    """What others use counts against the account, not against what we allow ourselves of it."""

    async def main() -> None:
        way = lane(per_day=50)
        office = Office(way, allowed=1_000)
        office.others = 600
        await ask(way, office.work, "first")
        assert (way.status().used_today, way.status().per_day) == (601, 1_000)
        asked = [asyncio.ensure_future(ask(way, office.work, n)) for n in range(100)]
        await asyncio.sleep(1)
        assert (len(office.at), way.status().used_today, way.status().per_day) == (50, 50, 50)
        await way.close()
        await asyncio.gather(*asked, return_exceptions=True)

    run_virtually(main())


def test_what_the_system_said_is_known_after_a_restart() -> None:
    async def main() -> None:
        first = lane()
        office = Office(first, allowed=100)
        office.others = 100
        await ask(first, office.work, "first")
        second = lane()
        second.restore(first.status())
        silent = Office(second, allowed=100)
        asked = asyncio.ensure_future(ask(second, silent.work, "second"))
        await asyncio.sleep(HOUR_S)
        assert second.status().per_day == 100
        await asked
        assert len(silent.at) == 1

    run_virtually(main())


def test_a_lane_without_a_quota_counts_its_calls_and_never_waits() -> None:
    async def main() -> None:
        way = lane()
        office = Office(way)
        await asyncio.gather(*(ask(way, office.work, n, Priority.BACKGROUND) for n in range(500)))
        status = way.status()
        assert (status.used_today, status.per_day, status.reason) == (500, 0, "")

    run_virtually(main())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 5)), max_size=40), st.integers(1, 30))
def test_a_window_never_counts_less_than_was_sent(calls: list[tuple[float, int]], allowed: int) -> None:
    """And no more than what a window longer by one part would hold; it says itself when there is room."""
    window, now, sent = Window(60.0, 12), 1_000.0, list[tuple[float, int]]()
    for pause, number in calls:
        now += pause
        window.add(now, number)
        sent.append((now, number))
        used = window.used(now)
        assert used >= sum(n for at, n in sent if at > now - 60)
        assert used <= sum(n for at, n in sent if at > now - 65.001)
    room_at = window.room_at(now, allowed)
    assert now <= room_at <= now + 65.001
    again = Window(60.0, 12, window.counts(now), now)
    assert again.used(now) == window.used(now)
    assert window.used(room_at + 0.001) < allowed
