"""The file that holds who may come in: users, sessions, links, tokens, failed sign-ins.

The invariant: no secret stands in it that could be used as it is. Passwords are argon2id, everything else that a
person or a program carries is kept as its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pysqlite3 import dbapi2 as sqlite

from tieline.errors import ConfigurationError
from tieline.storage.opening import connect

T = TypeVar("T")
VERSION = 1
SCHEMA = """
CREATE TABLE user (
    name TEXT PRIMARY KEY, email TEXT NOT NULL, roles TEXT NOT NULL, password TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL DEFAULT '', disabled INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
    signed_in_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX user_by_subject ON user (subject) WHERE subject <> '';
CREATE TABLE session (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, opened_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,
    address TEXT NOT NULL, browser TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_user ON session (user);
CREATE TABLE link (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE token (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, user TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL,
    per_minute INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_by_user ON token (user);
CREATE TABLE failure (
    who TEXT PRIMARY KEY, failures INTEGER NOT NULL, last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE known_address (
    user TEXT NOT NULL, address TEXT NOT NULL, seen_at INTEGER NOT NULL, PRIMARY KEY (user, address)
) STRICT, WITHOUT ROWID;
CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


def access_database(database: Path) -> Path:
    """Users and sessions stand in a file of their own: a copy of the books holds no passwords, and putting one back
    brings no revoked token to life."""
    return database.with_name(f"{database.stem}-access.db")


def fingerprint(secret: str) -> str:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class AccessFile:
    """Reads on the caller's thread (they take microseconds), writes on another, each on disk before it returns."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, readable for its owner only. Raises ConfigurationError."""
        self.path = path
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}; check the folder's owner and permissions") from error
        self._writer, self._lock = connect(path), threading.Lock()
        self._bring_up_to_date()
        self._reader = connect(path, read_only=True)

    def rows(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """What stands now."""
        found: list[Any] = self._reader.execute(text, tuple(values)).fetchall()
        return found

    async def write(self, work: Callable[[Any], T]) -> T:
        """Do `work` on the connection as one transaction: all of it, or nothing when it raises."""
        return await asyncio.to_thread(self.write_now, work)

    def write_now(self, work: Callable[[Any], T]) -> T:
        """The same where nothing runs yet that could be held up."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                done = work(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            return done

    def close(self) -> None:
        with self._lock:
            self._writer.close()
            self._reader.close()

    def _bring_up_to_date(self) -> None:
        def create(connection: Any) -> int:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if found == 0:
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            return found

        try:
            found = self.write_now(create)
        except sqlite.Error as error:
            raise ConfigurationError(f"{self.path}: this is not the file of users ({error}); move it away") from error
        if found > VERSION:
            raise ConfigurationError(
                f"{self.path}: a newer Tieline wrote it (version {found}, this one knows {VERSION}); install that one"
            )
