"""What a process function holds: steps, effects, waits, approvals, cases, each durable before the run goes on.

The ground under it, journal, waits and cases, is `durable.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from tieline.domain import Entity, kind_of
from tieline.engine import cases
from tieline.engine.cases import Problem, case_id
from tieline.engine.durable import Decision, DurableRun, JournalMismatch, RunCancelled
from tieline.engine.effects import Request
from tieline.engine.measures import waiting_for_others
from tieline.engine.ports import Batch, Candidate, Safety, Wire
from tieline.engine.records import (
    CaseRow,
    CaseState,
    Effect,
    EffectKey,
    EffectState,
    EntityRow,
    JournalEntry,
    Reference,
)
from tieline.engine.replays import first_run
from tieline.engine.waiting import applied_topic
from tieline.errors import OutcomeUnknown, PermanentError, TielineError, TransientError
from tieline.events import Event, EventData, LoggedEvent, decode_event, event_name, topic
from tieline.mapping import MissingReference

__all__ = [
    "Decision",
    "JournalMismatch",
    "Run",
    "RunCancelled",
    "Standing",
    "applied_topic",
    "case_id",
    "corrected",
    "to_builtins",
]

T = TypeVar("T")
D = TypeVar("D", bound=EventData)
STEP_ATTEMPTS = 6
LONGEST_PAUSE_S = 10.0
SHORT_PAUSE_S = 0.25
PARENT_WITHIN = timedelta(hours=24)
CANDIDATES_WITHIN_S = 5.0
"""How long a case waits for a search that may help the person who decides it."""


class Standing(msgspec.Struct, frozen=True):
    """A document stands (or a deed is done) in a system; `external_id` is "" when a person chose to skip it."""

    key: EffectKey
    external_id: str
    skipped: bool = False


class Run(DurableRun):
    """One execution of a process.

    Operations may be gathered: each takes its position in the journal when it is called, so the order of the calls
    must not depend on time. Branches of several operations each cannot promise that.
    """

    @property
    def resources(self) -> Any:
        """What the project gives its processes: mappings, policies, catalogues."""
        return self._worker.resources

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
        return await self._worker.connection(connection).fetch(kind, native_id)

    async def find(self, connection: str, kind: str, document: Wire) -> list[Candidate]:
        """Records there that may be this document. Not journaled."""
        link = self._worker.connection(connection)
        found = await link.read(f"find {kind}", lambda: link.connector.find(kind, document))
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

    async def pause(self, within_s: float) -> None:
        """Let what comes together be one: until the other runs of the deal rest, `within_s` seconds at most.

        Not durable: a run that starts anew waits anew.
        """
        waited, step = 0.0, SHORT_PAUSE_S
        while waited < within_s:
            step = min(step, within_s - waited)
            with waiting_for_others():
                await self._worker.clock.sleep(step)
            waited, step = waited + step, step * 2
            if not self._worker.others_move(self.row):
                return

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
        # all positions first: among gathered calls the order would otherwise depend on which parent comes first
        parents = [(parent, *self._next("applied", str(parent))) for parent in after]
        place = self._next("effect", str(key))
        for parent, position, entry in parents:
            if entry is None:
                await self._parent(position, parent, PARENT_WITHIN)
        return await self._effect_at(place, key, document)

    async def perform(self, connection: str, action: str, document: Entity) -> Standing:
        """Do a deed that is no document of its own (cancel, withdraw), once."""
        key = EffectKey(connection, kind_of(document), document.id, action)
        return await self._effect_at(self._next("effect", str(key)), key, document)

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

    async def applied(self, key: EffectKey, within: timedelta = PARENT_WITHIN) -> None:
        """Wait until a parent document stands. One that never comes becomes a case."""
        position, entry = self._next("applied", str(key))
        if entry is None:
            await self._parent(position, key, within)

    # --- events -------------------------------------------------------------------------------------------------------

    async def publish(self, data: EventData) -> None:
        """Append an event caused by this run, in the same commit as its journal entry."""
        name = type(data).__name__
        position, entry = self._next("publish", name)
        if entry is not None:
            return
        event = self._event(position, data)
        news = [] if await self._told_before(event) else [event]
        await self._worker.store.commit(
            Batch(events=news, journal=[self._entry(position, "publish", name, msgspec.json.encode(event.id))])
        )
        self._worker.events_arrived()

    async def _told_before(self, event: Event) -> bool:
        """In a replay: whether the log says the same already. Told twice, money would count twice."""
        if not first_run(self.id):
            return False
        told = await self._worker.store.events(type=event_name(event.type), subject=event.subject, limit=1_000_000)
        return any(earlier.content_hash() == event.content_hash() for earlier in told)

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

    async def _persistently(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        waited_s = 0.0
        for attempt in itertools.count(1):
            try:
                result = function(*arguments)
                return await result if inspect.isawaitable(result) else result
            except TransientError as error:
                if attempt >= STEP_ATTEMPTS and waited_s >= error.patience_s:
                    raise
                pause_s = max(error.retry_after_s, min(0.1 * 2**attempt, LONGEST_PAUSE_S))
            with waiting_for_others():
                await self._worker.clock.sleep(pause_s)
            waited_s += pause_s
        raise AssertionError

    async def _effect_at(self, place: tuple[int, JournalEntry | None], key: EffectKey, document: Entity) -> Standing:
        position, entry = place
        if entry is None:
            return await self._effect(position, key, document)
        result = msgspec.json.decode(entry.payload)
        return Standing(key, result["external_id"], skipped="skipped" in result)

    async def _effect(self, position: int, key: EffectKey, document: Entity) -> Standing:
        """Carry an effect out, case by case, until it stands, is linked or is skipped."""
        request = Request(
            key=key,
            document=to_builtins(document),
            version=self.event.seq,
            event_id=self.event.id,
            run_id=self.id,
            correlation_id=self.correlation_id,
            journal=self._entry(position, "effect", str(key), b"{}"),
            look_first=bool(first_run(self.id)),
        )
        turn, problem = 0, None
        while True:
            # a case that is open already was opened in an earlier life: it is decided before anything is sent
            if problem is None and await self._nothing_asked(position, turn):
                outcome = await self._applied_or_problem(request)
                request.denied = 0
                if isinstance(outcome, Effect):
                    await self._close_cases(position, turn)
                    return Standing(key, outcome.external_id)
                problem = outcome
            decision = await self._decided(position, turn, problem)
            turn, problem = turn + 1, None
            if decision.action in (cases.SKIP, cases.LINK):
                standing = await self._skip(request, decision) if decision.action == cases.SKIP else None
                standing = standing or await self._link(request, decision)
                await self._close_cases(position, turn)
                return standing
            if decision.action == cases.SEND_AGAIN:
                request.denied, request.denied_by = await self._revision_in_doubt(position, turn - 1), decision.by
            if decision.action == cases.CORRECT:
                try:
                    request.document = corrected(request.document, decision.arguments)
                except PermanentError as wrong:
                    problem = cases.untranslatable(key, wrong, request.document)

    async def _applied_or_problem(self, request: Request) -> Effect | Problem:
        """The applied effect, or what a person must look at. A missing parent is waited for, each one once."""
        key, content, waited_for = request.key, request.document, set[EffectKey]()
        while True:
            try:
                effect = await self._worker.ledger.apply(request)
                if effect.run_id == self.id and effect.state is EffectState.APPLIED:
                    self._worker.measures.systems[key.connection].stands(self._added_s())
                return effect if effect.stands else cases.rejected(effect, content)
            except MissingReference as missing:
                parent = EffectKey(key.connection, missing.kind, missing.id)
                if parent in waited_for:  # it stands, and its id is missing all the same
                    return cases.untranslatable(key, missing, content)
                waited_for.add(parent)
                if not await self._stands(self._position_of(request), parent, PARENT_WITHIN):
                    return cases.orphan(parent, PARENT_WITHIN)
            except OutcomeUnknown as unknown:
                return await self._in_doubt(key, unknown, content)
            except PermanentError as error:
                return cases.untranslatable(key, error, content)

    def _added_s(self) -> float | None:
        """How long it took us from the run's event up to now; None where that cannot be said."""
        if self.watch is None:
            return None
        return (self._worker.clock.now() - self.event.recorded_at).total_seconds() - self.watch.waited_s

    async def _in_doubt(self, key: EffectKey, unknown: OutcomeUnknown, content: dict[str, Any]) -> Problem:
        """All that is known about a document that may stand there: a person must be able to find out."""
        effect = await self._worker.store.find_effect(key)
        if effect is None:
            raise AssertionError(f"{key} is in doubt and was never intended")
        known = (await self._worker.store.references([key[:3]])).get(key[:3])
        found: list[Candidate] = []
        try:
            async with asyncio.timeout(CANDIDATES_WITHIN_S):
                found = await self.find(key.connection, key.kind, content)
        except (TielineError, TimeoutError):
            pass  # it cannot search, or not now: the case is opened all the same
        operation = self._worker.connection(key.connection).operation(key.kind, key.action)
        return cases.outcome_unknown(
            effect,
            unknown,
            content,
            known_as=known.external_id if known else "",
            found=found,
            can_ask=operation.safety is not Safety.ASK_A_PERSON,
        )

    async def _revision_in_doubt(self, position: int, turn: int) -> int:
        """Which revision the case of a turn is about: what a person says counts for that one and no later one."""
        case = await self._worker.store.case(case_id(self.id, position, turn))
        return int(case.details.get("revision", 0)) if case else 0

    async def _skip(self, request: Request, decision: Decision) -> Standing:
        journal = self._entry(self._position_of(request), "effect", str(request.key), b"{}")
        journal.payload = msgspec.json.encode({"external_id": "", "skipped": decision.reason})
        await self._worker.store.commit(Batch(journal=[journal]))
        return Standing(request.key, "", skipped=True)

    async def _link(self, request: Request, decision: Decision) -> Standing:
        external_id = str(decision.arguments["external_id"])
        await self._worker.ledger.settle_by_person(request, external_id, decision.by)
        return Standing(request.key, external_id)

    def _position_of(self, request: Request) -> int:
        return request.journal.position if request.journal else -1

    async def _parent(self, position: int, parent: EffectKey, within: timedelta) -> None:
        """Wait for a parent as long as it takes; each deadline that passes is a case, and `retry` waits again."""
        turn = 0
        while True:
            problem = None
            if await self._nothing_asked(position, turn):
                if await self._stands(position, parent, within):
                    break
                problem = cases.orphan(parent, within)
            await self._decided(position, turn, problem)
            turn += 1
        await self._close_cases(position, turn)
        entry = self._entry(position, "applied", str(parent), b"{}")
        await self._worker.store.commit(Batch(journal=[entry]))

    async def _stands(self, position: int, parent: EffectKey, within: timedelta) -> bool:
        """Whether a parent document stands, after waiting for it. False when the deadline passed."""
        found = await self._worker.store.find_effect(parent)
        if found is not None and found.state is EffectState.APPLIED:
            return True
        if await self._worker.store.references([parent[:3]]):
            return True
        arrived = await self._awaited(position, applied_topic(parent), within, f"{parent} to stand", parent=parent)
        await self._worker.store.commit(self._awake(position, Batch()))
        return arrived is not None


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
