"""What the engine keeps: runs, journal, effects, cases, waits, references. Plain rows, no behaviour beyond keys."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec


class EffectKey(NamedTuple):
    """The business identity of an effect: what stands, or is done, where."""

    connection: str
    kind: str
    canonical_id: str
    action: str = "ensure"

    def __str__(self) -> str:
        deed = "" if self.action == "ensure" else f" ({self.action})"
        return f"{self.connection}/{self.kind}/{self.canonical_id}{deed}"


class EffectState(StrEnum):
    """`intended → applied | rejected | in_doubt`; `in_doubt → applied | intended | rejected`, only by asking."""

    INTENDED = "intended"
    IN_DOUBT = "in_doubt"
    APPLIED = "applied"
    REJECTED = "rejected"

    @property
    def settled(self) -> bool:
        return self in (EffectState.APPLIED, EffectState.REJECTED)


FORWARD: dict[EffectState, frozenset[EffectState]] = {
    EffectState.INTENDED: frozenset(
        {EffectState.INTENDED, EffectState.IN_DOUBT, EffectState.APPLIED, EffectState.REJECTED}
    ),
    EffectState.IN_DOUBT: frozenset(
        {EffectState.IN_DOUBT, EffectState.INTENDED, EffectState.APPLIED, EffectState.REJECTED}
    ),
    EffectState.APPLIED: frozenset(),
    EffectState.REJECTED: frozenset(),
}
"""The moves a revision may make. A settled revision never moves: a new intention is a new revision."""


KEPT = "kept"
"""Error kind of a revision that was not written because what stands there may be newer (see effects.py)."""


class Effect(msgspec.Struct, kw_only=True):
    """One revision of an effect. `content` is the canonical document (JSON), `request` what the system was sent.

    `version` is the log position of the event the document was made from: an older one never overwrites a newer.
    `settled_by` says how the outcome is known: the answer, a probe, or a person.
    """

    connection: str
    kind: str
    canonical_id: str
    action: str = "ensure"
    revision: int = 1
    state: EffectState = EffectState.INTENDED
    version: int = 0
    content_hash: str
    content: bytes
    request: bytes = b""
    response: bytes = b""
    external_id: str = ""
    idempotency_key: str = ""
    mapping: str = ""
    event_id: str = ""
    run_id: str = ""
    correlation_id: str = ""
    attempts: int = 0
    error: str = ""
    error_kind: str = ""
    settled_by: str = ""
    intended_at: datetime
    settled_at: datetime | None = None

    @property
    def key(self) -> EffectKey:
        return EffectKey(self.connection, self.kind, self.canonical_id, self.action)

    @property
    def stands(self) -> bool:
        """Whether the document stands there, with this content or with what was kept in its place."""
        return self.state is EffectState.APPLIED or self.error_kind == KEPT


class RunState(StrEnum):
    """Where a run stands. `queued`: behind another run of its key. `blocked`: needs a person."""

    QUEUED = "queued"
    READY = "ready"
    WAITING = "waiting"
    DONE = "done"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        return self in (RunState.DONE, RunState.CANCELLED, RunState.SUPERSEDED)


OPEN_RUNS = tuple(state for state in RunState if not state.ended)


class RunRow(msgspec.Struct, kw_only=True):
    """One execution of a process, triggered by the event at `event_seq`. `waits_for` is for people."""

    id: str
    process: str
    version: str
    key: str
    state: RunState
    event_seq: int
    event_id: str
    correlation_id: str
    started_at: datetime
    ended_at: datetime | None = None
    waits_for: str = ""
    error: str = ""


class ProcessVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a process as runs began with it: the text of the module that defined it."""

    process: str
    version: str
    module: str
    text: str
    first_seen_at: datetime


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A table of rules as it was in force: its whole text, kept once under its label.

    `kind` says which table it is. `seq` is the place in the log up to which corrections of value maps are in it;
    `made_by` and `reason` are those of the last one, "" where the version came with the project's files. `uses` are the
    labels of the value maps it looks things up in. `in_force_at` is when it last came into force.
    """

    name: str
    label: str
    kind: str
    version: int
    text: str
    owner: str
    seq: int
    made_by: str
    reason: str
    uses: list[str]
    first_seen_at: datetime
    in_force_at: datetime


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of a process go on with a version, and since when the oldest of them does."""

    process: str
    version: str
    runs: int
    oldest_at: datetime


class JournalEntry(msgspec.Struct, kw_only=True):
    """One finished step of a run, at its position. `payload` is JSON."""

    run_id: str
    position: int
    kind: str
    name: str
    payload: bytes
    at: datetime


class Wait(msgspec.Struct, kw_only=True):
    """A run waits for an event at `topic`, or until `due_at`, whichever comes first."""

    run_id: str
    position: int
    topic: str
    since_seq: int = 0
    due_at: datetime | None = None


class CaseState(StrEnum):
    """An open case waits for a person; a decided one is being carried out by its run; closed is closed."""

    OPEN = "open"
    DECIDED = "decided"
    CLOSED = "closed"


CASE_FORWARD: dict[CaseState, frozenset[CaseState]] = {
    CaseState.OPEN: frozenset(CaseState),
    CaseState.DECIDED: frozenset({CaseState.CLOSED}),
    CaseState.CLOSED: frozenset(),
}
"""The moves a case may make. Any other write of a case leaves it as it is."""


class CaseRow(msgspec.Struct, kw_only=True):
    """Something that needs a person. `cause` groups cases that one correction may release together.

    `actions` are the safe ones for this case; `details` holds the document, candidates or numbers, for showing.
    """

    id: str
    case_class: str
    cause: str
    state: CaseState = CaseState.OPEN
    owner: str
    message: str
    next_step: str = ""
    actions: list[str] = []
    details: dict[str, Any] = {}
    run_id: str
    position: int
    correlation_id: str
    amount: str = ""
    opened_at: datetime
    due_at: datetime
    escalate_to: str = ""
    escalated_at: datetime | None = None
    closed_at: datetime | None = None
    decision: str = ""
    decided_by: str = ""


class OpenCase(msgspec.Struct, frozen=True, kw_only=True):
    """Of an open case what alerts count and name: without its document and its words."""

    id: str
    case_class: str
    cause: str
    owner: str
    next_step: str
    run_id: str
    amount: str
    opened_at: datetime
    due_at: datetime
    escalated_at: datetime | None = None


class CaseFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases of a state are wanted; what is None does not matter. `due_by`: their deadline is not after it."""

    state: CaseState = CaseState.OPEN
    case_class: str | None = None
    cause: str | None = None
    owner: str | None = None
    due_by: datetime | None = None


class CauseGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Cases of one cause. `owner` and `due_at` are those of the oldest of them, `example`; `owners` is how many there
    are. `money` is summed by currency, to the ten-thousandth.
    """

    cause: str
    case_class: str
    count: int
    overdue: int
    owner: str
    owners: int
    oldest_at: datetime
    due_at: datetime
    example: str
    money: dict[str, Decimal] = {}


class CaseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many cases are open, by class, and how many of them past their deadline.

    `overdue_of` is owner → overdue cases, of the thousand that were due first.
    """

    by_class: dict[str, int]
    overdue: int = 0
    overdue_of: dict[str, int] = {}


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A canonical id is known in a system under `external_id`. `how`: created, found, or linked by a person."""

    connection: str
    kind: str
    canonical_id: str
    external_id: str
    how: str = "created"
    display: str = ""
    at: datetime


class EntityRow(msgspec.Struct, kw_only=True):
    """Canonical state of an entity, as last told by its system of record."""

    kind: str
    id: str
    content_hash: str
    content: bytes
    correlation_id: str = ""
    updated_at: datetime


class Cursor(msgspec.Struct, kw_only=True):
    """How far a stream of a connection (or an internal reader) has been read."""

    name: str
    value: str
    updated_at: datetime


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A person stopped a connection: at once, or (`drain`) once what is queued there is finished."""

    drain: bool
    by: str
    reason: str
    at: datetime

    def words(self) -> str:
        """`paused by Ada since 23 Nov 20:10 UTC, because: closing the month`."""
        word = "drained" if self.drain else "paused"
        return f"{word} by {self.by} since {self.at:%d %b %H:%M} UTC, because: {self.reason}"


class LaneStatus(msgspec.Struct, kw_only=True):
    """How a connection is doing, written by the worker about once a second.

    `used_today` of `per_day` calls were made in the last 24 hours (0: no limit known), everyone's where the limit is
    the system's own word; `hours` are ours, hour by hour, the one of `updated_at` last.
    """

    connection: str
    state: str
    reason: str = ""
    queued: int = 0
    in_flight: int = 0
    slots: int = 0
    calls: int = 0
    items: int = 0
    failures: int = 0
    per_day: int = 0
    used_today: int = 0
    hours: list[int] = []
    since: datetime
    updated_at: datetime

    @property
    def is_held(self) -> bool:
        """Whether a person stopped it."""
        return self.state in ("paused", "draining", "drained")


class ListedDeal(msgspec.Struct, frozen=True, kw_only=True):
    """A deal as the list of deals shows it: made from the log and the ledger, and made anew when they change.

    `seq` is the place in the log where it was first won: newer deals have higher ones. `amount` is exact, `amount_e4`
    the same in ten-thousandths for finding it between bounds; `customer_folded` is the name as it is searched for.
    `won_on` is a day, as 2026-11-23. `changed_at` is when anything last happened to it.
    """

    id: str
    seq: int
    number: str
    name: str
    customer: str
    customer_name: str
    customer_folded: str
    currency: str
    amount: str
    amount_e4: int
    status: str
    detail: str
    waits_for: str
    won_on: str
    changed_at: datetime


class ChangedDeal(msgspec.Struct, frozen=True, kw_only=True):
    """Writes about a deal that its list does not show yet: so many commits, the first of them at `since`."""

    deal: str
    changes: int
    since: datetime


class DealFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deals of the list are wanted; what is None or empty does not matter. Bounds are included.

    `words` are folded, and part of a name or number, or, when they are shorter than three letters, how the customer's
    name begins. Amounts are in ten-thousandths.
    """

    words: str = ""
    customer: str | None = None
    status: str | None = None
    currency: str | None = None
    amount_from: int | None = None
    amount_to: int | None = None
    won_from: str | None = None
    won_to: str | None = None


EVERY_DEAL = DealFilter()


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that rows were written to whole: those of one table, of one month. `name` is relative to its folder.

    `first_at` to `last_at` is when its runs ended (in an export: when its rows were made); `first_seq` to `last_seq`
    the places in the log its rows belong to, 0 where they belong to none.
    """

    name: str
    holds: str
    month: str
    rows: int
    bytes: int
    sha256: str
    first_at: datetime
    last_at: datetime
    first_seq: int
    last_seq: int
    written_at: datetime


class EndedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the tables is of runs that ended in a month; `bytes` is what their journals hold."""

    month: str
    runs: int
    entries: int
    bytes: int
