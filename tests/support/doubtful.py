"""A system that leaves one in doubt: requests and answers get lost or late, searches lag, questions fail.

What is late is carried out when its time has come on the clock, whoever still waits for it: as vendors do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from tests.support.fake_system import FakeSystem
from tests.support.mortal import QuickClock

from tieline.connectors.sdk import stands_as_sent
from tieline.engine.ports import (
    Absent,
    Applied,
    Call,
    Finding,
    Limits,
    Manifest,
    Operation,
    Outcome,
    Safety,
    Wire,
)
from tieline.errors import OutcomeUnknown, RejectedByVendor, TielineError, TransientError, VendorUnavailable

LATE_S, LAG_S, SETTLE_S = 20.0, 9.0, 30.0
KIND = {
    Safety.NATIVE_KEY: "customer",
    Safety.UPSERT: "project",
    Safety.LOOK_UP_FIRST: "order",
    Safety.ASK_A_PERSON: "letter",
}
SETTLE_AFTER_S = {Safety.NATIVE_KEY: LAG_S, Safety.LOOK_UP_FIRST: SETTLE_S}
"""A key of ours keeps from doubling by itself; a look must outlast what is late and what lags."""
OPERATIONS = tuple(
    Operation(kind=kind, safety=safety, settle_after_s=SETTLE_AFTER_S.get(safety, 0.0)) for safety, kind in KIND.items()
)


class Late(NamedTuple):
    """A request that is still being carried out."""

    at: float
    operation: Operation
    call: Call


class DoubtfulSystem(FakeSystem):
    """`trouble` takes `late` too; `answers` holds what the next questions get: fails, down, cannot, or fine."""

    def __init__(
        self,
        clock: QuickClock,
        lag_s: float = 0.0,
        late_s: float = LATE_S,
        operations: tuple[Operation, ...] = OPERATIONS,
    ) -> None:
        super().__init__("erp")
        self.manifest = Manifest(vendor="doubtful", api_version="1", operations=operations, limits=Limits(slots=4))
        self.answers: deque[str] = deque()
        self.clock, self.lag_s, self.late_s = clock, lag_s, late_s
        self.late: list[Late] = []
        self.sent = 0
        self._shown_at: dict[int, float] = {}

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        self.carry_out_what_is_late()
        self.sent += len(calls)
        return await super().send(operation, calls)

    def _one(self, operation: Operation, call: Call) -> Outcome:
        if self.trouble and self.trouble[0] == "late":
            self.trouble.popleft()
            self.late.append(Late(self._now() + self.late_s, operation, call))
            return OutcomeUnknown("no answer in time")
        stands = self.documents.get((call.key.kind, call.key.canonical_id))
        if operation.safety is Safety.NATIVE_KEY and stands and not call.external_id:
            return RejectedByVendor(f"there is a {call.key.kind} {call.key.canonical_id} already")
        return super()._one(operation, call)

    def _write(self, operation: Operation, call: Call) -> None:
        if operation.safety is Safety.ASK_A_PERSON and not call.external_id:
            self.documents.setdefault((call.key.kind, call.key.canonical_id), []).append(call.wire)
        else:
            super()._write(operation, call)
        stands = self.documents.get((call.key.kind, call.key.canonical_id), [])
        self._shown_at.update({id(wire): self._now() + self.lag_s for wire in stands if id(wire) not in self._shown_at})

    def carry_out_what_is_late(self, everything: bool = False) -> None:
        """What nobody waits for any more; a key of ours that is taken by now refuses it."""
        due = [late for late in self.late if everything or late.at <= self._now()]
        self.late = [late for late in self.late if late not in due]
        for late in due:
            taken = self.documents.get((late.call.key.kind, late.call.key.canonical_id))
            if not (late.operation.safety is Safety.NATIVE_KEY and taken and not late.call.external_id):
                self._write(late.operation, late.call)

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        self.carry_out_what_is_late()
        answer = self.answers.popleft() if self.answers else "fine"
        if answer != "fine":
            return [_NO_ANSWER[answer]] * len(calls)
        return await super().probe(operation, calls)

    def _stands(self, operation: Operation, call: Call) -> Finding:
        copies = self.documents.get((call.key.kind, call.key.canonical_id), [])
        shown = [wire for wire in copies if self._shown_at.get(id(wire), 0.0) <= self._now()]
        if shown and stands_as_sent(call.wire, shown[-1]):
            return Applied(external_id=f"X-{call.key.canonical_id}")
        return Absent(external_id=f"X-{call.key.canonical_id}" if shown else "")

    def copies(self, kind: str) -> list[Wire]:
        """Every document of a kind, those of requests that are still under way among them."""
        self.carry_out_what_is_late(everything=True)
        return [wire for (k, _), stands in self.documents.items() if k == kind for wire in stands]

    def _now(self) -> float:
        return self.clock.now().timestamp()


_NO_ANSWER: dict[str, TielineError] = {
    "fails": TransientError("internal server error"),
    "down": VendorUnavailable("closed for lunch"),
    "cannot": RejectedByVendor("several records carry this reference"),
}
