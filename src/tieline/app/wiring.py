"""The composition root: the one place that knows stores, connectors, lanes, tables and the worker all at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from tieline.app.project import Project
from tieline.app.rulebook import Rulebook, read_corrections
from tieline.app.settings import Settings
from tieline.engine.clock import SystemClock
from tieline.engine.connection import Connection
from tieline.engine.lanes import Lane
from tieline.engine.ports import Clock, Connector, Operation, Store, Wire
from tieline.engine.worker import Worker
from tieline.errors import ConfigurationError
from tieline.events import LoggedEvent
from tieline.processes.resources import Resources
from tieline.storage.sqlite import SqliteStore


class TableTranslator:
    """Makes wire documents with the project's mapping tables as they stand now."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def refs(self, connection: str, operation: Operation, document: Wire) -> list[tuple[str, str]]:
        return self._resources.mappings.mapping(operation.mapping).refs(document, connection=connection)

    def translate(
        self, connection: str, operation: Operation, document: Wire, refs: dict[tuple[str, str], str]
    ) -> tuple[Wire, str]:
        mapping = self._resources.mappings.mapping(operation.mapping)
        return mapping.run(document, connection=connection, refs=refs), mapping.label


def open_store(project: Project) -> SqliteStore:
    """The project's store. Raises ConfigurationError."""
    return SqliteStore(project.settings.database, archive=project.settings.archive_folder)


def open_reader(settings: Settings) -> SqliteStore:
    """A store for looking at it beside a hub that works on it. Raises ConfigurationError."""
    return SqliteStore(settings.database, read_only=True, archive=settings.archive_folder)


class Seam(msgspec.Struct, frozen=True, kw_only=True):
    """Where a proof stands between the engine and its disk, its systems and its time; plain, nothing stands there."""

    store: Callable[[Project], Store] = open_store
    connector: Callable[[Connector], Connector] = lambda connector: connector
    clock: Callable[[], Clock] = SystemClock


PLAIN = Seam()


@contextmanager
def only_worker(database: Path) -> Iterator[None]:
    """Hold the right to work on a store. Raises ConfigurationError when another process has it."""
    path = database.with_name(database.name + ".lock")
    try:
        handle = path.open("a+")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; check the folder's owner and permissions") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise ConfigurationError(
                f"{database} is worked on by another hub (process {holder}); stop that one first"
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def connect(project: Project, seam: Seam = PLAIN) -> dict[str, Connection]:
    """Every connection of the project behind its lane, not yet connected."""
    connectors = [seam.connector(project.open(c)) for c in project.settings.connections.values()]
    clock = seam.clock()
    return {c.name: Connection(c, Lane(c.name, c.manifest.limits, clock)) for c in connectors}


def make_resources(project: Project, connections: dict[str, Connection]) -> Resources:
    return Resources(
        project.mappings, project.validation, project.approvals, project.routes, project.facts, connections
    )


@asynccontextmanager
async def working(project: Project, store: Store, seam: Seam = PLAIN) -> AsyncIterator[Worker]:
    """A worker on the project's store, with corrections of value maps replayed; stopped cleanly at the end.

    The rules that are in force are kept before anything is made with them.
    """
    connections = connect(project, seam)
    resources = make_resources(project, connections)
    project.facts.value_map = resources.value_map  # of those that work, and of no preview beside them
    await replay_corrections(store, resources)
    rulebook = Rulebook(store, project, resources)
    await rulebook.open()

    def observe(event: LoggedEvent) -> None:
        resources.observe(event)
        rulebook.observe(event)

    worker = Worker(
        store,
        project.processes,
        connections,
        TableTranslator(resources),
        project.policy_of,
        seam.clock(),
        resources=resources,
        observe=observe,
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()
        await rulebook.close()
        for connection in connections.values():
            await connection.connector.close()


async def replay_corrections(store: Store, resources: Resources) -> None:
    """The value maps of the files, with every correction of the log in its order that the files do not hold."""
    await read_corrections(store, resources.corrections)
    resources.mappings = resources.mappings.with_corrections(resources.corrections)
