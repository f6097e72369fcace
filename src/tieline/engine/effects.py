"""The effect ledger at work: intend, send, settle; in doubt, ask.

Every crash point is covered by one rule. The intention is durable before anything is sent, so an effect found open
later may have been sent: the system is asked (probe) before anything is sent again. One effect per key is in flight.
After a restore from a backup the ledger has forgotten: it looks before it first writes under a key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import msgspec

from tieline.engine.connection import Connection
from tieline.engine.doubt import Doubts, backoff
from tieline.engine.lanes import Withdrawn
from tieline.engine.measures import waiting_for_others
from tieline.engine.ports import (
    Absent,
    Applied,
    Batch,
    Call,
    Clock,
    Operation,
    Outcome,
    Store,
    Wire,
)
from tieline.engine.records import KEPT, Effect, EffectKey, EffectState, JournalEntry, Reference
from tieline.errors import (
    ConfigurationError,
    OutcomeUnknown,
    RejectedByVendor,
    TransientError,
)

MOST_ATTEMPTS = 8
SETTLE_S = 1.0

encode_document = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


class Translator(Protocol):
    """Makes wire documents from canonical ones: the mapping tables of the project."""

    def refs(self, connection: str, operation: Operation, document: Wire) -> list[tuple[str, str]]:
        """The (kind, canonical id) pairs whose external ids the document needs."""

    def translate(
        self, connection: str, operation: Operation, document: Wire, refs: dict[tuple[str, str], str]
    ) -> tuple[Wire, str]:
        """The wire document and the label of the mapping version that made it. Raises TranslationError."""


class Request(msgspec.Struct, kw_only=True):
    """What a run asks of the ledger. `document` is the canonical content as builtins with exact Decimals."""

    key: EffectKey
    document: Wire
    version: int
    event_id: str = ""
    run_id: str = ""
    correlation_id: str = ""
    journal: JournalEntry | None = None
    look_first: bool = False
    """Ask the system before a first write: the ledger may have lost what it knew."""
    denied: int = 0
    """A person looked there and found none of the revisions up to this one; `denied_by` is who."""
    denied_by: str = ""


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
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._doubts = Doubts(clock)

    async def take_over(self) -> None:
        """Learn what an earlier life left behind; nothing is applied before."""
        await self._doubts.take_over(self._store)

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
        # a task of its own: a run may go away, its call under way does not, and the outcome is settled all the same
        answer: asyncio.Future[Effect] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._answer(request, answer))
        self._under_way[task] = request.run_id
        task.add_done_callback(self._under_way.pop)
        return await answer

    async def settle_by_person(self, request: Request, external_id: str, by: str) -> Effect:
        """A person says under which id the document stands there already."""
        async with _Alone(self._locks, request.key):
            latest = await self._store.find_effect(request.key)
            effect = latest if latest and not latest.state.settled else self._intend(request, latest, {}, "")
            return await self._settle(
                effect, Applied(external_id=external_id), f"linked by {by}", request.journal, how="linked"
            )

    async def settled(self, run_ids: set[str]) -> None:
        """Wait until nothing is under way that these runs asked for, the runs themselves being gone or not."""
        if mine := [task for task, run_id in self._under_way.items() if run_id in run_ids]:
            await asyncio.wait(mine)

    def writes_for(self, run_id: str) -> bool:
        """Whether something is under way that a run asked for."""
        return run_id in self._under_way.values()

    async def close(self) -> None:
        """Let what was answered be settled; what waits for another attempt goes on at the next start."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=SETTLE_S)
        rest = list(self._under_way)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _answer(self, request: Request, answer: asyncio.Future[Effect]) -> None:
        """Apply, and tell whoever still waits. Cheaper than a shield, which every write would pay for."""
        try:
            effect = await self._apply_alone(request)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(effect)

    async def _apply_alone(self, request: Request) -> Effect:
        async with _Alone(self._locks, request.key):
            return await self._apply(request)

    async def _apply(self, request: Request) -> Effect:
        connection = self.connection(request.key.connection)
        operation = connection.operation(request.key.kind, request.key.action)
        content = encode_document(request.document)
        digest = hashlib.sha256(content).hexdigest()
        latest = await self._store.find_effect(request.key)
        if latest is not None and not latest.state.settled and not self._doubts.stayed_here(latest, digest):
            latest = await self._find_out(connection, operation, latest, digest, request)
        standing = await self._standing(latest)
        if standing is not None and (
            standing.version > request.version
            or (standing is latest and latest.content_hash == digest and not self._may_be_overtaken(standing, request))
        ):
            await self._journal(request.journal, standing)
            return standing
        if latest is not None and not latest.state.settled:
            return await self._carry_out(connection, operation, latest, request)
        wire, label = await self._translate(connection, operation, request)
        effect = self._intend(request, latest, wire, label, content, digest)
        await self._store.commit(Batch(effects=[effect]))
        if self._forgot(standing):
            # a call that was under way may be forgotten too: it is not open here, so nothing else would wait for it
            await self._doubts.quiet(operation)
        if self._must_look(operation, latest, standing, request):
            return await self._look_first(connection, operation, effect, standing, request)
        return await self._carry_out(connection, operation, effect, request)

    def _must_look(
        self, operation: Operation, latest: Effect | None, standing: Effect | None, request: Request
    ) -> bool:
        """Whether the ledger cannot know what stands there, and nobody looked."""
        if latest is not None and latest.revision <= request.denied:
            return False
        if self._forgot(standing):
            return operation.creates or self._from_before_restore(request)
        return request.look_first and latest is None

    def _forgot(self, standing: Effect | None) -> bool:
        """Whether a restored log may have forgotten what was written under this key after `standing`."""
        forgotten = self._doubts.forgotten
        return forgotten is not None and (standing is None or standing.intended_at < forgotten.at)

    def _may_be_overtaken(self, standing: Effect, request: Request) -> bool:
        """Whether news since a restore says what the ledger believes to stand: it may not stand there any more."""
        return self._forgot(standing) and not self._from_before_restore(request)

    def _from_before_restore(self, request: Request) -> bool:
        return self._doubts.forgotten is not None and request.version <= self._doubts.forgotten.seq

    async def _look_first(
        self, connection: Connection, operation: Operation, effect: Effect, standing: Effect | None, request: Request
    ) -> Effect:
        """A write without a record of the one before it: what stands there is taken or changed, never doubled."""
        try:
            finding = await self._ask(connection, operation, effect, await self._call(effect))
        except OutcomeUnknown:
            effect.state, effect.error = EffectState.IN_DOUBT, "it may have been written and forgotten"
            await self._store.commit(Batch(effects=[effect]))
            raise
        if isinstance(finding, Applied):
            return await self._settle(effect, finding, "probe", request.journal, how="found")
        if finding.external_id:
            if await self._may_be_newer(connection, operation, standing, request):
                return await self._keep(effect, finding.external_id, request.journal)
            found = self._reference(effect, finding.external_id, "", "found")
            await self._store.commit(Batch(references=[found]))
        return await self._carry_out(connection, operation, effect, request)

    async def _may_be_newer(
        self, connection: Connection, operation: Operation, standing: Effect | None, request: Request
    ) -> bool:
        """Whether what stands there may come from news that a restored log has forgotten."""
        if operation.action != "ensure" or not self._from_before_restore(request):
            return False
        if standing is None:
            return True
        finding = await self._ask(connection, operation, standing, await self._call(standing))
        return not isinstance(finding, Applied)

    async def _keep(self, effect: Effect, external_id: str, journal: JournalEntry | None) -> Effect:
        """Leave what stands there: the log was restored, and this content is older than the restore."""
        effect.state, effect.external_id = EffectState.REJECTED, external_id
        effect.settled_at, effect.settled_by = self._clock.now(), "probe"
        effect.error_kind = KEPT
        effect.error = f"{effect.connection} holds other content as {external_id}, written since the backup; it is kept"
        batch = Batch(effects=[effect], references=[self._reference(effect, external_id, "", "found")])
        batch.journal = [_with_result(journal, effect)] if journal else []
        await self._store.commit(batch)
        self._doubts.over(effect.key)
        self._applied(effect.key)
        return effect

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
        digest = digest or hashlib.sha256(content := encode_document(request.document)).hexdigest()
        return Effect(
            connection=request.key.connection,
            kind=request.key.kind,
            canonical_id=request.key.canonical_id,
            action=request.key.action,
            revision=revision,
            version=request.version,
            content_hash=digest,
            content=content,
            request=_wire_encoder.encode(wire),
            # with the content: a restored ledger counts revisions anew, and a vendor answers a key it knows from memory
            idempotency_key=_idempotency_key(f"{request.key}#{revision}#{digest}#{label}"),
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
            try:
                outcome = await connection.send(operation, call)
            except Withdrawn:
                self._doubts.never_left(effect)
                raise
            finally:
                self._doubts.left(effect.key)
            effect.attempts += 1
            if isinstance(outcome, OutcomeUnknown):
                effect.state, effect.error = EffectState.IN_DOUBT, str(outcome)
                await self._store.commit(Batch(effects=[effect]))
                finding = await self._ask(connection, operation, effect, call)
                if isinstance(finding, Applied):
                    return await self._settle(effect, finding, "probe", request.journal)
                await self._absent(effect, finding)
                call = await self._call(effect)
                if effect.attempts >= MOST_ATTEMPTS:
                    outcome = RejectedByVendor(f"{effect.attempts} attempts, each without an answer: {effect.error}")
                    return await self._settle(effect, outcome, "probe", None)
                continue
            if isinstance(outcome, TransientError) and effect.attempts < MOST_ATTEMPTS:
                with waiting_for_others():
                    await self._clock.sleep(max(outcome.retry_after_s, backoff(effect.attempts)))
                continue
            return await self._settle(effect, outcome, "answer", request.journal)

    async def _find_out(
        self, connection: Connection, operation: Operation, effect: Effect, digest: str, request: Request
    ) -> Effect:
        """An effect left open by a crash: it may have been sent, so ask. What never arrived is ours to send again."""
        if effect.revision <= request.denied:
            gone = RejectedByVendor(f"{request.denied_by} looked: it does not stand there")
            return await self._settle(effect, gone, f"denied by {request.denied_by}", None)
        effect.state = EffectState.IN_DOUBT
        effect.error = effect.error or "the hub stopped before it saw an answer"
        call = await self._call(effect)
        finding = await self._ask(connection, operation, effect, call)
        if isinstance(finding, Applied):
            return await self._settle(effect, finding, "probe", None)
        await self._absent(effect, finding)
        if effect.content_hash != digest:
            gone = RejectedByVendor("it never arrived, and other content is wanted by now")
            return await self._settle(effect, gone, "probe", None)
        if self._forgot(await self._standing(effect)):
            gone = RejectedByVendor("it does not stand there as sent, and the log was restored from a backup since")
            return await self._settle(effect, gone, "probe", None)
        return effect

    async def _absent(self, effect: Effect, finding: Absent) -> None:
        """It does not stand as sent: ours to send again, as an update where the document stands with other content."""
        effect.state = EffectState.INTENDED
        batch = Batch(effects=[effect])
        if finding.external_id:
            batch.references.append(self._reference(effect, finding.external_id, "", "found"))
        await self._store.commit(batch)

    async def _ask(self, connection: Connection, operation: Operation, effect: Effect, call: Call) -> Applied | Absent:
        """What became of the call."""
        standing = await self._standing(effect)
        stood_before = (
            standing is not None and standing.revision < effect.revision and standing.request == effect.request
        )
        with waiting_for_others():
            return await self._doubts.ask(
                effect, operation, lambda: connection.probe(operation, call), stood_before=stood_before
            )

    async def _settle(
        self, effect: Effect, outcome: Outcome, by: str, journal: JournalEntry | None, how: str = "created"
    ) -> Effect:
        effect.settled_at, effect.settled_by = self._clock.now(), by
        if not isinstance(outcome, Applied):
            effect.state, effect.error = EffectState.REJECTED, str(outcome)
            effect.error_kind = getattr(outcome, "vendor_code", "") or type(outcome).__name__
            await self._store.commit(Batch(effects=[effect]))
            self._doubts.over(effect.key)
            return effect
        effect.state, effect.external_id, effect.error = EffectState.APPLIED, outcome.external_id, ""
        effect.response = _wire_encoder.encode(outcome.response)
        batch = Batch(effects=[effect], journal=[_with_result(journal, effect)] if journal else [])
        if effect.action == "ensure" and outcome.external_id:
            batch.references.append(self._reference(effect, outcome.external_id, outcome.display, how))
        await self._store.commit(batch)
        self._doubts.over(effect.key)
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


def _idempotency_key(name: str) -> str:
    """The same for every attempt at a revision; in the form of a UUID (version 8, RFC 9562), as some vendors insist."""
    d = hashlib.sha256(name.encode()).hexdigest()
    return f"{d[:8]}-{d[8:12]}-8{d[13:16]}-a{d[17:20]}-{d[20:32]}"
