"""Rules as data: mapping tables and value maps as they stand now, and corrections of entries."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tieline.api.v1.answers import Once
from tieline.api.v1.operations import LONGEST, Reason, reads, takes
from tieline.app.desk import Desk
from tieline.app.principal import Permission, Principal
from tieline.app.rules import CorrectionPreview, correct, preview_correction
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.mapping import MappingSet, Table, ValueMap
from tieline.mapping.rule_text import RuleRow, describe

TAG = "Rules"


class TableLine(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping table. `label` is what effects and lineage name it by."""

    name: str
    label: str
    version: int
    owner: str
    source: str
    target: str
    note: str


class TableWithRules(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping table with its rules in words."""

    table: TableLine
    rules: list[RuleRow]


class ValueMapLine(msgspec.Struct, frozen=True, kw_only=True):
    """A value map. `columns` are empty where a key has one value for all systems."""

    name: str
    version: int
    owner: str
    note: str
    columns: list[str]
    entries: int
    content_hash: str


class ValueMapWithEntries(msgspec.Struct, frozen=True, kw_only=True):
    """A value map with its entries, corrections included: key → column → value; the one column of a plain map is
    `value`."""

    value_map: ValueMapLine
    entries: dict[str, dict[str, str]]


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """All mapping tables in force."""

    tables: list[TableLine]


class ValueMaps(msgspec.Struct, frozen=True, kw_only=True):
    """All value maps in force."""

    value_maps: list[ValueMapLine]


class Correction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of a value map as it should be: a value for each column (`value` for a map of single values); none at
    all takes the entry out."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    value: dict[str, str]
    reason: Reason


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """The cases that waited for the entry and are tried again."""

    value_map: str
    key: str
    released: list[str]


@reads("/tables", tag=TAG)
async def list_tables(view: NamedDependency[View]) -> Tables:
    """List the mapping tables in force, by name."""
    mappings = view.mappings
    return Tables(tables=[_table(mappings, mappings.tables[name]) for name in mappings.names])


@reads("/tables/{name:str}", tag=TAG)
async def get_table(view: NamedDependency[View], name: FromPath[str]) -> TableWithRules:
    """Get a mapping table with its rules in words."""
    table = view.mappings.tables.get(name)
    if table is None:
        raise NothingFound(f"there is no mapping table {name!r}")
    return TableWithRules(table=_table(view.mappings, table), rules=describe(table))


def _table(mappings: MappingSet, table: Table) -> TableLine:
    return TableLine(
        name=table.name,
        label=mappings.mapping(table.name).label,
        version=table.version,
        owner=table.owner,
        source=table.source,
        target=table.target,
        note=table.note,
    )


@reads("/value-maps", tag=TAG)
async def list_value_maps(view: NamedDependency[View]) -> ValueMaps:
    """List the value maps in force, by name."""
    return ValueMaps(value_maps=[_line(one) for _, one in sorted(view.mappings.value_maps.items())])


@reads("/value-maps/{name:str}", tag=TAG)
async def get_value_map(view: NamedDependency[View], name: FromPath[str]) -> ValueMapWithEntries:
    """Get a value map with its entries, corrections included."""
    found = value_map_of(view, name)
    return ValueMapWithEntries(value_map=_line(found), entries={key: _row(row) for key, row in found.entries.items()})


@takes("/value-maps/{name:str}/corrections/plan", tag=TAG, needs=Permission.READ)
async def plan_correction(
    desk: NamedDependency[Desk], name: FromPath[str], data: JSONBody[Correction]
) -> CorrectionPreview:
    """Preview a correction: what stood there, which cases it would release, which tables read it."""
    value_map_of(desk.view, name)
    return await preview_correction(desk.rules, name, data.key, data.value)


@takes("/value-maps/{name:str}/corrections", tag=TAG, needs=Permission.CORRECT)
async def correct_value_map(
    desk: NamedDependency[Desk],
    principal: NamedDependency[Principal],
    once: NamedDependency[Once],
    name: FromPath[str],
    data: JSONBody[Correction],
) -> Response[Corrected]:
    """Correct an entry of a value map, and try again what waited for it."""
    value_map_of(desk.view, name)

    async def work() -> Corrected:
        released = await correct(desk.rules, desk.store, name, data.key, data.value, by=principal, reason=data.reason)
        return Corrected(value_map=name, key=data.key, released=released)

    return await once(work)


def value_map_of(view: View, name: str) -> ValueMap:
    """Raises NothingFound."""
    found = view.mappings.value_maps.get(name)
    if found is None:
        raise NothingFound(f"there is no value map {name!r}")
    return found


def _row(row: object) -> dict[str, str]:
    cells = row if isinstance(row, dict) else {"value": row}
    return {name: "" if cell is None else str(cell) for name, cell in cells.items()}


def _line(found: ValueMap) -> ValueMapLine:
    return ValueMapLine(
        name=found.name,
        version=found.version,
        owner=found.owner,
        note=found.note,
        columns=sorted(found.columns),
        entries=len(found.entries),
        content_hash=found.content_hash,
    )


HANDLERS = [list_tables, get_table, list_value_maps, get_value_map, plan_correction, correct_value_map]
