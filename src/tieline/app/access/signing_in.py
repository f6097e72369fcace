"""Signing in: with a password, a one-time link, or an identity provider's word; and signing out.

The invariant: a session begins only after the event log knows who signed in, from where and how.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from tieline.app.access.access import Access
from tieline.app.access.links import FIRST_ADMIN
from tieline.app.access.passwords import check_password
from tieline.app.access.told import tell, user_changed
from tieline.app.access.users import User, guarded, insert, name_taken, new_user
from tieline.app.principal import Role
from tieline.engine.ports import Store
from tieline.errors import TielineError
from tieline.events import SignedIn, SignedOut, SignInRefused

PROVIDER = "identity provider"


class SignInFailed(TielineError):
    """Nobody came in. Says no more than whoever asks may know."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sign-in comes from."""

    address: str = ""
    browser: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an identity provider says of somebody. `groups` are its words, `roles` what they mean here."""

    subject: str
    name: str
    email: str
    groups: tuple[str, ...]
    roles: frozenset[Role]


async def sign_in(store: Store, access: Access, name: str, password: str, caller: Caller) -> str:
    """With a password; returns what the cookie carries. Raises SignInFailed and TooManyAttempts."""
    who = name.strip().lower()
    await access.throttle.attempt(who, caller.address)
    kept = access.users.password(who)
    if not await access.passwords.match(kept, password):
        known = access.users.find(who)
        why = "no such user" if known is None else "disabled" if known.disabled else "wrong password"
        await tell(store, SignInRefused(user=known.name if known else "", why=why, address=caller.address))
        raise SignInFailed("the name or the password is wrong")
    await access.throttle.succeeded(who, caller.address)
    if access.passwords.outdated(kept):
        await access.users.set_password(who, await access.passwords.hash(password))
    return await _open(store, access, access.users.get(who), "password", caller)


async def use_link(store: Store, access: Access, secret: str, name: str, password: str, caller: Caller) -> str:
    """Spend a one-time link: its user, or the first admin under `name`, has this password now and is signed in.

    Raises LinkSpent, PasswordRefused, and TielineError for a name that cannot be used; the link then stays as it is.
    """
    link = access.links.find(secret)
    first = link.user == FIRST_ADMIN
    user = _first_admin(access, name) if first else access.users.get(link.user)
    check_password(password, user.name)
    kept = await access.passwords.hash(password)
    await tell(store, user_changed(user.name, "first admin" if first else "password", user.roles, user.name))
    await access.links.use(secret, _added(user, kept) if first else _password(user.name, kept))
    await access.throttle.succeeded(user.name, caller.address)
    return await _open(store, access, access.users.get(user.name), "one-time link", caller)


async def admit(store: Store, access: Access, identity: Identity, allowed: Collection[str], caller: Caller) -> str:
    """Somebody for whom the identity provider vouches; they become a user when they are none.

    `allowed` are the groups that mean a role. Raises SignInFailed saying what is in the way.
    """
    user = access.users.find_subject(identity.subject)
    refusal = _refusal(access, identity, user, allowed)
    if refusal:
        await tell(store, SignInRefused(user=user.name if user else "", why=refusal, address=caller.address))
        raise SignInFailed(refusal)
    if user is None:
        user = new_user(identity.name, identity.email, identity.roles, access.now(), identity.subject)
        await tell(store, user_changed(user.name, "added", identity.roles, PROVIDER))
        await access.users.add(user)
    elif (user.roles, user.email) != (identity.roles, identity.email):
        await tell(store, user_changed(user.name, "roles", identity.roles, PROVIDER))
        await access.users.follow_provider(user.name, identity.email, identity.roles)
    return await _open(store, access, user, PROVIDER, caller)


async def sign_out(store: Store, access: Access, secret: str) -> None:
    """End the session of this cookie."""
    user = await access.sessions.user(secret)
    if user:
        await tell(store, SignedOut(user=user, which="this session"))
        await access.sessions.close(secret)


def _refusal(access: Access, identity: Identity, user: User | None, allowed: Collection[str]) -> str:
    if not identity.roles:
        groups = ", ".join(identity.groups) or "none"
        return (
            f"the identity provider knows {identity.name}, but none of their groups ({groups}) means a role here; "
            f"ask for one of: {', '.join(sorted(allowed))}"
        )
    if user is not None:
        return f"{user.name} is disabled here; an admin can enable them" if user.disabled else ""
    if access.users.find(identity.name) is not None:
        return f"there is a user {identity.name} here who does not come from the identity provider; ask an admin"
    return ""


async def _open(store: Store, access: Access, user: User, how: str, caller: Caller) -> str:
    await tell(store, SignedIn(user=user.name, how=how, address=caller.address))
    return await access.open_session(user.principal(), caller.address, caller.browser)


def _first_admin(access: Access, name: str) -> User:
    user = new_user(name, "", [Role.ADMIN], access.now())
    if access.users.find(user.name) is not None:
        raise name_taken(user.name)
    return user


def _added(user: User, kept: str) -> Any:
    return lambda connection: insert(connection, user, kept)


def _password(name: str, kept: str) -> Any:
    def change(connection: Any) -> None:
        connection.execute("UPDATE user SET password = ? WHERE name = ?", (kept, name))
        connection.execute("DELETE FROM session WHERE user = ?", (name,))

    return guarded(change)
