"""The statements, made from the tables and the records: one text each, parameters in the order of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from tieline.engine.records import (
    CaseRow,
    CaseState,
    Cursor,
    Effect,
    EffectState,
    EntityRow,
    JournalEntry,
    LaneStatus,
    Reference,
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

    def select(self, where: str = "", tail: str = "") -> str:
        return f"SELECT {self.columns} FROM {self.name}" + (f" WHERE {where}" if where else "") + f" {tail}"


def marks(values: Sequence[Any]) -> str:
    return ", ".join("?" for _ in values)


def _quoted(states: Sequence[str]) -> str:
    return ", ".join(f"'{s}'" for s in states)


RUN = TableOf("run", RunRow, ("id",), f'"run".state NOT IN ({_quoted([s.value for s in RunState if s.ended])})')
JOURNAL = TableOf("journal", JournalEntry, ("run_id", "position"))
EFFECT = TableOf(
    "effect",
    Effect,
    ("connection", "kind", "canonical_id", "action", "revision"),
    f'"effect".state NOT IN ({_quoted([s.value for s in EffectState if s.settled])})',
)
REFERENCE = TableOf("reference", Reference, ("connection", "kind", "canonical_id"))
ENTITY = TableOf("entity", EntityRow, ("kind", "id"))
CASE = TableOf(
    "case",
    CaseRow,
    ("id",),
    f"\"case\".state = '{CaseState.OPEN.value}' OR "
    f"(\"case\".state = '{CaseState.DECIDED.value}' AND excluded.state = '{CaseState.CLOSED.value}')",
)
WAIT = TableOf("wait", Wait, ("run_id", "position"))
CURSOR = TableOf("cursor", Cursor, ("name",))
LANE = TableOf("lane", LaneStatus, ("connection",))

EVENT: Codec[LoggedEvent] = Codec(LoggedEvent)
EVENT_COLUMNS = ", ".join(EVENT.columns)
INSERT_EVENT = f"INSERT INTO event ({EVENT_COLUMNS}, topic) VALUES ({marks(EVENT.columns)}, ?)"
END_WAIT = "DELETE FROM wait WHERE run_id = ? AND position = ?"
