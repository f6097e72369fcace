"""What a commit does to the tables of SQLite: the rows of its batches, in one transaction that the caller holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from tieline.engine.ports import Appended, AppendResult, Archived, Batch
from tieline.errors import ConcurrencyConflict
from tieline.events import Event, LoggedEvent
from tieline.storage import deals
from tieline.storage import statements as sql
from tieline.storage.memory import log_event
from tieline.storage.tallies import Tally

R = TypeVar("R", bound=msgspec.Struct)


def write_all(connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
    """One list of results a batch. Raises ConcurrencyConflict for a row that may not become what it was to become."""

    def many(table: sql.TableOf[R], records: Iterable[R], text: str) -> int:
        values = [table.codec.encode(record) for record in records]
        return connection.executemany(text, values).rowcount - len(values) if values else 0

    tally = Tally(connection)
    tally.runs([r for b in batches for r in b.runs])
    tally.effects([e for b in batches for e in b.effects])
    tally.runs_gone(run_id for b in batches for a in b.archived for run_id in a.run_ids)
    tally.write()
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
    many(sql.VERSION, (v for b in batches for v in b.versions), sql.VERSION.upsert)
    many(sql.RULE, (r for b in batches for r in b.rules), sql.KEEP_RULE)
    deals.write(connection, batches)
    for archived in (a for b in batches for a in b.archived):
        many(sql.ARCHIVE, archived.files, sql.ARCHIVE.insert)
        _forget(connection, archived)
    return _append_all(connection, batches) if any(b.events for b in batches) else [[] for _ in batches]


def _append_all(connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
    row = connection.execute(f"SELECT {sql.EVENT_COLUMNS} FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    last = sql.EVENT.decode(row) if row else None
    fresh: dict[tuple[str, str], LoggedEvent] = {}
    now = datetime.now(UTC)

    def append(event: Event, log_from: int) -> AppendResult:
        nonlocal last
        known = fresh.get((event.source, event.id)) or _known(connection, event)
        if known is not None:
            same = known.content_hash() == event.content_hash()
            return AppendResult(Appended.DUPLICATE if same else Appended.CONFLICT, known)
        last = fresh[event.source, event.id] = log_event(event, last, now, log_from)
        return AppendResult(Appended.NEW, last)

    results = [[append(event, batch.log_from) for event in batch.events] for batch in batches]
    connection.executemany(sql.INSERT_EVENT, [(*sql.EVENT.encode(e), e.topic) for e in fresh.values()])
    return results


def _known(connection: Any, event: Event) -> LoggedEvent | None:
    text = f"SELECT {sql.EVENT_COLUMNS} FROM event WHERE source = ? AND id = ?"
    row = connection.execute(text, (event.source, event.id)).fetchone()
    return sql.EVENT.decode(row) if row else None


def _forget(connection: Any, archived: Archived) -> None:
    """Take out of the tables what the files hold: all of it and nothing else."""
    for table, text in sql.FORGET.items():
        gone = connection.executemany(text, [(run_id,) for run_id in archived.run_ids]).rowcount
        held = sum(file.rows for file in archived.files if file.holds == table)
        if gone != held:
            raise ConcurrencyConflict(
                f"the archive was to take {held} rows of {table}, and the table has {gone} of them"
            )
