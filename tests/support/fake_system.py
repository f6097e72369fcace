"""A system in memory behind the Connector port: it obeys the contract and fails on order, as real ones do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tieline.connectors.sdk import stands_as_sent
from tieline.engine.ports import (
    Absent,
    Applied,
    Call,
    Candidate,
    Changes,
    Finding,
    Limits,
    Manifest,
    Notice,
    Operation,
    Outcome,
    Safety,
    Usage,
    Wire,
)
from tieline.errors import InvalidMessage, OutcomeUnknown, RejectedByVendor, VendorUnavailable

OPERATIONS = (
    Operation(kind="project", safety=Safety.UPSERT, bulk=50, concurrency=2),
    Operation(kind="customer", safety=Safety.NATIVE_KEY),
    Operation(kind="order", safety=Safety.LOOK_UP_FIRST),
    Operation(kind="project", action="withdraw", safety=Safety.NATIVE_KEY),
)


class FakeSystem:
    """Keeps documents by canonical id. `orders` holds what goes wrong next: lose, drop, refuse, down, or fine."""

    def __init__(self, name: str = "erp", slots: int = 8) -> None:
        self.name = name
        self.manifest = Manifest(vendor="fake", api_version="1", operations=OPERATIONS, limits=Limits(slots=slots))
        self.documents: dict[tuple[str, str], list[Wire]] = {}
        self.deeds: list[tuple[str, str]] = []
        self.trouble: deque[str] = deque()
        self.calls: list[int] = []
        self.probes = 0
        self.most_at_once = self._at_once = 0
        self.delay_s = 0.0

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        self.calls.append(len(calls))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self.delay_s)
            return [self._one(operation, call) for call in calls]
        finally:
            self._at_once -= 1

    def _one(self, operation: Operation, call: Call) -> Outcome:
        trouble = self.trouble.popleft() if self.trouble else "fine"
        if trouble == "down":
            return VendorUnavailable("closed for lunch")
        if trouble == "drop":
            return OutcomeUnknown("connection reset")
        if trouble == "refuse":
            return RejectedByVendor("Please enter a value for Item 4711.", vendor_code="USER_ERROR")
        self._write(operation, call)
        if trouble == "lose":
            return OutcomeUnknown("connection reset")
        return Applied(external_id=f"X-{call.key.canonical_id}", display=f"No. {call.key.canonical_id}")

    def _write(self, operation: Operation, call: Call) -> None:
        if operation.action != "ensure":
            self.deeds.append((operation.action, call.key.canonical_id))
            return
        stands = self.documents.setdefault((call.key.kind, call.key.canonical_id), [])
        if operation.safety is Safety.LOOK_UP_FIRST and not call.external_id:
            stands.append(call.wire)
        else:
            stands[:] = [call.wire]

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        self.probes += 1
        return [self._stands(operation, call) for call in calls]

    def _stands(self, operation: Operation, call: Call) -> Finding:
        if operation.action != "ensure":
            done = (operation.action, call.key.canonical_id) in self.deeds
            return Applied(external_id=f"X-{call.key.canonical_id}") if done else Absent()
        stands = self.documents.get((call.key.kind, call.key.canonical_id), [])
        if stands and stands_as_sent(call.wire, stands[-1]):
            return Applied(external_id=f"X-{call.key.canonical_id}")
        return Absent(external_id=f"X-{call.key.canonical_id}" if stands else "")

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        return [stands[-1] if (stands := self.documents.get((kind, i))) else None for i in ids]

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        return []

    async def catalogue(self, kind: str) -> list[Wire]:
        return []

    async def changes(self, stream: str, cursor: str) -> Changes:
        return Changes(kind="project", changed=[], cursor=cursor)

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        raise InvalidMessage("this system sends nothing")

    def acknowledgement(self) -> tuple[int, str, bytes]:
        return 200, "text/plain", b""

    def usage(self) -> Usage | None:
        return None

    async def check(self) -> str:
        return "fake"

    async def close(self) -> None:
        """Nothing is open."""

    def count(self, kind: str) -> dict[str, int]:
        """How many documents of a kind stand under each canonical id."""
        return {id_: len(stands) for (k, id_), stands in self.documents.items() if k == kind}


class PlainTranslator:
    """Sends canonical documents as they are."""

    def refs(self, connection: str, operation: Operation, document: Wire) -> list[tuple[str, str]]:
        return []

    def translate(
        self, connection: str, operation: Operation, document: Wire, refs: dict[tuple[str, str], str]
    ) -> tuple[Wire, str]:
        wire: dict[str, Any] = {k: v for k, v in document.items() if v is not None}
        return wire, "plain v1"
