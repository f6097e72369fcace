"""Users: who they are, what they are here, and how they prove it.

The invariant: once there is an admin who can sign in, there is always one; users are disabled, never removed, because
the audit trail names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import msgspec

from tieline.app.access.file import AccessFile
from tieline.app.principal import Principal, Role
from tieline.app.views.resolve import NothingFound
from tieline.errors import TielineError
from tieline.storage.rows import from_micros, to_micros

_COLUMNS = "name, email, roles, password, subject, disabled, created_at, signed_in_at"
_ADMINS = (
    "SELECT count(*) FROM user WHERE ' ' || roles || ' ' LIKE '% admin %' AND NOT disabled "
    "AND (password <> '' OR subject <> '')"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may come in. `subject` says who they are at the identity provider, "" for who has a password."""

    name: str
    email: str
    roles: frozenset[Role]
    subject: str
    disabled: bool
    has_password: bool
    created_at: datetime
    signed_in_at: datetime | None

    @property
    def can_sign_in(self) -> bool:
        return not self.disabled and (self.has_password or bool(self.subject))

    @property
    def by_provider(self) -> bool:
        """Whether the identity provider vouches for them, and says their roles."""
        return bool(self.subject)

    def principal(self) -> Principal:
        """Who acts when this user does."""
        return Principal(name=self.name, roles=self.roles, email=self.email)


def user_name(text: str) -> str:
    """A name as it is kept: lower case, so that two people never look the same. Raises TielineError."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise TielineError(
            "a user name has 1 to 100 letters a-z, digits and . _ @ + -, and begins with a letter or digit; "
            "an e-mail address will do"
        )
    return name


class Users:
    """The users of the access file."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file

    def find(self, name: str) -> User | None:
        return self._one("name = ?", name.strip().lower())

    def find_subject(self, subject: str) -> User | None:
        """The user whom the identity provider calls this."""
        return self._one("subject = ?", subject) if subject else None

    def get(self, name: str) -> User:
        """Raises NothingFound."""
        user = self.find(name)
        if user is None:
            raise NothingFound(f"there is no user {name!r}; whoever acts on the command line need not be one")
        return user

    def list(self, like: str = "", after: str = "", limit: int = 1_000_000) -> list[User]:
        """Users by name, behind the name `after`; `like` is a part of the name or of the e-mail address."""
        where = "name > ? AND (instr(name, ?) OR instr(lower(email), ?)) ORDER BY name LIMIT ?"
        part = like.strip().lower()
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM user WHERE {where}", (after, part, part, limit))
        return [_decode(row) for row in rows]

    def password(self, name: str) -> str:
        """The hash of a user's password, "" where there is none."""
        rows = self._file.rows("SELECT password FROM user WHERE name = ? AND NOT disabled", (name.strip().lower(),))
        return str(rows[0][0]) if rows else ""

    def has_admin(self) -> bool:
        """Whether an admin can sign in."""
        return bool(self._file.rows(_ADMINS)[0][0])

    async def add(self, user: User) -> None:
        """Raises TielineError where the name is taken."""
        await self._file.write(lambda connection: insert(connection, user))

    async def set_password(self, name: str, password: str) -> None:
        await self._change(name, "password = ?", password)

    async def set_roles(self, name: str, roles: Collection[Role]) -> None:
        await self._change(name, "roles = ?", _joined(roles))

    async def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Disabling ends the user's sessions, too."""

        def change(connection: Any) -> None:
            connection.execute("UPDATE user SET disabled = ? WHERE name = ?", (int(disabled), name))
            if disabled:
                connection.execute("DELETE FROM session WHERE user = ?", (name,))
                connection.execute("DELETE FROM link WHERE user = ?", (name,))

        await self._file.write(guarded(change))

    async def follow_provider(self, name: str, email: str, roles: Collection[Role]) -> None:
        """What the identity provider says of a user holds, even of the last admin."""
        text = "UPDATE user SET email = ?, roles = ? WHERE name = ?"
        await self._file.write(lambda connection: connection.execute(text, (email, _joined(roles), name)) and None)

    def stays_without_admin(self, user: User, roles: Collection[Role] = ()) -> bool:
        """Whether nobody would be left to administer when `user` has only these roles."""
        others = [u for u in self.list() if u.name != user.name and u.can_sign_in and Role.ADMIN in u.roles]
        return Role.ADMIN in user.roles and user.can_sign_in and Role.ADMIN not in roles and not others

    def _one(self, where: str, value: str) -> User | None:
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM user WHERE {where}", (value,))
        return _decode(rows[0]) if rows else None

    async def _change(self, name: str, what: str, value: str) -> None:
        text = f"UPDATE user SET {what} WHERE name = ?"
        await self._file.write(guarded(lambda connection: connection.execute(text, (value, name))))


def guarded(change: Callable[[Any], object]) -> Callable[[Any], None]:
    """The change, refused when it takes the last admin away."""

    def checked(connection: Any) -> None:
        had = connection.execute(_ADMINS).fetchone()[0]
        change(connection)
        if had and not connection.execute(_ADMINS).fetchone()[0]:
            raise last_admin()

    return checked


def last_admin() -> TielineError:
    """Why a change is refused that would leave nobody to administer."""
    return TielineError("this is the only admin who can sign in; make another one an admin first")


def name_taken(name: str) -> TielineError:
    """Why a user cannot be added."""
    return TielineError(f"there is a user {name!r} already; choose another name")


def insert(connection: Any, user: User, password: str = "") -> None:
    """A new row for a user. Raises TielineError where the name is taken."""
    if connection.execute("SELECT 1 FROM user WHERE name = ?", (user.name,)).fetchone():
        raise name_taken(user.name)
    connection.execute(
        "INSERT INTO user (name, email, roles, password, subject, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (user.name, user.email, _joined(user.roles), password, user.subject, to_micros(user.created_at)),
    )


def new_user(name: str, email: str, roles: Collection[Role], now: datetime, subject: str = "") -> User:
    """A user who has not come in yet. Raises TielineError for a name that cannot be one."""
    return User(
        name=user_name(name),
        email=email.strip(),
        roles=frozenset(roles),
        subject=subject,
        disabled=False,
        has_password=False,
        created_at=now,
        signed_in_at=None,
    )


def _joined(roles: Collection[Role]) -> str:
    return " ".join(role.value for role in Role if role in roles)


def _decode(row: Any) -> User:
    name, email, roles, password, subject, disabled, created_at, signed_in_at = row
    return User(
        name=name,
        email=email,
        roles=frozenset(Role(role) for role in roles.split()),
        subject=subject,
        disabled=bool(disabled),
        has_password=bool(password),
        created_at=from_micros(created_at),
        signed_in_at=None if signed_in_at is None else from_micros(signed_in_at),
    )
