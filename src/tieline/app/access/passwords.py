"""Passwords: argon2id, computed beside the event loop, a few at a time.

The invariant: looking up nobody's password takes as long as looking up somebody's.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tieline.errors import TielineError

T = TypeVar("T")
LEAST, MOST = 12, 256
FEWEST_DIFFERENT = 5
AT_ONCE = 2
"""Each takes 64 MiB and a core for a moment: sign-ins must not starve the worker."""


class PasswordRefused(TielineError):
    """The password is too easy to guess. Says what to do about it."""


def check_password(password: str, user: str) -> None:
    """Length matters, composition does not (NIST SP 800-63B, section 3.1.1.2). Raises PasswordRefused."""
    if len(password) < LEAST:
        raise PasswordRefused(f"a password needs at least {LEAST} characters; a few words in a row do well")
    if len(password) > MOST:
        raise PasswordRefused(f"a password has at most {MOST} characters")
    own = user.partition("@")[0]
    plain = password.lower()
    if len(set(plain)) < FEWEST_DIFFERENT or (own and not plain.replace(user, "").replace(own, "").strip("0123456789")):
        raise PasswordRefused("this password is too easy to guess: it repeats itself, or is the user's own name")


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """`hasher` says how much effort a hash takes; argon2-cffi's own profile (RFC 9106) where it is not given."""
        self._hasher, self._turns, self._nobody = hasher or PasswordHasher(), asyncio.Semaphore(AT_ONCE), ""

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._compute(self._hasher.hash, _same(password))

    async def match(self, kept: str, password: str) -> bool:
        """Whether this is the password; `kept` is "" where there is none, and costs the same."""
        if not self._nobody:
            self._nobody = await self.hash(secrets.token_urlsafe())
        return await self._compute(self._verify, kept or self._nobody, _same(password)) and bool(kept)

    def outdated(self, kept: str) -> bool:
        """Whether hashes are made with more effort now."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _compute(self, work: Callable[..., T], *values: str) -> T:
        async with self._turns:
            return await asyncio.to_thread(work, *values)


def _same(password: str) -> str:
    """The password however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)
