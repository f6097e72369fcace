"""API tokens: a program that acts for a person, with fewer rights and until a day.

The invariant: a token never allows what its owner may not do now; only its SHA-256 is kept, so it is shown once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tieline.app.access.file import AccessFile, fingerprint
from tieline.app.principal import Permission
from tieline.app.views.resolve import NothingFound
from tieline.storage.rows import from_micros, to_micros

PREFIX = "tl_"
"""So that a token that was pasted somewhere is recognised for what it is."""
NOTED_EVERY = timedelta(minutes=1)
_SELECT = (
    "SELECT id, user, label, scopes, per_minute, created_at, expires_at, used_at, revoked_at FROM token WHERE {} "
    "ORDER BY created_at DESC, id"
)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, without what makes it one. `per_minute` is how many requests it may make, 0 for the API's own."""

    id: str
    user: str
    label: str
    scopes: frozenset[Permission]
    per_minute: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def stands(self, now: datetime) -> bool:
        """Whether it can be used."""
        return self.revoked_at is None and now < self.expires_at


def new_token(
    user: str, label: str, scopes: Collection[Permission], per_minute: int, now: datetime, expires_at: datetime
) -> tuple[Token, str]:
    """A token and its secret, which is to be shown once."""
    token = Token(
        id=secrets.token_hex(6),
        user=user,
        label=label.strip(),
        scopes=frozenset(scopes),
        per_minute=per_minute,
        created_at=now,
        expires_at=expires_at,
    )
    return token, PREFIX + secrets.token_urlsafe(32)


class Tokens:
    """The tokens of the access file."""

    def __init__(self, file: AccessFile, now: Callable[[], datetime]) -> None:
        self._file, self._now = file, now

    async def add(self, token: Token, secret: str) -> None:
        scopes = " ".join(scope.value for scope in Permission if scope in token.scopes)
        times = (to_micros(token.created_at), to_micros(token.expires_at))
        row = (token.id, fingerprint(secret), token.user, token.label, scopes, token.per_minute, *times)
        text = (
            "INSERT INTO token (id, hash, user, label, scopes, per_minute, created_at, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        await self._file.write(lambda connection: connection.execute(text, row) and None)

    async def use(self, secret: str) -> Token | None:
        """The token with this secret, noted as used; None for one that expired, was revoked or never was."""
        rows, now = self._file.rows(_SELECT.format("hash = ?"), (fingerprint(secret),)), self._now()
        token = _decode(rows[0]) if rows else None
        if token is None or not token.stands(now):
            return None
        if token.used_at is None or now - token.used_at >= NOTED_EVERY:
            used = (to_micros(now), token.id)
            await self._file.write(lambda c: c.execute("UPDATE token SET used_at = ? WHERE id = ?", used) and None)
        return token

    def get(self, id: str) -> Token:  # noqa: A002 - as the commands call it
        """Raises NothingFound."""
        rows = self._file.rows(_SELECT.format("id = ?"), (id,))
        if not rows:
            raise NothingFound(f"there is no token {id!r}; `tieline tokens` lists them")
        return _decode(rows[0])

    def list(self, user: str | None = None) -> list[Token]:
        """The tokens of a user, or of all, the newest first; those that ended too."""
        rows = self._file.rows(_SELECT.format("user = ?" if user else "?"), (user or 1,))
        return [_decode(row) for row in rows]

    async def revoke(self, id: str) -> None:  # noqa: A002
        row = (to_micros(self._now()), id)
        text = "UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        await self._file.write(lambda connection: connection.execute(text, row) and None)


def _decode(row: Any) -> Token:
    id_, user, label, scopes, per_minute, created_at, expires_at, used_at, revoked_at = row
    return Token(
        id=id_,
        user=user,
        label=label,
        scopes=frozenset(Permission(scope) for scope in scopes.split()),
        per_minute=per_minute,
        created_at=from_micros(created_at),
        expires_at=from_micros(expires_at),
        used_at=None if used_at is None else from_micros(used_at),
        revoked_at=None if revoked_at is None else from_micros(revoked_at),
    )
