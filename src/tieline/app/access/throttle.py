"""Failed sign-ins: whoever guesses waits longer each time, also across a restart.

The invariant: an attempt is counted before the password is looked at, so many at once are no way round. Failures from
elsewhere never make a person wait at an address from which they have signed in before: nobody can lock an admin out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tieline.app.access.file import AccessFile, fingerprint
from tieline.errors import TransientError
from tieline.storage.rows import to_micros

FREE_FOR_USER, FREE_FOR_ADDRESS = 5, 20
LONGEST = timedelta(minutes=15)
FORGOTTEN = timedelta(hours=24)
KNOWN_FOR = timedelta(days=60)


class TooManyAttempts(TransientError):
    """Sign-ins failed too often, by this user or from this address."""


class Throttle:
    """The failures of the access file."""

    def __init__(self, file: AccessFile, now: Callable[[], datetime]) -> None:
        self._file, self._now = file, now

    async def attempt(self, user: str, address: str) -> None:
        """Count an attempt. Raises TooManyAttempts with the time to wait; that one is not counted."""
        counted = [(_address(address), FREE_FOR_ADDRESS), (self._user(user, address), FREE_FOR_USER)]

        def write(connection: Any) -> None:
            now = to_micros(self._now())
            connection.execute("DELETE FROM failure WHERE last_at < ?", (now - FORGOTTEN // _MICRO,))
            wait = max(_wait(connection, who, free, now) for who, free in counted)
            if wait > 0:
                seconds = math.ceil(wait / 1_000_000)
                raise TooManyAttempts(
                    f"too many sign-ins failed; try again in {_span(seconds)}. "
                    "An admin can hand you a one-time link that works at once",
                    retry_after_s=seconds,
                )
            for who, _ in counted:
                connection.execute(_COUNT, (who, now))

        await self._file.write(write)

    async def succeeded(self, user: str, address: str) -> None:
        """The user proved to be who they say: their failures are forgotten and the address is known as theirs."""
        counted, now = self._user(user, address), self._now()

        def write(connection: Any) -> None:
            connection.execute("DELETE FROM failure WHERE who = ?", (counted,))
            connection.execute("UPDATE failure SET failures = failures - 1 WHERE who = ?", (_address(address),))
            connection.execute("DELETE FROM known_address WHERE seen_at < ?", (to_micros(now - KNOWN_FOR),))
            connection.execute("REPLACE INTO known_address VALUES (?, ?, ?)", (user, address, to_micros(now)))

        await self._file.write(write)

    def _user(self, user: str, address: str) -> str:
        # hashed: people type passwords where the name belongs
        known = self._file.rows("SELECT 1 FROM known_address WHERE user = ? AND address = ?", (user, address))
        return "user " + fingerprint(f"{user} {address if known else ''}")


_MICRO = timedelta(microseconds=1)
_COUNT = (
    "INSERT INTO failure VALUES (?, 1, ?) ON CONFLICT (who) "
    "DO UPDATE SET failures = failures + 1, last_at = excluded.last_at"
)


def _wait(connection: Any, who: str, free: int, now: int) -> int:
    """Microseconds until the next attempt: nothing for the free ones, then 1 s, 2 s, 4 s and so on."""
    row = connection.execute("SELECT failures, last_at FROM failure WHERE who = ?", (who,)).fetchone()
    if row is None or row[0] < free:
        return 0
    pause = min(timedelta(seconds=2 ** min(row[0] - free, 20)), LONGEST)
    return int(row[1]) + pause // _MICRO - now


def _address(address: str) -> str:
    return f"address {address}"


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{math.ceil(seconds / 60)} min"
