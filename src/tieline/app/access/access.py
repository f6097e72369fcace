"""Sessions of people and tokens of programs."""

from __future__ import annotations

import secrets
from pathlib import Path

from tieline.app.principal import Principal


def access_database(database: Path) -> Path:
    """Users and sessions stand in a file of their own: a copy of the books holds no passwords, and putting one back
    brings no revoked token to life."""
    return database.with_name(f"{database.stem}-access.db")


class Access:
    """Who is who."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._sessions: dict[str, Principal] = {}
        self.secret = secrets.token_urlsafe(32)
        """Signs what browsers carry against forged requests."""

    async def open_session(self, principal: Principal) -> str:
        """Begin a session; returns what the cookie carries."""
        session = secrets.token_urlsafe(32)
        self._sessions[session] = principal
        return session

    async def principal(self, session: str) -> Principal | None:
        """Whose session this is; None for one that ended or never was."""
        return self._sessions.get(session)

    async def bearer(self, token: str) -> Principal | None:
        """Whom an API token speaks for; None for one that expired, was revoked or never was."""
        return None

    async def close(self) -> None:
        """Let go of the database."""
