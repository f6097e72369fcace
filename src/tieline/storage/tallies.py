"""How many rows of a kind are in which state: kept by triggers, because counting a million rows takes seconds.

The invariant: a row of `tally` is the number of rows of a table with these values, at every commit.
"""

from __future__ import annotations

COUNTED: dict[str, tuple[str, str]] = {"run": ("process", "''"), "effect": ("connection", "kind")}
"""Table → the two columns that its rows are counted by, beside their state; '' for none."""


def count_now(table: str) -> str:
    """Count what stands, once."""
    a, b = COUNTED[table]
    return f"INSERT INTO tally SELECT '{table}', {a}, {b}, state, count(*) FROM \"{table}\" GROUP BY {a}, {b}, state"


def triggers(table: str) -> list[str]:
    """What keeps the count from then on."""
    less, more = _change(table, "OLD", "-"), _more(table)
    moves = f'AFTER UPDATE OF state ON "{table}" WHEN OLD.state <> NEW.state'
    return [
        f'CREATE TRIGGER {table}_comes AFTER INSERT ON "{table}" BEGIN {more} END',
        f'CREATE TRIGGER {table}_goes AFTER DELETE ON "{table}" BEGIN {less} END',
        f"CREATE TRIGGER {table}_moves {moves} BEGIN {less} {more} END",
    ]


def _more(table: str) -> str:
    values = ", ".join(_values(table, "NEW"))
    # neither OR IGNORE nor an upsert: inside a trigger the conflict clause of the outer statement would win
    absent = f"NOT EXISTS (SELECT 1 FROM tally WHERE {_place(table, 'NEW')})"
    return f"INSERT INTO tally SELECT {values}, 0 WHERE {absent}; {_change(table, 'NEW', '+')}"


def _change(table: str, row: str, sign: str) -> str:
    return f"UPDATE tally SET number = number {sign} 1 WHERE {_place(table, row)};"


def _place(table: str, row: str) -> str:
    names = ("counted", "a", "b", "state")
    return " AND ".join(f"{name} = {value}" for name, value in zip(names, _values(table, row), strict=True))


def _values(table: str, row: str) -> list[str]:
    a, b = (name if name == "''" else f"{row}.{name}" for name in COUNTED[table])
    return [f"'{table}'", a, b, f"{row}.state"]
