"""A person stops a connection: nothing new goes there, nothing is lost, and a restart does not forget it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.support.engine import NOW, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem

from tieline.engine.lanes import Caller, Lane, Withdrawn, Work, asked_by
from tieline.engine.measures import Stopwatch, waiting
from tieline.engine.ports import Batch, Limits
from tieline.engine.process import process
from tieline.engine.records import EffectKey, EffectState, Hold
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.errors import VendorUnavailable
from tieline.events import ConnectionHeld, ConnectionReleased, VendorNotified, make_event
from tieline.storage.memory import MemoryStore

PAUSE = Hold(drain=False, by="Ada", reason="closing the month", at=NOW)
DRAIN = Hold(drain=True, by="Ada", reason="maintenance at eight", at=NOW)


@process("post", on=VendorNotified, key=lambda d: d.native_id)
async def post(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", project(data.native_id))


class Gate:
    """Calls end when it opens."""

    def __init__(self) -> None:
        self.open, self.done = asyncio.Event(), list[Any]()

    async def perform(self, items: Sequence[Any]) -> Sequence[Any]:
        await self.open.wait()
        self.done += items
        return list(items)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def said(worker: Worker, *told: ConnectionHeld | ConnectionReleased) -> None:
    """As the command line does it: into the log, behind the worker's back."""
    for number, data in enumerate(told):
        place = len(await worker.store.events(limit=10_000))
        await worker.store.commit(Batch(events=[make_event(data, source="people", id=f"{place}/{number}", time=NOW)]))


async def state_of(worker: Worker, wanted: str) -> None:
    async with asyncio.timeout(5):
        while worker.connection("erp").lane.status().state != wanted:  # noqa: ASYNC110 - the lane offers no event
            await asyncio.sleep(0.01)


async def test_a_paused_lane_ends_what_is_under_way_and_begins_nothing() -> None:
    """Also not what was queued before; it says who stopped it, since when and why."""
    gate, lane = Gate(), Lane("erp", Limits(slots=1))
    work = Work("w", gate.perform)
    calls = [asyncio.create_task(lane.call(work, n)) for n in range(3)]
    await settle()
    lane.hold(PAUSE)
    gate.open.set()
    assert await calls[0] == 0
    await settle()
    status = lane.status()
    assert gate.done == [0]
    assert (status.state, status.queued, status.since) == ("paused", 2, NOW)
    assert status.reason == "paused by Ada since 01 Mar 12:00 UTC, because: closing the month"
    lane.release()
    assert await asyncio.gather(*calls) == [0, 1, 2]
    assert lane.status().state == "open"


async def test_a_draining_lane_finishes_its_line_and_takes_nothing_new() -> None:
    """What came since waits; finding out what became of an earlier call is part of finishing."""
    gate, lane = Gate(), Lane("erp", Limits(slots=1))
    send, probe = Work("send", gate.perform), Work("probe", gate.perform, finishes=True)
    queued = [asyncio.create_task(lane.call(send, n)) for n in range(3)]
    await settle()
    lane.hold(DRAIN)
    late, doubt = asyncio.create_task(lane.call(send, "late")), asyncio.create_task(lane.call(probe, "doubt"))
    await settle()
    assert lane.status().state == "draining"
    gate.open.set()
    assert await asyncio.gather(*queued, doubt) == [0, 1, 2, "doubt"]
    await settle()
    assert (lane.status().state, lane.status().queued, late.done()) == ("drained", 1, False)
    lane.release()
    assert await late == "late"


async def test_what_waits_behind_a_draining_lane_is_given_back_when_it_closes() -> None:
    """A hub that stops while a lane drains leaves nobody waiting."""
    lane, gate = Lane("erp", Limits()), Gate()
    lane.hold(DRAIN)
    waiting = asyncio.create_task(lane.call(Work("w", gate.perform), 1))
    await settle()
    await lane.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_held_lane_lets_go_of_runs_that_others_need_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a draining one only what came since may go: it promised to finish the rest."""
    monkeypatch.setattr("tieline.engine.lanes.KEPT_AT_LEAST", 1)
    gate, lane = Gate(), Lane("erp", Limits(slots=1))
    work = Work("w", gate.perform)

    async def ask(run_id: str) -> None:
        with asked_by(Caller("post", run_id)):
            await lane.call(work, run_id)

    calls = {run_id: asyncio.create_task(ask(run_id)) for run_id in "abc"}
    await settle()
    lane.hold(DRAIN)
    calls |= {run_id: asyncio.create_task(ask(run_id)) for run_id in "de"}
    await settle()
    assert lane.is_stuck()
    assert lane.runs() == set("bcde")
    assert lane.withdraw(10) == ["e"]
    with pytest.raises(Withdrawn):
        await calls["e"]
    lane.hold(PAUSE)
    assert set(lane.withdraw(10)) == set("cd")
    gate.open.set()
    lane.release()
    await asyncio.gather(*(calls[run_id] for run_id in "ab"))
    await lane.close()


async def test_the_time_of_what_was_queued_before_is_not_ours_either() -> None:
    gate, lane, watch = Gate(), Lane("erp", Limits(slots=1)), Stopwatch()
    work = Work("w", gate.perform)

    async def watched() -> None:
        waiting.set(watch)
        await lane.call(work, 2)

    calls = asyncio.create_task(lane.call(work, 1)), asyncio.create_task(watched())
    await settle()
    assert watch.waited_s == 0
    lane.hold(PAUSE)
    await asyncio.sleep(0.01)
    assert watch.waited_s > 0
    gate.open.set()
    lane.release()
    await asyncio.gather(*calls)


async def test_a_system_that_fails_while_it_drains_is_still_drained() -> None:
    """An item that must be tried again belongs to the line, not behind it."""
    answers: list[Any] = [VendorUnavailable("down")]

    async def perform(items: Sequence[Any]) -> Sequence[Any]:
        if answers:
            raise answers.pop()
        return list(items)

    lane = Lane("erp", Limits())
    call = asyncio.create_task(lane.call(Work("w", perform), 1))
    await settle()
    lane.hold(DRAIN)
    assert await asyncio.wait_for(call, 5) == 1


async def test_a_pause_comes_from_the_log_and_costs_no_attempt() -> None:
    """The run waits with its effect intended; resumed, it is sent once."""
    store, erp = MemoryStore(), FakeSystem("erp")
    async with working(store, [post], erp) as worker:
        await said(worker, ConnectionHeld(connection="erp", by="Ada", reason="closing"))
        await state_of(worker, "paused")
        await worker.append([notified("1")])
        async with asyncio.timeout(5):
            while not await store.effects(state=EffectState.INTENDED):  # noqa: ASYNC110 - nor does the ledger
                await asyncio.sleep(0.01)
        assert erp.calls == []
        await said(worker, ConnectionReleased(connection="erp", by="Ada"))
        await until_idle(worker)
        effect = await store.find_effect(EffectKey("erp", "project", "p-1"))
        assert effect is not None
        assert (effect.state, effect.attempts, erp.calls) == (EffectState.APPLIED, 1, [1])


async def test_a_restart_does_not_forget_who_stopped_what() -> None:
    """Nor does it take up a pause that was over already."""
    store, erp, crm = MemoryStore(), FakeSystem("erp"), FakeSystem("crm")
    async with working(store, [post], erp, crm) as worker:
        await said(
            worker,
            ConnectionHeld(connection="crm", by="Ada", reason="a while"),
            ConnectionReleased(connection="crm", by="Ada"),
            ConnectionHeld(connection="erp", by="Ada", reason="closing"),
        )
        await state_of(worker, "paused")
    async with working(store, [post], erp, crm) as worker:
        assert worker.connection("erp").lane.status().state == "paused"
        assert worker.connection("crm").lane.status().state == "open"
        await worker.append([notified("1")])
        await asyncio.sleep(0.05)
        assert erp.calls == []
        await said(worker, ConnectionReleased(connection="erp", by="Grace"))
        await until_idle(worker, seconds=5)
        assert erp.calls == [1]


def test_a_hold_says_since_when() -> None:
    """In the words of the page, the command and the trace alike."""
    held = Hold(drain=True, by="Ada", reason="upgrade", at=NOW + timedelta(hours=1))
    assert held.words() == "drained by Ada since 01 Mar 13:00 UTC, because: upgrade"
