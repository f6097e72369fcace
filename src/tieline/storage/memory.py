"""The store in memory: for tests and dry runs, under the same contract as the others."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from tieline.engine.ports import Appended, AppendResult, Archived, Batch
from tieline.engine.records import (
    CASE_FORWARD,
    FORWARD,
    ArchiveFile,
    CaseRow,
    CaseState,
    Cursor,
    Effect,
    EffectKey,
    EffectState,
    EndedMonth,
    EntityRow,
    InFlight,
    JournalEntry,
    LaneStatus,
    ProcessVersion,
    Reference,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import GENESIS, Event, LoggedEvent, chain_hash, event_name

R = TypeVar("R")


class MemoryStore:
    """Implements the Store port on dicts. Rows are copied on the way in, so that nobody edits what is stored."""

    def __init__(self) -> None:
        self.lost_seq: int | None = None
        self._events: list[LoggedEvent] = []
        self._by_identity: dict[tuple[str, str], LoggedEvent] = {}
        self._runs: dict[str, RunRow] = {}
        self._journal: dict[tuple[str, int], JournalEntry] = {}
        self._effects: dict[EffectKey, dict[int, Effect]] = {}
        self._references: dict[tuple[str, str, str], Reference] = {}
        self._entities: dict[tuple[str, str], EntityRow] = {}
        self._cases: dict[str, CaseRow] = {}
        self._waits: dict[tuple[str, int], Wait] = {}
        self._cursors: dict[str, Cursor] = {}
        self._lanes: dict[str, LaneStatus] = {}
        self._versions: dict[tuple[str, str], ProcessVersion] = {}
        self._archived: dict[str, tuple[RunRow, list[JournalEntry]]] = {}
        self._files: dict[str, ArchiveFile] = {}

    async def commit(self, batch: Batch) -> list[AppendResult]:
        self._refuse_conflicts(batch)
        copy = msgspec.structs.replace
        for run in batch.runs:
            if (old := self._runs.get(run.id)) is None or not old.state.ended:
                self._runs[run.id] = copy(run)
        self._journal.update({(e.run_id, e.position): copy(e) for e in batch.journal})
        for effect in batch.effects:
            self._effects.setdefault(effect.key, {})[effect.revision] = copy(effect)
        self._references.update({(r.connection, r.kind, r.canonical_id): r for r in batch.references})
        self._entities.update({(e.kind, e.id): copy(e) for e in batch.entities})
        for case in batch.cases:
            if (held := self._cases.get(case.id)) is None or case.state in CASE_FORWARD[held.state]:
                self._cases[case.id] = copy(case)
        self._waits.update({(w.run_id, w.position): copy(w) for w in batch.waits})
        for over in batch.waits_over:
            self._waits.pop(over, None)
        self._cursors.update({c.name: copy(c) for c in batch.cursors})
        self._lanes.update({lane.connection: copy(lane) for lane in batch.lanes})
        for version in batch.versions:
            self._versions.setdefault((version.process, version.version), version)
        for archived in batch.archived:
            self._files.update({file.name: file for file in archived.files})
            for run_id in archived.run_ids:
                self._archive(run_id)
        if batch.log_from:
            self.lost_seq = None
        return [self._append(event, batch.log_from) for event in batch.events]

    def _archive(self, run_id: str) -> None:
        """The run leaves the tables; here the memory is its archive too."""
        entries = self._journal_of(run_id)
        self._archived[run_id] = (self._runs.pop(run_id), entries)
        for entry in entries:
            del self._journal[entry.run_id, entry.position]
        self._waits = {place: wait for place, wait in self._waits.items() if wait.run_id != run_id}

    async def find_effect(self, key: EffectKey) -> Effect | None:
        revisions = self._effects.get(key)
        return msgspec.structs.replace(revisions[max(revisions)]) if revisions else None

    async def effects(
        self,
        *,
        correlation_id: str | None = None,
        connection: str | None = None,
        kind: str | None = None,
        state: EffectState | None = None,
        external_id: str | None = None,
        canonical_id: str | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Effect]:
        found = [
            effect
            for revisions in self._effects.values()
            for effect in revisions.values()
            if correlation_id in (None, effect.correlation_id)
            and connection in (None, effect.connection)
            and kind in (None, effect.kind)
            and state in (None, effect.state)
            and external_id in (None, effect.external_id)
            and canonical_id in (None, effect.canonical_id)
        ]
        return _page(sorted(found, key=lambda e: (e.intended_at, *e.key, e.revision)), limit, newest)

    async def count_effects(self) -> dict[tuple[str, str, str], int]:
        everything = (effect for revisions in self._effects.values() for effect in revisions.values())
        return dict(Counter((e.connection, e.kind, e.state.value) for e in everything))

    async def journal(self, run_id: str) -> list[JournalEntry]:
        _, archived = self._archived.get(run_id, (None, []))
        return self._journal_of(run_id) or archived

    async def journals(self, run_ids: Sequence[str]) -> dict[str, list[JournalEntry]]:
        return {run_id: await self.journal(run_id) for run_id in run_ids}

    def _journal_of(self, run_id: str) -> list[JournalEntry]:
        return [entry for _, entry in sorted((at, e) for (run, at), e in self._journal.items() if run == run_id)]

    async def run(self, run_id: str) -> RunRow | None:
        row = self._runs.get(run_id) or self._archived.get(run_id, (None, []))[0]
        return msgspec.structs.replace(row) if row else None

    async def runs(
        self,
        *,
        states: Sequence[RunState] = (),
        process: str | None = None,
        key: str | None = None,
        correlation_id: str | None = None,
        event_seq: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: tuple[int, str] = (-1, ""),
        limit: int = 1000,
        newest: bool = False,
    ) -> list[RunRow]:
        found = [
            msgspec.structs.replace(run)
            for run in [*self._runs.values(), *(run for run, _ in self._archived.values())]
            if (not states or run.state in states)
            and process in (None, run.process)
            and key in (None, run.key)
            and correlation_id in (None, run.correlation_id)
            and event_seq in (None, run.event_seq)
            and _within(run.started_at, since, until)
            and (run.event_seq, run.id) > after
        ]
        return _page(sorted(found, key=lambda r: (r.event_seq, r.id)), limit, newest)

    async def count_runs(self) -> dict[tuple[str, str], int]:
        return dict(Counter((run.process, run.state.value) for run in self._runs.values()))

    async def runs_in_flight(self) -> list[InFlight]:
        began: dict[tuple[str, str], list[datetime]] = {}
        for run in self._runs.values():
            if not run.state.ended:
                began.setdefault((run.process, run.version), []).append(run.started_at)
        found = [
            InFlight(process=process, version=version, runs=len(times), oldest_at=min(times))
            for (process, version), times in began.items()
        ]
        return sorted(found, key=lambda f: (f.process, f.oldest_at, f.version))

    async def process_version(self, process: str, version: str) -> ProcessVersion | None:
        return self._versions.get((process, version))

    async def process_versions(self) -> list[ProcessVersion]:
        return sorted(self._versions.values(), key=lambda v: (v.first_seen_at, v.process, v.version))

    async def events_after(self, seq: int, limit: int = 1000) -> list[LoggedEvent]:
        return self._behind(seq)[:limit]

    async def find_event(self, source: str, id: str) -> LoggedEvent | None:  # noqa: A002
        return self._by_identity.get((source, id))

    async def first_event(self, topic: str) -> LoggedEvent | None:
        return next((e for e in self._behind(0) if e.topic == topic), None)

    async def first_events(self, topics: Sequence[str]) -> dict[str, LoggedEvent]:
        wanted = set(topics)
        return {e.topic: e for e in reversed(self._behind(0)) if e.topic in wanted}

    async def events(
        self,
        *,
        correlation_id: str | None = None,
        type: str | None = None,  # noqa: A002
        subject: str | None = None,
        naming: str | None = None,
        after_seq: int = 0,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[LoggedEvent]:
        found = [
            e
            for e in self._behind(after_seq)
            if correlation_id in (None, e.correlation_id)
            and type in (None, event_name(e.type))
            and subject in (None, e.subject)
            and (naming is None or naming.encode() in e.data)
        ]
        return _page(found, limit, newest)

    async def waits(self, topics: Sequence[str] | None = None) -> list[Wait]:
        return [msgspec.structs.replace(w) for w in self._waits.values() if topics is None or w.topic in topics]

    async def due_waits(self, now: datetime, limit: int = 1000) -> list[Wait]:
        due = [w for w in self._waits.values() if w.due_at is not None and w.due_at <= now]
        return sorted(due, key=lambda w: w.due_at or now)[:limit]

    async def references(self, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Reference]:
        return {key: self._references[key] for key in wanted if key in self._references}

    async def referenced(self, external_id: str, connection: str | None = None) -> list[Reference]:
        return [
            r
            for r in self._references.values()
            if external_id in (r.external_id, r.display) and connection in (None, r.connection)
        ]

    async def find_entity(self, kind: str, id: str) -> EntityRow | None:  # noqa: A002
        return self._entities.get((kind, id))

    async def case(self, case_id: str) -> CaseRow | None:
        row = self._cases.get(case_id)
        return msgspec.structs.replace(row) if row else None

    async def cases(
        self,
        *,
        states: Sequence[CaseState] = (),
        case_class: str | None = None,
        cause: str | None = None,
        correlation_id: str | None = None,
        limit: int = 10000,
    ) -> list[CaseRow]:
        found = [
            msgspec.structs.replace(c)
            for c in self._cases.values()
            if (not states or c.state in states)
            and case_class in (None, c.case_class)
            and cause in (None, c.cause)
            and correlation_id in (None, c.correlation_id)
        ]
        return sorted(found, key=lambda c: (c.opened_at, c.id))[:limit]

    async def late_cases(self, now: datetime, limit: int = 1000) -> list[CaseRow]:
        late = [c for c in await self.cases(states=[CaseState.OPEN]) if c.due_at <= now and c.escalated_at is None]
        return sorted(late, key=lambda c: c.due_at)[:limit]

    async def cursor(self, name: str) -> Cursor | None:
        return self._cursors.get(name)

    async def lanes(self) -> list[LaneStatus]:
        return sorted(self._lanes.values(), key=lambda lane: lane.connection)

    async def ended_months(self, before: datetime) -> list[EndedMonth]:
        months: dict[str, list[RunRow]] = {}
        for run in await self.ended_runs(before, len(self._runs)):
            months.setdefault(f"{run.ended_at:%Y-%m}", []).append(run)
        return [self._month(month, {run.id for run in runs}) for month, runs in sorted(months.items())]

    def _month(self, month: str, run_ids: set[str]) -> EndedMonth:
        entries = [entry for entry in self._journal.values() if entry.run_id in run_ids]
        held = sum(len(e.payload) + len(e.name) + len(e.kind) for e in entries)
        return EndedMonth(month=month, runs=len(run_ids), entries=len(entries), bytes=held)

    async def ended_runs(self, before: datetime, limit: int = 1000) -> list[RunRow]:
        ended = [(run.ended_at, run.id, run) for run in self._runs.values() if run.ended_at and run.ended_at < before]
        return [msgspec.structs.replace(run) for _, _, run in sorted(ended, key=lambda e: e[:2])[:limit]]

    async def kept_of(self, run_ids: Sequence[str]) -> tuple[list[JournalEntry], list[Wait]]:
        waits = [wait for (run_id, _), wait in sorted(self._waits.items()) if run_id in run_ids]
        return [entry for run_id in sorted(run_ids) for entry in self._journal_of(run_id)], waits

    async def archive_files(self) -> list[ArchiveFile]:
        return sorted(self._files.values(), key=lambda file: file.name)

    async def rows(
        self, record: type[R], since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[list[R]]:
        found: list[Any] = [(row, at) for row, at in self._dated(record) if _within(at, since, until)]
        if found and record is LoggedEvent:
            found = [(event, None) for event in self._behind(found[0][0].seq - 1) if event.seq <= found[-1][0].seq]
        if found:
            yield [row for row, _ in found]

    def _dated(self, record: type[Any]) -> list[tuple[Any, datetime]]:
        """The rows of a kind with the time each belongs to, oldest first."""
        if record is LoggedEvent:
            return [(event, event.recorded_at) for event in self._events]
        if record is Effect:
            effects = [effect for revisions in self._effects.values() for effect in revisions.values()]
            return [(e, e.intended_at) for e in sorted(effects, key=lambda e: (e.intended_at, *e.key, e.revision))]
        if record is Reference:
            return [(r, r.at) for _, r in sorted(self._references.items(), key=lambda item: (item[1].at, item[0]))]
        return [(c, c.opened_at) for c in sorted(self._cases.values(), key=lambda c: (c.opened_at, c.id))]

    async def close(self) -> None:
        """Nothing is open."""

    def _refuse_conflicts(self, batch: Batch) -> None:
        """All is checked before anything is written, so that a refused batch leaves nothing behind."""
        moves: dict[tuple[EffectKey, int], EffectState] = {}
        for effect in batch.effects:
            old = self._effects.get(effect.key, {}).get(effect.revision)
            state = moves.get((effect.key, effect.revision)) or (old.state if old else None)
            if state is not None and effect.state not in FORWARD[state]:
                raise ConcurrencyConflict(
                    f"{effect.key} revision {effect.revision} is {state}, not to be {effect.state}"
                )
            moves[effect.key, effect.revision] = effect.state
        seen: set[tuple[str, int]] = set()
        for entry in batch.journal:
            place = (entry.run_id, entry.position)
            if place in self._journal or place in seen:
                raise ConcurrencyConflict(f"position {entry.position} of run {entry.run_id} is journaled already")
            seen.add(place)
        for archived in batch.archived:
            self._refuse_halves(archived)

    def _refuse_halves(self, archived: Archived) -> None:
        ids = set(archived.run_ids)
        held = {
            "run": sum(run.id in ids and run.state.ended for run in self._runs.values()),
            "journal": sum(entry.run_id in ids for entry in self._journal.values()),
            "wait": sum(wait.run_id in ids for wait in self._waits.values()),
        }
        for table, number in held.items():
            if number != sum(file.rows for file in archived.files if file.holds == table):
                raise ConcurrencyConflict(f"the archive and the tables disagree about {table}")

    def _behind(self, seq: int) -> list[LoggedEvent]:
        return self._events[bisect_right(self._events, seq, key=lambda event: event.seq) :]

    def _append(self, event: Event, log_from: int) -> AppendResult:
        known = self._by_identity.get((event.source, event.id))
        if known is not None:
            same = known.content_hash() == event.content_hash()
            return AppendResult(Appended.DUPLICATE if same else Appended.CONFLICT, known)
        logged = log_event(event, self._events[-1] if self._events else None, datetime.now(UTC), log_from)
        self._events.append(logged)
        self._by_identity[event.source, event.id] = logged
        return AppendResult(Appended.NEW, logged)


def _within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def _page(found: list[R], limit: int, newest: bool) -> list[R]:
    return found[max(len(found) - limit, 0) :] if newest else found[:limit]


def log_event(event: Event, last: LoggedEvent | None, recorded_at: datetime, log_from: int = 0) -> LoggedEvent:
    """The event as the next row of the log behind `last`, at `log_from` at the earliest."""
    prev_hash = last.hash if last else GENESIS
    return LoggedEvent(
        **{name: getattr(event, name) for name in Event.__struct_fields__},
        seq=max(last.seq + 1 if last else 1, log_from),
        recorded_at=recorded_at,
        prev_hash=prev_hash,
        hash=chain_hash(prev_hash, event, recorded_at),
    )
