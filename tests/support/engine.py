"""A worker on a store with fake systems, and the small process the engine's tests run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

from tests.support.fake_system import FakeSystem, PlainTranslator

from tieline.domain import Address, Customer, Money, Project
from tieline.engine.cases import CasePolicy
from tieline.engine.clock import SystemClock
from tieline.engine.connection import Connection
from tieline.engine.lanes import Lane
from tieline.engine.ports import Batch, Store
from tieline.engine.process import Process, registry
from tieline.engine.records import CaseState
from tieline.engine.worker import Worker
from tieline.events import CaseDecided, Event, VendorNotified, make_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def project(number: int | str, title: str = "Implementation") -> Project:
    return Project(
        id=f"p-{number}",
        title=title,
        customer="c-1",
        contract=f"k-{number}",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 6, 30),
        budget=Money(Decimal("1000.10"), "EUR"),
    )


def customer(number: int | str) -> Customer:
    return Customer(id=f"c-{number}", name=f"Customer {number}", currency="EUR", billing_address=Address(country="DE"))


def notified(key: str, number: int = 0, kind: str = "deal") -> Event:
    data = VendorNotified(connection="crm", kind=kind, native_id=key, stamp=str(number))
    return make_event(data, source="crm", id=f"{kind}/{key}/{number}", time=NOW)


@asynccontextmanager
async def working(store: Store, processes: Sequence[Process], *systems: FakeSystem) -> AsyncIterator[Worker]:
    connections = {s.name: Connection(s, Lane(s.name, s.manifest.limits)) for s in systems}
    worker = Worker(
        store,
        registry(list(processes)),
        connections,
        PlainTranslator(),
        lambda _: CasePolicy(owner="finance"),
        SystemClock(),
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def decide(worker: Worker, action: str, *, case_id: str | None = None, **arguments: object) -> str:
    """Decide the oldest open case (or a given one) as a person would."""
    open_cases = await worker.store.cases(states=[CaseState.OPEN])
    case = next(c for c in open_cases if case_id in (None, c.id))
    case.state, case.decision, case.decided_by = CaseState.DECIDED, action, "ada"
    data = CaseDecided(
        case=case.id, contract=case.correlation_id, action=action, by="ada", arguments=dict(arguments), decided_at=NOW
    )
    event = make_event(data, source="people", id=f"{case.id}/decided", time=NOW)
    await worker.store.commit(Batch(events=[event], cases=[case]))
    worker.events_arrived()
    return case.id


async def until_idle(worker: Worker, seconds: float = 10.0) -> None:
    await asyncio.wait_for(worker.idle(), seconds)
