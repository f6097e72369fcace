"""What the engine asks of the outside: a store, a clock, connectors. Implementations live in their own rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from tieline.engine.records import (
    EVERY_DEAL,
    ArchiveFile,
    CaseCounts,
    CaseFilter,
    CaseRow,
    CaseState,
    CauseGroup,
    ChangedDeal,
    Cursor,
    DealFilter,
    Effect,
    EffectKey,
    EffectState,
    EndedMonth,
    EntityRow,
    InFlight,
    JournalEntry,
    LaneStatus,
    ListedDeal,
    OpenCase,
    ProcessVersion,
    Reference,
    RuleVersion,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import TielineError
from tieline.events import Event, LoggedEvent

Wire = dict[str, Any]
"""A document in a vendor's own shape: JSON values, fractions as Decimal."""
R = TypeVar("R", bound=msgspec.Struct)


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> datetime:
        """Aware UTC."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of this clock."""


# --- storage ----------------------------------------------------------------------------------------------------------


class Appended(StrEnum):
    """What became of an event offered to the log."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class AppendResult(msgspec.Struct, frozen=True):
    """`event` is the one in the log: the new one, or the one that was there before."""

    outcome: Appended
    event: LoggedEvent


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that stand in these files now, with their journals and waits: they leave the tables."""

    files: list[ArchiveFile]
    run_ids: list[str]


class Batch(msgspec.Struct, kw_only=True):
    """Writes that are committed together or not at all.

    An event already in the log is not written again (see Appended); the rest of the batch stands all the same.
    An effect row is written for its (key, revision); a move that is not forward raises ConcurrencyConflict and
    nothing of the batch is stored. Runs, references and entities replace what stands under their id; a run that
    ended stays ended, and a case never goes back: who read it before a decision cannot write it open again.
    What is archived leaves the tables only when they hold exactly the rows of its files; else ConcurrencyConflict.
    """

    events: list[Event] = []
    runs: list[RunRow] = []
    journal: list[JournalEntry] = []
    effects: list[Effect] = []
    references: list[Reference] = []
    entities: list[EntityRow] = []
    cases: list[CaseRow] = []
    waits: list[Wait] = []
    waits_over: list[tuple[str, int]] = []
    cursors: list[Cursor] = []
    lanes: list[LaneStatus] = []
    versions: list[ProcessVersion] = []
    """Kept once: what is kept already under (process, version) stays as it is."""
    rules: list[RuleVersion] = []
    """Kept once: of what is kept already under (name, label) only `in_force_at` moves on."""
    archived: list[Archived] = []
    deals: list[ListedDeal] = []
    deals_listed: list[tuple[str, int]] = []
    """Of these deals the list shows so many changes: one that changed again since it was read stays to be listed."""
    list_anew: bool = False
    """Every deal is to be listed anew."""
    log_from: int = 0
    """After a restore: the place in the log that the first event of this batch takes at the earliest."""

    def about(self) -> set[str]:
        """The deals that these writes are about: what the list of deals says of them is out of date now."""
        found: set[str] = set()
        for rows in (self.events, self.runs, self.effects, self.cases, self.entities):
            if rows:
                found.update([row.correlation_id for row in rows])
        found.discard("")
        return found


class Store(Protocol):
    """Durable state. `commit` returns when the batch is on disk; concurrent commits share one disk flush.

    `lost_seq` is the place that the log had reached when it reaches less now: it was put back from a copy, or lost. It
    is None otherwise, and again once a batch has told the log (`log_from`).

    `run`, `runs` and `journal` answer for archived runs too; figures (`count_…`) are of what the tables hold.
    """

    lost_seq: int | None

    async def commit(self, batch: Batch) -> list[AppendResult]:
        """Write all of a batch or nothing; one result per event, in order."""

    async def find_effect(self, key: EffectKey) -> Effect | None:
        """The latest revision."""

    async def effects(
        self,
        *,
        correlation_id: str | None = None,
        connection: str | None = None,
        kind: str | None = None,
        state: EffectState | None = None,
        external_id: str | None = None,
        canonical_id: str | None = None,
        mapping: str | None = None,
        after: tuple[EffectKey, int] | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Effect]:
        """Effects that match all the given filters, oldest intention first, every revision.

        `after` is the key and revision of the last one of the page before; `newest` keeps the last `limit` of them and
        not the first.
        """

    async def count_effects(self) -> dict[tuple[str, str, str], int]:
        """(connection, kind, state) → number of revisions."""

    async def count_made_with(self, labels: Sequence[str], most: int) -> int:
        """How many revisions were made with mapping tables of these labels, counted up to `most`."""

    async def journal(self, run_id: str) -> list[JournalEntry]:
        """The entries of a run by position."""

    async def journals(self, run_ids: Sequence[str]) -> dict[str, list[JournalEntry]]:
        """The journals of many runs, of some hundreds at once."""

    async def run(self, run_id: str) -> RunRow | None: ...

    async def runs(
        self,
        *,
        states: Sequence[RunState] = (),
        process: str | None = None,
        key: str | None = None,
        correlation_id: str | None = None,
        event_seq: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: tuple[int, str] = (-1, ""),
        before: tuple[int, str] | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[RunRow]:
        """Runs in the order of their events; `after` is the (event_seq, id) of the last one of the page before.

        `before` is that of the first one of the page behind: with `newest`, pages go backwards.
        `since` and `until` (not included) are about when a run began. `newest` keeps the last `limit` of them.
        """

    async def count_runs(self) -> dict[tuple[str, str], int]:
        """(process, state) → number of runs."""

    async def runs_in_flight(self) -> list[InFlight]:
        """How many runs that have not ended each version has, by process; the oldest version first."""

    async def process_version(self, process: str, version: str) -> ProcessVersion | None: ...

    async def process_versions(self) -> list[ProcessVersion]:
        """Every version that is kept, the first seen first."""

    async def rules_in_force(self) -> list[RuleVersion]:
        """Of every table of rules the version that came into force last, by name."""

    async def rule_versions(self, name: str, *, before: datetime | None = None, limit: int = 1000) -> list[RuleVersion]:
        """The versions of a table, the one last in force first; `before` is the `in_force_at` of the page before."""

    async def rule_version(self, name: str, label: str) -> RuleVersion | None: ...

    async def events_after(self, seq: int, limit: int = 1000) -> list[LoggedEvent]: ...

    async def find_event(self, source: str, id: str) -> LoggedEvent | None: ...  # noqa: A002

    async def first_event(self, topic: str) -> LoggedEvent | None:
        """The first event of the log at a topic."""

    async def first_events(self, topics: Sequence[str]) -> dict[str, LoggedEvent]:
        """The first event of the log at each of many topics, for those that have any."""

    async def events(
        self,
        *,
        correlation_id: str | None = None,
        type: str | None = None,  # noqa: A002
        subject: str | None = None,
        naming: str | None = None,
        after_seq: int = 0,
        before_seq: int | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[LoggedEvent]:
        """Events that match all the given filters, in log order; `type` is a name without version.

        `after_seq` and `before_seq` are places in the log, neither included.

        `naming` is a text that their data contains, exactly as written; it reads every event the other filters leave.
        `newest` keeps the last `limit` of them and not the first.
        """

    async def waits(self, topics: Sequence[str] | None = None) -> list[Wait]:
        """Who waits at these topics; all waits when none are given."""

    async def due_waits(self, now: datetime, limit: int = 1000) -> list[Wait]: ...

    async def references(self, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Reference]:
        """(connection, kind, canonical id) → reference, for those that are known."""

    async def referenced(self, external_id: str, connection: str | None = None) -> list[Reference]:
        """The references that name an external id or display number."""

    async def find_entity(self, kind: str, id: str) -> EntityRow | None: ...  # noqa: A002

    async def entities(self, kind: str, after: str = "", limit: int = 1000) -> list[EntityRow]:
        """The entities of a kind by id, those behind `after`."""

    async def case(self, case_id: str) -> CaseRow | None: ...

    async def cases(
        self,
        *,
        states: Sequence[CaseState] = (),
        case_class: str | None = None,
        cause: str | None = None,
        correlation_id: str | None = None,
        run_ids: Collection[str] | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 10000,
    ) -> list[CaseRow]:
        """Cases that match all the given filters, oldest first; `after` is the (opened_at, id) of the last one of the
        page before."""

    async def case_page(
        self,
        wanted: CaseFilter,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int = 50,
        newest: bool = False,
    ) -> list[CaseRow]:
        """A page of a list of cases, oldest first or (`newest`) the other way round; `after` is the (opened_at, id) of
        the last one of the page before."""

    async def case_groups(self, wanted: CaseFilter, now: datetime, limit: int = 50) -> list[CauseGroup]:
        """Cases by cause, the largest groups first; `now` says which are overdue."""

    async def count_cases_of(self, cause: str) -> dict[CaseState, int]:
        """How many cases of a cause are in each state, for states that any is in."""

    async def late_cases(self, now: datetime, limit: int = 1000) -> list[CaseRow]:
        """Open cases past their deadline that were not escalated yet, the latest first to be due."""

    async def open_cases(self) -> list[OpenCase]:
        """Every open case in brief, oldest first."""

    async def count_open_cases(self, now: datetime) -> CaseCounts:
        """How many cases are open and overdue."""

    async def deals(
        self, wanted: DealFilter = EVERY_DEAL, *, before: int | None = None, limit: int = 50
    ) -> list[ListedDeal]:
        """Deals of the list that match, the newest first; `before` is the `seq` of the last one of the page before."""

    async def listed_deals(self, ids: Sequence[str]) -> list[ListedDeal]:
        """These deals, as far as they are listed, the newest first."""

    async def count_deals(self) -> dict[tuple[str, str], int]:
        """(status, currency) → number of deals listed."""

    async def changed_deals(self, before: datetime, limit: int = 1000) -> list[ChangedDeal]:
        """Deals whose first change that the list does not show was before, the oldest first."""

    async def count_changed_deals(self) -> int:
        """How many deals changed since they were listed, or were never listed."""

    async def cursor(self, name: str) -> Cursor | None: ...

    async def lanes(self) -> list[LaneStatus]: ...

    async def ended_months(self, before: datetime) -> list[EndedMonth]:
        """What the tables hold of runs that ended before, by month of their end."""

    async def ended_runs(self, before: datetime, limit: int = 1000, since: datetime | None = None) -> list[RunRow]:
        """Runs of the tables that ended before, and not before `since`; the earliest end first."""

    async def kept_of(self, run_ids: Sequence[str]) -> tuple[list[JournalEntry], list[Wait]]:
        """What the tables hold of runs beside their rows."""

    async def archive_files(self) -> list[ArchiveFile]:
        """The files that archived runs stand in, by name."""

    def rows(
        self, record: type[R], since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[list[R]]:
        """All events, effects, references or cases made in a time (`until` not included), oldest first, in pages.

        What is read is one state of the store, however long the reading takes. Of events none between is left out.
        """

    async def close(self) -> None: ...


# --- connectors -------------------------------------------------------------------------------------------------------


class Safety(StrEnum):
    """Why sending an operation cannot double it."""

    NATIVE_KEY = "native key"
    """The document carries a key of our choosing that the system keeps unique."""
    UPSERT = "external-id upsert"
    """Creating and updating are one idempotent call."""
    LOOK_UP_FIRST = "look up first"
    """The system keeps no key of ours unique: it is asked before anything is sent again."""
    ASK_A_PERSON = "ask a person"
    """The system keeps no key of ours and cannot be asked: what became of an unanswered call, a person says."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something a connector can write. `mapping` names the table canonical → wire.

    `bulk` is how many documents one call carries; `concurrency` how many such calls may run side by side.
    `settle_after_s` is how long after a send the system's "not here" can be trusted: search lag and slow commits. Where
    nothing but a look keeps a document from being doubled, it must be longer than a request can be under way.
    `creates` false: it only changes a record that stands there already.
    """

    kind: str
    action: str = "ensure"
    safety: Safety
    mapping: str = ""
    bulk: int = 1
    concurrency: int = 4
    settle_after_s: float = 0.0
    creates: bool = True


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One document to send. `external_id` is set when it is known to stand there already: then it is an update."""

    key: EffectKey
    revision: int
    wire: Wire
    external_id: str = ""
    idempotency_key: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The system did it. `display` is the number people know it by, `response` what it answered."""

    external_id: str
    display: str = ""
    response: Wire = {}


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Asked about a call whose outcome is unknown, the system says: it does not stand here as sent."""

    external_id: str = ""


Outcome = Applied | TielineError
"""What became of one call: done, or an error that says what to do next."""

Finding = Applied | Absent | TielineError
"""What a probe found."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A record that may be the one looked for. `matched_by`: external_id, tax_number or name_address."""

    external_id: str
    display: str
    matched_by: str
    name: str = ""
    address: str = ""
    tax_number: str = ""
    canonical_id: str = ""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what changed: (native id, stamp) pairs, the cursor behind them, and whether there is more.

    `actions` says of a record, by its id, that more than a change happened to it: "deleted", "merged" into another.
    """

    kind: str
    changed: list[tuple[str, str]]
    cursor: str
    more: bool = False
    actions: dict[str, str] = {}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a verified webhook told us. `id` is the vendor's own, for dropping redeliveries."""

    id: str
    kind: str
    native_id: str
    action: str = "changed"
    stamp: str = ""
    raw: Wire = {}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may ask of a system, all its connections and kinds of calls together; 0: no such limit.

    `slots` calls at the same time, `per_second` evenly spaced, `per_minute` and `per_day` in any 60 seconds or 24
    hours. `reserve` is the part of the day that background work leaves to postings, master data half of it.
    """

    slots: int = 8
    per_second: float = 0.0
    per_minute: int = 0
    per_day: int = 0
    reserve: float = 0.2


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector knows of its account's calls.

    `calls` are the requests it made since it was opened. `per_day` and `used` are what the system says of 24 hours, all
    its clients together: 0 and None until it says so. `used` counts what was sent since it was said.
    """

    calls: int
    per_day: int = 0
    used: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector can do: the source of the generated reference and of `tieline connectors`.

    `reads`, `finds` and `catalogues` are the kinds that `fetch`, `find` and `catalogue` take; `scopes` the rights that
    its credentials need, in the vendor's words.
    """

    vendor: str
    api_version: str
    operations: tuple[Operation, ...] = ()
    reads: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    catalogues: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    limits: Limits = Limits()


class Connector(Protocol):
    """One connection to one system. Methods raise TielineErrors; a bulk answer holds one result per item, in order."""

    name: str
    manifest: Manifest

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        """Write. An exception speaks for all calls: VendorUnavailable and RateLimited say that nothing was done."""

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        """Ask whether these calls, sent before with unknown outcome, stand as sent. Reads only."""

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        """The present state of records in the vendor's shape; None for one that is not there."""

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        """Records that may be this canonical document (as builtins): by external id, tax number, name and address."""

    async def catalogue(self, kind: str) -> list[Wire]:
        """All records of a small reference list (items, rate plans, subsidiaries, posting periods…)."""

    async def changes(self, stream: str, cursor: str) -> Changes:
        """What changed behind a cursor ("" for the beginning)."""

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        """Verify a webhook, then read it. Raises InvalidMessage; never believes an unsigned one."""

    def acknowledgement(self) -> tuple[int, str, bytes]:
        """What the vendor wants to hear: status, media type, body."""

    def usage(self) -> Usage | None:
        """The account's calls as far as they are known here; None counts every call of the lane as one request."""

    async def check(self) -> str:
        """Whether the connection works: who we are there. Raises what is wrong."""

    async def close(self) -> None: ...
