"""Open what a command is about: its project, the store of it, and whoever gives the command.

Secrets are read only where a command calls somebody with them.
"""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from tieline.app.principal import Principal, local_principal
from tieline.app.project import Project, load_project
from tieline.app.settings import Settings, find_project, load_settings
from tieline.app.wiring import open_reader
from tieline.errors import ConfigurationError
from tieline.storage.sqlite import SqliteStore

By = Annotated[str, typer.Option(help="Who does it; default: the user of this shell.")]


def acting(by: str) -> Principal:
    """Whoever runs the command, under the name given or their own."""
    return local_principal(by or getpass.getuser())


def open_settings(folder: Path | None, environment: str = "", *, secrets: bool = False) -> Settings:
    """The settings of the project a command is about. Raises ConfigurationError."""
    return load_settings(find_project(folder or Path.cwd()), environment, secrets=secrets)


def open_project(folder: Path | None, environment: str = "", *, secrets: bool = False) -> Project:
    """The project a command is about. Raises ConfigurationError."""
    return load_project(open_settings(folder, environment, secrets=secrets))


def begun(settings: Settings) -> Settings:
    """Settings of a project that has a database. Raises ConfigurationError."""
    if not settings.database.is_file():
        raise ConfigurationError(
            f"{settings.database} is not there: nothing has happened yet in this project; `tieline up` starts its hub"
        )
    return settings


@asynccontextmanager
async def stored(settings: Settings, *, write: bool = False) -> AsyncIterator[SqliteStore]:
    """The store of a project that has begun, with a hub or without; for looking only, unless `write`."""
    begun(settings)
    store = SqliteStore(settings.database, archive=settings.archive_folder) if write else open_reader(settings)
    try:
        yield store
    finally:
        await store.close()
