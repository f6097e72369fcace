"""How the database file is opened, and what its errors mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from tieline.errors import ConcurrencyConflict, ConfigurationError, StoreFailed

SAFE_SQLITE = (3, 51, 3)
"""3.7.0 to 3.51.2 can corrupt the file when a WAL is reset while a reader works (sqlite.org, release 3.51.3)."""


def refuse_unsafe_sqlite() -> None:
    """Raises ConfigurationError."""
    if sqlite.sqlite_version_info < SAFE_SQLITE:
        raise ConfigurationError(
            f"SQLite {sqlite.sqlite_version} can corrupt a database in WAL mode; "
            f"install pysqlite3 with SQLite {'.'.join(map(str, SAFE_SQLITE))} or newer"
        )


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
        raise explained(error, path) from error
    return connection


def explained(error: BaseException, path: Path) -> BaseException:
    """A database error as a sentence that says where and what to do."""
    text = str(error)
    if isinstance(error, sqlite.IntegrityError) and "UNIQUE" in text:
        return ConcurrencyConflict(f"{path}: {text}")
    if "full" in text:
        return StoreFailed(f"{path}: the disk is full; free some space and start again, nothing acknowledged is lost")
    if "readonly" in text or "unable to open" in text:
        return StoreFailed(f"{path}: the file or its folder cannot be written; check its owner and permissions")
    if "locked" in text:
        return StoreFailed(f"{path}: another program holds the database; stop it, then try again")
    if "not a database" in text or "malformed" in text:
        return StoreFailed(f"{path}: this is not a Tieline database, or it is damaged; restore it from a backup")
    return StoreFailed(f"{path}: {text}") if isinstance(error, sqlite.Error) else error
