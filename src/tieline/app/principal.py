"""Who acts, and what they may do. Every use case that changes something takes a Principal and asks it first.

The invariant: a right comes from a role of the person and, where a token speaks for them, from its scopes too.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tieline.errors import TielineError

PEOPLE = "people"
"""The source of what people told the log."""


class Permission(StrEnum):
    """What may be done; also the scopes of API tokens."""

    READ = "read"
    """Look at everything."""
    OPERATE = "operate"
    """Decide and comment on cases, replay, pause and resume systems, move runs."""
    CORRECT = "correct"
    """Correct value maps."""
    APPROVE = "approve"
    """Approve or refuse what waits for approval, of what somebody else made."""
    ADMINISTER = "administer"
    """Users, roles and the tokens of others."""


class Role(StrEnum):
    """What a person is here. A person may be several."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    STEWARD = "steward"
    APPROVER = "approver"
    ADMIN = "admin"


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.STEWARD: frozenset({Permission.READ, Permission.OPERATE, Permission.CORRECT}),
    Role.APPROVER: frozenset({Permission.READ, Permission.APPROVE}),
    Role.ADMIN: frozenset(Permission),
}
"""An admin may do everything, and still not approve what they made themselves."""

_ROLES_WITH = {permission: [role.value for role in Role if permission in GRANTS[role]] for permission in Permission}


class NotAllowed(TielineError):
    """The person, or the token that speaks for them, may not do this. Says who may."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A person who acts, under the name that the audit trail keeps.

    `scopes` narrow what a token may do (None: everything the roles allow).
    """

    name: str
    roles: frozenset[Role]
    email: str = ""
    scopes: frozenset[Permission] | None = None

    def may(self, permission: Permission) -> bool:
        """Whether this person may do it, as they came."""
        granted = any(permission in GRANTS[role] for role in self.roles)
        return granted and (self.scopes is None or permission in self.scopes)

    def require(self, permission: Permission) -> None:
        """Raises NotAllowed, saying which roles may."""
        if self.may(permission):
            return
        if self.scopes is not None and permission not in self.scopes:
            raise NotAllowed(f"this token of {self.name} has no scope '{permission}'; make one that has")
        has = ", ".join(sorted(self.roles)) or "none"
        raise NotAllowed(
            f"{self.name} may not do this: it needs the right '{permission}', which {_either(_ROLES_WITH[permission])} "
            f"has; {self.name} is {has}. An admin can change roles"
        )


def local_principal(name: str) -> Principal:
    """Whoever runs a command on the machine: who can write the project's files may do everything."""
    return Principal(name=name, roles=frozenset(Role))


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
