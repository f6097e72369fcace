"""How many rows of a kind are in which state: kept with every write, because counting a million rows takes seconds.

The invariant: a row of `tally` is the number of rows of a table with these values, at every commit. Triggers would keep
it too, and cost a third of what an effect costs (docs/decisions/0021).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tieline.engine.records import Effect, ListedDeal, RunRow, RunState

COUNTED = {"run": ("process", "''"), "effect": ("connection", "kind")}
"""Table → the two columns that its rows are counted by, beside their state; '' for none."""
AT_ONCE = 256
_ENDED = frozenset(state.value for state in RunState if state.ended)
_ADD = "INSERT INTO tally VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
_RUN_KEY = ("id",)
_EFFECT_KEY = ("connection", "kind", "canonical_id", "action", "revision")

Key = tuple[Any, ...]


def count_now(table: str) -> str:
    """Count what stands, once."""
    a, b = COUNTED[table]
    return f"INSERT INTO tally SELECT '{table}', {a}, {b}, state, count(*) FROM \"{table}\" GROUP BY {a}, {b}, state"


class Tally:
    """What one transaction changes in the numbers. Rows are told before they are written: it looks at what stood."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._changes: Counter[tuple[str, str, str, str]] = Counter()

    def runs(self, rows: Sequence[RunRow]) -> None:
        """These runs are about to be written; one that ended stays as it ended."""
        stood = self._stood("run", _RUN_KEY, [(row.id,) for row in rows])
        for row in rows:
            self._moves(stood, (row.id,), ("run", row.process, ""), row.state.value, _ENDED)

    def effects(self, rows: Sequence[Effect]) -> None:
        """These effects are about to be written; one that is settled lets the whole transaction fail."""
        keys = [(e.connection, e.kind, e.canonical_id, e.action, e.revision) for e in rows]
        stood = self._stood("effect", _EFFECT_KEY, keys)
        for key, row in zip(keys, rows, strict=True):
            self._moves(stood, key, ("effect", row.connection, row.kind), row.state.value, frozenset())

    def deals(self, rows: Sequence[ListedDeal]) -> None:
        """These deals are about to be listed."""
        marks = ", ".join("?" for _ in rows)
        text = f"SELECT status, currency FROM deal WHERE id IN ({marks})"
        for status, currency in self._connection.execute(text, [row.id for row in rows]):
            self._changes["deal", status, currency, ""] -= 1
        for row in rows:
            self._changes["deal", row.status, row.currency, ""] += 1

    def runs_gone(self, run_ids: Iterable[str]) -> None:
        """These runs are about to leave the table."""
        for ids in _parts(run_ids):
            text = f"SELECT process, state FROM run WHERE id IN ({', '.join('?' * len(ids))})"
            for process, state in self._connection.execute(text, ids):
                self._changes["run", process, "", state] -= 1

    def write(self) -> None:
        """Add the changes to the numbers that are kept."""
        changes = [(*place, number) for place, number in self._changes.items() if number]
        if changes:
            self._connection.executemany(_ADD, changes)

    def _moves(
        self, stood: dict[Key, str], key: Key, place: tuple[str, str, str], state: str, final: frozenset[str]
    ) -> None:
        before = stood.get(key)
        if before == state or before in final:
            return
        if before is not None:
            self._changes[*place, before] -= 1
        self._changes[*place, state] += 1
        stood[key] = state

    def _stood(self, table: str, columns: tuple[str, ...], keys: Sequence[Key]) -> dict[Key, str]:
        """The state of those rows that are there already."""
        found: dict[Key, str] = {}
        for part in _parts(keys):
            # a few sizes only, so that SQLite keeps the prepared statements: the last key fills up
            size = 1 << (len(part) - 1).bit_length()
            values = [value for key in [*part, *part[-1:] * (size - len(part))] for value in key]
            for *key, state in self._connection.execute(_looking(table, columns, size), values):
                found[tuple(key)] = state
        return found


def _looking(table: str, columns: tuple[str, ...], size: int) -> str:
    asked = ", ".join([f"({', '.join('?' * len(columns))})"] * size)
    names, match = ", ".join(columns), " AND ".join(f"t.{name} = asked.{name}" for name in columns)
    shown = ", ".join(f"t.{name}" for name in columns)
    return f'WITH asked ({names}) AS (VALUES {asked}) SELECT {shown}, t.state FROM asked JOIN "{table}" AS t ON {match}'


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    while part := list(islice(rest, AT_ONCE)):
        yield part
