"""A lane alone: who goes first, what travels together, what happens while a system is down, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tieline.engine import lanes
from tieline.engine.lanes import Caller, Lane, Priority, Work, asked_by
from tieline.engine.ports import Limits
from tieline.errors import OutcomeUnknown, RateLimited, RejectedByVendor, VendorUnavailable


class Desk:
    """What stands at the other end: answers each item with itself, or with what `answers` holds next."""

    def __init__(self, *answers: Any, delay_s: float = 0.0) -> None:
        self.answers, self.delay_s = list(answers), delay_s
        self.calls: list[list[Any]] = []
        self.at: list[float] = []
        self.at_once = self.most_at_once = 0

    async def perform(self, items: Sequence[Any]) -> Sequence[Any]:
        self.calls.append(list(items))
        self.at.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s)
            answer = self.answers.pop(0) if self.answers else None
            if isinstance(answer, Exception):
                raise answer
            return answer(items) if callable(answer) else list(items)
        finally:
            self.at_once -= 1


def lane(slots: int = 8, per_second: float = 0.0) -> Lane:
    return Lane("erp", Limits(slots=slots, per_second=per_second))


async def ask(way: Lane, work: Work, payload: Any, priority: Priority = Priority.POSTING, process: str = "") -> Any:
    """A call on behalf of a process."""
    with asked_by(Caller(process, priority=priority)):
        return await way.call(work, payload)


async def test_what_is_ready_together_travels_together() -> None:
    """Up to the vendor's limit a call, in order, each item with its own answer."""
    desk = Desk()
    work = Work("w", desk.perform, bulk=4)
    way = lane()
    answers = await asyncio.gather(*(way.call(work, n) for n in range(10)))
    assert answers == list(range(10))
    assert desk.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_slots_are_the_accounts_and_concurrency_is_the_kinds() -> None:
    """All kinds together never exceed the slots; one kind never exceeds its own limit."""
    desk, other = Desk(delay_s=0.005), Desk(delay_s=0.005)
    way = lane(slots=5)
    one, two = Work("one", desk.perform, concurrency=3), Work("two", other.perform, concurrency=3)
    calls = [way.call(work, n) for n in range(12) for work in (one, two)]
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, way.status().in_flight)
            await asyncio.sleep(0.001)

    looking = asyncio.create_task(look())
    await asyncio.gather(*calls)
    await lanes.cancel(looking)
    assert (desk.most_at_once, other.most_at_once) == (3, 3)
    assert most == 5


async def test_postings_go_first() -> None:
    desk = Desk(delay_s=0.001)
    work, way = Work("w", desk.perform), lane(slots=1)
    first = asyncio.create_task(ask(way, work, "running", Priority.BACKGROUND))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = [ask(way, work, f"background {n}", Priority.BACKGROUND) for n in range(2)]
    await asyncio.gather(first, *late, ask(way, work, "master", Priority.MASTER_DATA), way.call(work, "posting"))
    assert [c[0] for c in desk.calls[-4:]] == ["posting", "master", "background 0", "background 1"]


async def test_a_system_that_is_down_is_tried_by_one_call_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parked: nothing is lost, nobody fails, one call at a time asks whether it is up; then all slots work again."""
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.01)
    desk = Desk(*[VendorUnavailable("closed")] * 3, delay_s=0.002)
    work, way = Work("w", desk.perform, concurrency=8), lane(slots=2)
    calls = [asyncio.create_task(way.call(work, n)) for n in range(6)]
    await asyncio.sleep(0.008)
    assert (way.status().state, way.status().reason, way.status().queued) == ("parked", "closed", 6)
    assert await asyncio.gather(*calls) == list(range(6))
    assert way.status().state == "open"
    assert desk.at[2] - desk.at[1] >= 0.009, "no pause before the next try"
    assert len(desk.calls) == 3 + 6


async def test_calls_that_fail_side_by_side_are_one_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight slots that fail in one moment must not make the pause a hundred times longer."""
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.02)
    desk = Desk(*[VendorUnavailable("closed")] * 8, delay_s=0.001)
    work, way = Work("w", desk.perform, concurrency=8), lane(slots=8)
    started = time.monotonic()
    await asyncio.gather(*(way.call(work, n) for n in range(8)))
    assert time.monotonic() - started < 0.2


async def test_a_rate_limit_is_waited_out_as_long_as_the_system_says() -> None:
    desk = Desk(RateLimited("slow down", retry_after_s=0.05))
    work, way = Work("w", desk.perform), lane()
    call = asyncio.create_task(way.call(work, 1))
    await asyncio.sleep(0.01)
    assert way.status().state == "throttled"
    assert await call == 1
    assert desk.at[1] - desk.at[0] >= 0.049
    assert way.status().state == "open"


async def test_a_short_pause_does_not_cut_a_long_one_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls are limited at once, one for long and one for a moment: the long word counts."""
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.001)
    desk = Desk(RateLimited("long", retry_after_s=0.06), RateLimited("short"), delay_s=0.001)
    work, way = Work("w", desk.perform), lane()
    await asyncio.gather(way.call(work, 1), way.call(work, 2))
    assert desk.at[2] - desk.at[1] >= 0.055


async def test_calls_a_second_are_kept() -> None:
    desk = Desk()
    work, way = Work("w", desk.perform), lane(per_second=100)
    await asyncio.gather(*(way.call(work, n) for n in range(6)))
    gaps = [later - earlier for earlier, later in zip(desk.at, desk.at[1:], strict=False)]
    assert min(gaps) >= 0.008
    assert sum(gaps) >= 0.048


async def test_what_was_cancelled_is_not_sent() -> None:
    """A caller that goes away takes its item along; those beside it are sent."""
    desk = Desk(delay_s=0.05)
    work, way = Work("w", desk.perform, bulk=10), lane(slots=1)
    running = asyncio.create_task(way.call(work, "running"))
    await asyncio.sleep(0.001)
    calls = [asyncio.create_task(way.call(work, n)) for n in range(4)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.sleep(0)
    assert way.status().queued == 3
    await asyncio.gather(running, *calls, return_exceptions=True)
    assert desk.calls == [["running"], [0, 2, 3]]


async def test_each_item_of_a_call_has_its_own_fate() -> None:
    """One stands, one is refused, one waits for the system: the last alone is sent again."""
    refused = RejectedByVendor("no")
    desk = Desk(lambda items: [items[0], refused, RateLimited("later")])
    work, way = Work("w", desk.perform, bulk=3), lane()
    assert await asyncio.gather(*(way.call(work, n) for n in range(3))) == [0, refused, 2]
    assert desk.calls == [[0, 1, 2], [2]]


async def test_an_answer_of_the_wrong_length_is_no_answer() -> None:
    """Nobody can tell which document it is about: for all of them the outcome is unknown."""
    desk = Desk(lambda items: items[:1])
    work, way = Work("w", desk.perform, bulk=2), lane()
    answers = await asyncio.gather(way.call(work, 1), way.call(work, 2))
    assert all(isinstance(answer, OutcomeUnknown) for answer in answers)


async def test_a_fault_in_the_connector_reaches_whoever_called() -> None:
    work, way = Work("w", Desk(KeyError("id")).perform), lane()
    with pytest.raises(KeyError):
        await way.call(work, 1)
    assert await way.call(work, 2) == 2


async def test_closing_lets_calls_finish_and_cancels_what_waits() -> None:
    desk = Desk(delay_s=0.01)
    work, way = Work("w", desk.perform), lane(slots=1)
    running, waiting = (asyncio.create_task(way.call(work, n)) for n in range(2))
    await asyncio.sleep(0.002)
    await way.close()
    assert await running == 0
    assert waiting.cancelled() or (await asyncio.wait([waiting]))[0]
    assert waiting.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await way.call(work, "late")
    assert desk.calls == [[0]]


async def test_a_closed_lane_does_not_come_back_to_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call under way finds the system down: nothing is tried again behind the end."""
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.001)
    desk = Desk(VendorUnavailable("closed"), delay_s=0.005)
    work, way = Work("w", desk.perform), lane()
    call = asyncio.create_task(way.call(work, 1))
    await asyncio.sleep(0.002)
    await way.close()
    await asyncio.wait([call], timeout=1)
    assert call.cancelled()
    await asyncio.sleep(0.01)
    assert (way.status().state, len(desk.calls)) == ("closed", 1)


async def test_a_log_that_cannot_be_written_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane parks, saying so fails, and the item is still carried out when the system is back."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(lanes._log, "info", broken, raising=False)
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.001)
    answers: list[object] = [VendorUnavailable("closed"), "done"]

    async def perform(items: Sequence[object]) -> Sequence[object]:
        return [answers.pop(0) for _ in items]

    lane = Lane("erp", Limits(slots=1))
    assert await asyncio.wait_for(lane.call(Work("w", perform), "item"), 5) == "done"
    await lane.close()
