"""One-time links: for the first admin, and for a person to choose a password.

The invariant: a link works once and until its time; only its SHA-256 is kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tieline.app.access.file import AccessFile, fingerprint
from tieline.errors import TielineError
from tieline.storage.rows import from_micros, to_micros

FIRST_ADMIN = ""
"""The link of nobody yet: whoever opens it becomes the first admin."""
FIRST_ADMIN_FOR = timedelta(hours=1)
PASSWORD_FOR = timedelta(hours=24)


class LinkSpent(TielineError):
    """The link was used, replaced by a newer one, or its time is over."""

    def __init__(self) -> None:
        super().__init__(
            "this link was used already, was replaced by a newer one, or is too old; ask an admin for another "
            "(`tieline users link NAME`), or start the hub again for the first admin's"
        )


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link that can be used. `user` is FIRST_ADMIN or whose password it sets."""

    user: str
    expires_at: datetime


class Links:
    """The links of the access file."""

    def __init__(self, file: AccessFile, now: Callable[[], datetime]) -> None:
        self._file, self._now = file, now

    async def make(self, user: str, lasts: timedelta = PASSWORD_FOR) -> str:
        """A link for a user, in the place of any older one; returns its last part."""
        secret, expires = secrets.token_urlsafe(24), to_micros(self._now() + lasts)

        def write(connection: Any) -> None:
            connection.execute("DELETE FROM link WHERE user = ? OR expires_at < ?", (user, to_micros(self._now())))
            connection.execute("INSERT INTO link VALUES (?, ?, ?)", (fingerprint(secret), user, expires))

        await self._file.write(write)
        return secret

    def find(self, secret: str) -> Link:
        """What a link is for; it stays unused. Raises LinkSpent."""
        row = (fingerprint(secret), to_micros(self._now()))
        rows = self._file.rows("SELECT user, expires_at FROM link WHERE hash = ? AND expires_at > ?", row)
        if not rows:
            raise LinkSpent
        return Link(user=rows[0][0], expires_at=from_micros(rows[0][1]))

    async def use(self, secret: str, change: Callable[[Any], None]) -> None:
        """Spend the link and make the change, both or neither. Raises LinkSpent."""
        row = (fingerprint(secret), to_micros(self._now()))

        def write(connection: Any) -> None:
            if connection.execute("DELETE FROM link WHERE hash = ? AND expires_at > ?", row).rowcount != 1:
                raise LinkSpent
            change(connection)

        await self._file.write(write)
