"""Whose turn it is: urgent first, each process its share, nobody for ever last."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual_time import VirtualClock, run_virtually

from tieline.engine.lanes import Caller, Lane, Priority, Work, asked_by
from tieline.engine.ports import Limits
from tieline.engine.turns import PATIENCE

CALL_S = 1.0


class Desk:
    """The system at the end of a lane: every call takes a second."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []

    async def perform(self, items: Sequence[Any]) -> Sequence[Any]:
        self.calls.append(list(items))
        await asyncio.sleep(CALL_S)
        return list(items)


async def ask(way: Lane, work: Work, payload: Any, process: str, priority: Priority = Priority.POSTING) -> None:
    with asked_by(Caller(process, priority=priority)):
        await way.call(work, payload)


def lane(slots: int = 1) -> Lane:
    return Lane("erp", Limits(slots=slots), VirtualClock())


def test_ten_thousand_items_of_one_process_delay_another_by_one_call() -> None:
    """The single item of another process waits for the call under way and shares the next turn."""

    async def main() -> None:
        desk, way = Desk(), lane()
        work = Work("w", desk.perform)
        flood = [asyncio.ensure_future(ask(way, work, "flood", "migration")) for _ in range(10_000)]
        await asyncio.sleep(10.5)
        await ask(way, work, "single", "quote-to-cash")
        assert desk.calls[11:].index(["single"]) <= 1
        await way.close()
        await asyncio.gather(*flood, return_exceptions=True)

    run_virtually(main())


def test_processes_share_a_lane_alike_however_much_each_of_them_wants() -> None:
    async def main() -> None:
        desk, way = Desk(), lane()
        work = Work("w", desk.perform)
        wanted = {"a": 300, "b": 60, "c": 40}
        asked = [asyncio.ensure_future(ask(way, work, p, p)) for p, n in wanted.items() for _ in range(n)]
        await asyncio.sleep(90 * CALL_S)
        served = Counter(call[0] for call in desk.calls)
        assert max(served.values()) - min(served.values()) <= 1
        await asyncio.gather(*asked)
        assert Counter(call[0] for call in desk.calls) == wanted

    run_virtually(main())


def test_a_bulk_call_carries_items_of_several_processes() -> None:
    async def main() -> None:
        desk, way = Desk(), lane()
        work = Work("w", desk.perform, bulk=10)
        await asyncio.gather(*(ask(way, work, p, p) for p in "aaaaaaaaabbb"))
        assert Counter(desk.calls[0])["b"] == 3
        assert [len(call) for call in desk.calls] == [10, 2]

    run_virtually(main())


def test_a_process_of_single_calls_and_one_of_bulk_calls_share_the_slots_alike() -> None:
    """What counts is the call, not how many items it carries."""

    async def main() -> None:
        desk, way = Desk(), lane()
        bulk, single = Work("bulk", desk.perform, bulk=50), Work("single", desk.perform)
        asked = [asyncio.ensure_future(ask(way, bulk, "b", "b")) for _ in range(2_000)]
        asked += [asyncio.ensure_future(ask(way, single, "s", "s")) for _ in range(40)]
        await asyncio.sleep(30 * CALL_S)
        served = Counter(call[0] for call in desk.calls)
        assert abs(served["b"] - served["s"]) <= 1
        await asyncio.gather(*asked)

    run_virtually(main())


def test_what_is_urgent_goes_first_but_not_always() -> None:
    """A stream of postings that never ends leaves one call of every few to what waits behind it."""

    async def main() -> None:
        desk, way = Desk(), lane()
        work = Work("w", desk.perform)
        asked = [asyncio.ensure_future(ask(way, work, "posting", "p")) for _ in range(400)]
        low = [
            asyncio.ensure_future(ask(way, work, priority.name, "q", priority))
            for priority in (Priority.MASTER_DATA, Priority.BACKGROUND)
            for _ in range(5)
        ]
        await asyncio.gather(*low)
        kinds = [call[0] for call in desk.calls]
        assert kinds[:PATIENCE] == ["posting"] * PATIENCE
        assert kinds.index("MASTER_DATA") == PATIENCE
        assert kinds[: 5 * (PATIENCE + 2)].count("BACKGROUND") == 5
        await way.close()
        await asyncio.gather(*asked, return_exceptions=True)

    run_virtually(main())


Arrival = tuple[int, str, Priority, int]
"""(seconds after the one before, process, priority, kind of call)"""
arrivals = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sampled_from(Priority), st.integers(0, 1)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(arrivals, st.integers(0, 120))
def test_every_item_starts_within_a_bound_whatever_arrives(pattern: list[Arrival], flood: int) -> None:
    """The bound knows only the item's own process and how many processes there are, not how much the others want.

    With one slot, each class has one of PATIENCE + 2 calls and each of its n processes one of n of those. So an item
    with k others of its class and process before it starts within (PATIENCE + 2) * n * (k + 1) calls and the one under
    way.
    """

    async def main() -> None:
        desk, way = Desk(), lane()
        works = [Work(f"w{kind}", desk.perform) for kind in range(2)]
        ahead: dict[int, int] = {}
        arrived: dict[int, int] = {}
        mine: Counter[tuple[str, Priority]] = Counter()
        asked = [asyncio.ensure_future(ask(way, works[n % 2], -n - 1, "flood", Priority(n % 3))) for n in range(flood)]
        for number, (pause, process, priority, kind) in enumerate(pattern):
            await asyncio.sleep(pause)
            served = {item for call in desk.calls for item in call}
            ahead[number] = mine[process, priority] - sum(
                pattern[n][1:3] == (process, priority) for n in served if n >= 0
            )
            mine[process, priority] += 1
            arrived[number] = len(desk.calls)
            asked.append(asyncio.ensure_future(ask(way, works[kind], number, process, priority)))
        await asyncio.gather(*asked)
        began = {item: place for place, call in enumerate(desk.calls) for item in call}
        for number, calls_before in arrived.items():
            waited = began[number] - calls_before
            assert waited <= (PATIENCE + 2) * 4 * (ahead[number] + 1) + 1
        assert len(began) == len(pattern) + flood

    run_virtually(main())


def test_whoever_was_withdrawn_loses_no_place_to_come() -> None:
    """A process whose last items were let go of is not behind everybody when they come back."""

    async def main() -> None:
        desk, way = Desk(), lane()
        work = Work("w", desk.perform)

        async def run(number: int) -> None:
            with asked_by(Caller("a", f"a:{number}")):
                await way.call(work, f"a{number}")

        tasks = [asyncio.ensure_future(run(n)) for n in range(1_000)]
        await asyncio.sleep(0.5)
        gone = way.withdraw(2_000)
        assert len(gone) == 899  # one is under way, a hundred stay
        assert "a:999" in gone
        await asyncio.sleep(0)
        assert sum(task.cancelled() for task in tasks) == 899
        assert way.queued == 100
        others = [asyncio.ensure_future(ask(way, work, "b", "b")) for _ in range(300)]
        again = asyncio.ensure_future(run(999))
        await again
        assert len(desk.calls) <= 204
        await way.close()
        await asyncio.gather(*tasks, *others, return_exceptions=True)

    run_virtually(main())
