"""What a decision would lead to: the case's run gone on with it, without sending, asking or writing anything.

Where the run would read lists from a system, the preview goes on as if nothing were found there, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_origin, get_type_hints

import msgspec

from tieline.app.project import Project
from tieline.app.replay.preview import Planned, PreviewEnds, PreviewRun
from tieline.app.views.processes_flow import flow_of
from tieline.app.views.reading import View
from tieline.app.views.words import kind_words
from tieline.domain import Entity
from tieline.engine.cases import ACCEPT, CANCEL, CORRECT, DISMISS, LINK, SKIP, Problem
from tieline.engine.durable import Decision, RunCancelled
from tieline.engine.process import Process
from tieline.engine.records import CaseRow, EffectKey
from tieline.engine.run import Standing, corrected, to_builtins
from tieline.errors import TielineError
from tieline.events import decode_event, topic


class DecisionPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be written and told, in order. `assumed` are steps that were taken to find nothing; `unforeseen` says
    why the preview ends before the run does, "" where it does not; `later` names the documents that the process writes
    behind that.
    """

    actions: list[Planned] = []
    assumed: list[str] = []
    unforeseen: str = ""
    later: list[str] = []


async def preview_decision(
    project: Project, view: View, case: CaseRow, action: str, arguments: Mapping[str, Any], by: str
) -> DecisionPreview:
    """What would follow if this open case were decided so now."""
    if not case.run_id:
        return _without_run(action)
    row = await view.store.run(case.run_id)
    definition = project.processes.get(row.process) if row else None
    if row is None or definition is None:
        return DecisionPreview(unforeseen=f"the run {case.run_id} or its process is not there any more")
    event = (await view.store.events_after(row.event_seq - 1, 1))[0]
    run = _DecidedRun(project, view.store, row, event, await view.store.journal(row.id))
    run.decide(case, Decision(action, by, "", dict(arguments)))
    unforeseen = ""
    try:
        await definition.function(run, decode_event(event))
    except PreviewEnds as end:
        unforeseen = str(end)
    except RunCancelled:
        unforeseen = await _taken_back(run)
    except TielineError as error:
        unforeseen = f"it would stop again: {error}"
    if not run.came_to_it and not unforeseen:
        unforeseen = "the run did not come to this case again when it was gone through"
    later = [] if not unforeseen or action == CANCEL else _later(definition, run.planned)
    return DecisionPreview(actions=run.planned, assumed=run.assumed, unforeseen=unforeseen, later=later)


def _later(definition: Process, planned: Sequence[Planned]) -> list[str]:
    """The kinds of documents that the text of the process writes and the preview did not come to."""
    seen = {one.kind for one in planned}
    kinds = [
        f"{kind_words(step.name)}{' (where the deal has one)' if step.sometimes else ''}"
        for step in flow_of(definition)
        if step.does == "ensure" and step.name and not step.undoes and kind_words(step.name) not in seen
    ]
    return list(dict.fromkeys(kinds))


async def _taken_back(run: _DecidedRun) -> str:
    """What was registered for undoing, last first; then the run is over."""
    run.planned.clear()
    try:
        await run.compensate()
    except PreviewEnds as end:
        return str(end)
    run.plan("decide", "", "the run ends; nothing more is written for it")
    return ""


def _without_run(action: str) -> DecisionPreview:
    words = {
        ACCEPT: "the second telling is taken in as an event of its own; the runs that read it start anew",
        DISMISS: "nothing is written anywhere; what was told is left aside",
    }
    return DecisionPreview(actions=[Planned(action="decide", system="", what=words.get(action, "the case is closed"))])


class _DecidedRun(PreviewRun):
    """A preview that goes on behind one case, as if it had been decided."""

    def decide(self, case: CaseRow, decision: Decision) -> None:
        self._case, self._decision = case, decision
        self._effect_key = str(case.details.get("effect", ""))
        self._met: set[str] = set()
        self._linked: dict[tuple[str, str, str], str] = {}
        self.assumed: list[str] = []
        # a case about the whole run, or a document, is come to by doing; one that the process asks, by asking
        self.came_to_it = case.position < 0

    async def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await super().step(function, *arguments)
        except PreviewEnds:
            if get_origin(get_type_hints(function).get("return")) is not list:
                raise
            words = kind_words(function.__name__)
            if words not in self.assumed:
                self.assumed.append(words)
            return []

    async def link(self, connection: str, kind: str, canonical_id: str, external_id: str, display: str = "") -> None:
        await super().link(connection, kind, canonical_id, external_id, display)
        self._linked[connection, kind, canonical_id] = external_id

    async def case(self, problem: Problem) -> Decision:
        for case in await self._store.cases(case_class=problem.case_class, correlation_id=self.correlation_id):
            if case.id in self._met or case.run_id != self._first or case.message != problem.message:
                continue
            self._met.add(case.id)
            if case.id == self._case.id:
                return self._now()
            event = await self._store.first_event(topic("CaseDecided", case.id))
            if event is not None:
                return self._as_before(event, case.id)
        self.plan("decide", "", f"a person is asked: {problem.message}")
        raise PreviewEnds(f"a person must decide: {problem.case_class.replace('-', ' ')}")

    async def _plan_effect(self, key: EffectKey, document: Entity) -> Standing:
        if str(key) != self._effect_key or self.came_to_it:
            standing = await super()._plan_effect(key, document)
            if (record := self._linked.get(key[:3])) and self.planned[-1].action == "create":
                why = f"it is linked to the record {record}"
                self.planned[-1] = msgspec.structs.replace(self.planned[-1], action="update", why=why)
            return standing
        decision, what = self._now(), f"{kind_words(key.kind, key.action)}"
        if decision.action == LINK:
            external_id = str(decision.arguments.get("external_id", ""))
            self.plan("link", key.connection, what, f"to the record {external_id}", document)
            return Standing(key, external_id)
        if decision.action == SKIP:
            self.plan("nothing", key.connection, what, "left out by this decision", document)
            return Standing(key, "", skipped=True)
        if decision.action == CORRECT:
            document = _corrected(document, decision.arguments)
        return await super()._plan_effect(key, document)

    def _now(self) -> Decision:
        self.came_to_it = True
        if self._decision.action == CANCEL:
            raise RunCancelled("cancelled")
        return self._decision


def _corrected(document: Entity, fields: dict[str, Any]) -> Entity:
    try:
        return msgspec.convert(corrected(to_builtins(document), fields), type(document), strict=False)
    except msgspec.ValidationError as error:
        raise PreviewEnds(f"the corrected document would not be understood: {error}") from error
