"""The preview: a process function run against the ledger and the journal of its first run.

It sends nothing, asks no system and writes nothing; where only a system could tell how it goes on, it says so and
ends.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from tieline.app.project import Project
from tieline.app.views.reading import View
from tieline.app.views.words import event_words, kind_words
from tieline.app.wiring import make_resources
from tieline.domain import Entity, Money, kind_of
from tieline.domain.money import total
from tieline.engine.cases import Problem
from tieline.engine.clock import SystemClock
from tieline.engine.durable import Decision, RunCancelled
from tieline.engine.effects import encode_document
from tieline.engine.fitting import LooksOnly
from tieline.engine.ports import Store, Wire
from tieline.engine.records import Effect, EffectKey, EffectState, JournalEntry, RunRow
from tieline.engine.run import Run, Standing, to_builtins
from tieline.engine.worker import Worker
from tieline.errors import TielineError
from tieline.events import Event, EventData, LoggedEvent, decode_event, event_name, topic


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a replay would do: nothing, create, update, ask, link, tell or decide.

    `kind` and `money` are the document's, "" and None where there is none.
    """

    action: str
    system: str
    what: str
    why: str = ""
    kind: str = ""
    money: Money | None = None


class RunPlan(msgspec.Struct, kw_only=True):
    """What one run would do. `unforeseen` says why the preview cannot see to the end, "" where it can."""

    process: str
    event_seq: int
    event: str
    first_run: str
    deal: str
    actions: list[Planned] = []
    unforeseen: str = ""


class PreviewEnds(Exception):
    """How it goes on, only a system or a person can tell."""


async def preview(project: Project, view: View, row: RunRow, journal: Sequence[JournalEntry]) -> RunPlan:
    """What this run would do, done again now."""
    event = (await view.store.events_after(row.event_seq - 1, 1))[0]
    run = PreviewRun(msgspec.structs.replace(project, mappings=view.mappings), view.store, row, event, journal)
    plan = RunPlan(
        process=row.process,
        event_seq=row.event_seq,
        event=event_words(event),
        first_run=row.id,
        deal=row.correlation_id,
    )
    try:
        await project.processes[row.process].function(run, decode_event(event))
    except PreviewEnds as end:
        plan.unforeseen = str(end)
    except RunCancelled as cancelled:
        run.plan("decide", "", "the run is cancelled again", str(cancelled))
    except TielineError as error:
        plan.unforeseen = f"it would stop: {error}"
    plan.actions = run.planned
    return plan


class _NoWorker:
    """What a run asks of its worker, without systems behind it."""

    def __init__(self, project: Project, store: Store) -> None:
        self.store, self.clock = LooksOnly(store), SystemClock()
        self.resources = make_resources(project, _NoSystems())

    def connection(self, name: str) -> Any:
        raise PreviewEnds(f"it would ask {name}, which a preview does not do")


class _NoSystems(dict[str, Any]):
    """Stands where connections are looked up: a list that nobody read yet, only a system has."""

    def __missing__(self, name: str) -> Any:
        raise PreviewEnds(f"it would ask {name}, which a preview does not do")


class PreviewRun(Run):
    """A run that plans instead of doing. Steps answer from the journal of the first run, by name and order."""

    def __init__(
        self, project: Project, store: Store, row: RunRow, event: LoggedEvent, journal: Sequence[JournalEntry]
    ) -> None:
        super().__init__(cast("Worker", _NoWorker(project, store)), row, event, [])
        self._store, self._first = store, row.id
        self._answers: dict[str, deque[JournalEntry]] = {}
        for entry in journal:
            if entry.kind == "step":
                self._answers.setdefault(entry.name, deque()).append(entry)
        self.planned: list[Planned] = []

    def plan(self, action: str, system: str, what: str, why: str = "", document: Entity | None = None) -> None:
        kind = kind_words(kind_of(document)) if document else ""
        money = _money(document) if document else None
        self.planned.append(Planned(action=action, system=system, what=what, why=why, kind=kind, money=money))

    async def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        answers = self._answers.get(function.__name__)
        if answers:
            self._journal[self._position] = answers.popleft()
        return await super().step(function, *arguments)

    async def pause(self, within_s: float) -> None:
        """A preview waits for nothing."""

    async def ensure(self, connection: str, document: Entity, *, after: Sequence[EffectKey] = ()) -> Standing:
        for parent in after:
            await self.applied(parent)
        return await self._plan_effect(EffectKey(connection, kind_of(document), document.id), document)

    async def perform(self, connection: str, action: str, document: Entity) -> Standing:
        return await self._plan_effect(EffectKey(connection, kind_of(document), document.id, action), document)

    async def link(self, connection: str, kind: str, canonical_id: str, external_id: str, display: str = "") -> None:
        known = await self._store.references([(connection, kind, canonical_id)])
        if not known:
            self.plan("link", connection, f"{kind_words(kind)} {canonical_id}", f"to the record {external_id}")

    async def applied(self, key: EffectKey, within: timedelta = timedelta(0)) -> None:
        effect = await self._store.find_effect(key)
        if (effect is None or effect.state is not EffectState.APPLIED) and not await self._store.references([key[:3]]):
            raise PreviewEnds(f"it waits until {key} stands")

    async def publish(self, data: EventData) -> None:
        event = self._event(0, data)
        told = await self._store.events(type=event_name(event.type), subject=event.subject, limit=100_000)
        if not any(earlier.content_hash() == event.content_hash() for earlier in told):
            self.plan("tell", "", f"{type(data).__name__} {data.subject()}")

    async def record(self, entity: Entity, news: Callable[[], EventData]) -> bool:
        digest = hashlib.sha256(msgspec.json.encode(entity, order="deterministic")).hexdigest()
        known = await self._store.find_entity(kind_of(entity), entity.id)
        changed = known is None or known.content_hash != digest
        if changed:
            self.plan("tell", "", f"{type(news()).__name__} {news().subject()}")
        return changed

    async def wait(self, kind: type[Any], subject: str, within: timedelta) -> Any:
        event = await self._store.first_event(topic(kind.__name__, subject))
        if event is None:
            raise PreviewEnds(f"it waits for {kind.__name__} of {subject}")
        return decode_event(event)

    async def case(self, problem: Problem) -> Decision:
        for case in await self._store.cases(case_class=problem.case_class, correlation_id=self.correlation_id):
            if case.run_id == self._first and case.message == problem.message:
                event = await self._store.first_event(topic("CaseDecided", case.id))
                if event is not None:
                    return self._as_before(event, case.id)
        self.plan("decide", "", f"a person is asked: {problem.message}")
        raise PreviewEnds(f"a person must decide: {problem.case_class}")

    def _as_before(self, event: Event, case_id: str) -> Decision:
        data: Any = decode_event(event)
        self.plan("decide", "", f"as {data.by} decided in {case_id}: {data.action}")
        if data.action == "cancel":
            raise RunCancelled(data.reason or f"cancelled by {data.by}")
        return Decision(data.action, data.by, data.reason, data.arguments)

    async def _plan_effect(self, key: EffectKey, document: Entity) -> Standing:
        content = to_builtins(document)
        what = f"{kind_words(key.kind, key.action)} {_name(content)}"
        latest = await self._store.find_effect(key)
        standing = await self._newest_applied(key)
        action, why = self._judge(latest, standing, hashlib.sha256(encode_document(content)).hexdigest())
        if action == "create" and await self._store.references([key[:3]]):
            action, why = "update", "it is linked to a record there"
        self.plan(action, key.connection, what, why, document)
        return Standing(key, standing.external_id if standing else "")

    def _judge(self, latest: Effect | None, standing: Effect | None, digest: str) -> tuple[str, str]:
        """The same order of questions as the ledger's own (engine/effects.py)."""
        if latest is not None and not latest.state.settled:
            return "ask", "an earlier write was left open: the system is asked what became of it"
        if standing is None:
            refused = f"it was refused: {latest.error}" if latest is not None else "it is looked for first"
            return "create", refused
        if standing.version > self.event.seq:
            return "nothing", "newer content stands there"
        if latest is not None and latest.revision == standing.revision and standing.content_hash == digest:
            return "nothing", f"stands as {standing.external_id}" if standing.external_id else "done"
        return "update", f"its content differs from what stands as {standing.external_id}"

    async def _newest_applied(self, key: EffectKey) -> Effect | None:
        found = await self._store.effects(
            connection=key.connection,
            kind=key.kind,
            canonical_id=key.canonical_id,
            state=EffectState.APPLIED,
            limit=100_000,
        )
        return max((e for e in found if e.action == key.action), key=lambda e: e.revision, default=None)


def _name(content: Wire) -> str:
    return str(next((content[f] for f in ("number", "title", "name", "status") if content.get(f)), content["id"]))


def _money(document: Entity) -> Money | None:
    """What a document is about in money: its amount, its budget, or the sum of its lines."""
    for field in ("amount", "budget"):
        if isinstance(amount := getattr(document, field, None), Money):
            return amount
    nets = [line.net for line in getattr(document, "lines", ())]
    return total(nets, nets[0].currency) if nets else None
