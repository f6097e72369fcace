"""The tables SuiteQL offers, as views on the stored records, with the lookups that spare a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tieline_sandbox.netsuite.applications import Applications
from tieline_sandbox.netsuite.field_sets import ENTITY_KINDS, ITEM_KINDS, TRANSACTION_KINDS
from tieline_sandbox.netsuite.store import Entry, Store
from tieline_sandbox.netsuite.suiteql.columns import (
    KIND_OF_TYPE,
    Column,
    LineRow,
    company_columns,
    deleted_columns,
    entity_columns,
    entry_columns,
    item_columns,
    line_columns,
    lines_of,
    link_columns,
    setup_columns,
    transaction_columns,
)


@dataclass(frozen=True, slots=True)
class Data:
    """What tables read from: the records, what is applied to what, and the company's time zone."""

    store: Store
    applications: Applications
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Table:
    """`lookups` answer `column = value` (best first); `since` answers `lastmodifieddate >=`, `above` answers `id >`."""

    scan: Callable[[Data], Iterable[Any]]
    columns: dict[str, Column]
    custom: tuple[str, Callable[[Any, str], Any]] | None = None
    lookups: Mapping[str, Callable[[Data, Any], Iterable[Any]]] = field(default_factory=dict)
    since: Callable[[Data, datetime], Iterable[Any]] | None = None
    above: Callable[[Data, int], Iterable[Any]] | None = None


def tables_for(zone: ZoneInfo) -> dict[str, Table]:
    """Made once per reset or change of time zone, for columns close over the zone."""
    common = entry_columns(zone)
    tables = {
        "transaction": Table(
            _scan(*TRANSACTION_KINDS),
            common | transaction_columns(zone),
            ("custbody", lambda entry, name: entry.doc.get(name)),
            {
                "id": _by_id("transaction", TRANSACTION_KINDS),
                "externalid": _by_external(TRANSACTION_KINDS),
                "entity": lambda data, value: list(data.store.by_customer.get(str(value), {}).values()),
                "type": _by_type,
            },
            _since("transaction", TRANSACTION_KINDS),
            _above("transaction", TRANSACTION_KINDS),
        ),
        "transactionline": Table(
            _scan_lines,
            line_columns(),
            ("custcol", lambda row, name: row.line.get(name) if row.line else None),
            {"transaction": _lines_of},
        ),
        "nexttransactionlink": Table(lambda data: data.applications.links(), link_columns()),
        "deletedrecord": Table(lambda data: data.store.deleted, deleted_columns(zone)),
        "entity": _entity_table(ENTITY_KINDS, "entity", common | entity_columns()),
        "item": _entity_table(ITEM_KINDS, "item", common | item_columns(zone), "custitem"),
    }
    for kind in ENTITY_KINDS:
        columns = common | entity_columns() | company_columns(zone)
        tables[kind.lower()] = _entity_table((kind,), "entity", columns)
    for kind, columns in setup_columns().items():
        tables[kind.lower()] = _entity_table((kind,), kind, common | columns, "custrecord")
    return tables


def _entity_table(kinds: tuple[str, ...], family: str, columns: dict[str, Column], prefix: str = "custentity") -> Table:
    lookups = {"id": _by_id(family, kinds), "externalid": _by_external(kinds)}
    return Table(
        _scan(*kinds),
        columns,
        (prefix, lambda entry, name: entry.doc.get(name)),
        lookups,
        _since(family, kinds),
        _above(family, kinds),
    )


# --- ways to find rows ----------------------------------------------------------------------------------------------


def _scan(*kinds: str) -> Callable[[Data], Iterable[Entry]]:
    def scan(data: Data) -> Iterable[Entry]:
        if len(kinds) == 1:
            return data.store.kinds[kinds[0]].values()
        return data.store.family(kinds[0]).entries.values()

    return scan


def _scan_lines(data: Data) -> Iterator[LineRow]:
    for entry in data.store.families["transaction"].entries.values():
        yield from lines_of(entry)


def _lines_of(data: Data, value: Any) -> list[LineRow]:
    entry = data.store.families["transaction"].entries.get(str(value))
    return [] if entry is None else list(lines_of(entry))


def _by_id(family: str, kinds: tuple[str, ...]) -> Callable[[Data, Any], list[Entry]]:
    def find(data: Data, value: Any) -> list[Entry]:
        entry = data.store.families[family].entries.get(str(value))
        return [entry] if entry is not None and entry.kind in kinds else []

    return find


def _by_external(kinds: tuple[str, ...]) -> Callable[[Data, Any], list[Entry]]:
    def find(data: Data, value: Any) -> list[Entry]:
        return [entry for kind in kinds if (entry := data.store.find_external(kind, str(value))) is not None]

    return find


def _by_type(data: Data, value: Any) -> Iterable[Entry]:
    kind = KIND_OF_TYPE.get(str(value))
    return data.store.kinds[kind].values() if kind else []


def _since(family: str, kinds: tuple[str, ...]) -> Callable[[Data, datetime], list[Entry]]:
    def find(data: Data, moment: datetime) -> list[Entry]:
        return [entry for entry in data.store.families[family].modified_since(moment) if entry.kind in kinds]

    return find


def _above(family: str, kinds: tuple[str, ...]) -> Callable[[Data, int], Iterator[Entry]]:
    def find(data: Data, number: int) -> Iterator[Entry]:
        return (entry for entry in data.store.families[family].above(number) if entry.kind in kinds)

    return find
