"""One connection as the engine uses it: a connector behind its lane.

The invariant: every call to a system goes through the lane of its connection, as one of a kind that travels together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tieline.engine.lanes import Lane, Work
from tieline.engine.ports import Call, Connector, Finding, Operation, Outcome, Wire
from tieline.errors import ConfigurationError, TielineError

MOST_SHARE = 10_000


class Connection:
    """One connection: its connector, its lane, and a Work for each thing it can do."""

    def __init__(self, connector: Connector, lane: Lane) -> None:
        self.connector, self.lane, self.name = connector, lane, connector.name
        self._operations = {(o.kind, o.action): o for o in connector.manifest.operations}
        self._works: dict[tuple[str, ...], Work] = {}
        lane.usage = connector.usage

    def operation(self, kind: str, action: str) -> Operation:
        """Raises ConfigurationError for something the connector cannot do."""
        found = self._operations.get((kind, action))
        if found is None:
            known = ", ".join(sorted(f"{k} ({a})" for k, a in self._operations))
            raise ConfigurationError(f"connection {self.name} cannot {action} a {kind}; it can: {known}")
        return found

    async def send(self, operation: Operation, call: Call) -> Outcome:
        work = self._works.get(("send", operation.kind, operation.action))
        outcome: Outcome = await self.lane.call(work or self._writing("send", operation, self.connector.send), call)
        return outcome

    async def probe(self, operation: Operation, call: Call) -> Finding:
        work = self._works.get(("probe", operation.kind, operation.action))
        finding: Finding = await self.lane.call(work or self._writing("probe", operation, self.connector.probe), call)
        return finding

    async def fetch(self, kind: str, native_id: str) -> Wire | None:
        """The present state of one record, asked for together with others. Raises TielineError."""

        async def perform(ids: Sequence[str]) -> Sequence[Any]:
            return await self.connector.fetch(kind, ids)

        work = self._works.get(("fetch", kind)) or self._work(("fetch", kind), perform, bulk=200, concurrency=2)
        result: Wire | None = _or_raise(await self.lane.call(work, native_id))
        return result

    async def read(self, name: str, reading: Callable[[], Any]) -> Any:
        """Any other read, through the lane's slots. Raises TielineError."""

        async def perform(readings: Sequence[Callable[[], Any]]) -> Sequence[Any]:
            return [await readings[0]()]

        slots = self.lane.limits.slots
        work = self._works.get(("read", name)) or self._work(("read", name), perform, bulk=1, concurrency=slots)
        return _or_raise(await self.lane.call(work, reading))

    async def read_for_all(self, name: str, reading: Callable[[], Any]) -> Any:
        """A read whose answer is the same for everyone: whoever waits shares the next one. Raises TielineError."""

        async def perform(readings: Sequence[Callable[[], Any]]) -> Sequence[Any]:
            return [await readings[0]()] * len(readings)

        work = self._works.get(("all", name)) or self._work(("all", name), perform, bulk=MOST_SHARE, concurrency=1)
        return _or_raise(await self.lane.call(work, reading))

    def _writing(self, verb: str, operation: Operation, method: Any) -> Work:
        async def perform(calls: Sequence[Call]) -> Sequence[Any]:
            return await method(operation, calls)  # type: ignore[no-any-return]

        name = (verb, operation.kind, operation.action)
        finishes = verb == "probe"
        return self._work(name, perform, bulk=operation.bulk, concurrency=operation.concurrency, finishes=finishes)

    def _work(self, name: tuple[str, ...], perform: Any, **kind: Any) -> Work:
        return self._works.setdefault(name, Work(" ".join(name), perform, **kind))


def _or_raise(result: Any) -> Any:
    if isinstance(result, TielineError):
        raise result
    return result
