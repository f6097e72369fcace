"""Each write once: the answer to a request is kept under its Idempotency-Key, and the same request gets it again.

The invariant: a key is on disk before its request is carried out, so that no crash lets the same key do a thing twice.
A key whose request was cut short says so; nothing is guessed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from litestar import Response
from pysqlite3 import dbapi2 as sqlite

from tieline.api.v1.problems import MEDIA_TYPE, Refusal, problem_of
from tieline.app.principal import NotAllowed
from tieline.engine.ports import Store
from tieline.errors import StoreFailed, TielineError, TransientError
from tieline.events import StoreRestored

T = TypeVar("T")
KEPT_FOR = timedelta(hours=48)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answer (
    token TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, claimed_at TEXT NOT NULL,
    status INTEGER, media_type TEXT, body BLOB,
    PRIMARY KEY (token, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answer_age ON answer (claimed_at);
"""


def answers_database(database: Path) -> Path:
    """Answers stand beside the ledger: they are forgotten after two days, and no book."""
    return database.with_name(f"{database.stem}-api.db")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came under a key, and what it was answered; status None: it is not known."""

    fingerprint: str
    claimed_at: datetime
    status: int | None
    media_type: str | None
    body: bytes | None


class Answers:
    """The file of answers. Writes are few: each opens the file, and nothing is left open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: set[tuple[str, str]] = set()
        """Keys whose requests are being carried out in this process, the only one that there is."""

    def claim(self, token: str, key: str, fingerprint: str, now: datetime) -> Answer | None:
        """Take a key for a request; what stands there already where it was taken before."""
        with self._file() as connection:
            connection.execute("DELETE FROM answer WHERE claimed_at < ?", ((now - KEPT_FOR).isoformat(),))
            row = connection.execute(
                "SELECT fingerprint, claimed_at, status, media_type, body FROM answer WHERE token = ? AND key = ?",
                (token, key),
            ).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO answer (token, key, fingerprint, claimed_at) VALUES (?, ?, ?, ?)",
                    (token, key, fingerprint, now.isoformat()),
                )
                return None
        fingerprint, claimed_at, status, media_type, body = row
        return Answer(
            fingerprint=fingerprint,
            claimed_at=datetime.fromisoformat(claimed_at),
            status=status,
            media_type=media_type,
            body=body,
        )

    def keep(self, token: str, key: str, status: int, media_type: str, body: bytes) -> None:
        with self._file() as connection:
            connection.execute(
                "UPDATE answer SET status = ?, media_type = ?, body = ? WHERE token = ? AND key = ?",
                (status, media_type, body, token, key),
            )

    def forget(self, token: str, key: str) -> None:
        """Nothing was done: the key is free again."""
        with self._file() as connection:
            connection.execute("DELETE FROM answer WHERE token = ? AND key = ?", (token, key))

    @contextmanager
    def _file(self) -> Iterator[Any]:
        """One transaction. Raises StoreFailed."""
        try:
            with closing(sqlite.connect(str(self.path), timeout=30)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
        except sqlite.Error as error:
            raise StoreFailed(f"{self.path}: {error}; without this file no write can be done once") from error


class Once:
    """Carries out the request at hand, unless it was carried out before under its key."""

    def __init__(self, answers: Answers, store: Store, token: str, key: str, path: str, body: bytes) -> None:
        self._answers, self._store, self._path = answers, store, path
        self._place = (token, key)
        self._fingerprint = hashlib.sha256(b"\0".join((path.encode(), body))).hexdigest()

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> Response[T]:
        """The answer of `work`, or the one that was given before. Raises Refusal, TransientError."""
        if self._place in self._answers.running:
            raise Refusal(
                "key-in-use", "a request with this key has not been answered yet", headers={"Retry-After": "1"}
            )
        self._answers.running.add(self._place)
        try:
            now = datetime.now(UTC)
            known = await asyncio.to_thread(self._answers.claim, *self._place, self._fingerprint, now)
            return await (self._carry_out(work) if known is None else self._again(known))
        finally:
            self._answers.running.discard(self._place)

    async def _carry_out(self, work: Callable[[], Awaitable[T]]) -> Response[T]:
        try:
            status, media_type, body = 200, "application/json", msgspec.json.encode(await work())
        except (TransientError, NotAllowed, StoreFailed):  # nothing was done, and the same request may do it later
            await asyncio.to_thread(self._answers.forget, *self._place)
            raise
        except TielineError as error:
            problem, _ = problem_of(error, self._path)
            status, media_type, body = problem.status, MEDIA_TYPE, msgspec.json.encode(problem)
        await asyncio.to_thread(self._answers.keep, *self._place, status, media_type, body)
        return _response(status, media_type, body)

    async def _again(self, known: Answer) -> Response[T]:
        if known.fingerprint != self._fingerprint:
            raise Refusal("key-reused", "this key came before with another address or body")
        restored = await self._store.events(type=StoreRestored.__name__, limit=1, newest=True)
        lost = bool(restored) and restored[0].recorded_at >= known.claimed_at
        if known.status is None or lost:
            raise Refusal(
                "outcome-unknown", f"a request with this key came at {known.claimed_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        return _response(known.status, known.media_type or "", known.body or b"", {"Idempotent-Replayed": "true"})


def _response(status: int, media_type: str, body: bytes, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(body, status_code=status, media_type=media_type, headers=headers)
