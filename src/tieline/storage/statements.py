"""The statements, made from the tables and the records: one text each, parameters in the order of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from tieline.engine.records import (
    ArchiveFile,
    CaseRow,
    CaseState,
    ChangedDeal,
    Cursor,
    Effect,
    EffectState,
    EntityRow,
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
from tieline.events import LoggedEvent
from tieline.storage.rows import Codec

R = TypeVar("R", bound=msgspec.Struct)


class TableOf(Generic[R]):
    """One table and the record it holds."""

    def __init__(self, table: str, record: type[R], keys: tuple[str, ...], guard: str = "") -> None:
        self.table, self.keys = table, keys
        self.name = f'"{table}"'
        self.codec: Codec[R] = Codec(record)
        self.columns = ", ".join(f'"{name}"' for name in self.codec.columns)
        marks = ", ".join("?" for _ in self.codec.columns)
        rest = ", ".join(f'"{n}" = excluded."{n}"' for n in self.codec.columns if n not in keys)
        self.insert = f"INSERT INTO {self.name} ({self.columns}) VALUES ({marks})"
        self.upsert = f"{self.insert} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {rest}" + (
            f" WHERE {guard}" if guard else ""
        )

    def select_keys(self, keys: Sequence[str], number: int, condition: str = "") -> str:
        """Select the rows of `number` keys, given one after the other, each as the columns `keys`."""
        asked = ", ".join([f"({marks(keys)})"] * number)
        columns = ", ".join(f'{self.name}."{name}"' for name in self.codec.columns)
        match = " AND ".join(f'{self.name}."{name}" = asked."{name}"' for name in keys)
        names = ", ".join(f'"{name}"' for name in keys)
        return f"WITH asked ({names}) AS (VALUES {asked}) SELECT {columns} FROM asked JOIN {self.name} ON {match}" + (
            f" WHERE {condition}" if condition else ""
        )

    def select(self, where: str = "", tail: str = "", by: str = "") -> str:
        """`by` names the index to go by; without it SQLite chooses."""
        hint = f" INDEXED BY {by}" if by else ""
        return f"SELECT {self.columns} FROM {self.name}{hint}" + (f" WHERE {where}" if where else "") + f" {tail}"


def marks(values: Sequence[Any]) -> str:
    return ", ".join("?" for _ in values)


def _quoted(states: Sequence[str]) -> str:
    return ", ".join(f"'{s}'" for s in states)


RUN = TableOf("run", RunRow, ("id",), f'"run".state NOT IN ({_quoted([s.value for s in RunState if s.ended])})')
JOURNAL = TableOf("journal", JournalEntry, ("run_id", "position"))
EFFECT_KEY = ("connection", "kind", "canonical_id", "action")
EFFECT = TableOf(
    "effect",
    Effect,
    (*EFFECT_KEY, "revision"),
    f'"effect".state NOT IN ({_quoted([s.value for s in EffectState if s.settled])})',
)
LATEST_EFFECT = (
    "effect.revision = (SELECT max(e.revision) FROM effect AS e WHERE "
    + " AND ".join(f'e."{name}" = asked."{name}"' for name in EFFECT_KEY)
    + ")"
)
REFERENCE_KEY = ("connection", "kind", "canonical_id")
REFERENCE = TableOf("reference", Reference, REFERENCE_KEY)
ENTITY = TableOf("entity", EntityRow, ("kind", "id"))
CASE = TableOf(
    "case",
    CaseRow,
    ("id",),
    f"\"case\".state = '{CaseState.OPEN.value}' OR "
    f"(\"case\".state = '{CaseState.DECIDED.value}' AND excluded.state = '{CaseState.CLOSED.value}')",
)
OPEN_CASE: Codec[OpenCase] = Codec(OpenCase)
SELECT_OPEN_CASES = (
    f"SELECT {', '.join(OPEN_CASE.columns)} FROM \"case\" WHERE state = '{CaseState.OPEN.value}' ORDER BY opened_at, id"
)
WAIT = TableOf("wait", Wait, ("run_id", "position"))
CURSOR = TableOf("cursor", Cursor, ("name",))
LANE = TableOf("lane", LaneStatus, ("connection",))
VERSION = TableOf("process_version", ProcessVersion, ("process", "version"), "false")
RULE = TableOf("rule_version", RuleVersion, ("name", "label"))
KEEP_RULE = f"{RULE.insert} ON CONFLICT (name, label) DO UPDATE SET in_force_at = excluded.in_force_at"
RULES_IN_FORCE = (
    f"SELECT {RULE.columns} FROM rule_version AS r WHERE (in_force_at, seq) = (SELECT l.in_force_at, l.seq FROM "
    "rule_version AS l WHERE l.name = r.name ORDER BY l.in_force_at DESC, l.seq DESC LIMIT 1) ORDER BY name"
)
ARCHIVE = TableOf("archive", ArchiveFile, ("name",))
DEAL = TableOf("deal", ListedDeal, ("id",))
CHANGED = TableOf("deal_change", ChangedDeal, ("deal",))

EVENT: Codec[LoggedEvent] = Codec(LoggedEvent)
EVENT_COLUMNS = ", ".join(EVENT.columns)
EVENT_ORDER = ("seq",)
EVENT_INDEXES = {"topic": "event_topic", "correlation_id": "event_correlation", "type": "event_type"}
EFFECT_INDEXES = {
    "correlation_id": "effect_correlation",
    "external_id": "effect_external",
    "canonical_id": "effect_canonical",
    "mapping": "effect_mapping",
    "state": "effect_state",
    "connection": "effect_connection",
}
RUN_INDEXES = {"correlation_id": "run_correlation", "event_seq": "run_order", "process": "run_process"}
RUN_INDEXES_OF_KEY = {"correlation_id": "run_correlation", "event_seq": "run_order", "key": "run_key"}
RUN_INDEXES_OF_STATE = {"correlation_id": "run_correlation", "event_seq": "run_order", "process": "run_state"}
"""Filter → the index for it, the most telling filter first: left to itself, SQLite prefers whatever saves a sort."""
EFFECT_ORDER = ("intended_at", "rowid")
EFFECT_PLACE = (
    f"SELECT intended_at, rowid FROM effect WHERE {' AND '.join(f'{name} = ?' for name in (*EFFECT_KEY, 'revision'))}"
)
RUN_ORDER = ("event_seq", "id")
TALLY = "SELECT a, b, state, number FROM tally WHERE counted = ? AND number > 0 ORDER BY a, b, state"


def index_for(indexes: dict[str, str], where: str) -> str:
    """The index of the most telling column that a condition names, in quotes; "" for none."""
    return next((index for name, index in indexes.items() if f'"{name}"' in where), "")


def first_at_topics(number: int) -> str:
    """Select the topic and the row of the first event at each of `number` topics."""
    asked = ", ".join(["(?)"] * number)
    return (
        f"WITH asked (at) AS (VALUES {asked}) SELECT topic, {EVENT_COLUMNS} FROM asked JOIN event ON seq = "
        "(SELECT min(first.seq) FROM event AS first WHERE first.topic = asked.at)"
    )


INSERT_EVENT = f"INSERT INTO event ({EVENT_COLUMNS}, topic) VALUES ({marks(EVENT.columns)}, ?)"
END_WAIT = "DELETE FROM wait WHERE run_id = ? AND position = ?"
FORGET = {
    "run": f"DELETE FROM run WHERE id = ? AND state IN ({_quoted([s.value for s in RunState if s.ended])})",
    "journal": "DELETE FROM journal WHERE run_id = ?",
    "wait": "DELETE FROM wait WHERE run_id = ?",
}
"""Take a run that ended out of the tables."""
_TIMES: dict[type[msgspec.Struct], tuple[str, str, str]] = {
    LoggedEvent: ("event", "recorded_at", "seq"),
    Effect: ("effect", "intended_at", "intended_at, connection, kind, canonical_id, action, revision"),
    Reference: ("reference", "at", "at, connection, kind, canonical_id"),
    CaseRow: ("case", "opened_at", "opened_at, id"),
}
"""What is exported: table, the time a row belongs to, order."""


def dump(record: type[R], since: int | None, until: int | None) -> tuple[Codec[R], str, list[int]]:
    """How every row of a time is read: codec, statement, values."""
    table, at, order = _TIMES[record]
    bounds = [(sign, value) for sign, value in ((">=", since), ("<", until)) if value is not None]
    where = " AND ".join(f'"{at}" {sign} ?' for sign, _ in bounds)
    if where and record is LoggedEvent:
        # clocks are set back at times: from the first event of the time to its last, none is left out
        where = f"seq BETWEEN (SELECT min(seq) FROM event WHERE {where}) AND (SELECT max(seq) FROM event WHERE {where})"
        bounds *= 2
    codec = Codec(record)
    columns = ", ".join(f'"{name}"' for name in codec.columns)
    text = f'SELECT {columns} FROM "{table}" {f"WHERE {where} " if where else ""}ORDER BY {order}'
    return codec, text, [value for _, value in bounds]
