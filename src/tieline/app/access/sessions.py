"""Sessions: a browser that signed in, for as long as it is used and never for more than a week.

The invariant: a session's cookie is a random secret of which only the SHA-256 is kept; who a session is, and what they
may do, is read from the users each time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tieline.app.access.file import AccessFile, fingerprint
from tieline.storage.rows import from_micros, to_micros

IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
NOTED_EVERY = timedelta(minutes=5)
"""A session's last use is written down at most this often."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open session, as its owner sees it."""

    id: str
    user: str
    opened_at: datetime
    seen_at: datetime
    address: str
    browser: str


class Sessions:
    """The sessions of the access file."""

    def __init__(self, file: AccessFile, now: Callable[[], datetime]) -> None:
        self._file, self._now = file, now

    async def open(self, user: str, address: str = "", browser: str = "") -> str:
        """Begin a session; returns what the cookie carries. Those that ended are forgotten."""
        secret, now = secrets.token_urlsafe(32), self._now()
        row = (fingerprint(secret), user, to_micros(now), to_micros(now), address, browser[:300])
        ended = (to_micros(now - IDLE), to_micros(now - LONGEST))

        def write(connection: Any) -> None:
            connection.execute("DELETE FROM session WHERE seen_at < ? OR opened_at < ?", ended)
            connection.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("UPDATE user SET signed_in_at = ? WHERE name = ?", (to_micros(now), user))

        await self._file.write(write)
        return secret

    async def user(self, secret: str) -> str:
        """Whose session this is, which counts as a use of it; "" for one that ended or never was."""
        found, now = self._open(secret), self._now()
        if found is None:
            return ""
        if now - found.seen_at >= NOTED_EVERY:
            seen = (to_micros(now), fingerprint(secret))
            await self._file.write(lambda connection: connection.execute(_SEEN, seen) and None)
        return found.user

    def user_unused(self, secret: str) -> str:
        """The same for a page that goes on by itself: nobody uses the session by leaving it open."""
        found = self._open(secret)
        return found.user if found else ""

    def list(self, user: str) -> list[Session]:
        """The open sessions of a user, the last used first."""
        now = self._now()
        open_since = (user, to_micros(now - IDLE), to_micros(now - LONGEST))
        rows = self._file.rows(
            f"{_SELECT} user = ? AND seen_at > ? AND opened_at > ? ORDER BY seen_at DESC", open_since
        )
        return [_decode(row) for row in rows]

    async def close(self, secret: str) -> None:
        """End the session of this cookie."""
        await self._delete("hash = ?", fingerprint(secret))

    async def end(self, user: str, id: str) -> None:  # noqa: A002 - as the page calls it
        """End one of a user's sessions."""
        await self._delete("user = ? AND substr(hash, 1, 16) = ?", user, id)

    async def end_others(self, user: str, secret: str = "") -> None:
        """End all sessions of a user but the one of this cookie."""
        await self._delete("user = ? AND hash <> ?", user, fingerprint(secret))

    def _open(self, secret: str) -> Session | None:
        rows, now = self._file.rows(f"{_SELECT} hash = ?", (fingerprint(secret),)), self._now()
        found = _decode(rows[0]) if rows else None
        ended = found is None or now - found.seen_at >= IDLE or now - found.opened_at >= LONGEST
        return None if ended else found

    async def _delete(self, where: str, *values: str) -> None:
        await self._file.write(lambda c: c.execute(f"DELETE FROM session WHERE {where}", values) and None)


_SELECT = "SELECT hash, user, opened_at, seen_at, address, browser FROM session WHERE"
_SEEN = "UPDATE session SET seen_at = ? WHERE hash = ?"


def session_id(secret: str) -> str:
    """How a list calls the session of a cookie."""
    return fingerprint(secret)[:16]


def _decode(row: Any) -> Session:
    hash_, user, opened_at, seen_at, address, browser = row
    return Session(
        id=hash_[:16],
        user=user,
        opened_at=from_micros(opened_at),
        seen_at=from_micros(seen_at),
        address=address,
        browser=browser,
    )
