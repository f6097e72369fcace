"""What connectors can do, whether connections work, and where a system has moved away from the tables."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.app.project import Project, installed_connectors, schemas
from tieline.app.settings import ConnectionSettings
from tieline.connectors.sdk import Capture, ConnectorType, DescribesFields, Exchange, capturing
from tieline.engine.ports import Connector, Manifest, Operation
from tieline.errors import ConfigurationError, TielineError
from tieline.mapping import Problem, check


class ObjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of document at one system. `writes` holds operations of the manifest; the rest says where it appears."""

    kind: str
    writes: tuple[Operation, ...]
    fetched: bool
    found: bool
    heard: bool


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """What one connector can do, from its manifest."""

    name: str
    package: str
    api_version: str
    objects: tuple[ObjectRow, ...]
    streams: tuple[str, ...]
    catalogues: tuple[str, ...]
    scopes: tuple[str, ...]
    limits: dict[str, float]
    describes_fields: bool


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a connection works: who we are there, or what is wrong. `calls` are what was asked and answered."""

    connection: str
    connector: str
    says: str = ""
    error: str = ""
    calls: tuple[Exchange, ...] = ()


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Where a system and the tables no longer fit: per shape that was described, and problems with file and line."""

    connection: str
    described: tuple[str, ...]
    not_described: tuple[str, ...]
    problems: tuple[Problem, ...]


def abilities() -> list[Ability]:
    """Every installed connector, by name."""
    return [_ability(name, kind) for name, kind in sorted(installed_connectors().items())]


def ability(name: str) -> Ability:
    """One connector. Raises ConfigurationError for one that is not installed."""
    found = {one.name: one for one in abilities()}
    if name not in found:
        raise ConfigurationError(f"there is no connector {name!r}; installed: {', '.join(found)}")
    return found[name]


def objects_of(manifest: Manifest) -> tuple[ObjectRow, ...]:
    """The kinds of a manifest in the order it names them, each with all that can be done with it."""
    kinds = (*(o.kind for o in manifest.operations), *manifest.reads, *manifest.finds, *manifest.notices)
    return tuple(
        ObjectRow(
            kind=kind,
            writes=tuple(o for o in manifest.operations if o.kind == kind),
            fetched=kind in manifest.reads,
            found=kind in manifest.finds,
            heard=kind in manifest.notices,
        )
        for kind in dict.fromkeys(kinds)
    )


def deed(operation: Operation) -> str:
    """What an operation does, in a word: ensure creates and changes, unless it only changes what stands."""
    if operation.action != "ensure":
        return operation.action
    return "create, change" if operation.creates else "change"


def limits_of(manifest: Manifest) -> dict[str, float]:
    """The limits that a manifest really has: slots, and what else is not "no limit"."""
    given: dict[str, float] = msgspec.structs.asdict(manifest.limits)
    quota = bool(given.get("per_day"))
    return {name: value for name, value in given.items() if value and (quota or name != "reserve")}


def _ability(name: str, kind: ConnectorType) -> Ability:
    manifest = kind.manifest
    return Ability(
        name=name,
        package=kind.settings.__module__.rpartition(".")[0],
        api_version=manifest.api_version,
        objects=objects_of(manifest),
        streams=manifest.streams,
        catalogues=manifest.catalogues,
        scopes=manifest.scopes,
        limits=limits_of(manifest),
        describes_fields=kind.describes_fields,
    )


# --- connections of a project -----------------------------------------------------------------------------------------


async def check_connections(project: Project, names: list[str], hidden: tuple[str, ...] = ()) -> list[Checked]:
    """Ask each of these connections, or all, who we are there. Changes nothing. `hidden` fields show in no call."""
    wanted = [_connection(project, name) for name in names] or list(project.settings.connections.values())
    return [await _checked(project, connection, Capture(fields=hidden)) for connection in wanted]


async def _checked(project: Project, connection: ConnectionSettings, capture: Capture) -> Checked:
    says = error = ""
    with capturing(capture):
        connector = project.open(connection)
        try:
            says = await connector.check()
        except TielineError as raised:
            error = f"{type(raised).__name__}: {raised}"
        finally:
            await connector.close()
    return Checked(
        connection=connection.name,
        connector=connection.connector,
        says=says,
        error=error,
        calls=tuple(capture.exchanges()),
    )


async def find_drift(project: Project, name: str) -> Drift:
    """Hold the tables of a connection against the fields the system has now. Reads only.

    Raises ConfigurationError for a connector whose vendor does not tell its fields.
    """
    connection = _connection(project, name)
    kind = project.connectors[connection.connector]
    connector = project.open(connection)
    try:
        if not isinstance(connector, DescribesFields):
            raise ConfigurationError(
                f"[connections.{name}] {connection.connector} does not tell which fields an account has; "
                f"those that do: {', '.join(_describing()) or 'none'}"
            )
        return _drift(project, connection, kind, connector, await _described(connector, kind))
    finally:
        await connector.close()


async def _described(connector: DescribesFields, kind: ConnectorType) -> dict[str, dict[str, Any]]:
    asked = {shape: await connector.describe(shape) for shape in kind.schemas}
    return {shape: schema for shape, schema in asked.items() if schema is not None}


def _drift(
    project: Project, connection: ConnectionSettings, kind: ConnectorType, connector: Connector, live: dict[str, Any]
) -> Drift:
    changing = {o.mapping for o in connector.manifest.operations if not o.creates}
    mappings, known = project.mappings, schemas(project.connectors) | live
    found: list[Problem] = []
    for name, table in mappings.tables.items():
        if not {table.source, table.target} & set(live):
            continue
        target = known.get(table.target)
        if target and name in changing:
            target = {key: value for key, value in target.items() if key != "required"}
        found += check(table, known.get(table.source), target, mappings.value_maps, mappings.functions)
    return Drift(
        connection=connection.name,
        described=tuple(sorted(live)),
        not_described=tuple(sorted(set(kind.schemas) - set(live))),
        problems=tuple(sorted(set(found))),
    )


def _describing() -> list[str]:
    return [name for name, kind in sorted(installed_connectors().items()) if kind.describes_fields]


def _connection(project: Project, name: str) -> ConnectionSettings:
    if name not in project.settings.connections:
        known = ", ".join(project.settings.connections)
        raise ConfigurationError(f"there is no connection {name!r} in this project; connections: {known}")
    return project.settings.connections[name]
