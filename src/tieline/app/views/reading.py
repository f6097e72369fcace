"""Open a project for looking at it: its tables and its database, without secrets and without the right to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tieline.app.principal import PEOPLE
from tieline.app.project import Project, installed_connectors, load_mappings
from tieline.app.rulebook import corrected_mappings
from tieline.app.settings import Settings, load_settings
from tieline.app.wiring import open_reader
from tieline.connectors.sdk import ConnectorType
from tieline.engine.ports import Operation, Store
from tieline.errors import ConfigurationError
from tieline.mapping import MappingSet


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What the reading use cases look at. `vendors` says which connector each connection speaks through.

    `mappings` are the tables of the files with the corrections of value maps that the log holds: those in force now.
    """

    store: Store
    mappings: MappingSet
    vendors: Mapping[str, str]
    operations: Mapping[tuple[str, str, str], Operation]
    database: Path

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source an event may have: the connections, ourselves, and people."""
        return (*self.vendors, "tieline", PEOPLE)


@asynccontextmanager
async def reading(root: Path, environment: str = "", *, tables: bool = False) -> AsyncIterator[View]:
    """The project in `root`, for reading only. Raises ConfigurationError where there is nothing to read yet.

    `tables` also loads connectors and mapping tables, which takes most of a second and only lineage needs.
    """
    settings = load_settings(root, environment, secrets=False)
    if not settings.database.is_file():
        raise ConfigurationError(
            f"{settings.database} is not there: nothing has happened yet in this project; `tieline up` starts its hub"
        )
    store = open_reader(settings)
    try:
        yield await view_of(settings, store) if tables else _bare(settings, store)
    finally:
        await store.close()


def _bare(settings: Settings, store: Store) -> View:
    return View(
        store=store,
        mappings=MappingSet({}, {}),
        vendors={c.name: c.connector for c in settings.connections.values()},
        operations={},
        database=settings.database,
    )


async def view_of(settings: Settings, store: Store) -> View:
    """The view of a project on a store that is open already."""
    connectors = installed_connectors()
    mappings = await corrected_mappings(load_mappings(settings.root, connectors), store)
    vendors = {c.name: c.connector for c in settings.connections.values()}
    return View(
        store=store,
        mappings=mappings,
        vendors=vendors,
        operations=_operations(vendors, connectors),
        database=settings.database,
    )


def view_with(project: Project, mappings: MappingSet, store: Store) -> View:
    """The view of a project that is loaded already, with its tables as they stand."""
    vendors = {c.name: c.connector for c in project.settings.connections.values()}
    return View(
        store=store,
        mappings=mappings,
        vendors=vendors,
        operations=_operations(vendors, project.connectors),
        database=project.settings.database,
    )


def _operations(
    vendors: Mapping[str, str], connectors: Mapping[str, ConnectorType]
) -> dict[tuple[str, str, str], Operation]:
    """(connection, kind, action) → what the connector does there."""
    return {
        (name, operation.kind, operation.action): operation
        for name, vendor in vendors.items()
        if vendor in connectors
        for operation in connectors[vendor].manifest.operations
    }
