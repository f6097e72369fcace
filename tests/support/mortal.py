"""A worker process that dies where a test says, on a disk and beside systems that outlive it.

Dying is what kill -9 does: from that boundary on nothing of this life is written, sent or answered any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.fake_system import FakeSystem

from tieline.engine.ports import (
    Absent,
    AppendResult,
    Applied,
    Batch,
    Call,
    Candidate,
    Changes,
    Finding,
    Notice,
    Operation,
    Outcome,
    Usage,
    Wire,
)
from tieline.engine.records import EffectKey, EffectState
from tieline.errors import OutcomeUnknown
from tieline.storage.memory import MemoryStore


class Life:
    """One life of the worker. It ends at its `ends_at`-th boundary (None: not at all)."""

    def __init__(self, ends_at: int | None = None) -> None:
        self.ends_at, self.passed, self.last = ends_at, 0, ""
        self.over = asyncio.Event()
        self._before = asyncio.all_tasks()

    async def boundary(self, name: str) -> None:
        """Pass, or never come back."""
        if not self.over.is_set():
            self.passed += 1
            if self.passed != self.ends_at:
                return
            self.last = name
            self.over.set()
        await asyncio.Event().wait()

    async def bury(self) -> None:
        """Take away every task of this life."""
        self.over.set()
        mine = asyncio.current_task()
        for _ in range(100):
            left = [t for t in asyncio.all_tasks() - self._before if t is not mine]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.05)
        raise AssertionError(f"tasks that cannot be ended: {left}")


class MortalStore(MemoryStore):
    """A life's hands on the disk: each commit has a boundary before and after it."""

    def __init__(self, disk: MemoryStore, life: Life) -> None:
        super().__init__()
        vars(self).update(vars(disk))
        self._life = life

    async def commit(self, batch: Batch) -> list[AppendResult]:
        if batch == Batch(lanes=batch.lanes) and not self._life.over.is_set():
            return await super().commit(batch)  # figures for people, not state
        await self._life.boundary("before a commit")
        results = await super().commit(batch)
        await self._life.boundary("after a commit")
        return results


class Watch:
    """What the world sees of the engine's discipline; `violations` says where it was broken."""

    def __init__(self, disk: MemoryStore) -> None:
        self._disk = disk
        self._unknown: set[EffectKey] = set()
        self.violations: list[str] = []

    async def about_to_send(self, call: Call) -> None:
        """The intention is on disk, nothing newer stands, and what became of an earlier attempt was asked."""
        effect = await self._disk.find_effect(call.key)
        if effect is None or effect.revision != call.revision or effect.state.settled:
            self.violations.append(f"{call.key} #{call.revision} is sent without a durable intention: {effect}")
            return
        applied = await self._disk.effects(
            connection=call.key.connection, kind=call.key.kind, canonical_id=call.key.canonical_id
        )
        versions = [e.version for e in applied if e.state is EffectState.APPLIED and e.action == call.key.action]
        if max(versions, default=0) > effect.version:
            self.violations.append(f"{call.key}: version {effect.version} overwrites {max(versions)}")
        if call.key in self._unknown:
            self.violations.append(f"{call.key} #{call.revision} is sent again and nobody asked")
        self._unknown.add(call.key)

    def answered(self, call: Call, outcome: Outcome) -> None:
        if not isinstance(outcome, OutcomeUnknown):
            self._unknown.discard(call.key)

    def looked(self, key: EffectKey) -> None:
        """A person knows what became of all that was sent under a key."""
        self._unknown.discard(key)

    def asked(self, call: Call, finding: Finding) -> None:
        if isinstance(finding, Applied | Absent):
            self._unknown.discard(call.key)


class MortalSystem:
    """A life's connection to a system that goes on without it."""

    def __init__(self, system: FakeSystem, life: Life, watch: Watch) -> None:
        self._system, self._life, self._watch = system, life, watch
        self.name, self.manifest = system.name, system.manifest

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        for call in calls:
            await self._watch.about_to_send(call)
        await self._life.boundary("before a send")
        outcomes = await self._system.send(operation, calls)
        await self._life.boundary("after a send")
        for call, outcome in zip(calls, outcomes, strict=True):
            self._watch.answered(call, outcome)
        return outcomes

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        await self._life.boundary("before a probe")
        findings = await self._system.probe(operation, calls)
        for call, finding in zip(calls, findings, strict=True):
            self._watch.asked(call, finding)
        return findings

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        return await self._system.fetch(kind, ids)

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        return await self._system.find(kind, document)

    async def catalogue(self, kind: str) -> list[Wire]:
        return await self._system.catalogue(kind)

    async def changes(self, stream: str, cursor: str) -> Changes:
        return await self._system.changes(stream, cursor)

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        return await self._system.notices(headers, body, query)

    def acknowledgement(self) -> tuple[int, str, bytes]:
        return self._system.acknowledgement()

    def usage(self) -> Usage | None:
        return self._system.usage()

    async def check(self) -> str:
        return await self._system.check()

    async def close(self) -> None:
        await self._system.close()


class QuickClock:
    """Time that passes only by sleeping, and then at once."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def stands(system: FakeSystem, kind: str, canonical_id: str) -> list[dict[str, Any]]:
    """Every copy of a document in a system."""
    return system.documents.get((kind, canonical_id), [])
