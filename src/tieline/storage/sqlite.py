"""The store on SQLite: one file, WAL, synchronous=FULL, one writer thread with group commit.

The invariant: `commit` returns only after the batch is on disk. Batches that wait at the same moment share one
transaction and one flush; when one of them conflicts they are done one by one, so that only the guilty one fails.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pysqlite3 import dbapi2 as sqlite

from tieline.engine.ports import Appended, AppendResult, Batch
from tieline.engine.records import (
    CaseRow,
    CaseState,
    Cursor,
    Effect,
    EffectKey,
    EffectState,
    EntityRow,
    JournalEntry,
    LaneStatus,
    Reference,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict, ConfigurationError
from tieline.events import Event, LoggedEvent, topic
from tieline.storage import statements as sql
from tieline.storage.memory import log_event
from tieline.storage.migrate import bring_up_to_date
from tieline.storage.rows import to_micros

SAFE_SQLITE = (3, 51, 3)
"""3.7.0 to 3.51.2 can corrupt the file when a WAL is reset while a reader works (sqlite.org, release 3.51.3)."""

R = TypeVar("R", bound=msgspec.Struct)
_Result = list[AppendResult] | BaseException
_Waiting = asyncio.Future[list[AppendResult]]


class SqliteStore:
    """Implements the Store port. Reads run on the caller's thread: they take microseconds on an indexed file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or create the file. Raises ConfigurationError saying what is wrong with it and what to do."""
        if sqlite.sqlite_version_info < SAFE_SQLITE:
            raise ConfigurationError(
                f"SQLite {sqlite.sqlite_version} can corrupt a database in WAL mode; "
                f"install pysqlite3 with SQLite {'.'.join(map(str, SAFE_SQLITE))} or newer"
            )
        self.path = path
        if not read_only:
            bring_up_to_date(path)
        self._reader = connect(path, read_only=True)
        self._queue: queue.SimpleQueue[tuple[Batch, _Waiting] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self.commits = 0
        if not read_only:
            self._writer = threading.Thread(target=self._write_forever, name=f"writer {path.name}", daemon=True)
            self._writer.start()

    async def commit(self, batch: Batch) -> list[AppendResult]:
        if self._writer is None:
            raise ConfigurationError(f"{self.path} is closed, or was opened for reading only: nothing can be written")
        future: asyncio.Future[list[AppendResult]] = asyncio.get_running_loop().create_future()
        self._queue.put((batch, future))
        return await future

    async def close(self) -> None:
        """Write what is queued, then close."""
        writer, self._writer = self._writer, None  # first, so that nothing is queued behind the end
        if writer is not None:
            self._queue.put(None)
            await asyncio.to_thread(writer.join)
        self._reader.close()

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        connection = connect(self.path)
        try:
            while (first := self._queue.get()) is not None:
                group = [first]
                ending = self._drain(group)
                self._write_group(connection, group)
                if ending:
                    return
        finally:
            connection.close()

    def _drain(self, group: list[tuple[Batch, _Waiting]]) -> bool:
        """Take all that waits; True when the end was among it."""
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return False
            if item is None:
                return True
            group.append(item)

    def _write_group(self, connection: Any, group: Sequence[tuple[Batch, _Waiting]]) -> None:
        try:
            results = self._transaction(connection, [batch for batch, _ in group])
        except Exception as error:  # noqa: BLE001 - whoever committed learns why, the writer goes on
            if len(group) > 1:
                for item in group:
                    self._write_group(connection, [item])
                return
            _tell([(group[0][1], _explained(error, self.path))])
            return
        _tell([(future, result) for (_, future), result in zip(group, results, strict=True)])

    def _transaction(self, connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = _write_all(connection, batches)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        return results

    # --- reading ------------------------------------------------------------------------------------------------------

    def _rows(self, table: sql.TableOf[R], where: str = "", values: Sequence[Any] = (), tail: str = "") -> list[R]:
        rows = self._reader.execute(table.select(where, tail), tuple(values)).fetchall()
        return [table.codec.decode(row) for row in rows]

    def _row(self, table: sql.TableOf[R], where: str, values: Sequence[Any], tail: str = "") -> R | None:
        row = self._reader.execute(table.select(where, tail), tuple(values)).fetchone()
        return table.codec.decode(row) if row else None

    def _events(self, where: str, values: Sequence[Any], limit: int, newest: bool = False) -> list[LoggedEvent]:
        text = f"SELECT {sql.EVENT_COLUMNS} FROM event WHERE {where} {_tail(('seq',), limit, newest)}"
        return _in_order([sql.EVENT.decode(row) for row in self._reader.execute(text, tuple(values))], newest)

    async def find_effect(self, key: EffectKey) -> Effect | None:
        where = "connection = ? AND kind = ? AND canonical_id = ? AND action = ?"
        return self._row(sql.EFFECT, where, key, "ORDER BY revision DESC LIMIT 1")

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
        where, values = _filters(
            correlation_id=correlation_id,
            connection=connection,
            kind=kind,
            state=state.value if state else None,
            external_id=external_id,
            canonical_id=canonical_id,
        )
        order = ("intended_at", "connection", "kind", "canonical_id", "action", "revision")
        return _in_order(self._rows(sql.EFFECT, where, values, _tail(order, limit, newest)), newest)

    async def count_effects(self) -> dict[tuple[str, str, str], int]:
        text = "SELECT connection, kind, state, count(*) FROM effect GROUP BY connection, kind, state"
        return {(connection, kind, state): count for connection, kind, state, count in self._reader.execute(text)}

    async def journal(self, run_id: str) -> list[JournalEntry]:
        return self._rows(sql.JOURNAL, "run_id = ?", (run_id,), "ORDER BY position")

    async def run(self, run_id: str) -> RunRow | None:
        return self._row(sql.RUN, "id = ?", (run_id,))

    async def runs(
        self,
        *,
        states: Sequence[RunState] = (),
        process: str | None = None,
        key: str | None = None,
        correlation_id: str | None = None,
        after: tuple[int, str] = (-1, ""),
        limit: int = 1000,
        newest: bool = False,
    ) -> list[RunRow]:
        where, values = _filters(process=process, key=key, correlation_id=correlation_id)
        if states:
            where = _and(where, f"state IN ({sql.marks(states)})")
            values += [state.value for state in states]
        where = _and(where, "(event_seq, id) > (?, ?)")
        rows = self._rows(sql.RUN, where, [*values, *after], _tail(("event_seq", "id"), limit, newest))
        return _in_order(rows, newest)

    async def count_runs(self) -> dict[tuple[str, str], int]:
        text = "SELECT process, state, count(*) FROM run GROUP BY process, state"
        return {(process, state): count for process, state, count in self._reader.execute(text)}

    async def events_after(self, seq: int, limit: int = 1000) -> list[LoggedEvent]:
        return self._events("seq > ?", (seq,), limit)

    async def find_event(self, source: str, id: str) -> LoggedEvent | None:  # noqa: A002
        found = self._events("source = ? AND id = ?", (source, id), 1)
        return found[0] if found else None

    async def first_event(self, topic: str, after_seq: int) -> LoggedEvent | None:
        found = self._events("topic = ? AND seq > ?", (topic, after_seq), 1)
        return found[0] if found else None

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
        where, values = _filters(correlation_id=correlation_id, subject=subject)
        if type is not None and subject is not None:
            where, values = _and(where, "topic = ?"), [*values, topic(type, subject)]
        elif type is not None:
            where = _and(where, "topic >= ? AND topic < ?")
            values += [f"{type}:", f"{type};"]  # ";" is the character behind ":"
        if naming is not None:
            where, values = _and(where, "instr(data, ?) > 0"), [*values, naming.encode()]
        return self._events(_and(where, "seq > ?"), [*values, after_seq], limit, newest)

    async def waits(self, topics: Sequence[str] | None = None) -> list[Wait]:
        if topics is None:
            return self._rows(sql.WAIT)
        return self._rows(sql.WAIT, f"topic IN ({sql.marks(topics)})", topics) if topics else []

    async def due_waits(self, now: datetime, limit: int = 1000) -> list[Wait]:
        return self._rows(sql.WAIT, "due_at <= ?", (to_micros(now),), f"ORDER BY due_at LIMIT {limit:d}")

    async def references(self, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Reference]:
        where = "connection = ? AND kind = ? AND canonical_id = ?"
        found = {key: self._row(sql.REFERENCE, where, key) for key in wanted}
        return {key: reference for key, reference in found.items() if reference is not None}

    async def referenced(self, external_id: str, connection: str | None = None) -> list[Reference]:
        where, values = "(external_id = ? OR display = ?)", [external_id, external_id]
        if connection is not None:
            where, values = _and(where, "connection = ?"), [*values, connection]
        return self._rows(sql.REFERENCE, where, values)

    async def find_entity(self, kind: str, id: str) -> EntityRow | None:  # noqa: A002
        return self._row(sql.ENTITY, "kind = ? AND id = ?", (kind, id))

    async def case(self, case_id: str) -> CaseRow | None:
        return self._row(sql.CASE, "id = ?", (case_id,))

    async def cases(
        self,
        *,
        states: Sequence[CaseState] = (),
        case_class: str | None = None,
        cause: str | None = None,
        correlation_id: str | None = None,
        limit: int = 10000,
    ) -> list[CaseRow]:
        where, values = _filters(case_class=case_class, cause=cause, correlation_id=correlation_id)
        if states:
            where = _and(where, f"state IN ({sql.marks(states)})")
            values += [state.value for state in states]
        return self._rows(sql.CASE, where, values, f"ORDER BY opened_at, id LIMIT {limit:d}")

    async def late_cases(self, now: datetime, limit: int = 1000) -> list[CaseRow]:
        where = "state = ? AND escalated_at IS NULL AND due_at <= ?"
        return self._rows(sql.CASE, where, (CaseState.OPEN.value, to_micros(now)), f"ORDER BY due_at LIMIT {limit:d}")

    async def cursor(self, name: str) -> Cursor | None:
        return self._row(sql.CURSOR, "name = ?", (name,))

    async def lanes(self) -> list[LaneStatus]:
        return self._rows(sql.LANE, tail="ORDER BY connection")


def connect(path: Path, *, read_only: bool = False) -> Any:
    """A connection with the pragmas that durability rests on. Raises ConfigurationError."""
    try:
        connection = sqlite.connect(str(path), timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite.Error as error:
        raise _explained(error, path) from error
    return connection


def _write_all(connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
    def many(table: sql.TableOf[R], records: Iterable[R], text: str) -> int:
        values = [table.codec.encode(record) for record in records]
        return connection.executemany(text, values).rowcount - len(values) if values else 0

    many(sql.RUN, (r for b in batches for r in b.runs), sql.RUN.upsert)
    many(sql.JOURNAL, (e for b in batches for e in b.journal), sql.JOURNAL.insert)
    if many(sql.EFFECT, (e for b in batches for e in b.effects), sql.EFFECT.upsert):
        raise ConcurrencyConflict("an effect that is settled cannot move again")
    many(sql.REFERENCE, (r for b in batches for r in b.references), sql.REFERENCE.upsert)
    many(sql.ENTITY, (e for b in batches for e in b.entities), sql.ENTITY.upsert)
    many(sql.CASE, (c for b in batches for c in b.cases), sql.CASE.upsert)
    many(sql.WAIT, (w for b in batches for w in b.waits), sql.WAIT.upsert)
    over = [place for b in batches for place in b.waits_over]
    if over:
        connection.executemany(sql.END_WAIT, over)
    many(sql.CURSOR, (c for b in batches for c in b.cursors), sql.CURSOR.upsert)
    many(sql.LANE, (s for b in batches for s in b.lanes), sql.LANE.upsert)
    return _append_all(connection, batches) if any(b.events for b in batches) else [[] for _ in batches]


def _append_all(connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
    row = connection.execute(f"SELECT {sql.EVENT_COLUMNS} FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    last = sql.EVENT.decode(row) if row else None
    fresh: dict[tuple[str, str], LoggedEvent] = {}
    now = datetime.now(UTC)

    def append(event: Event) -> AppendResult:
        nonlocal last
        known = fresh.get((event.source, event.id)) or _known(connection, event)
        if known is not None:
            same = known.content_hash() == event.content_hash()
            return AppendResult(Appended.DUPLICATE if same else Appended.CONFLICT, known)
        last = fresh[event.source, event.id] = log_event(event, last, now)
        return AppendResult(Appended.NEW, last)

    results = [[append(event) for event in batch.events] for batch in batches]
    connection.executemany(sql.INSERT_EVENT, [(*sql.EVENT.encode(e), e.topic) for e in fresh.values()])
    return results


def _known(connection: Any, event: Event) -> LoggedEvent | None:
    text = f"SELECT {sql.EVENT_COLUMNS} FROM event WHERE source = ? AND id = ?"
    row = connection.execute(text, (event.source, event.id)).fetchone()
    return sql.EVENT.decode(row) if row else None


def _filters(**wanted: str | None) -> tuple[str, list[Any]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return " AND ".join(f'"{name}" = ?' for name in given), list(given.values())


def _tail(order: Sequence[str], limit: int, newest: bool) -> str:
    """The first rows in this order, or the last ones, which then come out backwards."""
    columns = ", ".join(f"{name} DESC" if newest else name for name in order)
    return f"ORDER BY {columns} LIMIT {limit:d}"


def _in_order(rows: list[R], newest: bool) -> list[R]:
    return rows[::-1] if newest else rows


def _and(left: str, right: str) -> str:
    return f"{left} AND {right}" if left else right


def _tell(results: Sequence[tuple[_Waiting, _Result]]) -> None:
    """Hand results over to the loops that wait for them: one wake-up for a whole group, not one a batch."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, _Result]]] = {}
    for future, result in results:
        by_loop.setdefault(future.get_loop(), []).append((future, result))
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop is gone, and who waited with it; the batch stands
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(results: Sequence[tuple[_Waiting, _Result]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


def _explained(error: BaseException, path: Path) -> BaseException:
    """A database error as a sentence that says where and what to do."""
    text = str(error)
    if isinstance(error, sqlite.IntegrityError) and "UNIQUE" in text:
        return ConcurrencyConflict(f"{path}: {text}")
    if "full" in text:
        return ConfigurationError(
            f"{path}: the disk is full; free some space and start again, nothing acknowledged is lost"
        )
    if "readonly" in text or "unable to open" in text:
        return ConfigurationError(f"{path}: the file or its folder cannot be written; check its owner and permissions")
    if "locked" in text:
        return ConfigurationError(f"{path}: another program holds the database; stop it, then try again")
    if "not a database" in text or "malformed" in text:
        return ConfigurationError(f"{path}: this is not a Tieline database, or it is damaged; restore it from a backup")
    return ConfigurationError(f"{path}: {text}") if isinstance(error, sqlite.Error) else error
