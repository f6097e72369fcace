"""Lists of cases in SQLite: by cause with what each group holds, one by one, and counted. Each reads one index.

Money is summed as whole ten-thousandths, as in the list of deals: exact up to nine hundred billion.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tieline.engine.records import CaseCounts, CaseFilter, CaseState, CauseGroup
from tieline.storage.rows import from_micros, to_micros

COUNT_BY_STATE = 'SELECT state, count(*) FROM "case" INDEXED BY case_cause WHERE cause = ? GROUP BY state'
_CASES = '"case" INDEXED BY case_group WHERE {where}'
# with a single min(), the bare columns are those of the row that has it (sqlite.org/lang_select.html)
_GROUPS = (
    "SELECT cause, case_class, count(*) AS number, sum(due_at <= ?), owner, count(DISTINCT owner), min(opened_at), "
    f"due_at, id FROM {_CASES} GROUP BY cause, case_class ORDER BY number DESC, cause, case_class LIMIT ?"
)
_CURRENCIES = f"SELECT DISTINCT substr(amount, instr(amount, ' ') + 1) FROM {_CASES} ORDER BY 1"
# a sum for each currency keeps the order of the index; grouping by currency would sort every row
_SUM = "sum(CAST(round(amount * 10000) AS INTEGER)) FILTER (WHERE substr(amount, ?) = ?)"
_MONEY = (
    f"SELECT cause, case_class, {{sums}} FROM {_CASES} AND cause IN (SELECT value FROM json_each(?)) "
    "GROUP BY cause, case_class"
)
FEW_OF_CAUSE = 5_000
_SOME_OF_CAUSE = (
    'SELECT count(*) FROM (SELECT 1 FROM "case" INDEXED BY case_cause WHERE cause = ? AND state = ? '
    f"LIMIT {FEW_OF_CAUSE})"
)
_OPEN_BY_CLASS = (
    'SELECT case_class, count(*) FROM "case" INDEXED BY case_state WHERE state = ? GROUP BY case_class ORDER BY 1'
)
_OVERDUE_CASES = 'SELECT count(*) FROM "case" INDEXED BY case_late WHERE state = ? AND due_at <= ?'
_OVERDUE_OWNERS = (
    'SELECT owner, count(*) FROM (SELECT owner FROM "case" INDEXED BY case_late WHERE state = ? AND due_at <= ? '
    "ORDER BY escalated_at, due_at LIMIT 1000) GROUP BY owner ORDER BY 1"
)


def conditions(wanted: CaseFilter) -> tuple[str, list[Any]]:
    """The condition of a filter and its values."""
    given = {
        "state =": wanted.state.value,
        "case_class =": wanted.case_class,
        "cause =": wanted.cause,
        "owner =": wanted.owner,
        "due_at <=": to_micros(wanted.due_by) if wanted.due_by else None,
    }
    kept = {sign: value for sign, value in given.items() if value is not None}
    return " AND ".join(f"{sign} ?" for sign in kept), list(kept.values())


def index_of_page(connection: Any, wanted: CaseFilter) -> str:
    """The index to go by: in the order of the list, unless few cases have the cause: those are sorted instead."""
    if wanted.cause is None:
        return "case_list"
    some = connection.execute(_SOME_OF_CAUSE, (wanted.cause, wanted.state.value)).fetchone()[0]
    return "case_list" if some == FEW_OF_CAUSE else "case_group"


def groups(connection: Any, wanted: CaseFilter, now: datetime, limit: int) -> list[CauseGroup]:
    """The largest groups first."""
    where, values = conditions(wanted)
    found = connection.execute(_GROUPS.format(where=where), [to_micros(now), *values, limit]).fetchall()
    money = _money(connection, where, values, [row[0] for row in found])
    return [
        CauseGroup(
            cause=cause,
            case_class=case_class,
            count=count,
            overdue=overdue,
            owner=owner,
            owners=owners,
            oldest_at=from_micros(oldest),
            due_at=from_micros(due),
            example=example,
            money=money.get((cause, case_class), {}),
        )
        for cause, case_class, count, overdue, owner, owners, oldest, due, example in found
    ]


def open_and_overdue(connection: Any, now: datetime) -> CaseCounts:
    late = (CaseState.OPEN.value, to_micros(now))
    return CaseCounts(
        by_class=dict(connection.execute(_OPEN_BY_CLASS, late[:1]).fetchall()),
        overdue=connection.execute(_OVERDUE_CASES, late).fetchone()[0],
        overdue_of=dict(connection.execute(_OVERDUE_OWNERS, late).fetchall()),
    )


def _money(
    connection: Any, where: str, values: list[Any], causes: list[str]
) -> dict[tuple[str, str], dict[str, Decimal]]:
    """What is at stake with each of these causes, by currency."""
    currencies = [row[0] for row in connection.execute(_CURRENCIES.format(where=where), values) if row[0]]
    if not currencies:
        return {}
    text = _MONEY.format(where=where, sums=", ".join([_SUM] * len(currencies)))
    listed = msgspec.json.encode(causes).decode()
    ends = [part for currency in currencies for part in (-len(currency), currency)]
    rows = connection.execute(text, [*ends, *values, listed])
    return {
        (cause, case_class): {
            currency: Decimal(sum_e4) / 10_000
            for currency, sum_e4 in zip(currencies, sums, strict=True)
            if sum_e4 is not None
        }
        for cause, case_class, *sums in rows
    }
