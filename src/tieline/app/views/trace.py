"""The whole way of one deal: where its money stands, what it waits for, and everything that happened, in time order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tieline.app.views.deal import DealMoney, DealRows, gather, gather_notice, money_of
from tieline.app.views.reading import View
from tieline.app.views.resolve import Resolved, resolve
from tieline.app.views.standing import standing
from tieline.app.views.words import APPROVAL, event_words, figure, kind_words, system_of
from tieline.engine.records import CaseRow, CaseState, Effect, EffectState, LaneStatus, RunRow, RunState
from tieline.events import EVENTS, CaseDecided, CaseOpened, LoggedEvent, VendorNotified, decode_event, event_name
from tieline.events.business import DocumentStands


class TracedRun(msgspec.Struct, kw_only=True):
    """A run that an event triggered. `replay` marks one that a person asked for later."""

    id: str
    process: str
    state: RunState
    started_at: datetime
    ended_at: datetime | None
    waits_for: str
    error: str
    replay: bool


class TracedEffect(msgspec.Struct, kw_only=True):
    """A write to a system. `settled_by`: answer, probe, or `linked by …`; `display` is the number people know."""

    connection: str
    kind: str
    action: str
    canonical_id: str
    revision: int
    state: EffectState
    external_id: str
    display: str
    attempts: int
    settled_by: str
    intended_at: datetime
    settled_at: datetime | None
    error: str
    mapping: str
    run_id: str
    document: str
    """The number or name that the document itself carries."""
    amount: str


class TracedCase(msgspec.Struct, kw_only=True):
    """What needed a person, and what the person said."""

    id: str
    case_class: str
    state: CaseState
    owner: str
    message: str
    next_step: str
    actions: list[str]
    amount: str
    due_at: datetime
    escalated_at: datetime | None
    closed_at: datetime | None
    run_id: str


class TracedEvent(msgspec.Struct, kw_only=True):
    """An event of the log, and the runs it set off."""

    seq: int
    id: str
    type: str
    subject: str
    causation_id: str
    runs: list[TracedRun]


class Entry(msgspec.Struct, kw_only=True):
    """One line of the timeline. `since_start_s` counts from the first entry; exactly one of the last three is set,
    or, for a decision, `event` alone."""

    at: datetime
    since_start_s: float
    what: str
    system: str
    text: str
    event: TracedEvent | None = None
    effect: TracedEffect | None = None
    case: TracedCase | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Something the deal waits for. `overdue` when its time has passed."""

    whom: str
    what: str
    since: datetime
    due_at: datetime | None = None
    overdue: bool = False


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document of the deal stands."""

    connection: str
    kind: str
    external_id: str
    display: str


class Trace(msgspec.Struct, kw_only=True):
    """One deal from first notice to now. `deal` is "" for a record that became no deal (yet)."""

    asked: str
    deal: str
    name: str
    customer: str
    legal_entity: str
    status: str
    detail: str
    money: DealMoney | None
    waits_for: list[Waiting]
    stands: list[Place]
    timeline: list[Entry]
    echoes: int
    """Runs that gave way to a newer one of their kind; they did nothing."""


async def trace(view: View, text: str, now: datetime) -> Trace:
    """Trace the deal behind any id. Raises NothingFound or SeveralDeals."""
    return await trace_deal(view, await resolve(view, text), now)


async def trace_deal(view: View, resolved: Resolved, now: datetime) -> Trace:
    """As trace, for an id that was resolved."""
    rows = await (gather(view, resolved.deal) if resolved.deal else gather_notice(view, resolved.notice))
    status, detail = await standing(rows)
    contract = rows.contract
    return Trace(
        asked=resolved.asked,
        deal=rows.deal,
        name=contract.name if contract else "",
        customer=rows.customer.name if rows.customer else "",
        legal_entity=contract.legal_entity if contract else "",
        status=status,
        detail=detail,
        money=money_of(rows),
        waits_for=waiting(rows, {lane.connection: lane for lane in await view.store.lanes()}, now),
        stands=_places(rows),
        timeline=timeline(rows),
        echoes=sum(run.state is RunState.SUPERSEDED for run in rows.runs),
    )


# --- where it stands --------------------------------------------------------------------------------------------------


def waiting(rows: DealRows, lanes: dict[str, LaneStatus], now: datetime) -> list[Waiting]:
    """People first, then systems, then runs that wait for anything else."""
    found = [_person(case, now) for case in rows.cases if case.state is CaseState.OPEN]
    found += [_system(e, lanes.get(e.connection)) for e in _latest(rows.effects) if not e.state.settled]
    for run in rows.runs:
        if run.state is RunState.WAITING and not run.waits_for.startswith("a decision on case"):
            found.append(Waiting(whom=run.id, what=run.waits_for, since=run.started_at))
    return found


def _person(case: CaseRow, now: datetime) -> Waiting:
    word = "approval" if case.case_class == APPROVAL else f"case {case.case_class}"
    return Waiting(
        whom=case.owner,
        what=f"{word} {case.id}: {case.message}",
        since=case.opened_at,
        due_at=case.due_at,
        overdue=case.due_at < now,
    )


def _system(effect: Effect, lane: LaneStatus | None) -> Waiting:
    name = f"{kind_words(effect.kind, effect.action)} {document_name(effect)}"
    word = "has not said whether it took" if effect.state is EffectState.IN_DOUBT else "has not settled"
    parked = ""
    if lane and lane.reason:
        parked = f" ({effect.connection} is {lane.reason if lane.is_held else f'{lane.state}: {lane.reason}'})"
    return Waiting(whom=effect.connection, what=f"{word} {name}{parked}", since=effect.intended_at)


def _latest(effects: list[Effect]) -> list[Effect]:
    return list({effect.key: effect for effect in sorted(effects, key=lambda e: e.revision)}.values())


def _places(rows: DealRows) -> list[Place]:
    """The first document of each kind that stands somewhere, deeds and status fields left out."""
    found: dict[tuple[str, str], Place] = {}
    for effect in rows.effects:
        if effect.state is EffectState.APPLIED and effect.action == "ensure" and effect.kind in _HEADLINES:
            reference = rows.references.get(effect.key[:3])
            place = Place(
                connection=effect.connection,
                kind=effect.kind,
                external_id=effect.external_id,
                display=reference.display if reference else "",
            )
            found.setdefault((effect.connection, effect.kind), place)
    return list(found.values())


_HEADLINES = ("customer", "subscription_order", "order", "project")


# --- what happened ----------------------------------------------------------------------------------------------------


def main_line(entries: list[Entry]) -> list[Entry]:
    """The timeline without what another entry says as well: notices that became an event, and confirmations of
    writes that stand in it as effects."""
    causes = {entry.event.causation_id for entry in entries if entry.event and entry.what == "event"}
    stand = {(e.effect.connection, e.effect.canonical_id) for e in entries if e.effect and e.effect.external_id}

    def told_elsewhere(entry: Entry) -> bool:
        if entry.event is None or any(run.state not in _QUIET for run in entry.event.runs):
            return False
        if entry.what == "notice":
            return entry.event.id in causes
        return (entry.system, entry.event.subject) in stand and event_name(entry.event.type) in _CONFIRMATIONS

    return [entry for entry in entries if not told_elsewhere(entry)]


_QUIET = (RunState.DONE, RunState.SUPERSEDED)
_CONFIRMATIONS = {name for name, kind in EVENTS.items() if issubclass(kind, DocumentStands)}


def timeline(rows: DealRows) -> list[Entry]:
    """Events, effects, cases and decisions, oldest first; what a case event says stands in the case itself."""
    entries = [*_of_events(rows), *_of_effects(rows), *_of_cases(rows)]
    entries.sort(key=lambda entry: (entry.at, entry.event.seq if entry.event else 1 << 60))
    for entry in entries:
        entry.since_start_s = (entry.at - entries[0].at).total_seconds()
    return entries


def _of_events(rows: DealRows) -> Iterator[Entry]:
    runs: dict[int, list[RunRow]] = {}
    for run in rows.runs:
        runs.setdefault(run.event_seq, []).append(run)
    for event in rows.events:
        name = event_name(event.type)
        if name == CaseOpened.__name__:
            continue
        what = {VendorNotified.__name__: "notice", CaseDecided.__name__: "decision"}.get(name, "event")
        traced = TracedEvent(
            seq=event.seq,
            id=event.id,
            type=event.type,
            subject=event.subject,
            causation_id=event.causation_id,
            runs=[_run(run) for run in runs.get(event.seq, [])],
        )
        yield Entry(
            at=_told_at(event),
            since_start_s=0,
            what=what,
            system=system_of(event),
            text=event_words(event),
            event=traced,
        )


def _told_at(event: LoggedEvent) -> datetime:
    """When a person decided; for everything else when it entered the log, so that causes come before effects."""
    if event_name(event.type) != CaseDecided.__name__:
        return event.recorded_at
    data: Any = decode_event(event)
    decided_at: datetime = data.decided_at
    return decided_at


def _run(row: RunRow) -> TracedRun:
    return TracedRun(
        id=row.id,
        process=row.process,
        state=row.state,
        started_at=row.started_at,
        ended_at=row.ended_at,
        waits_for=row.waits_for,
        error=row.error,
        replay=row.id.count(":") > 1,
    )


def _of_effects(rows: DealRows) -> Iterator[Entry]:
    for effect in rows.effects:
        reference = rows.references.get(effect.key[:3])
        display = reference.display if reference and reference.external_id == effect.external_id else ""
        traced = TracedEffect(
            connection=effect.connection,
            kind=effect.kind,
            action=effect.action,
            canonical_id=effect.canonical_id,
            revision=effect.revision,
            state=effect.state,
            external_id=effect.external_id,
            display=display,
            attempts=effect.attempts,
            settled_by=effect.settled_by,
            intended_at=effect.intended_at,
            settled_at=effect.settled_at,
            error=effect.error,
            mapping=effect.mapping,
            run_id=effect.run_id,
            document=document_name(effect),
            amount=_amount(effect),
        )
        yield Entry(
            at=effect.intended_at,
            since_start_s=0,
            what="effect",
            system=effect.connection,
            text=effect_words(traced),
            effect=traced,
        )


def document_name(effect: Effect) -> str:
    """The number, title or name that the document carries, else its canonical id."""
    content = msgspec.json.decode(effect.content) if effect.content else {}
    name = next((content[field] for field in ("number", "title", "name", "status") if content.get(field)), "")
    return str(name or effect.canonical_id)


def _amount(effect: Effect) -> str:
    amount = (msgspec.json.decode(effect.content) if effect.content else {}).get("amount")
    return f"{figure(Decimal(str(amount['amount'])))} {amount['currency']}" if isinstance(amount, dict) else ""


def effect_words(effect: TracedEffect) -> str:
    """`invoice INV00000001 → 412`: what was to stand there and what it is called there."""
    word = f"{kind_words(effect.kind, effect.action)} {effect.document}"
    word = f"{word}, {effect.amount}" if effect.amount else word
    if not effect.external_id:
        return word
    names = list(dict.fromkeys(n for n in (effect.external_id, effect.display) if n and n != effect.document))
    return f"{word} → {' = '.join(names)}" if names else word


def effect_notes(effect: TracedEffect) -> list[str]:
    """What is out of the ordinary about an effect: updates, attempts, probes, people, refusals."""
    notes = [f"update, revision {effect.revision}"] if effect.revision > 1 else []
    notes += [f"{effect.attempts} attempts"] if effect.attempts > 1 else []
    if effect.settled_by == "probe":
        notes.append("outcome found by asking")
    elif effect.settled_by not in ("", "answer"):
        notes.append(effect.settled_by)
    if effect.state in (EffectState.IN_DOUBT, EffectState.INTENDED):
        notes.append("in doubt" if effect.state is EffectState.IN_DOUBT else "not settled yet")
    return notes


def took(effect: TracedEffect) -> timedelta | None:
    """From intention to settlement."""
    return effect.settled_at - effect.intended_at if effect.settled_at else None


def _of_cases(rows: DealRows) -> Iterator[Entry]:
    for case in rows.cases:
        traced = TracedCase(
            id=case.id,
            case_class=case.case_class,
            state=case.state,
            owner=case.owner,
            message=case.message,
            next_step=case.next_step,
            actions=case.actions,
            amount=case.amount,
            due_at=case.due_at,
            escalated_at=case.escalated_at,
            closed_at=case.closed_at,
            run_id=case.run_id,
        )
        word = "approval asked" if case.case_class == APPROVAL else f"case {case.case_class}"
        yield Entry(
            at=case.opened_at,
            since_start_s=0,
            what="case",
            system=case.owner,
            text=f"{word} {case.id}: {case.message}",
            case=traced,
        )
