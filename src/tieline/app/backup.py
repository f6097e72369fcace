"""Backups of a project's database: made beside a running hub, put back while none runs.

The invariant: nothing is written over. A restore keeps the file it replaces, and the log tells who restored what.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tieline.app.wiring import only_worker
from tieline.engine.clock import SystemClock
from tieline.engine.restore import notice_restore
from tieline.errors import ConfigurationError
from tieline.events import StoreRestored
from tieline.storage.copies import Contents, copy, put_in_place, reached
from tieline.storage.mark import MarkFile
from tieline.storage.sqlite import SqliteStore


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`contents` is what was put back; `kept` the file that stood there before, None where none did."""

    contents: Contents
    told: StoreRestored
    kept: Path | None


def back_up(database: Path, to: Path | None) -> tuple[Path, Contents]:
    """Copy the database, safe beside a hub; returns where to and what the copy holds. Raises ConfigurationError."""
    target = to or _beside(database, "backup")
    return target, copy(database, target)


async def restore(database: Path, file: Path, *, by: str, reason: str) -> Restored:
    """Put a backup in the place of the database. Raises ConfigurationError while a hub works on it."""
    with only_worker(database):
        contents, kept, lost_seq = _put_back(database, file)
        store = SqliteStore(database)
        try:
            store.lost_seq = lost_seq  # a person says so, whatever the mark says
            told = await notice_restore(store, SystemClock(), by=by, reason=reason)
        finally:
            await store.close()
    if told is None:
        raise AssertionError("a restore that a person orders is always told")
    return Restored(contents=contents, told=told, kept=kept)


def _put_back(database: Path, file: Path) -> tuple[Contents, Path | None, int]:
    """What was put back, where the replaced file is now, and how far the log had reached."""
    if file.exists() and database.exists() and file.samefile(database):
        raise ConfigurationError(f"{file} is the database itself; name a backup of it")
    copied, aside = _beside(database, "restoring"), _beside(database, "replaced")
    contents = copy(file, copied)
    lost_seq = max(MarkFile(database).read().seq, reached(database), contents.last_event)
    kept = aside if database.exists() else None
    put_in_place(copied, database, aside)
    return contents, kept, lost_seq


def _beside(database: Path, what: str) -> Path:
    return database.with_name(f"{database.stem}.{what}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{database.suffix}")
