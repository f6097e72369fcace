"""The high-water mark: how far a database was written, in a small file beside it.

The invariant: the mark is written behind the commit it tells of, so it is never ahead of a database that lives on. A
database that is behind its mark was put back from a copy, or lost. It is not forced to disk: after a power cut it may
be older than the database, never newer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

COMMITS = "store/commits"
"""The cursor that counts transactions: a copy may hold all events and lack what was sent since the last one."""
COUNT = """INSERT INTO cursor (name, value, updated_at) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER) + 1, CAST(excluded.value AS INTEGER))
RETURNING value"""
_SIZE = 160


class Mark(msgspec.Struct, frozen=True):
    """So many transactions, and the last event with its place and hash."""

    commits: int = 0
    seq: int = 0
    hash: str = ""


class MarkFile:
    """`tieline.db.mark` beside `tieline.db`."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.mark")
        self._file = -1

    def read(self) -> Mark:
        """What it says; nothing where there is none, or where a power cut tore it."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            return Mark()

    def write(self, mark: Mark) -> None:
        """One short write at the beginning of the file: a kill leaves the old one or the new one.

        A disk that refuses it says nothing about the commit, which stands: the mark stays behind, and that is no harm.
        """
        with suppress(OSError):
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            os.pwrite(self._file, msgspec.json.encode(mark).ljust(_SIZE), 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def last_of(connection: Any) -> Mark:
    """How far a database is written."""
    counted = connection.execute("SELECT value FROM cursor WHERE name = ?", (COMMITS,)).fetchone()
    last = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    return Mark(int(counted[0]) if counted else 0, *(last or (0, "")))


def lost(connection: Any, mark: Mark) -> int | None:
    """The place up to which the log was once written, when this database is not the one that was written there."""
    reached = last_of(connection)
    here = connection.execute("SELECT hash FROM event WHERE seq = ?", (mark.seq,)).fetchone()
    same = mark.seq == 0 or (here is not None and here[0] == mark.hash)
    return None if same and reached.commits >= mark.commits else max(mark.seq, reached.seq)
