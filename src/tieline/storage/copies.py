"""Copies of a database file: made beside a running hub, examined, put in its place.

The invariant: what is called a copy is whole. It is written under another name, read through, and only then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from tieline.errors import ConfigurationError
from tieline.events import GENESIS, chain_hash
from tieline.storage import statements as sql
from tieline.storage.migrate import known_revisions

UNFINISHED = ".unfinished"
_BESIDE = ("-wal", "-shm")


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a database holds. `hash` is the last link of its log, `at` when that was recorded."""

    events: int
    last_event: int
    at: datetime | None
    hash: str
    effects: int
    in_doubt: int
    open_runs: int
    open_cases: int
    bytes: int


def copy(source: Path, target: Path) -> Contents:
    """Copy a database, also while a hub writes to it; `target` appears only once the copy was found whole.

    Raises ConfigurationError.
    """
    if target.exists():
        raise ConfigurationError(f"{target} is there already; name another file, nothing is written over")
    if not source.is_file():
        raise ConfigurationError(f"{source}: there is no such file")
    unfinished = target.with_name(target.name + UNFINISHED)
    _remove(unfinished)
    try:
        with _opened(source) as origin, _opened(unfinished) as made:
            origin.backup(made)
            made.execute("PRAGMA journal_mode = DELETE")  # one file, whole without what SQLite keeps beside it
        found = examine(unfinished)
        _to_disk(unfinished)
        unfinished.rename(target)
        _to_disk(target.parent)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        _remove(unfinished)
    return found


def put_in_place(copied: Path, database: Path, aside: Path) -> None:
    """Make `copied` the database; what stood there is kept as `aside`, with what SQLite kept beside it."""
    if database.exists():
        _settle(database)
        for suffix in _BESIDE:
            if (left := Path(f"{database}{suffix}")).exists():
                left.rename(f"{aside}{suffix}")
        os.link(database, aside)
    copied.replace(database)
    _to_disk(database.parent)


def reached(path: Path) -> int:
    """How far the log of a database goes; 0 where it cannot be read: damage is a reason to restore, not to refuse."""
    if not path.exists():
        return 0
    try:
        with _opened(path) as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
    except ConfigurationError:
        return 0


def examine(path: Path) -> Contents:
    """Read a database through: its pages, its schema, every link of its log. Raises ConfigurationError."""
    with _opened(path) as connection:
        wrong = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if wrong != "ok":
            raise ConfigurationError(f"{path} is damaged: {wrong}")
        _check_schema(connection, path)
        events, last = _walk(connection, path)

        def count(text: str) -> int:
            return int(connection.execute(f"SELECT count(*) FROM {text}").fetchone()[0])

        return Contents(
            events=events,
            last_event=last.seq if last else 0,
            at=last.recorded_at if last else None,
            hash=last.hash if last else GENESIS,
            effects=count("effect"),
            in_doubt=count("effect WHERE state IN ('intended', 'in_doubt')"),
            open_runs=count("run WHERE ended_at IS NULL"),
            open_cases=count("\"case\" WHERE state = 'open'"),
            bytes=path.stat().st_size,
        )


def _walk(connection: Any, path: Path) -> tuple[int, Any]:
    """The number of events and the last one, once each is found to follow from the one before."""
    number, last, previous = 0, None, GENESIS
    for row in connection.execute(f"SELECT {sql.EVENT_COLUMNS} FROM event ORDER BY seq"):
        last, number = sql.EVENT.decode(row), number + 1
        if last.prev_hash != previous or last.hash != chain_hash(previous, last, last.recorded_at):
            raise ConfigurationError(f"{path}: event {last.seq} is not what was recorded; take another copy")
        previous = last.hash
    return number, last


def _check_schema(connection: Any, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in tables:
        raise ConfigurationError(f"{path} is not a database of Tieline")
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    if revision not in known_revisions():
        raise ConfigurationError(f"{path} was written by a newer Tieline (schema {revision}); install that version")


def _settle(database: Path) -> None:
    """Bring what SQLite keeps beside the file into it, where that can be done: the file may be damaged."""
    try:
        with closing(sqlite.connect(str(database), timeout=5)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite.Error:
        return


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with closing(sqlite.connect(str(path), timeout=30, isolation_level=None)) as connection:
            yield connection
    except sqlite.Error as error:
        raise ConfigurationError(f"{path} cannot be read as a database of Tieline: {error}") from error


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    for name in (path, *(Path(f"{path}{suffix}") for suffix in (*_BESIDE, "-journal"))):
        name.unlink(missing_ok=True)
