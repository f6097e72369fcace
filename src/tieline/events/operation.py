"""What people do with the hub, and what it tells of itself: cases, rules, runs, connections, users, the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tieline.events.envelope import EventData


class CaseOpened(EventData, frozen=True, kw_only=True):
    """Something needs a person."""

    case: str
    case_class: str
    contract: str
    message: str

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class CaseEvent(EventData, frozen=True, kw_only=True):
    """What a person did about one case. CaseOpened is none: the order of its fields is part of what is hashed."""

    case: str
    contract: str

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class CaseDecided(CaseEvent, frozen=True, kw_only=True):
    """A person decided a case or an approval. `arguments` depends on the action; see the how-to on cases."""

    action: str
    by: str
    reason: str = ""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    decided_at: datetime


class CaseCommented(CaseEvent, frozen=True, kw_only=True):
    """A person said something about a case; it decides nothing."""

    by: str
    text: str


class CaseAssigned(CaseEvent, frozen=True, kw_only=True):
    """A case was given to somebody: a person by name, or a team."""

    owner: str
    before: str
    by: str
    reason: str = ""


class ValueMapCorrected(EventData, frozen=True, kw_only=True):
    """A person added or changed an entry of a value map; with an empty `value` it was taken out.

    `former` is the entry before, {} for none; None in events from before it was kept.
    """

    value_map: str
    key: str
    value: dict[str, str]
    former: dict[str, str] | None = None
    by: str
    reason: str = ""

    def subject(self) -> str:
        return f"{self.value_map}/{self.key}"


class CorrectionsExported(EventData, frozen=True, kw_only=True):
    """Corrected entries of a value map were written to its file, as they stood at the place `up_to` of the log."""

    value_map: str
    keys: list[str]
    up_to: int
    by: str

    def subject(self) -> str:
        return self.value_map


class ReplayRequested(EventData, frozen=True, kw_only=True):
    """A person asked that a process runs once more on the event at `event_seq`."""

    process: str
    event_seq: int
    contract: str
    by: str
    reason: str = ""

    def subject(self) -> str:
        return f"{self.process}:{self.event_seq}"

    def correlation(self) -> str:
        return self.contract


class RunEvent(EventData, frozen=True, kw_only=True):
    """Something about one run of a process."""

    process: str
    run: str
    contract: str

    def subject(self) -> str:
        return self.run

    def correlation(self) -> str:
        return self.contract


class MoveRequested(RunEvent, frozen=True, kw_only=True):
    """A person asked that a run in flight goes on with another version of its process."""

    to_version: str
    by: str
    reason: str = ""


class RunMoved(RunEvent, frozen=True, kw_only=True):
    """A run goes on with another version of its process, which fits all that it has done."""

    from_version: str
    to_version: str
    by: str


class MoveRefused(RunEvent, frozen=True, kw_only=True):
    """A run stays on its version, and why."""

    to_version: str
    reason: str


class ConnectionHeld(EventData, frozen=True, kw_only=True):
    """A person stopped a connection. With `drain` what is queued there is finished first; else nothing more is sent."""

    connection: str
    drain: bool = False
    by: str
    reason: str

    def subject(self) -> str:
        return self.connection


class ConnectionReleased(EventData, frozen=True, kw_only=True):
    """A person lets a connection work again."""

    connection: str
    by: str
    reason: str = ""

    def subject(self) -> str:
        return self.connection


class UserEvent(EventData, frozen=True, kw_only=True):
    """Something about one user of the hub."""

    user: str

    def subject(self) -> str:
        return self.user or "unknown"


class UserChanged(UserEvent, frozen=True, kw_only=True):
    """A user was added, disabled or enabled, was given a one-time link, chose a password, or has these roles now."""

    change: str
    roles: list[str]
    by: str


class SignedIn(UserEvent, frozen=True, kw_only=True):
    """Somebody came in: by password, one-time link or identity provider."""

    how: str
    address: str = ""


class SignInRefused(UserEvent, frozen=True, kw_only=True):
    """Somebody was not let in. `user` is "" where there is none of the name that was typed, which is not kept."""

    why: str
    address: str = ""


class SignedOut(UserEvent, frozen=True, kw_only=True):
    """A user ended a session of theirs."""

    which: str


class TokenIssued(UserEvent, frozen=True, kw_only=True):
    """An API token that speaks for `user` was made; its secret is nowhere but with whoever it was shown to."""

    token: str
    label: str
    scopes: list[str]
    expires_at: datetime
    by: str


class TokenRevoked(UserEvent, frozen=True, kw_only=True):
    """An API token works no more."""

    token: str
    label: str
    by: str


class AlertSent(EventData, frozen=True, kw_only=True):
    """Somebody was told of what stood and needed them, and of what was over. `channel` holds no address."""

    recipient: str
    channel: str
    told: list[str]
    over: list[str] = msgspec.field(default_factory=list)

    def subject(self) -> str:
        return self.recipient


class StoreRestored(EventData, frozen=True, kw_only=True):
    """The database was put back from a backup: what happened between `backup_seq` and `lost_seq` is not in this log.

    `by` is who restored it, or the hub where it found an older file than the one it had worked on. The log goes on
    behind `lost_seq`, so that no place in it means two things.
    """

    backup_seq: int
    lost_seq: int
    by: str
    reason: str = ""
    restored_at: datetime

    def subject(self) -> str:
        return str(self.backup_seq)
