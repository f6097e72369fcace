"""The store on SQLite: one file, WAL, synchronous=FULL. How it is read; how it is written stands in writer.py.

The invariant: what is read is what was committed, of runs that left the tables for the archive too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tieline.engine.records import (
    EVERY_DEAL,
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
from tieline.events import LoggedEvent, topic, type_names
from tieline.storage import cases as casing
from tieline.storage import deals as listing
from tieline.storage import statements as sql
from tieline.storage.archive import JOURNAL, RUN, Archive
from tieline.storage.lookups import Lookups
from tieline.storage.migrate import bring_up_to_date, refuse_older
from tieline.storage.opening import connect, refuse_unsafe_sqlite
from tieline.storage.rows import from_micros, to_micros
from tieline.storage.writer import Writer

ROWS_AT_ONCE = 5_000
R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


class SqliteStore(Writer):
    """Implements the Store port. Reads run on the caller's thread: they take microseconds on an indexed file."""

    def __init__(self, path: Path, *, read_only: bool = False, archive: Path | None = None) -> None:
        """Open or create the file; archived runs are read from `archive`, the folder of that name beside it if None.

        Raises ConfigurationError saying what is wrong with the file and what to do.
        """
        refuse_unsafe_sqlite()
        (refuse_older if read_only else bring_up_to_date)(path)
        self._reader = connect(path, read_only=True)
        super().__init__(path, None if read_only else self._reader)
        self.archive = Archive(archive or path.parent / "archive")
        self._effects: Lookups[Effect] = Lookups(
            self._read,
            len(sql.EFFECT_KEY),
            lambda number: sql.EFFECT.select_keys(sql.EFFECT_KEY, number, sql.LATEST_EFFECT),
            sql.EFFECT.codec.decode,
        )
        self._first_events: Lookups[LoggedEvent] = Lookups(
            self._read, 1, sql.first_at_topics, lambda row: sql.EVENT.decode(row[1:])
        )
        self._references: Lookups[Reference] = Lookups(
            self._read,
            len(sql.REFERENCE_KEY),
            lambda number: sql.REFERENCE.select_keys(sql.REFERENCE_KEY, number),
            sql.REFERENCE.codec.decode,
        )

    async def close(self) -> None:
        await super().close()
        self._reader.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, text: str, values: Sequence[Any]) -> Sequence[Any]:
        rows: Sequence[Any] = self._reader.execute(text, values).fetchall()
        return rows

    def _rows(
        self, table: sql.TableOf[R], where: str = "", values: Sequence[Any] = (), tail: str = "", by: str = ""
    ) -> list[R]:
        rows = self._reader.execute(table.select(where, tail, by), tuple(values)).fetchall()
        return [table.codec.decode(row) for row in rows]

    def _row(self, table: sql.TableOf[R], where: str, values: Sequence[Any], tail: str = "") -> R | None:
        row = self._reader.execute(table.select(where, tail), tuple(values)).fetchone()
        return table.codec.decode(row) if row else None

    async def _beside(self, read: Callable[[Any], T]) -> T:
        """What takes a moment with a hundred thousand cases: beside the loop, on a connection of its own."""

        def reading() -> T:
            with closing(connect(self.path, read_only=True)) as connection:
                connection.execute("BEGIN")
                return read(connection)

        return await asyncio.to_thread(reading)

    def _events(self, where: str, values: Sequence[Any], limit: int, newest: bool = False) -> list[LoggedEvent]:
        by = sql.index_for(sql.EVENT_INDEXES, where)
        hint = f" INDEXED BY {by}" if by else ""
        text = f"SELECT {sql.EVENT_COLUMNS} FROM event{hint} WHERE {where} {_tail(sql.EVENT_ORDER, limit, newest)}"
        return _in_order([sql.EVENT.decode(row) for row in self._reader.execute(text, tuple(values))], newest)

    async def find_effect(self, key: EffectKey) -> Effect | None:
        return await self._effects.find(key)

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
        where, values = _filters(
            correlation_id=correlation_id,
            connection=connection,
            kind=kind,
            state=state.value if state else None,
            external_id=external_id,
            canonical_id=canonical_id,
            mapping=mapping,
        )
        if after is not None:
            place = self._reader.execute(sql.EFFECT_PLACE, (*after[0], after[1])).fetchone()
            where, values = _and(where, "(intended_at, rowid) > (?, ?)"), [*values, *place]
        tail, by = _tail(sql.EFFECT_ORDER, limit, newest), sql.index_for(sql.EFFECT_INDEXES, where)
        return _in_order(self._rows(sql.EFFECT, where, values, tail, by), newest)

    async def count_effects(self) -> dict[tuple[str, str, str], int]:
        return {(connection, kind, state): n for connection, kind, state, n in self._read(sql.TALLY, ("effect",))}

    async def count_made_with(self, labels: Sequence[str], most: int) -> int:
        text = f"SELECT 1 FROM effect INDEXED BY effect_mapping WHERE mapping IN ({sql.marks(labels)}) LIMIT {most:d}"
        return len(self._read(text, labels))

    async def journal(self, run_id: str) -> list[JournalEntry]:
        found = self._rows(sql.JOURNAL, "run_id = ?", (run_id,), "ORDER BY position")
        if found or self._row(sql.RUN, "id = ?", (run_id,)) is not None:
            return found
        return self.archive.journals(self._files(JOURNAL), [run_id])

    async def journals(self, run_ids: Sequence[str]) -> dict[str, list[JournalEntry]]:
        found: dict[str, list[JournalEntry]] = {run_id: [] for run_id in run_ids}
        here = f"run_id IN ({sql.marks(run_ids)})"
        for entry in self._rows(sql.JOURNAL, here, run_ids, "ORDER BY run_id, position"):
            found[entry.run_id].append(entry)
        elsewhere = [run_id for run_id, entries in found.items() if not entries]
        for entry in self.archive.journals(self._files(JOURNAL), elsewhere) if elsewhere else []:
            found[entry.run_id].append(entry)
        return found

    async def run(self, run_id: str) -> RunRow | None:
        found = self._row(sql.RUN, "id = ?", (run_id,))
        return found or next(iter(self.archive.runs(self._files(RUN), "id = ?", (run_id,), "")), None)

    def _files(self, holds: str, after: int = -1, before: int | None = None) -> list[ArchiveFile]:
        """The files of the archive that may hold what belongs to these places of the log."""
        last = before if before is not None else 1 << 62
        return self._rows(sql.ARCHIVE, "holds = ? AND last_seq >= ? AND first_seq <= ?", (holds, after, last))

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
        where, values = _filters(process=process, key=key, correlation_id=correlation_id, event_seq=event_seq)
        if states:
            where = _and(where, f"state IN ({sql.marks(states)})")
            values += [state.value for state in states]
        where, values = _period("started_at", since, until, where, values)
        where, values = _and(where, "(event_seq, id) > (?, ?)"), [*values, *after]
        if before is not None:
            where, values = _and(where, "(event_seq, id) < (?, ?)"), [*values, *before]
        tail = _tail(sql.RUN_ORDER, limit, newest)
        indexes = sql.RUN_INDEXES_OF_KEY if process is not None and key is not None else sql.RUN_INDEXES
        if process is not None and states and self._fewer_have(states, process):
            indexes = sql.RUN_INDEXES_OF_STATE
        found = self._rows(sql.RUN, where, values, tail, sql.index_for(indexes, where))
        if not states or any(state.ended for state in states):
            # read after the tables: what moved in between is found twice, never missed
            last = event_seq if event_seq is not None or before is None else before[0]
            files = self._files(RUN, after[0] if event_seq is None else event_seq, last)
            found = _merged([*found, *self.archive.runs(files, where, values, tail)], limit, newest) if files else found
        return _in_order(found, newest)

    def _fewer_have(self, states: Sequence[RunState], process: str) -> bool:
        """Whether fewer runs are in these states than are of a process: by the fewer ones, fewer rows are looked at."""
        read = self._read(sql.TALLY, ("run",))
        counts: list[tuple[str, str, int]] = [(of, state, number) for of, _, state, number in read]
        in_states = sum(number for _, state, number in counts if state in states)
        return in_states < sum(number for of, _, number in counts if of == process)

    async def count_runs(self) -> dict[tuple[str, str], int]:
        return {(process, state): number for process, _, state, number in self._read(sql.TALLY, ("run",))}

    async def runs_in_flight(self) -> list[InFlight]:
        open_states = ", ".join(f"'{state.value}'" for state in RunState if not state.ended)
        text = (
            f"SELECT process, version, count(*), min(started_at) FROM run WHERE state IN ({open_states}) "
            "GROUP BY process, version ORDER BY process, 4, version"
        )
        return [
            InFlight(process=process, version=version, runs=runs, oldest_at=from_micros(oldest))
            for process, version, runs, oldest in self._reader.execute(text)
        ]

    async def process_version(self, process: str, version: str) -> ProcessVersion | None:
        return self._row(sql.VERSION, "process = ? AND version = ?", (process, version))

    async def process_versions(self) -> list[ProcessVersion]:
        return self._rows(sql.VERSION, tail="ORDER BY first_seen_at, process, version")

    async def rules_in_force(self) -> list[RuleVersion]:
        return [sql.RULE.codec.decode(row) for row in self._read(sql.RULES_IN_FORCE, ())]

    async def rule_versions(self, name: str, *, before: datetime | None = None, limit: int = 1000) -> list[RuleVersion]:
        where, values = _period("in_force_at", None, before, "name = ?", [name])
        return self._rows(sql.RULE, where, values, f"ORDER BY in_force_at DESC, seq DESC LIMIT {limit:d}")

    async def rule_version(self, name: str, label: str) -> RuleVersion | None:
        return self._row(sql.RULE, "name = ? AND label = ?", (name, label))

    async def events_after(self, seq: int, limit: int = 1000) -> list[LoggedEvent]:
        return self._events("seq > ?", (seq,), limit)

    async def find_event(self, source: str, id: str) -> LoggedEvent | None:  # noqa: A002
        found = self._events("source = ? AND id = ?", (source, id), 1)
        return found[0] if found else None

    async def first_event(self, topic: str) -> LoggedEvent | None:
        return await self._first_events.find((topic,))

    async def first_events(self, topics: Sequence[str]) -> dict[str, LoggedEvent]:
        return {topic: event for (topic,), event in self._first_events.find_all([(topic,) for topic in topics]).items()}

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
        where, values = _filters(correlation_id=correlation_id, subject=subject)
        if type is not None and subject is not None:
            where, values = _and(where, '"topic" = ?'), [*values, topic(type, subject)]
        elif type is not None:
            kinds = type_names(type)
            where, values = _and(where, f'"type" IN ({sql.marks(kinds)})'), [*values, *kinds]
        if naming is not None:
            where, values = _and(where, "instr(data, ?) > 0"), [*values, naming.encode()]
        where, values = _and(where, "seq > ?"), [*values, after_seq]
        if before_seq is not None:
            where, values = _and(where, "seq < ?"), [*values, before_seq]
        return self._events(where, values, limit, newest)

    async def waits(self, topics: Sequence[str] | None = None) -> list[Wait]:
        if topics is None:
            return self._rows(sql.WAIT)
        return self._rows(sql.WAIT, f"topic IN ({sql.marks(topics)})", topics) if topics else []

    async def due_waits(self, now: datetime, limit: int = 1000) -> list[Wait]:
        return self._rows(sql.WAIT, "due_at <= ?", (to_micros(now),), f"ORDER BY due_at LIMIT {limit:d}")

    async def references(self, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Reference]:
        found = await asyncio.gather(*map(self._references.find, wanted))
        return {key: reference for key, reference in zip(wanted, found, strict=True) if reference is not None}

    async def referenced(self, external_id: str, connection: str | None = None) -> list[Reference]:
        where, values = "(external_id = ? OR display = ?)", [external_id, external_id]
        if connection is not None:
            # with a plus no index is looked for: SQLite would read every reference of the connection
            where, values = _and(where, "+connection = ?"), [*values, connection]
        return self._rows(sql.REFERENCE, where, values)

    async def find_entity(self, kind: str, id: str) -> EntityRow | None:  # noqa: A002
        return self._row(sql.ENTITY, "kind = ? AND id = ?", (kind, id))

    async def entities(self, kind: str, after: str = "", limit: int = 1000) -> list[EntityRow]:
        return self._rows(sql.ENTITY, "kind = ? AND id > ?", (kind, after), f"ORDER BY id LIMIT {limit:d}")

    async def case(self, case_id: str) -> CaseRow | None:
        return self._row(sql.CASE, "id = ?", (case_id,))

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
        where, values = _filters(case_class=case_class, cause=cause, correlation_id=correlation_id)
        if states:
            where = _and(where, f"state IN ({sql.marks(states)})")
            values += [state.value for state in states]
        if run_ids is not None:
            where = _and(where, "run_id IN (SELECT value FROM json_each(?))")
            values.append(msgspec.json.encode(list(run_ids)).decode())
        if after is not None:
            where, values = _and(where, "(opened_at, id) > (?, ?)"), [*values, to_micros(after[0]), after[1]]
        return self._rows(sql.CASE, where, values, f"ORDER BY opened_at, id LIMIT {limit:d}")

    async def case_page(
        self,
        wanted: CaseFilter,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int = 50,
        newest: bool = False,
    ) -> list[CaseRow]:
        where, values = casing.conditions(wanted)
        if after is not None:
            where, values = (
                f"{where} AND (opened_at, id) {'<' if newest else '>'} (?, ?)",
                [*values, to_micros(after[0]), after[1]],
            )
        way = "DESC" if newest else "ASC"
        tail = f"ORDER BY opened_at {way}, id {way} LIMIT {limit:d}"
        return self._rows(sql.CASE, where, values, tail, casing.index_of_page(self._reader, wanted))

    async def case_groups(self, wanted: CaseFilter, now: datetime, limit: int = 50) -> list[CauseGroup]:
        return await self._beside(lambda connection: casing.groups(connection, wanted, now, limit))

    async def count_cases_of(self, cause: str) -> dict[CaseState, int]:
        return {CaseState(state): number for state, number in self._read(casing.COUNT_BY_STATE, (cause,))}

    async def late_cases(self, now: datetime, limit: int = 1000) -> list[CaseRow]:
        where = "state = ? AND escalated_at IS NULL AND due_at <= ?"
        return self._rows(sql.CASE, where, (CaseState.OPEN.value, to_micros(now)), f"ORDER BY due_at LIMIT {limit:d}")

    async def open_cases(self) -> list[OpenCase]:
        return [sql.OPEN_CASE.decode(row) for row in self._read(sql.SELECT_OPEN_CASES, ())]

    async def count_open_cases(self, now: datetime) -> CaseCounts:
        return await self._beside(lambda connection: casing.open_and_overdue(connection, now))

    async def deals(
        self, wanted: DealFilter = EVERY_DEAL, *, before: int | None = None, limit: int = 50
    ) -> list[ListedDeal]:
        return [sql.DEAL.codec.decode(row) for row in self._read(*listing.select(wanted, before, limit))]

    async def listed_deals(self, ids: Sequence[str]) -> list[ListedDeal]:
        return self._rows(sql.DEAL, f"id IN ({sql.marks(ids)})", ids, "ORDER BY seq DESC")

    async def count_deals(self) -> dict[tuple[str, str], int]:
        return {(status, currency): n for status, currency, _, n in self._read(sql.TALLY, ("deal",))}

    async def changed_deals(self, before: datetime, limit: int = 1000) -> list[ChangedDeal]:
        return self._rows(sql.CHANGED, "since < ?", (to_micros(before),), f"ORDER BY since LIMIT {limit:d}")

    async def count_changed_deals(self) -> int:
        return int(self._read("SELECT count(*) FROM deal_change", ())[0][0])

    async def cursor(self, name: str) -> Cursor | None:
        return self._row(sql.CURSOR, "name = ?", (name,))

    async def lanes(self) -> list[LaneStatus]:
        return self._rows(sql.LANE, tail="ORDER BY connection")

    # --- archive and export -------------------------------------------------------------------------------------------

    async def ended_months(self, before: datetime) -> list[EndedMonth]:
        month = "strftime('%Y-%m', ended_at / 1000000, 'unixepoch')"
        size = "coalesce(sum(length(payload) + length(name) + length(kind)), 0)"
        text = (
            f"SELECT {month}, count(DISTINCT run.id), count(journal.run_id), {size} "
            "FROM run LEFT JOIN journal ON journal.run_id = run.id WHERE ended_at < ? GROUP BY 1 ORDER BY 1"
        )
        rows = self._reader.execute(text, (to_micros(before),))
        return [EndedMonth(month=m, runs=runs, entries=entries, bytes=held) for m, runs, entries, held in rows]

    async def ended_runs(self, before: datetime, limit: int = 1000, since: datetime | None = None) -> list[RunRow]:
        where, values = _period("ended_at", since, before, "", [])
        return self._rows(sql.RUN, where, values, f"ORDER BY ended_at, id LIMIT {limit:d}")

    async def kept_of(self, run_ids: Sequence[str]) -> tuple[list[JournalEntry], list[Wait]]:
        which = f"run_id IN ({sql.marks(run_ids)})"
        order = "ORDER BY run_id, position"
        return self._rows(sql.JOURNAL, which, run_ids, order), self._rows(sql.WAIT, which, run_ids, order)

    async def archive_files(self) -> list[ArchiveFile]:
        return self._rows(sql.ARCHIVE, tail="ORDER BY name")

    async def rows(
        self, record: type[R], since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[list[R]]:
        connection = connect(self.path, read_only=True)  # of its own: one read transaction from beginning to end
        try:
            connection.execute("BEGIN")
            codec, text, values = sql.dump(record, *(to_micros(at) if at else None for at in (since, until)))
            found = connection.execute(text, values)
            while page := found.fetchmany(ROWS_AT_ONCE):
                yield [codec.decode(row) for row in page]
        finally:
            connection.close()


def _filters(**wanted: str | int | None) -> tuple[str, list[Any]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return " AND ".join(f'"{name}" = ?' for name in given), list(given.values())


def _period(
    column: str, since: datetime | None, until: datetime | None, where: str, values: list[Any]
) -> tuple[str, list[Any]]:
    if since is not None:
        where, values = _and(where, f"{column} >= ?"), [*values, to_micros(since)]
    if until is not None:
        where, values = _and(where, f"{column} < ?"), [*values, to_micros(until)]
    return where, values


def _merged(runs: list[RunRow], limit: int, newest: bool) -> list[RunRow]:
    """Runs of the tables and of the archive, each once, in the order that both were read in."""
    by_id = {run.id: run for run in runs}
    return sorted(by_id.values(), key=lambda run: (run.event_seq, run.id), reverse=newest)[:limit]


def _tail(order: Sequence[str], limit: int, newest: bool) -> str:
    """The first rows in this order, or the last ones, which then come out backwards."""
    columns = ", ".join(f"{name} DESC" if newest else name for name in order)
    return f"ORDER BY {columns} LIMIT {limit:d}"


def _in_order(rows: list[R], newest: bool) -> list[R]:
    return rows[::-1] if newest else rows


def _and(left: str, right: str) -> str:
    return f"{left} AND {right}" if left else right
