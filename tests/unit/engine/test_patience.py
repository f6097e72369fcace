"""A step that waits for somebody else is tried for as long as its error says that this is worth it."""

from __future__ import annotations

import asyncio

from tests.support.engine import notified
from tests.support.fake_system import PlainTranslator
from tests.support.virtual_time import BEGIN, VirtualClock, run_virtually

from tieline.engine.cases import CasePolicy
from tieline.engine.process import process, registry
from tieline.engine.records import CaseState, RunState
from tieline.engine.run import Run
from tieline.engine.worker import Worker
from tieline.errors import TransientError
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore

KNOWN_AFTER_S = 120.0


def ask(run: Run, patience_s: float) -> str:
    """What is asked for is known after two minutes."""
    if (VirtualClock().now() - BEGIN).total_seconds() < KNOWN_AFTER_S:
        raise TransientError("our own order is not settled yet", retry_after_s=0.3, patience_s=patience_s)
    return "known"


@process("patient", on=VendorNotified, key=lambda told: told.native_id)
async def patient(run: Run, told: VendorNotified) -> None:
    await run.step(ask, run, float(told.native_id))


async def what_became_of(patience_s: float) -> tuple[list[RunState], int]:
    store = MemoryStore()
    worker = Worker(
        store, registry([patient]), {}, PlainTranslator(), lambda _: CasePolicy(owner="finance"), VirtualClock()
    )
    await worker.start()
    await worker.append([notified(str(patience_s))])
    await asyncio.sleep(2 * KNOWN_AFTER_S)
    await worker.stop()
    return [run.state for run in await store.runs()], len(await store.cases(states=[CaseState.OPEN]))


def test_billing_may_be_minutes_ahead_of_our_own_books() -> None:
    """An order that is in doubt for two minutes is no case: what billing says of it waits that long."""
    assert run_virtually(what_became_of(600.0)) == ([RunState.DONE], 0)


def test_what_does_not_come_is_a_case_in_the_end() -> None:
    assert run_virtually(what_became_of(60.0)) == ([RunState.WAITING], 1)
