"""What a process function holds: steps, effects, waits, approvals, cases, each durable before the run goes on.

The invariant: every durable operation takes the next position of the journal. After a crash the function runs again;
an operation whose position is journaled answers from the journal and touches nothing.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import msgspec

from tieline.domain import Entity, kind_of
from tieline.engine import cases
from tieline.engine.cases import Problem
from tieline.engine.effects import Request
from tieline.engine.lanes import Priority
from tieline.engine.ports import Batch, Candidate, Wire
from tieline.engine.records import (
    CaseRow,
    CaseState,
    Effect,
    EffectKey,
    EffectState,
    EntityRow,
    JournalEntry,
    Reference,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConfigurationError, OutcomeUnknown, PermanentError, TransientError
from tieline.events import Event, EventData, LoggedEvent, decode_event, make_event, topic
from tieline.mapping import MissingReference

if TYPE_CHECKING:
    from tieline.engine.worker import Worker

T = TypeVar("T")
D = TypeVar("D", bound=EventData)
STEP_ATTEMPTS = 6


class Standing(msgspec.Struct, frozen=True):
    """A document stands (or a deed is done) in a system; `external_id` is "" when a person chose to skip it."""

    key: EffectKey
    external_id: str
    skipped: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What a person decided about a case."""

    action: str
    by: str
    reason: str = ""
    arguments: dict[str, Any] = {}


class RunCancelled(Exception):
    """A person cancelled the run; compensation follows."""


class JournalMismatch(ConfigurationError):
    """The process has changed so that it no longer fits the journal of a run in flight."""


class Run:
    """One execution of a process."""

    def __init__(
        self, worker: Worker, row: RunRow, event: LoggedEvent, journal: Sequence[JournalEntry], priority: Priority
    ) -> None:
        self._worker, self._row, self.event, self._priority = worker, row, event, priority
        self._journal = {entry.position: entry for entry in journal}
        self._position = 0
        self._compensations: list[Callable[[], Awaitable[Any]]] = []

    @property
    def id(self) -> str:
        return self._row.id

    @property
    def key(self) -> str:
        return self._row.key

    @property
    def process_name(self) -> str:
        return self._row.process

    @property
    def resources(self) -> Any:
        """What the project gives its processes: mappings, policies, catalogues."""
        return self._worker.resources

    @property
    def correlation_id(self) -> str:
        return self._row.correlation_id

    # --- steps and reads ----------------------------------------------------------------------------------------------

    async def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Do `function(*arguments)` once; its result (typed by its annotation) is journaled. May be async.

        A TransientError is tried again with growing pauses; other errors stop the run with a case.
        """
        position, entry = self._next("step", function.__name__)
        if entry is not None:
            return _result_decoder(function).decode(entry.payload)
        result = await self._persistently(function, arguments)
        payload = msgspec.json.encode(result)
        await self._worker.store.commit(Batch(journal=[self._entry(position, "step", function.__name__, payload)]))
        return result

    async def fetch(self, connection: str, kind: str, native_id: str) -> Wire | None:
        """The present state of a record there. Not journaled: what depends on it belongs into the same step."""
        return await self._worker.connection(connection).fetch(kind, native_id, self._priority)

    async def find(self, connection: str, kind: str, document: Wire) -> list[Candidate]:
        """Records there that may be this document. Not journaled."""
        link = self._worker.connection(connection)
        found = await link.read(f"find {kind}", lambda: link.connector.find(kind, document), self._priority)
        return list(found)

    async def references(self, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Reference]:
        """What canonical ids are called elsewhere. Not journaled."""
        return await self._worker.store.references(wanted)

    async def canonical_id(self, connection: str, kind: str, external_id: str) -> str | None:
        """Which canonical document a record there is; None for one we do not know. Not journaled."""
        known = await self._worker.store.referenced(external_id, connection)
        return next((r.canonical_id for r in known if r.kind == kind), None)

    async def applied_content(self, key: EffectKey) -> dict[str, Any] | None:
        """The canonical content last applied under a key; None where nothing stands by our doing. Not journaled."""
        effect = await self._worker.store.find_effect(key)
        if effect is None or effect.state is not EffectState.APPLIED:
            return None
        content: dict[str, Any] = msgspec.json.decode(effect.content)
        return content

    async def effects_of_deal(self, correlation_id: str) -> list[Effect]:
        """Every revision of every effect of a deal, oldest first. Not journaled."""
        return await self._worker.store.effects(correlation_id=correlation_id, limit=100_000)

    async def open_cases(self, correlation_id: str) -> list[CaseRow]:
        """The open cases of a deal, oldest first. Not journaled."""
        return await self._worker.store.cases(states=[CaseState.OPEN], correlation_id=correlation_id)

    async def events_of_deal(self, correlation_id: str) -> list[LoggedEvent]:
        """Every event of a deal, in order. Not journaled."""
        return await self._worker.store.events(correlation_id=correlation_id, limit=100_000)

    async def pause(self, seconds: float) -> None:
        """Let what comes in the next moments come together. Not durable: a run that starts anew does not wait again."""
        await self._worker.clock.sleep(seconds)

    async def entity(self, kind: str, canonical_id: str, as_type: type[T]) -> T | None:
        """Canonical state as last recorded. Not journaled."""
        row = await self._worker.store.find_entity(kind, canonical_id)
        return msgspec.json.decode(row.content, type=as_type, strict=False) if row else None

    # --- effects ------------------------------------------------------------------------------------------------------

    async def ensure(self, connection: str, document: Entity, *, after: Sequence[EffectKey] = ()) -> Standing:
        """See to it that the document stands there with this content; waits for `after` and for missing references.

        What the system rejects becomes a case; a person may retry, correct, link, skip or cancel.
        """
        key = EffectKey(connection, kind_of(document), document.id)
        for parent in after:
            await self.applied(parent)
        return await self._effect(key, document, "ensure")

    async def perform(self, connection: str, action: str, document: Entity) -> Standing:
        """Do a deed that is no document of its own (cancel, withdraw), once."""
        return await self._effect(EffectKey(connection, kind_of(document), document.id, action), document, action)

    async def link(self, connection: str, kind: str, canonical_id: str, external_id: str, display: str = "") -> None:
        """Record that a record found there is this document: from now on it is updated, never created."""
        position, entry = self._next("link", f"{connection}/{kind}/{canonical_id}")
        if entry is not None:
            return
        reference = Reference(
            connection=connection,
            kind=kind,
            canonical_id=canonical_id,
            external_id=external_id,
            display=display,
            how="found",
            at=self._worker.clock.now(),
        )
        journal = [self._entry(position, "link", f"{connection}/{kind}/{canonical_id}", b"{}")]
        await self._worker.store.commit(Batch(references=[reference], journal=journal))

    async def applied(self, key: EffectKey, within: timedelta = timedelta(hours=24)) -> None:
        """Wait until a parent document stands. One that never comes becomes a case."""
        position, entry = self._next("applied", str(key))
        if entry is None:
            await self._parent(position, key, within)
            await self._worker.store.commit(Batch(journal=[self._entry(position, "applied", str(key), b"{}")]))

    def compensate_with(self, deed: Callable[[], Awaitable[Any]]) -> None:
        """If the run is cancelled later, do this; the last registered is done first."""
        self._compensations.append(deed)

    # --- events -------------------------------------------------------------------------------------------------------

    async def publish(self, data: EventData) -> None:
        """Append an event caused by this run, in the same commit as its journal entry."""
        name = type(data).__name__
        position, entry = self._next("publish", name)
        if entry is not None:
            return
        event = self._event(position, data)
        await self._worker.store.commit(
            Batch(events=[event], journal=[self._entry(position, "publish", name, msgspec.json.encode(event.id))])
        )
        self._worker.events_arrived()

    async def record(self, entity: Entity, news: Callable[[], EventData]) -> bool:
        """Keep canonical state; publish `news()` when it changed. What says nothing new is an echo and says nothing."""
        kind = kind_of(entity)
        position, entry = self._next("record", f"{kind}/{entity.id}")
        if entry is not None:
            return bool(msgspec.json.decode(entry.payload))
        content = msgspec.json.encode(entity, order="deterministic")
        digest = hashlib.sha256(content).hexdigest()
        known = await self._worker.store.find_entity(kind, entity.id)
        changed = known is None or known.content_hash != digest
        batch = Batch(journal=[self._entry(position, "record", f"{kind}/{entity.id}", msgspec.json.encode(changed))])
        if changed:
            event = self._event(position, news())
            batch.events.append(event)
            batch.entities.append(
                EntityRow(
                    kind=kind,
                    id=entity.id,
                    content_hash=digest,
                    content=content,
                    correlation_id=event.correlation_id,
                    updated_at=self._worker.clock.now(),
                )
            )
        await self._worker.store.commit(batch)
        if changed:
            self._worker.events_arrived()
        return changed

    async def wait(self, kind: type[D], subject: str, within: timedelta) -> D | None:
        """The first event of this kind about `subject` in the log, waiting if need be; None when it is too late."""
        address = topic(kind.__name__, subject)
        position, entry = self._next("wait", address)
        if entry is None:
            event = await self._awaited(position, address, within, f"{kind.__name__} of {subject}")
            payload = msgspec.json.encode(event.seq if event else None)
            entry = self._entry(position, "wait", address, payload)
            await self._worker.store.commit(self._awake(position, Batch(journal=[entry])))
        seq = msgspec.json.decode(entry.payload)
        if seq is None:
            return None
        found = await self._worker.store.events_after(seq - 1, 1)
        return decode_event(found[0])  # type: ignore[return-value]

    # --- people -------------------------------------------------------------------------------------------------------

    async def approval(self, problem: Problem) -> Decision:
        """Ask a person to approve or refuse; waits durably, escalates at the deadline. Returns the decision."""
        return await self.case(problem)

    async def case(self, problem: Problem) -> Decision:
        """Open a case and wait for what a person decides. A cancellation raises RunCancelled."""
        position, _ = self._next("case", problem.case_class)
        decision = await self._decided(position, 0, problem)
        await self._close_cases(position, 1)
        return decision

    # --- inside -------------------------------------------------------------------------------------------------------

    def _next(self, kind: str, name: str) -> tuple[int, JournalEntry | None]:
        position, self._position = self._position, self._position + 1
        entry = self._journal.get(position)
        if entry is not None and (entry.kind, entry.name) != (kind, name):
            raise JournalMismatch(
                f"run {self.id} did {entry.kind} {entry.name!r} at position {position}; "
                f"process {self.process_name} now wants {kind} {name!r} there"
            )
        return position, entry

    def _entry(self, position: int, kind: str, name: str, payload: bytes) -> JournalEntry:
        return JournalEntry(
            run_id=self.id, position=position, kind=kind, name=name, payload=payload, at=self._worker.clock.now()
        )

    def _event(self, position: int, data: EventData) -> Any:
        return make_event(
            data,
            source="tieline",
            id=f"{self.id}/{position}",
            time=self._worker.clock.now(),
            causation_id=self.event.id,
        )

    async def _persistently(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        for attempt in range(1, STEP_ATTEMPTS + 1):
            try:
                result = function(*arguments)
                return await result if inspect.isawaitable(result) else result
            except TransientError as error:
                if attempt == STEP_ATTEMPTS:
                    raise
                await self._worker.clock.sleep(max(error.retry_after_s, 0.1 * 2**attempt))
        raise AssertionError

    async def _effect(self, key: EffectKey, document: Entity, action: str) -> Standing:
        position, entry = self._next("effect", str(key))
        if entry is not None:
            result = msgspec.json.decode(entry.payload)
            return Standing(key, result["external_id"], skipped="skipped" in result)
        journal = self._entry(position, "effect", str(key), b"{}")
        content = to_builtins(document)
        turn = 0
        while True:
            request = Request(
                key=key,
                document=content,
                version=self.event.seq,
                event_id=self.event.id,
                run_id=self.id,
                correlation_id=self.correlation_id,
                priority=self._priority,
                journal=journal,
            )
            problem = None
            if await self._worker.store.case(self._case_id(position, turn)) is None:
                try:
                    effect = await self._worker.ledger.apply(request)
                    if effect.state is EffectState.APPLIED:
                        await self._close_cases(position, turn)
                        return Standing(key, effect.external_id)
                    problem = cases.rejected(effect, content)
                except MissingReference as missing:
                    parent = EffectKey(key.connection, missing.kind, missing.id)
                    await self._parent(position, parent, timedelta(hours=24))
                    continue
                except OutcomeUnknown as unknown:
                    problem = cases.outcome_unknown(key, unknown, content)
                except PermanentError as error:
                    problem = cases.untranslatable(key, error, content)
            decision = await self._decided(position, turn, problem)
            turn += 1
            if decision.action == "skip":
                skipped = msgspec.structs.replace(
                    journal, payload=msgspec.json.encode({"external_id": "", "skipped": decision.reason})
                )
                await self._worker.store.commit(Batch(journal=[skipped]))
                await self._close_cases(position, turn)
                return Standing(key, "", skipped=True)
            if decision.action == "link":
                external_id = str(decision.arguments["external_id"])
                await self._worker.ledger.settle_by_person(request, external_id, decision.by)
                await self._close_cases(position, turn)
                return Standing(key, external_id)
            if decision.action == "correct":
                content = corrected(content, decision.arguments)

    async def _parent(self, position: int, parent: EffectKey, within: timedelta) -> None:
        address = applied_topic(parent)
        found = await self._worker.store.find_effect(parent)
        if found is not None and found.state is EffectState.APPLIED:
            return
        known = await self._worker.store.references([parent[:3]])
        if known:
            return
        arrived = await self._awaited(position, address, within, f"{parent} to stand", parent=parent)
        await self._worker.store.commit(self._awake(position, Batch()))
        if not arrived:
            await self._decided(position, 0, cases.orphan(parent, within))

    async def _awaited(
        self, position: int, address: str, within: timedelta, what: str, parent: EffectKey | None = None
    ) -> LoggedEvent | Any | None:
        """What arrives at a topic, or None when the deadline passes first. Durable: the wait survives a crash."""
        store, now = self._worker.store, self._worker.clock.now()
        if (there := await self._already(address, parent)) is not None:
            return there
        held = [w for w in await store.waits([address]) if (w.run_id, w.position) == (self.id, position)]
        wait = held[0] if held else Wait(run_id=self.id, position=position, topic=address, due_at=now + within)
        arrival = self._worker.expect(self.id, address)
        try:
            self._row.state, self._row.waits_for = RunState.WAITING, what
            await store.commit(Batch(waits=[] if held else [wait], runs=[self._row]))
            found = await self._already(address, parent)
            if found is not None:
                return found
            return await self._worker.arrival(arrival, wait.due_at)
        finally:
            self._worker.expect_no_more(self.id, address)

    async def _already(self, address: str, parent: EffectKey | None) -> Any | None:
        if parent is None:
            return await self._worker.store.first_event(address, 0)
        effect = await self._worker.store.find_effect(parent)
        return effect if effect is not None and effect.state is EffectState.APPLIED else None

    def _awake(self, position: int, batch: Batch) -> Batch:
        self._row.state, self._row.waits_for = RunState.READY, ""
        batch.waits_over.append((self.id, position))
        batch.runs.append(self._row)
        return batch

    def _case_id(self, position: int, turn: int) -> str:
        return case_id(self.id, position, turn)

    async def _decided(self, position: int, turn: int, problem: Problem | None) -> Decision:
        """The decision about the `turn`-th case at a position; opens it when it is not open yet."""
        ident = self._case_id(position, turn)
        case = await self._worker.store.case(ident)
        if case is None:
            if problem is None:
                raise AssertionError(f"no problem to open case {ident} with")
            case = await self._worker.open_case(self, ident, position, problem)
        arrived = await self._awaited(
            position, topic("CaseDecided", ident), timedelta(days=3650), f"a decision on case {ident}"
        )
        await self._worker.store.commit(self._awake(position, Batch()))
        if not isinstance(arrived, Event):
            raise JournalMismatch(f"case {ident} waits longer than it was told to")  # ten years
        data: Any = decode_event(arrived)
        if data.action == "cancel":
            await self._close_cases(position, turn + 1)
            raise RunCancelled(data.reason or f"cancelled by {data.by}")
        return Decision(data.action, data.by, data.reason, data.arguments)

    async def _close_cases(self, position: int, turns: int) -> None:
        closed: list[CaseRow] = []
        for turn in range(turns):
            case = await self._worker.store.case(self._case_id(position, turn))
            if case is not None and case.state is not CaseState.CLOSED:
                case.state, case.closed_at = CaseState.CLOSED, self._worker.clock.now()
                closed.append(case)
        if closed:
            await self._worker.store.commit(Batch(cases=closed))

    async def stopped(self, turn: int, problem: Problem) -> Decision:
        """The process failed: a case at no position of its own. A cancellation compensates, then raises."""
        try:
            return await self._decided(-1, turn, problem)
        except RunCancelled:
            await self.compensate()
            raise

    async def end(self, state: RunState, error: str, turns: int) -> None:
        """The run is over; the cases about its own failures are closed."""
        await self._close_cases(-1, turns)
        self._row.state, self._row.error, self._row.waits_for = state, error, ""
        self._row.ended_at = self._worker.clock.now()
        await self._worker.store.commit(Batch(runs=[self._row]))

    async def compensate(self) -> None:
        """Undo what was registered, last first; each deed is an effect of its own."""
        while self._compensations:
            await self._compensations.pop()()


def case_id(run_id: str, position: int, turn: int) -> str:
    """Short, stable, made from where in which run the case arose."""
    digest = hashlib.sha256(f"{run_id}/{position}/{turn}".encode()).digest()
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = int.from_bytes(digest[:5], "big")
    return "C-" + "".join(alphabet[(number >> shift) & 31] for shift in range(35, -1, -5))


def applied_topic(key: EffectKey) -> str:
    """Where runs wait for a document to stand."""
    return f"applied:{key}"


def to_builtins(document: Any) -> Any:
    """A document as dicts and lists; Decimals, dates and times stay what they are."""
    return msgspec.to_builtins(document, builtin_types=(Decimal, date, datetime))


def corrected(document: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The document with dotted fields replaced (`lines.0.product`). Raises PermanentError for a wrong path."""
    result: dict[str, Any] = _deep_copy(document)
    for path, value in fields.items():
        target: Any = result
        *way, last = path.split(".")
        try:
            for name in way:
                target = target[int(name)] if isinstance(target, list) else target[name]
            if isinstance(target, list):
                target[int(last)] = value
            else:
                target[last] = value
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PermanentError(f"the document has no field {path!r}") from error
    return result


def _deep_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _deep_copy(v) for name, v in value.items()}
    return [_deep_copy(v) for v in value] if isinstance(value, list) else value


@lru_cache(maxsize=512)
def _result_decoder(function: Callable[..., Any]) -> msgspec.json.Decoder[Any]:
    hint = get_type_hints(function).get("return", Any)
    return msgspec.json.Decoder(Any if hint is type(None) else hint, strict=False)
