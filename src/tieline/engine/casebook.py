"""The case book: opens cases, tells of them in the log, and escalates those that nobody decides in time.

The invariant: a case and the event that tells of it are one commit.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from tieline.engine import cases
from tieline.engine.cases import PolicyOf, Problem, case_id
from tieline.engine.ports import Batch, Clock, Store
from tieline.events import Event

_log = structlog.get_logger("tieline.worker")


class CaseBook:
    """Cases of one store, under the policies of one project."""

    def __init__(self, store: Store, policy_of: PolicyOf, clock: Clock) -> None:
        self._store, self._policy_of, self._clock = store, policy_of, clock

    def add(self, batch: Batch, ident: str, problem: Problem, event: Event) -> None:
        """A case about an event that belongs to no run, to be written with `batch`."""
        policy, now = self._policy_of(problem.case_class), self._clock.now()
        row = cases.case_row(ident, problem, policy, now, run_id="", position=0, correlation_id=event.correlation_id)
        batch.cases.append(row)
        batch.events.append(cases.opened(row, event.id))
        _log.warning(
            "case opened",
            case=ident,
            case_class=row.case_class,
            message=row.message,
            correlation_id=row.correlation_id,
        )

    async def report(self, found: Iterable[tuple[str, Problem, Event]]) -> None:
        """Open cases that belong to no run: (what names it, problem, the event it is about). Named before: known."""
        batch = Batch()
        for name, problem, event in found:
            ident = case_id(name, 0, 0)
            if await self._store.case(ident) is None:
                self.add(batch, ident, problem, event)
        if batch.cases:
            await self._store.commit(batch)

    async def open(self, ident: str, problem: Problem, event: Event, *, run_id: str, position: int, deal: str) -> None:
        """Open a case of a run."""
        policy = problem.policy or self._policy_of(problem.case_class)
        now = self._clock.now()
        row = cases.case_row(ident, problem, policy, now, run_id=run_id, position=position, correlation_id=deal)
        await self._store.commit(Batch(cases=[row], events=[cases.opened(row, event.id)]))

    async def escalate(self) -> None:
        """Cases past their deadline go to whom their policy names."""
        now = self._clock.now()
        late = await self._store.late_cases(now)
        for case in late:
            case.owner, case.escalated_at = case.escalate_to or case.owner, now
            _log.warning("case escalated", case=case.id, to=case.owner, correlation_id=case.correlation_id)
        if late:
            await self._store.commit(Batch(cases=late))
