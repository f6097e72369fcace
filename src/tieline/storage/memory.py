"""The store in memory: for tests and dry runs, under the same contract as the others."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tieline.engine.ports import Appended, AppendResult, Archived, Batch
from tieline.engine.records import (
    CASE_FORWARD,
    EVERY_DEAL,
    FORWARD,
    ArchiveFile,
    CaseCounts,
    CaseFilter,
    CaseRow,
    CaseState,
    CauseGroup,
    ChangedDeal,
    Cursor,
    DealFilter,
    Effect,
    EffectKey,
    EffectState,
    EndedMonth,
    EntityRow,
    InFlight,
    JournalEntry,
    LaneStatus,
    ListedDeal,
    OpenCase,
    ProcessVersion,
    Reference,
    RuleVersion,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import GENESIS, Event, LoggedEvent, chain_hash, event_name
from tieline.storage.searching import SHORTEST_PART, searched_text

R = TypeVar("R")
T = TypeVar("T", int, str, datetime)


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
        self._rules: dict[tuple[str, str], RuleVersion] = {}
        self._deals: dict[str, ListedDeal] = {}
        self._changed: dict[str, ChangedDeal] = {}
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
        for rule in batch.rules:
            kept = self._rules.setdefault((rule.name, rule.label), rule)
            self._rules[rule.name, rule.label] = copy(kept, in_force_at=rule.in_force_at)
        self._list_deals(batch)
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
        mapping: str | None = None,
        after: tuple[EffectKey, int] | None = None,
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
            and mapping in (None, effect.mapping)
        ]
        if after is not None:
            key, revision = after
            last = self._effects[key][revision]
            found = [e for e in found if _place(e) > _place(last)]
        return _page(sorted(found, key=_place), limit, newest)

    async def count_effects(self) -> dict[tuple[str, str, str], int]:
        everything = (effect for revisions in self._effects.values() for effect in revisions.values())
        return dict(Counter((e.connection, e.kind, e.state.value) for e in everything))

    async def count_made_with(self, labels: Sequence[str], most: int) -> int:
        everything = (effect for revisions in self._effects.values() for effect in revisions.values())
        return min(sum(effect.mapping in labels for effect in everything), most)

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
        before: tuple[int, str] | None = None,
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
            and (before is None or (run.event_seq, run.id) < before)
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

    async def rules_in_force(self) -> list[RuleVersion]:
        latest = {rule.name: rule for rule in sorted(self._rules.values(), key=_in_force)}
        return [latest[name] for name in sorted(latest)]

    async def rule_versions(self, name: str, *, before: datetime | None = None, limit: int = 1000) -> list[RuleVersion]:
        found = [r for r in self._rules.values() if r.name == name and (before is None or r.in_force_at < before)]
        return sorted(found, key=_in_force, reverse=True)[:limit]

    async def rule_version(self, name: str, label: str) -> RuleVersion | None:
        return self._rules.get((name, label))

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
        before_seq: int | None = None,
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
            and (before_seq is None or e.seq < before_seq)
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

    async def entities(self, kind: str, after: str = "", limit: int = 1000) -> list[EntityRow]:
        found = [row for (of, ident), row in sorted(self._entities.items()) if of == kind and ident > after]
        return [msgspec.structs.replace(row) for row in found[:limit]]

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
        run_ids: Collection[str] | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 10000,
    ) -> list[CaseRow]:
        found = [
            msgspec.structs.replace(c)
            for c in self._cases.values()
            if (not states or c.state in states)
            and case_class in (None, c.case_class)
            and cause in (None, c.cause)
            and correlation_id in (None, c.correlation_id)
            and (run_ids is None or c.run_id in run_ids)
            and (after is None or (c.opened_at, c.id) > after)
        ]
        return sorted(found, key=lambda c: (c.opened_at, c.id))[:limit]

    async def case_page(
        self,
        wanted: CaseFilter,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int = 50,
        newest: bool = False,
    ) -> list[CaseRow]:
        found = [c for c in self._cases.values() if _listed(c, wanted)]
        found.sort(key=lambda c: (c.opened_at, c.id), reverse=newest)
        if after is not None:
            found = [c for c in found if (c.opened_at, c.id) != after and ((c.opened_at, c.id) < after) is newest]
        return [msgspec.structs.replace(c) for c in found[:limit]]

    async def case_groups(self, wanted: CaseFilter, now: datetime, limit: int = 50) -> list[CauseGroup]:
        by_cause: dict[tuple[str, str], list[CaseRow]] = {}
        for case in self._cases.values():
            if _listed(case, wanted):
                by_cause.setdefault((case.cause, case.case_class), []).append(case)
        groups = [_group(cases, now) for cases in by_cause.values()]
        return sorted(groups, key=lambda g: (-g.count, g.cause, g.case_class))[:limit]

    async def count_cases_of(self, cause: str) -> dict[CaseState, int]:
        return dict(Counter(c.state for c in self._cases.values() if c.cause == cause))

    async def late_cases(self, now: datetime, limit: int = 1000) -> list[CaseRow]:
        late = [c for c in await self.cases(states=[CaseState.OPEN]) if c.due_at <= now and c.escalated_at is None]
        return sorted(late, key=lambda c: c.due_at)[:limit]

    async def open_cases(self) -> list[OpenCase]:
        rows = sorted(self._cases.values(), key=lambda row: (row.opened_at, row.id))
        names = OpenCase.__struct_fields__
        return [OpenCase(**{n: getattr(r, n) for n in names}) for r in rows if r.state is CaseState.OPEN]

    async def count_open_cases(self, now: datetime) -> CaseCounts:
        opened = [row for row in self._cases.values() if row.state is CaseState.OPEN]
        late = [row for row in opened if row.due_at <= now]
        return CaseCounts(
            by_class=dict(Counter(row.case_class for row in opened)),
            overdue=len(late),
            overdue_of=dict(Counter(row.owner for row in late)),
        )

    def _list_deals(self, batch: Batch) -> None:
        self._deals.update({deal.id: deal for deal in batch.deals})
        for deal, changes in batch.deals_listed:
            if deal in self._changed and self._changed[deal].changes == changes:
                del self._changed[deal]
        every = {ident for kind, ident in self._entities if kind == "contract"} if batch.list_anew else set()
        for deal in batch.about() | every:
            known = self._changed.get(deal)
            self._changed[deal] = ChangedDeal(
                deal=deal,
                changes=known.changes + 1 if known else 1,
                since=known.since if known else datetime.now(UTC),
            )

    async def deals(
        self, wanted: DealFilter = EVERY_DEAL, *, before: int | None = None, limit: int = 50
    ) -> list[ListedDeal]:
        found = [d for d in self._deals.values() if (before is None or d.seq < before) and _wanted(d, wanted)]
        return sorted(found, key=lambda deal: deal.seq, reverse=True)[:limit]

    async def listed_deals(self, ids: Sequence[str]) -> list[ListedDeal]:
        return sorted((d for d in self._deals.values() if d.id in ids), key=lambda deal: deal.seq, reverse=True)

    async def count_deals(self) -> dict[tuple[str, str], int]:
        return dict(Counter((deal.status, deal.currency) for deal in self._deals.values()))

    async def changed_deals(self, before: datetime, limit: int = 1000) -> list[ChangedDeal]:
        found = [changed for changed in self._changed.values() if changed.since < before]
        return sorted(found, key=lambda changed: changed.since)[:limit]

    async def count_changed_deals(self) -> int:
        return len(self._changed)

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

    async def ended_runs(self, before: datetime, limit: int = 1000, since: datetime | None = None) -> list[RunRow]:
        runs = self._runs.values()
        ended = [(run.ended_at, run.id, run) for run in runs if run.ended_at and _within(run.ended_at, since, before)]
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
            return [(e, e.intended_at) for e in sorted(effects, key=_place)]
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


def _in_force(rule: RuleVersion) -> tuple[datetime, int]:
    return rule.in_force_at, rule.seq


def _listed(case: CaseRow, wanted: CaseFilter) -> bool:
    return (
        case.state is wanted.state
        and wanted.case_class in (None, case.case_class)
        and wanted.cause in (None, case.cause)
        and wanted.owner in (None, case.owner)
        and _between(None, case.due_at, wanted.due_by)
    )


def _group(cases: Sequence[CaseRow], now: datetime) -> CauseGroup:
    first = min(cases, key=lambda c: c.opened_at)
    money: dict[str, Decimal] = {}
    for amount, _, currency in (c.amount.partition(" ") for c in cases if c.amount):
        money[currency] = money.get(currency, Decimal(0)) + Decimal(amount)
    return CauseGroup(
        cause=first.cause,
        case_class=first.case_class,
        count=len(cases),
        overdue=sum(c.due_at <= now for c in cases),
        owner=first.owner,
        owners=len({c.owner for c in cases}),
        oldest_at=first.opened_at,
        due_at=first.due_at,
        example=first.id,
        money=dict(sorted(money.items())),
    )


def _wanted(deal: ListedDeal, wanted: DealFilter) -> bool:
    words = deal.customer_folded.startswith(wanted.words)
    if len(wanted.words) >= SHORTEST_PART:
        words = wanted.words in searched_text(deal)
    return (
        words
        and wanted.customer in (None, deal.customer)
        and wanted.status in (None, deal.status)
        and wanted.currency in (None, deal.currency)
        and _between(wanted.amount_from, deal.amount_e4, wanted.amount_to)
        and _between(wanted.won_from, deal.won_on, wanted.won_to)
    )


def _between(low: T | None, value: T, high: T | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _place(effect: Effect) -> tuple[Any, ...]:
    """Its place among effects: oldest intention first."""
    return (effect.intended_at, *effect.key, effect.revision)


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
