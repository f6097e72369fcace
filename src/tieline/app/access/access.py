"""Who may come in: the users, sessions, links, tokens and failed sign-ins of one hub, in a file of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.access.file import AccessFile
from tieline.app.access.links import Links
from tieline.app.access.passwords import Passwords
from tieline.app.access.sessions import Sessions
from tieline.app.access.throttle import Throttle
from tieline.app.access.tokens import Token, Tokens
from tieline.app.access.users import Users
from tieline.app.principal import Principal


def _system_time() -> datetime:
    return datetime.now(UTC)


class Access:
    """Who is who. The use cases beside this module change it, and tell the event log first."""

    def __init__(self, database: Path, now: Callable[[], datetime] = _system_time) -> None:
        """Raises ConfigurationError for a file that cannot be used."""
        self._file, self.now = AccessFile(database), now
        self.users, self.links = Users(self._file), Links(self._file, now)
        self.sessions, self.tokens = Sessions(self._file, now), Tokens(self._file, now)
        self.throttle, self.passwords = Throttle(self._file, now), Passwords()
        self.secret = self._kept_secret()
        """Signs what browsers carry against forged requests; kept, so that open pages survive a restart."""

    async def open_session(self, principal: Principal, address: str = "", browser: str = "") -> str:
        """Begin a session of a user; returns what the cookie carries. Raises NothingFound."""
        return await self.sessions.open(self.users.get(principal.name).name, address, browser)

    async def principal(self, session: str) -> Principal | None:
        """Whose session this is, with the roles of now; None for one that ended or never was."""
        return self._standing(await self.sessions.user(session))

    def goes_on(self, session: str) -> bool:
        """Whether a session has not ended; asking is no use of it."""
        return self._standing(self.sessions.user_unused(session)) is not None

    async def bearer(self, secret: str) -> Principal | None:
        """Whom an API token speaks for; None for one that expired, was revoked or never was."""
        token = await self.token(secret)
        return None if token is None else self.speaks_for(token)

    async def token(self, secret: str) -> Token | None:
        """The API token itself, while it can be used."""
        return await self.tokens.use(secret)

    def speaks_for(self, token: Token) -> Principal | None:
        """Its owner, with no more rights than both have; None where the owner may not come in."""
        owner = self._standing(token.user)
        if owner is None:
            return None
        return msgspec.structs.replace(owner, scopes=token.scopes)

    async def close(self) -> None:
        """Let go of the database."""
        self._file.close()

    def _standing(self, name: str) -> Principal | None:
        user = self.users.find(name) if name else None
        return None if user is None or user.disabled else user.principal()

    def _kept_secret(self) -> str:
        def keep(connection: Any) -> str:
            new = secrets.token_urlsafe(32)
            connection.execute("INSERT OR IGNORE INTO kept VALUES ('secret', ?)", (new,))
            return str(connection.execute("SELECT value FROM kept WHERE name = 'secret'").fetchone()[0])

        return self._file.write_now(keep)
