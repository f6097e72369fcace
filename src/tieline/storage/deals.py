"""The list of deals in SQLite: which deals changed is written with the change itself, what the list says behind it.

The invariant: a deal that a commit is about is in `deal_change` from that commit on, until what it changed is listed;
so a list that lags, or a hub that is killed, loses no change (docs/decisions/0026).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from tieline.engine.ports import Batch
from tieline.engine.records import DealFilter, ListedDeal
from tieline.storage import statements as sql
from tieline.storage.rows import to_micros
from tieline.storage.searching import SHORTEST_PART, searched_text
from tieline.storage.tallies import Tally

_CHANGED = "INSERT INTO deal_change VALUES (?, 1, ?) ON CONFLICT (deal) DO UPDATE SET changes = changes + 1"
_LISTED = "DELETE FROM deal_change WHERE deal = ? AND changes = ?"
_ALL_CHANGED = (
    "INSERT INTO deal_change SELECT id, 1, 0 FROM entity WHERE kind = 'contract' "
    "ON CONFLICT (deal) DO UPDATE SET changes = changes + 1"
)
_WORDS = "INSERT OR REPLACE INTO deal_words (rowid, words) VALUES (?, ?)"
_BOUNDS = (
    ("customer", "=", "customer"),
    ("status", "=", "status"),
    ("currency", "=", "currency"),
    ("amount_from", ">=", "amount_e4"),
    ("amount_to", "<=", "amount_e4"),
    ("won_from", ">=", "won_on"),
    ("won_to", "<=", "won_on"),
)


def write(connection: Any, batches: Sequence[Batch]) -> None:
    """What these commits say of deals, and which deals they are about."""
    if about := set().union(*(batch.about() for batch in batches)):
        now = to_micros(datetime.now(UTC))
        connection.executemany(_CHANGED, [(deal, now) for deal in about])
    if deals := [*{deal.id: deal for batch in batches for deal in batch.deals}.values()]:
        _list(connection, deals)
    if listed := [place for batch in batches for place in batch.deals_listed]:
        connection.executemany(_LISTED, listed)
    if any(batch.list_anew for batch in batches):
        connection.execute(_ALL_CHANGED)


def _list(connection: Any, deals: Sequence[ListedDeal]) -> None:
    tally = Tally(connection)
    tally.deals(deals)
    tally.write()
    connection.executemany(sql.DEAL.upsert, [sql.DEAL.codec.encode(deal) for deal in deals])
    connection.executemany(_WORDS, [(deal.seq, searched_text(deal)) for deal in deals])


def select(wanted: DealFilter, before: int | None, limit: int) -> tuple[str, list[Any]]:
    """The statement that finds a page of deals, the newest first, and its values."""
    source, conditions = _source(wanted), [*_conditions(wanted, before)]
    where = " AND ".join(text for text, _ in conditions) or "true"
    columns = ", ".join(f'deal."{name}"' for name in sql.DEAL.codec.columns)
    values = [value for _, values in conditions for value in values]
    place = _place(wanted)
    return f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {place} DESC LIMIT {limit:d}", values


def _place(wanted: DealFilter) -> str:
    """Where a deal's place stands: in the table that is gone by, so that nothing is sorted."""
    return "deal_words.rowid" if len(wanted.words) >= SHORTEST_PART else "deal.seq"


def _source(wanted: DealFilter) -> str:
    """The tables, in the order to go by: left to itself, SQLite would read every deal of a common word first."""
    if len(wanted.words) >= SHORTEST_PART:
        return "deal_words CROSS JOIN deal ON deal.seq = deal_words.rowid"
    if wanted.customer is not None:
        return "deal INDEXED BY deal_customer"
    return f"deal INDEXED BY {'deal_name' if wanted.words else 'deal_list'}"


def _conditions(wanted: DealFilter, before: int | None) -> Iterator[tuple[str, list[Any]]]:
    if len(wanted.words) >= SHORTEST_PART:
        quoted = wanted.words.replace('"', '""')
        yield "deal_words MATCH ?", [f'"{quoted}"']
    elif wanted.words:
        yield "deal.customer_folded >= ? AND deal.customer_folded < ?", [wanted.words, f"{wanted.words}\U0010ffff"]
    for name, sign, column in _BOUNDS:
        if (value := getattr(wanted, name)) is not None:
            yield f"deal.{column} {sign} ?", [value]
    if before is not None:
        yield f"{_place(wanted)} < ?", [before]
