"""What is done: runs of processes with their journals, and effects, which are the writes to systems."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tieline.api.v1.operations import LONGEST, ConnectionFilter, DealFilter, KindFilter, deal_of, reads
from tieline.api.v1.paging import CursorText, Limit, Page, page_of, place
from tieline.api.v1.problems import FieldError, Refusal
from tieline.app.views import listing
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.engine.records import Effect, EffectKey, EffectState, JournalEntry, RunRow, RunState

RUNS, EFFECTS = "Runs", "Effects"
DATE_TIME = {"format": "date-time"}
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class JournalStep(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step of a run, at its position; `result` is what it gave, and gives again."""

    position: int
    kind: str
    name: str
    at: datetime
    result: Any


class RunWithJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what it has done."""

    run: RunRow
    journal: list[JournalStep]


class EffectRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a document in a system: the canonical document, what was sent, and what was answered."""

    effect: listing.EffectLine
    event_id: str
    idempotency_key: str
    document: Any
    request: Any
    response: Any


class EffectRevisions(msgspec.Struct, frozen=True, kw_only=True):
    """Every revision of a document in a system, and every deed done to it, oldest first."""

    revisions: list[EffectRevision]


@reads("/runs", tag=RUNS)
async def list_runs(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    process: Annotated[str, QueryParameter(max_length=LONGEST, description="Only of this process.")] = "",
    in_state: Annotated[RunState | None, QueryParameter(name="state", description="Only in this state.")] = None,
    deal: DealFilter = "",
    since: Annotated[
        str, QueryParameter(schema_extra=DATE_TIME, description="Only those that began then or later.")
    ] = "",
    until: Annotated[str, QueryParameter(schema_extra=DATE_TIME, description="Only those that began before.")] = "",
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[RunRow]]:
    """List runs, in the order of the events that set them off."""
    after = place("runs", cursor, tuple[int, str]) or (-1, "")
    rows = await view.store.runs(
        states=[in_state] if in_state else [],
        process=process or None,
        correlation_id=await deal_of(view, deal),
        since=_moment("since", since),
        until=_moment("until", until),
        after=after,
        limit=limit + 1,
    )
    return page_of(request, "runs", rows, limit, lambda run: (run.event_seq, run.id), lambda run: run)


def _moment(name: str, text: str) -> datetime | None:
    """A moment of the query; Litestar would take bare numbers and moments without an offset too. Raises Refusal."""
    try:
        return msgspec.convert(text, _Moment) if text else None
    except msgspec.ValidationError as error:
        message = "a moment is written with its offset from UTC, such as 2026-11-01T00:00:00Z"
        raise Refusal("invalid-request", "", [FieldError(where=f"query.{name}", message=message)]) from error


@reads("/runs/{run_id:str}", tag=RUNS)
async def get_run(view: NamedDependency[View], run_id: FromPath[str]) -> RunWithJournal:
    """Get a run with its journal."""
    run = await view.store.run(run_id)
    if run is None:
        raise NothingFound(f"there is no run {run_id!r}")
    return RunWithJournal(run=run, journal=[_step(entry) for entry in await view.store.journal(run_id)])


def _step(entry: JournalEntry) -> JournalStep:
    return JournalStep(
        position=entry.position, kind=entry.kind, name=entry.name, at=entry.at, result=_json(entry.payload)
    )


@reads("/effects", tag=EFFECTS)
async def list_effects(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    connection: ConnectionFilter = "",
    kind: KindFilter = "",
    in_state: Annotated[EffectState | None, QueryParameter(name="state", description="Only in this state.")] = None,
    deal: DealFilter = "",
    external_id: Annotated[str, QueryParameter(max_length=LONGEST, description="Only with this id there.")] = "",
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[listing.EffectLine]]:
    """List writes to systems, the one that was meant first at the beginning."""
    rows = await view.store.effects(
        connection=connection or None,
        kind=kind or None,
        state=in_state,
        correlation_id=await deal_of(view, deal),
        external_id=external_id or None,
        after=await _after(view, cursor),
        limit=limit + 1,
    )
    return page_of(request, "effects", rows, limit, lambda e: (*e.key, e.revision), listing.effect_line)


async def _after(view: View, cursor: str) -> tuple[EffectKey, int] | None:
    held = place("effects", cursor, tuple[str, str, str, str, int])
    if held is None:
        return None
    key, revision = EffectKey(*held[:4]), held[4]
    latest = await view.store.find_effect(key)
    if latest is None or not 0 < revision <= latest.revision:
        raise Refusal("invalid-cursor", f"{cursor!r} is no cursor of this list")
    return key, revision


@reads("/effects/{connection:str}/{kind:str}/{canonical_id:str}", tag=EFFECTS)
async def get_effect(
    view: NamedDependency[View], connection: FromPath[str], kind: FromPath[str], canonical_id: FromPath[str]
) -> EffectRevisions:
    """Get a document in a system by its canonical id, with every revision."""
    found = await view.store.effects(connection=connection, kind=kind, canonical_id=canonical_id)
    if not found:
        raise NothingFound(f"Tieline meant to write no {kind} {canonical_id!r} to {connection}")
    return EffectRevisions(revisions=[_revision(effect) for effect in found])


def _revision(effect: Effect) -> EffectRevision:
    return EffectRevision(
        effect=listing.effect_line(effect),
        event_id=effect.event_id,
        idempotency_key=effect.idempotency_key,
        document=_json(effect.content),
        request=_json(effect.request),
        response=_json(effect.response),
    )


def _json(held: bytes) -> msgspec.Raw | None:
    """JSON as it was stored, so that no figure is rounded on the way."""
    return msgspec.Raw(held) if held else None


HANDLERS = [list_runs, get_run, list_effects, get_effect]
