"""The effect ledger at work: intend, send, settle; in doubt, ask.

Every crash point is covered by one rule. The intention is durable before anything is sent, so an effect found open
later may have been sent: the system is asked (probe) before anything is sent again. One effect per key is in flight.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from tieline.engine.lanes import Lane, Priority, Work
from tieline.engine.ports import (
    Absent,
    Applied,
    Batch,
    Call,
    Clock,
    Connector,
    Finding,
    Operation,
    Outcome,
    Store,
    Wire,
)
from tieline.engine.records import Effect, EffectKey, EffectState, JournalEntry, Reference
from tieline.errors import (
    ConfigurationError,
    OutcomeUnknown,
    PermanentError,
    RejectedByVendor,
    TielineError,
    TransientError,
)

MOST_ATTEMPTS = 8
MOST_QUESTIONS = 8
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0
SETTLE_S = 1.0
_NAMESPACE = uuid.UUID("6f1c7c4e-5d0f-4d5b-9c5a-0b0f5f2b7a11")

encode_document = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


class Translator(Protocol):
    """Makes wire documents from canonical ones: the mapping tables of the project."""

    def refs(self, connection: str, operation: Operation, document: Wire) -> list[tuple[str, str]]:
        """The (kind, canonical id) pairs whose external ids the document needs."""

    def translate(
        self, connection: str, operation: Operation, document: Wire, refs: dict[tuple[str, str], str]
    ) -> tuple[Wire, str]:
        """The wire document and the label of the mapping version that made it. Raises TranslationError."""


class Connection:
    """One connection: its connector, its lane, and a Work for each thing it can do."""

    def __init__(self, connector: Connector, lane: Lane) -> None:
        self.connector, self.lane, self.name = connector, lane, connector.name
        self._operations = {(o.kind, o.action): o for o in connector.manifest.operations}
        self._works: dict[str, Work] = {}

    def operation(self, kind: str, action: str) -> Operation:
        """Raises ConfigurationError for something the connector cannot do."""
        found = self._operations.get((kind, action))
        if found is None:
            known = ", ".join(sorted(f"{k} ({a})" for k, a in self._operations))
            raise ConfigurationError(f"connection {self.name} cannot {action} a {kind}; it can: {known}")
        return found

    async def send(self, operation: Operation, call: Call, priority: Priority) -> Outcome:
        outcome: Outcome = await self._call("send", operation, self.connector.send, call, priority)
        return outcome

    async def probe(self, operation: Operation, call: Call, priority: Priority) -> Finding:
        finding: Finding = await self._call("probe", operation, self.connector.probe, call, priority)
        return finding

    async def fetch(self, kind: str, native_id: str, priority: Priority = Priority.POSTING) -> Wire | None:
        """The present state of one record, asked for together with others. Raises TielineError."""

        async def perform(ids: Sequence[str]) -> Sequence[Any]:
            return await self.connector.fetch(kind, ids)

        work = self._works.get(f"fetch {kind}") or self._work(f"fetch {kind}", perform, bulk=200, concurrency=2)
        result: Wire | TielineError | None = await self.lane.call(work, native_id, priority)
        if isinstance(result, TielineError):
            raise result
        return result

    async def read(self, name: str, reading: Callable[[], Any], priority: Priority = Priority.POSTING) -> Any:
        """Any other read, through the lane's slots. Raises TielineError."""

        async def perform(readings: Sequence[Callable[[], Any]]) -> Sequence[Any]:
            return [await readings[0]()]

        work = self._works.get(name) or self._work(name, perform, bulk=1, concurrency=self.lane.limits.slots)
        result = await self.lane.call(work, reading, priority)
        if isinstance(result, TielineError):
            raise result
        return result

    async def _call(self, verb: str, operation: Operation, method: Any, call: Call, priority: Priority) -> Any:
        name = f"{verb} {operation.kind} {operation.action}"

        async def perform(calls: Sequence[Call]) -> Sequence[Any]:
            return await method(operation, calls)  # type: ignore[no-any-return]

        work = self._works.get(name) or self._work(
            name, perform, bulk=operation.bulk, concurrency=operation.concurrency
        )
        return await self.lane.call(work, call, priority)

    def _work(self, name: str, perform: Any, *, bulk: int, concurrency: int) -> Work:
        return self._works.setdefault(name, Work(name, perform, bulk=bulk, concurrency=concurrency))


class Request(msgspec.Struct, kw_only=True):
    """What a run asks of the ledger. `document` is the canonical content as builtins with exact Decimals."""

    key: EffectKey
    document: Wire
    version: int
    event_id: str = ""
    run_id: str = ""
    correlation_id: str = ""
    priority: Priority = Priority.POSTING
    journal: JournalEntry | None = None
    look_first: bool = False
    """Ask the system before a first write: the ledger may have lost what it knew."""


class Ledger:
    """Carries effects out. `applied` is told of each key that stands, for whoever waits for it."""

    def __init__(
        self,
        store: Store,
        connections: dict[str, Connection],
        translator: Translator,
        clock: Clock,
        applied: Callable[[EffectKey], None],
    ) -> None:
        self._store, self._connections, self._translator, self._clock = store, connections, translator, clock
        self._applied = applied
        self._locks: dict[EffectKey, tuple[asyncio.Lock, list[int]]] = {}
        self._under_way: set[asyncio.Task[Effect]] = set()

    def connection(self, name: str) -> Connection:
        """Raises ConfigurationError for a connection the project does not have."""
        if name not in self._connections:
            raise ConfigurationError(
                f"there is no connection {name!r}; tieline.toml has: {', '.join(self._connections)}"
            )
        return self._connections[name]

    async def apply(self, request: Request) -> Effect:
        """See to it that the document stands (or the deed is done); returns the revision that answers for it.

        A rejected revision is returned, not raised. Raises TranslationError (nothing was intended), OutcomeUnknown
        when the system cannot tell what became of a call.
        """
        task = asyncio.create_task(self._apply_alone(request))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # the run goes away, the call under way does not: its outcome is settled all the same
            task.add_done_callback(_forget)
            raise

    async def settle_by_person(self, request: Request, external_id: str, by: str) -> Effect:
        """A person says under which id the document stands there already."""
        async with _Alone(self._locks, request.key):
            latest = await self._store.find_effect(request.key)
            effect = latest if latest and not latest.state.settled else self._intend(request, latest, {}, "")
            return await self._settle(
                effect, Applied(external_id=external_id), f"linked by {by}", request.journal, how="linked"
            )

    async def close(self) -> None:
        """Let what was answered be settled; what waits for another attempt goes on at the next start."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=SETTLE_S)
        rest = list(self._under_way)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _apply_alone(self, request: Request) -> Effect:
        async with _Alone(self._locks, request.key):
            return await self._apply(request)

    async def _apply(self, request: Request) -> Effect:
        connection = self.connection(request.key.connection)
        operation = connection.operation(request.key.kind, request.key.action)
        content = encode_document(request.document)
        digest = hashlib.sha256(content).hexdigest()
        latest = await self._store.find_effect(request.key)
        if latest is not None and not latest.state.settled:
            latest = await self._find_out(connection, operation, latest, digest, request)
        standing = await self._standing(latest)
        if standing is not None and (
            standing.version > request.version or (standing is latest and latest.content_hash == digest)
        ):
            await self._journal(request.journal, standing)
            return standing
        if latest is not None and not latest.state.settled:
            return await self._carry_out(connection, operation, latest, request)
        wire, label = await self._translate(connection, operation, request)
        effect = self._intend(request, latest, wire, label, content, digest)
        await self._store.commit(Batch(effects=[effect]))
        if request.look_first and latest is None:
            return await self._look_first(connection, operation, effect, request)
        return await self._carry_out(connection, operation, effect, request)

    async def _look_first(
        self, connection: Connection, operation: Operation, effect: Effect, request: Request
    ) -> Effect:
        """A write without a record of the one before it: what stands there is taken or changed, never doubled."""
        finding = await self._ask(connection, operation, effect, await self._call(effect), request.priority)
        if isinstance(finding, Applied):
            return await self._settle(effect, finding, "probe", request.journal, how="found")
        if finding.external_id:
            found = Reference(
                connection=effect.connection,
                kind=effect.kind,
                canonical_id=effect.canonical_id,
                external_id=finding.external_id,
                how="found",
                at=self._clock.now(),
            )
            await self._store.commit(Batch(references=[found]))
        return await self._carry_out(connection, operation, effect, request)

    async def _standing(self, latest: Effect | None) -> Effect | None:
        """The newest applied revision: what stands there, whatever was refused since."""
        if latest is None or latest.state is EffectState.APPLIED or latest.revision == 1:
            return latest if latest is not None and latest.state is EffectState.APPLIED else None
        applied = await self._store.effects(
            connection=latest.connection,
            kind=latest.kind,
            canonical_id=latest.canonical_id,
            state=EffectState.APPLIED,
            limit=1_000_000,
        )
        mine = [effect for effect in applied if effect.action == latest.action]
        return max(mine, key=lambda effect: effect.revision, default=None)

    async def _translate(self, connection: Connection, operation: Operation, request: Request) -> tuple[Wire, str]:
        wanted = self._translator.refs(connection.name, operation, request.document)
        known = await self._store.references([(connection.name, kind, id_) for kind, id_ in wanted])
        refs = {(kind, id_): reference.external_id for (_, kind, id_), reference in known.items()}
        return self._translator.translate(connection.name, operation, request.document, refs)

    def _intend(
        self, request: Request, latest: Effect | None, wire: Wire, label: str, content: bytes = b"{}", digest: str = ""
    ) -> Effect:
        revision = latest.revision + 1 if latest else 1
        return Effect(
            connection=request.key.connection,
            kind=request.key.kind,
            canonical_id=request.key.canonical_id,
            action=request.key.action,
            revision=revision,
            version=request.version,
            content_hash=digest or hashlib.sha256(encode_document(request.document)).hexdigest(),
            content=content if digest else encode_document(request.document),
            request=_wire_encoder.encode(wire),
            idempotency_key=str(uuid.uuid5(_NAMESPACE, f"{request.key}#{revision}")),
            mapping=label,
            event_id=request.event_id,
            run_id=request.run_id,
            correlation_id=request.correlation_id,
            intended_at=self._clock.now(),
        )

    async def _call(self, effect: Effect) -> Call:
        key = (effect.connection, effect.kind, effect.canonical_id)
        known = (await self._store.references([key])).get(key)
        return Call(
            key=effect.key,
            revision=effect.revision,
            wire=decode_wire(effect.request),
            external_id=known.external_id if known else "",
            idempotency_key=effect.idempotency_key,
        )

    async def _carry_out(
        self, connection: Connection, operation: Operation, effect: Effect, request: Request
    ) -> Effect:
        """Send until the system has said yes or no; after an answer that cannot be trusted, ask."""
        call = await self._call(effect)
        while True:
            outcome = await connection.send(operation, call, request.priority)
            effect.attempts += 1
            if isinstance(outcome, OutcomeUnknown):
                effect.state, effect.error = EffectState.IN_DOUBT, str(outcome)
                await self._store.commit(Batch(effects=[effect]))
                finding = await self._ask(connection, operation, effect, call, request.priority)
                if isinstance(finding, Applied):
                    return await self._settle(effect, finding, "probe", request.journal)
                await self._absent(effect, finding)
                call = await self._call(effect)
                if effect.attempts >= MOST_ATTEMPTS:
                    outcome = RejectedByVendor(f"{effect.attempts} attempts, each without an answer: {effect.error}")
                    return await self._settle(effect, outcome, "probe", None)
                continue
            if isinstance(outcome, TransientError) and effect.attempts < MOST_ATTEMPTS:
                await self._clock.sleep(max(outcome.retry_after_s, _backoff(effect.attempts)))
                continue
            return await self._settle(effect, outcome, "answer", request.journal)

    async def _find_out(
        self, connection: Connection, operation: Operation, effect: Effect, digest: str, request: Request
    ) -> Effect:
        """An effect left open by a crash: it may have been sent, so ask. What never arrived is ours to send again."""
        effect.state = EffectState.IN_DOUBT
        effect.error = effect.error or "the worker stopped between the intention and the answer"
        call = await self._call(effect)
        finding = await self._ask(connection, operation, effect, call, request.priority)
        if isinstance(finding, Applied):
            return await self._settle(effect, finding, "probe", None)
        await self._absent(effect, finding)
        if effect.content_hash == digest:
            return effect
        gone = RejectedByVendor("it never arrived, and other content is wanted by now")
        return await self._settle(effect, gone, "probe", None)

    async def _absent(self, effect: Effect, finding: Absent) -> None:
        """It does not stand as sent: ours to send again, as an update where the document stands with other content."""
        effect.state = EffectState.INTENDED
        batch = Batch(effects=[effect])
        if finding.external_id:
            batch.references.append(self._reference(effect, finding.external_id, "", "found"))
        await self._store.commit(batch)

    async def _ask(
        self, connection: Connection, operation: Operation, effect: Effect, call: Call, priority: Priority
    ) -> Applied | Absent:
        """What became of the call. "Not here" is believed once the system had time to show it."""
        trusted_at = self._clock.now() + timedelta(seconds=operation.settle_after_s)
        failures = 0
        while True:
            finding = await connection.probe(operation, call, priority)
            if isinstance(finding, Applied):
                return finding
            if isinstance(finding, Absent):
                if (left := (trusted_at - self._clock.now()).total_seconds()) <= 0:
                    return finding
                await self._clock.sleep(min(left, 1.0))
                continue
            failures += 1
            if isinstance(finding, PermanentError) or failures == MOST_QUESTIONS:
                raise OutcomeUnknown(f"{effect.key}: {effect.error}; asked about it, {connection.name} says: {finding}")
            await self._clock.sleep(_backoff(failures))

    async def _settle(
        self, effect: Effect, outcome: Outcome, by: str, journal: JournalEntry | None, how: str = "created"
    ) -> Effect:
        effect.settled_at, effect.settled_by = self._clock.now(), by
        if not isinstance(outcome, Applied):
            effect.state, effect.error = EffectState.REJECTED, str(outcome)
            effect.error_kind = getattr(outcome, "vendor_code", "") or type(outcome).__name__
            await self._store.commit(Batch(effects=[effect]))
            return effect
        effect.state, effect.external_id, effect.error = EffectState.APPLIED, outcome.external_id, ""
        effect.response = _wire_encoder.encode(outcome.response)
        batch = Batch(effects=[effect], journal=[_with_result(journal, effect)] if journal else [])
        if effect.action == "ensure" and outcome.external_id:
            batch.references.append(self._reference(effect, outcome.external_id, outcome.display, how))
        await self._store.commit(batch)
        self._applied(effect.key)
        return effect

    def _reference(self, effect: Effect, external_id: str, display: str, how: str) -> Reference:
        return Reference(
            connection=effect.connection,
            kind=effect.kind,
            canonical_id=effect.canonical_id,
            external_id=external_id,
            display=display,
            how=how,
            at=self._clock.now(),
        )

    async def _journal(self, journal: JournalEntry | None, effect: Effect) -> None:
        if journal is not None:
            await self._store.commit(Batch(journal=[_with_result(journal, effect)]))


class _Alone:
    """One effect per key in flight: a lock per key, forgotten when nobody uses it."""

    def __init__(self, locks: dict[EffectKey, tuple[asyncio.Lock, list[int]]], key: EffectKey) -> None:
        self._locks, self._key = locks, key

    async def __aenter__(self) -> None:
        lock, users = self._locks.setdefault(self._key, (asyncio.Lock(), [0]))
        users[0] += 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave(users)
            raise

    async def __aexit__(self, *_: object) -> None:
        lock, users = self._locks[self._key]
        lock.release()
        self._leave(users)

    def _leave(self, users: list[int]) -> None:
        users[0] -= 1
        if users[0] == 0:
            del self._locks[self._key]


def _with_result(journal: JournalEntry, effect: Effect) -> JournalEntry:
    result = {"state": effect.state.value, "external_id": effect.external_id, "revision": effect.revision}
    return msgspec.structs.replace(journal, payload=msgspec.json.encode(result))


_wire_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_wire_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode_wire(request: bytes) -> Wire:
    """A stored wire document, fractions as exact Decimals."""
    return _wire_decoder.decode(request)  # type: ignore[no-any-return]


def _backoff(attempt: int) -> float:
    return min(FIRST_BACKOFF_S * 2.0 ** (attempt - 1), LONGEST_BACKOFF_S)


def _forget(task: asyncio.Future[Effect]) -> None:
    if not task.cancelled():
        task.exception()
