"""What is counted while the hub works: flows, times, and whose time it was."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.engine import customer, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine.measures import BOUNDS, HOUR_S, Flow, Latencies, Stopwatch
from tieline.engine.process import process
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore

START = 1_700_000_000.0
WAITS_S = 0.3


@given(st.lists(st.tuples(st.integers(0, 7200), st.integers(1, 50)), max_size=60))
def test_a_flow_knows_all_that_came_and_what_came_in_the_last_hour(came: list[tuple[int, int]]) -> None:
    flow, now = Flow(), START + 7200
    for second, number in sorted(came):
        flow.add(number, START + second)
    assert flow.total == sum(number for _, number in came)
    minute = now // 60 * 60
    whole = [
        sum(number for second, number in came if minute - 60 * back <= START + second < minute - 60 * (back - 1))
        for back in range(59, 0, -1)
    ]
    assert flow.by_minute(now)[:-1] == whole
    assert len(flow.by_minute(now)) == HOUR_S // 60


def test_a_rate_falls_to_nothing_when_nothing_comes_any_more() -> None:
    flow = Flow()
    for second in range(120):
        flow.add(2, START + second)
    assert 119 <= flow.a_minute(START + 119.9) <= 121
    assert flow.a_minute(START + 240) == 0


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    flow = Flow()
    flow.add(1, START)
    flow.add(1, START - 500)
    assert (flow.total, sum(flow.by_minute(START))) == (2, 2)


@given(st.lists(st.floats(0.00051, 130), min_size=1, max_size=200), st.sampled_from((0.5, 0.95, 0.99)))
def test_a_percentile_is_right_to_a_fifth(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for one in seconds:
        latencies.add(one, START)
    (found,) = latencies.percentiles(START, [share])
    ordered = sorted(seconds)
    true = next(s for place, s in enumerate(ordered, 1) if place >= share * len(ordered))
    assert found is not None
    assert true / 1.2 <= found <= true * 1.2


def test_what_is_older_than_five_minutes_is_no_news() -> None:
    latencies = Latencies()
    latencies.add(1.0, START)
    assert latencies.percentiles(START + 200) != [None, None, None]
    assert latencies.percentiles(START + 400) == [None, None, None]
    assert latencies.total == 1


def test_buckets_hold_all_that_was_not_above_them() -> None:
    latencies = Latencies()
    for one in (0.0001, 0.001, 0.0011, 500.0):
        latencies.add(one, START)
    assert dict(latencies.cumulative())[BOUNDS[4]] == 2
    assert latencies.cumulative()[-1] == (BOUNDS[-1], 3)
    assert latencies.total == 4


async def test_waits_that_overlap_count_once() -> None:
    watch = Stopwatch()
    watch.begin()
    await asyncio.sleep(0.02)
    watch.begin()
    await asyncio.sleep(0.02)
    watch.end()
    watch.end()
    assert 0.04 <= watch.waited_s < 0.08


@process("open-project", on=VendorNotified, key=lambda notice: notice.native_id)
async def open_project(run: Run, notice: VendorNotified) -> None:
    await run.ensure("psa", project(notice.native_id))


@process("say-twice", on=VendorNotified, key=lambda _: "one line for all")
async def say_twice(run: Run, notice: VendorNotified) -> None:
    await run.ensure("psa", customer(notice.native_id))


@pytest.fixture
def psa() -> FakeSystem:
    system = FakeSystem("psa")
    system.delay_s = WAITS_S
    return system


async def _carried(worker: Worker, *keys: str) -> None:
    await worker.append([notified(key) for key in keys])
    await until_idle(worker)


async def test_the_time_of_a_slow_system_is_the_systems_and_not_ours(psa: FakeSystem) -> None:
    async with working(MemoryStore(), [open_project], psa) as worker:
        await _carried(worker, "1")
        measured = worker.measures.systems["psa"]
        assert measured.documents.total == 1
        assert measured.vendor.sum_s >= WAITS_S
        assert measured.added.total == 1
        assert measured.added.sum_s < WAITS_S


async def test_how_long_a_run_stood_in_line_is_not_measured(psa: FakeSystem) -> None:
    async with working(MemoryStore(), [say_twice], psa) as worker:
        await _carried(worker, "1", "2", "3")
        measured = worker.measures.systems["psa"]
        assert (measured.documents.total, measured.added.total) == (3, 1)


async def test_a_system_that_is_down_takes_its_own_time(psa: FakeSystem) -> None:
    async with working(MemoryStore(), [open_project], psa) as worker:
        psa.delay_s, pause_s = 0.0, 0.2
        psa.trouble.extend(["down"] * 20)
        begun = asyncio.get_running_loop().time()
        await _carried(worker, *map(str, range(20)))
        assert asyncio.get_running_loop().time() - begun >= pause_s
        measured = worker.measures.systems["psa"]
        assert measured.added.total == 20
        assert measured.added.sum_s / 20 < pause_s


async def test_events_are_counted_where_they_came_from(psa: FakeSystem) -> None:
    crm = FakeSystem("crm")
    async with working(MemoryStore(), [open_project], psa, crm) as worker:
        await _carried(worker, "1", "2")
        assert worker.measures.systems["crm"].events.total == 2
        assert worker.measures.systems["psa"].events.total == 0
        assert worker.measures.events == 2
