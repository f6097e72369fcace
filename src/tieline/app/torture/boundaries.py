"""Boundaries: the points between which a hub may die, named so that a later run can die at exactly the same one.

A boundary lies before and after every commit of the store and every call to a system. Its name says what is written
or asked; together with how often that name was passed before (`nth`) it is found again in another run of the same
deal. The invariant: dying here is SIGKILL to our own process, so nothing is flushed and nobody says goodbye.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from tieline.app.project import Project
from tieline.app.wiring import Seam, open_store
from tieline.engine.ports import AppendResult, Batch, Call, Connector, Finding, Operation, Outcome, Store
from tieline.events import Event, VendorNotified, decode_event, event_name


class Boundary(msgspec.Struct, frozen=True, order=True):
    """The `nth` time that the boundary of this name is reached in a life."""

    name: str
    nth: int

    def __str__(self) -> str:
        return self.name if self.nth == 1 else f"{self.name} (no. {self.nth})"


class Toll:
    """Counts the boundaries a life passes, writes them down where asked, and ends the life at one."""

    def __init__(self, ends_at: Boundary | None = None, record: Path | None = None) -> None:
        self._ends_at, self._passed = ends_at, Counter[str]()
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if record else None

    def passed(self, names: Iterable[str]) -> None:
        """Go through one boundary that may have several names, or die there."""
        for name in dict.fromkeys(names):
            self._passed[name] += 1
            reached = Boundary(name, self._passed[name])
            if self._record is not None:
                os.write(self._record, msgspec.json.encode(reached) + b"\n")
            if reached == self._ends_at:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalStore:
    """A store that has a boundary before and after each commit."""

    def __init__(self, store: Store, toll: Toll) -> None:
        self._store, self._toll = store, toll

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Batch) -> list[AppendResult]:
        names = what_is_written(batch)
        self._toll.passed(f"before commit: {name}" for name in names)
        results = await self._store.commit(batch)
        self._toll.passed(f"after commit: {name}" for name in names)
        return results


class MortalConnector:
    """A connection that has a boundary before each call goes out and after each answer came in."""

    def __init__(self, connector: Connector, toll: Toll) -> None:
        self._connector, self._toll = connector, toll

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        return cast("Sequence[Outcome]", await self._asked(_deed("send", operation), "send", operation, calls))

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        return cast("Sequence[Finding]", await self._asked(_deed("probe", operation), "probe", operation, calls))

    async def fetch(self, kind: str, ids: Sequence[str]) -> Any:
        return await self._asked(f"fetch {kind}", "fetch", kind, ids)

    async def find(self, kind: str, document: Any) -> Any:
        return await self._asked(f"find {kind}", "find", kind, document)

    async def catalogue(self, kind: str) -> Any:
        return await self._asked(f"list {kind}", "catalogue", kind)

    async def changes(self, stream: str, cursor: str) -> Any:
        return await self._asked(f"sweep {stream}", "changes", stream, cursor)

    async def _asked(self, deed: str, method: str, *arguments: Any) -> Any:
        name = f"{deed} {self._connector.name}"
        self._toll.passed([f"before {name}"])
        try:
            return await getattr(self._connector, method)(*arguments)
        finally:  # an answer that never came is known, too
            self._toll.passed([f"after {name}"])


def mortal(name: str = "", nth: int = 1, record: str = "") -> Seam:
    """A hub that dies at a boundary, or writes down all it passes."""
    toll = Toll(Boundary(name, nth) if name else None, Path(record) if record else None)

    def store(project: Project) -> Store:
        return cast("Store", MortalStore(open_store(project), toll))

    def connector(real: Connector) -> Connector:
        return cast("Connector", MortalConnector(real, toll))

    return Seam(store=store, connector=connector)


def what_is_written(batch: Batch) -> list[str]:
    """The most telling kind of rows of a batch, by name; nothing for figures that only people read.

    Which runs share a commit depends on timing; that a row of this name is committed does not.
    """
    kinds: tuple[list[str], ...] = (
        [f"effect {e.connection}/{e.kind} {e.state}" for e in batch.effects],
        [f"case {c.case_class} {c.state}" for c in batch.cases],
        [f"event {_told(e)}" for e in batch.events],
        [f"step {e.run_id.partition(':')[0]}: {e.kind} {e.name}" for e in batch.journal],
        [f"run {r.process} {r.state}" for r in batch.runs],
        [f"wait of {w.run_id.partition(':')[0]}" for w in batch.waits],
        [f"cursor {c.name}" for c in batch.cursors],
        [f"end of wait of {run_id.partition(':')[0]}" for run_id, _ in batch.waits_over],
    )
    return next((sorted(set(names)) for names in kinds if names), [])


def _told(event: Event) -> str:
    name = event_name(event.type)
    if name != VendorNotified.__name__:
        return name
    hint = cast("VendorNotified", decode_event(event))
    way = "sweep" if event.id.startswith("poll/") else "webhook"
    return f"of {hint.connection}'s {way} about {hint.kind}"


def _deed(verb: str, operation: Operation) -> str:
    return f"{verb} {operation.kind}" if operation.action == "ensure" else f"{verb} {operation.action} {operation.kind}"
