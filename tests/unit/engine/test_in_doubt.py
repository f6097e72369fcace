"""What becomes of a write in doubt: every safety × every way to be left in doubt × every way to be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.chaos.small_process import order
from tests.support.doubtful import KIND, LAG_S, LATE_S, SETTLE_S, DoubtfulSystem
from tests.support.engine import decide, notified, project, until_idle
from tests.support.fake_system import PlainTranslator
from tests.support.mortal import Life, MortalStore, MortalSystem, QuickClock, Watch

from tieline.engine import lanes
from tieline.engine.cases import CasePolicy
from tieline.engine.connection import Connection
from tieline.engine.effects import Ledger, Request
from tieline.engine.lanes import Lane
from tieline.engine.ports import Batch, Operation, Safety
from tieline.engine.process import process, registry
from tieline.engine.records import CaseRow, CaseState, Effect, EffectKey, EffectState, LaneStatus, RunState
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.errors import OutcomeUnknown
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore

PROBED = [Safety.NATIVE_KEY, Safety.UPSERT, Safety.LOOK_UP_FIRST]
BEFORE_SEND, AFTER_SEND, BEFORE_SETTLED = 3, 4, 5
"""Boundaries of a first write: before and after the commit of the intention, the send, the commit of the outcome."""
LEFT_IN_DOUBT: dict[str, tuple[list[str], int | None]] = {
    "request lost": (["drop"], None),
    "answer lost": (["lose"], None),
    "answer late": (["late"], None),
    "died before the send": ([], BEFORE_SEND),
    "died behind the send": ([], AFTER_SEND),
    "died while it was late": (["late"], AFTER_SEND),
    "died before it was settled": ([], BEFORE_SETTLED),
}
ANSWERED: dict[str, list[str]] = {
    "at once": [],
    "after failures": ["fails", "fails", "fails"],
    "after an outage": ["down"] * 12,
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(lanes, "LONGEST_PAUSE_S", 0.0005)


class World:
    """A disk and a system that outlive the ledgers."""

    def __init__(self, safety: Safety, lag_s: float = 0.0) -> None:
        self.clock = QuickClock()
        self.disk, self.system = MemoryStore(), DoubtfulSystem(self.clock, lag_s)
        self.watch = Watch(self.disk)
        self.key = EffectKey("erp", KIND[safety], f"{KIND[safety]}-1")

    def request(self, amount: str = "10.10", version: int = 1, **options: Any) -> Request:
        document = {"id": self.key.canonical_id, "amount": {"amount": Decimal(amount), "currency": "EUR"}}
        return Request(key=self.key, document=document, version=version, **options)

    async def live(self, ends_at: int | None = None, **options: Any) -> Effect | None:
        """One life of a ledger that applies the request, to its end or to the answer."""
        life = Life(ends_at)
        link = Connection(MortalSystem(self.system, life, self.watch), Lane("erp", self.system.manifest.limits))
        ledger = Ledger(MortalStore(self.disk, life), {"erp": link}, PlainTranslator(), self.clock, lambda _: None)
        await ledger.take_over()
        work = asyncio.create_task(ledger.apply(self.request(**options)))
        end = asyncio.create_task(life.over.wait())
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
        effect = work.result() if work.done() else None
        await life.bury()
        return effect


@pytest.mark.parametrize("lag_s", [0.0, LAG_S], ids=["seen at once", "seen later"])
@pytest.mark.parametrize("answered", ANSWERED)
@pytest.mark.parametrize("doubt", LEFT_IN_DOUBT)
@pytest.mark.parametrize("safety", PROBED)
async def test_a_write_in_doubt_stands_once(safety: Safety, doubt: str, answered: str, lag_s: float) -> None:
    """Whatever was lost, late or cut off, and however the system answers: one document, and the ledger knows."""
    world = World(safety, lag_s)
    trouble, ends_at = LEFT_IN_DOUBT[doubt]
    world.system.trouble.extend(trouble)
    world.system.answers.extend(ANSWERED[answered])
    effect = await world.live(ends_at)
    if ends_at is not None:
        assert effect is None
        effect = await world.live()
    assert effect is not None
    assert effect.state is EffectState.APPLIED
    assert len(world.system.copies(world.key.kind)) == 1
    assert world.watch.violations == []


@pytest.mark.parametrize("doubt", [d for d in LEFT_IN_DOUBT if d != "died before the send"])
@pytest.mark.parametrize("safety", [*PROBED, Safety.ASK_A_PERSON])
async def test_what_nobody_can_answer_is_not_sent_again(safety: Safety, doubt: str) -> None:
    """A system that refuses the question, or offers none: a person must say, however often the run asks."""
    world = World(safety)
    trouble, ends_at = LEFT_IN_DOUBT[doubt]
    world.system.trouble.extend(trouble)
    world.system.answers.extend(["cannot"] * 10)
    if ends_at is not None:
        await world.live(ends_at)
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await world.live()
    assert world.system.sent == 1
    kept = await world.disk.find_effect(world.key)
    assert kept is not None
    assert (kept.revision, kept.state.settled) == (1, False)


async def test_a_persons_word_counts_for_what_it_was_about() -> None:
    """Sent again on a person's word, and in doubt again: the same word does not send it a third time."""
    world = World(Safety.ASK_A_PERSON)
    world.system.trouble.extend(["drop", "lose"])
    with pytest.raises(OutcomeUnknown):
        await world.live()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await world.live(denied=1, denied_by="ada")
    assert world.system.sent == 2
    revisions = await world.disk.effects()
    assert [(e.state, e.settled_by) for e in revisions] == [
        (EffectState.REJECTED, "denied by ada"),
        (EffectState.IN_DOUBT, ""),
    ]


async def test_not_here_is_believed_so_long_after_the_send() -> None:
    """From the send on, not from the question: a hub that was down for an hour does not wait once more."""
    world = World(Safety.LOOK_UP_FIRST)
    await world.live(BEFORE_SEND)
    await world.disk.commit(Batch(lanes=[_sign_of_life(world.clock)]))
    await world.clock.sleep(3600)
    began = world.clock.now()
    await world.live()
    assert world.clock.now() - began < timedelta(seconds=1)


async def test_a_hub_that_died_a_moment_ago_waits_out_what_it_may_have_sent() -> None:
    world = World(Safety.LOOK_UP_FIRST)
    world.system.trouble.append("late")
    await world.live(AFTER_SEND)
    await world.disk.commit(Batch(lanes=[_sign_of_life(world.clock)]))
    began = world.clock.now()
    await world.live()
    assert timedelta(seconds=LATE_S) <= world.clock.now() - began <= timedelta(seconds=SETTLE_S + 1)
    assert len(world.system.copies("order")) == 1


async def test_a_late_repetition_of_what_stood_there_never_overwrites_newer_news() -> None:
    """Ten stands; eleven is refused; ten is sent again, and late: that ten stands there says nothing of that call."""
    world = World(Safety.LOOK_UP_FIRST)
    world.system.trouble.extend(["fine", "refuse", "late"])
    told = [("10.00", 1), ("11.00", 2), ("10.00", 3), ("12.00", 4)]
    states = [effect.state for amount, version in told if (effect := await world.live(amount=amount, version=version))]
    assert states == [EffectState.APPLIED, EffectState.REJECTED, EffectState.APPLIED, EffectState.APPLIED]
    (stands,) = world.system.copies("order")
    assert Decimal(str(stands["amount"]["amount"])) == 12


def _sign_of_life(clock: QuickClock) -> LaneStatus:
    return LaneStatus(connection="erp", state="open", since=clock.now(), updated_at=clock.now())


# --- what a person sees and decides -----------------------------------------------------------------------------------


NEVER_SHOWN = (Operation(kind="project", safety=Safety.ASK_A_PERSON),)
"""A system that takes projects and never shows them again."""


@process("open", on=VendorNotified, key=lambda data: data.native_id)
async def opening(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", project(data.native_id))


@process("book", on=VendorNotified, key=lambda data: data.native_id)
async def booking(run: Run, data: VendorNotified) -> None:
    await run.ensure("erp", order(data.native_id))


@asynccontextmanager
async def working(disk: MemoryStore, system: DoubtfulSystem) -> AsyncIterator[Worker]:
    definition = opening if system.manifest.operations is NEVER_SHOWN else booking
    link, policy = Connection(system, Lane("erp", system.manifest.limits)), CasePolicy(owner="finance")
    worker = Worker(disk, registry([definition]), {"erp": link}, PlainTranslator(), lambda _: policy, system.clock)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def in_doubt(hub: Worker) -> CaseRow:
    await until_idle(hub)
    (case,) = await hub.store.cases(states=[CaseState.OPEN])
    assert case.case_class == "outcome-unknown"
    return case


async def test_the_case_tells_what_is_known() -> None:
    """When it was sent, what came back, where to look: enough for somebody who knows the system and not us."""
    disk, system = MemoryStore(), DoubtfulSystem(QuickClock(), operations=NEVER_SHOWN)
    system.trouble.append("lose")
    async with working(disk, system) as hub:
        await hub.append([notified("1")])
        case = await in_doubt(hub)
    assert case.actions == ["link", "send-again", "skip", "cancel"]
    assert case.details["document"]["title"] == "Implementation"
    assert (case.details["attempts"], case.details["answer"]) == (1, "connection reset")
    assert case.message == (
        "It is not known whether project Implementation stands in erp. "
        "It was ready to be sent on 2026-03-01 at 12:00 UTC and was sent once: connection reset. "
        "erp offers no way to ask about it. "
        "Look in erp for p-1: link it if it stands there, send-again if not"
    )


@pytest.mark.parametrize(
    ("decision", "arguments", "sent", "state", "settled_by"),
    [
        ("send-again", {}, 2, RunState.DONE, "answer"),
        ("link", {"external_id": "77"}, 1, RunState.DONE, "linked by ada"),
        ("skip", {}, 1, RunState.DONE, ""),
        ("cancel", {}, 1, RunState.CANCELLED, ""),
    ],
)
async def test_only_the_word_that_it_is_not_there_sends_again(
    decision: str, arguments: dict[str, str], sent: int, state: RunState, settled_by: str
) -> None:
    disk, system = MemoryStore(), DoubtfulSystem(QuickClock(), operations=NEVER_SHOWN)
    system.trouble.append("drop")
    async with working(disk, system) as hub:
        await hub.append([notified("1")])
        await in_doubt(hub)
    async with working(disk, system) as hub:  # a restart changes nothing: the case is open
        await until_idle(hub)
        assert system.sent == 1
        await decide(hub, decision, **arguments)
        await until_idle(hub)
    assert system.sent == sent
    assert [run.state for run in await disk.runs()] == [state]
    latest = await disk.find_effect(EffectKey("erp", "project", "p-1"))
    assert latest is not None
    assert latest.settled_by == settled_by
    assert {case.state for case in await disk.cases()} == {CaseState.CLOSED}


async def test_retry_asks_before_it_sends() -> None:
    """The system could not say; a person says try again: it is asked again, found, and not sent."""
    disk, system = MemoryStore(), DoubtfulSystem(QuickClock())
    system.trouble.append("lose")
    system.answers.append("cannot")
    async with working(disk, system) as hub:
        await hub.append([notified("1")])
        case = await in_doubt(hub)
        assert "retry" in case.actions
        await decide(hub, "retry")
        await until_idle(hub)
    assert system.sent == 1
    found = await disk.find_effect(EffectKey("erp", "order", "o-1"))
    assert found is not None
    assert (found.state, found.settled_by) == (EffectState.APPLIED, "probe")
