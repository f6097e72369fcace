"""Users as an admin changes them, and what each may change of their own: password, sessions, tokens.

The invariant: the event log is told before the change stands, by whom it is made, and never a secret.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from tieline.app.access.access import Access
from tieline.app.access.passwords import check_password
from tieline.app.access.sessions import session_id
from tieline.app.access.tokens import Token, new_token
from tieline.app.access.told import tell, user_changed
from tieline.app.access.users import User, last_admin, name_taken, new_user
from tieline.app.principal import Permission, Principal, Role
from tieline.engine.ports import Store
from tieline.errors import TielineError
from tieline.events import SignedOut, TokenIssued, TokenRevoked

LONGEST_TOKEN_DAYS = 366


async def add_user(
    store: Store, access: Access, name: str, email: str, roles: Collection[Role], *, by: Principal
) -> User:
    """A user who has no password yet: hand them a link, or issue a token for them. Raises TielineError."""
    by.require(Permission.ADMINISTER)
    user = new_user(name, email, _some(roles), access.now())
    if access.users.find(user.name) is not None:
        raise name_taken(user.name)
    await _tell(store, user, "added", by)
    await access.users.add(user)
    return user


async def set_roles(store: Store, access: Access, name: str, roles: Collection[Role], *, by: Principal) -> User:
    """Raises TielineError where nobody would be left to administer, or where the identity provider says the roles."""
    by.require(Permission.ADMINISTER)
    user = access.users.get(name)
    if user.by_provider:
        raise TielineError(f"the roles of {user.name} come from the identity provider; change their groups there")
    if access.users.stays_without_admin(user, _some(roles)):
        raise last_admin()
    await tell(store, user_changed(user.name, "roles", roles, by.name))
    await access.users.set_roles(user.name, roles)
    return access.users.get(name)


async def set_disabled(store: Store, access: Access, name: str, *, disabled: bool, by: Principal) -> User:
    """A disabled user is signed out at once, and their tokens stop working. Raises TielineError for the last admin."""
    by.require(Permission.ADMINISTER)
    user = access.users.get(name)
    if disabled and access.users.stays_without_admin(user):
        raise last_admin()
    await _tell(store, user, "disabled" if disabled else "enabled", by)
    await access.users.set_disabled(user.name, disabled=disabled)
    return access.users.get(name)


async def make_link(store: Store, access: Access, name: str, *, by: Principal) -> str:
    """The last part of a one-time link with which this user chooses a password. Raises TielineError."""
    by.require(Permission.ADMINISTER)
    user = access.users.get(name)
    if user.by_provider:
        raise TielineError(f"{user.name} signs in at the identity provider and has no password here")
    if user.disabled:
        raise TielineError(f"{user.name} is disabled; enable them first")
    await _tell(store, user, "one-time link", by)
    return await access.links.make(user.name)


async def change_password(
    store: Store, access: Access, current: str, password: str, *, session: str, address: str, by: Principal
) -> None:
    """One's own; every other session of theirs ends. Raises TielineError, PasswordRefused and TooManyAttempts."""
    user = access.users.get(by.name)
    await access.throttle.attempt(user.name, address)
    if not await access.passwords.match(access.users.password(user.name), current):
        raise TielineError("the present password is wrong; an admin can give you a link to choose a new one")
    await access.throttle.succeeded(user.name, address)
    check_password(password, user.name)
    kept = await access.passwords.hash(password)
    await _tell(store, user, "password", by)
    await access.users.set_password(user.name, kept)
    await access.sessions.end_others(user.name, session)


async def end_session(store: Store, access: Access, id: str, *, by: Principal) -> None:  # noqa: A002 - as the page says
    """End one of one's own sessions."""
    await tell(store, SignedOut(user=by.name, which=f"session {id}"))
    await access.sessions.end(by.name, id)


async def end_other_sessions(store: Store, access: Access, session: str, *, by: Principal) -> None:
    """End all one's own sessions but the one of this cookie."""
    await tell(store, SignedOut(user=by.name, which=f"all but session {session_id(session)}"))
    await access.sessions.end_others(by.name, session)


async def issue_token(
    store: Store,
    access: Access,
    label: str,
    scopes: Collection[Permission],
    days: int,
    *,
    by: Principal,
    owner: str = "",
    per_minute: int = 0,
) -> tuple[Token, str]:
    """A token for oneself, or by an admin for another; returns it with its secret, which is nowhere else.

    Raises NotAllowed for a scope that the owner has no right to, and TielineError.
    """
    user = access.users.get(owner or by.name)
    if user.name != by.name:
        by.require(Permission.ADMINISTER)
    if not label.strip():
        raise TielineError("say what the token is for, so that it can be told apart from the others")
    if not scopes:
        raise TielineError(f"a token needs at least one scope: {', '.join(Permission)}")
    if not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise TielineError(f"a token lasts 1 to {LONGEST_TOKEN_DAYS} days")
    for scope in scopes:
        by.require(scope)  # nor does a token make one with more rights than it has
        user.principal().require(scope)
    now = access.now()
    token, secret = new_token(user.name, label, scopes, per_minute, now, now + timedelta(days=days))
    told = TokenIssued(
        token=token.id,
        user=user.name,
        label=token.label,
        scopes=sorted(scopes),
        expires_at=token.expires_at,
        by=by.name,
    )
    await tell(store, told)
    await access.tokens.add(token, secret)
    return token, secret


async def revoke_token(store: Store, access: Access, id: str, *, by: Principal) -> Token:  # noqa: A002 - as above
    """One's own token, or by an admin another's; it stops working at once. Raises NothingFound and NotAllowed."""
    token = access.tokens.get(id)
    if token.user != by.name:
        by.require(Permission.ADMINISTER)
    if token.revoked_at is None:
        await tell(store, TokenRevoked(token=token.id, user=token.user, label=token.label, by=by.name))
        await access.tokens.revoke(token.id)
    return access.tokens.get(id)


async def _tell(store: Store, user: User, change: str, by: Principal) -> None:
    await tell(store, user_changed(user.name, change, user.roles, by.name))


def _some(roles: Collection[Role]) -> Collection[Role]:
    if not roles:
        raise TielineError(f"a user needs at least one role: {', '.join(Role)}")
    return roles
