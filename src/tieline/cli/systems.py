"""Commands about systems: how each does; pause, drain, resume."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app import systems as use
from tieline.app.principal import Principal, local_principal
from tieline.app.project import Project, load_project
from tieline.app.settings import find_project, load_settings
from tieline.app.views.status import lock_holder
from tieline.app.views.words import span
from tieline.app.wiring import open_reader, open_store
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run
from tieline.engine.ports import Store
from tieline.engine.records import Hold
from tieline.errors import ConfigurationError

Name = Annotated[str, typer.Argument(metavar="SYSTEM", help="The connection, as tieline.toml names it.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the log and shown to everybody.")]
By = Annotated[str, typer.Option(help="Who does it; default: the user of this shell.")]

systems = typer.Typer(help="How each system does; pause, drain or resume one.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(systems, name="systems")


@systems.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """How each system does: its state and why, what waits, what was heard of it. Or pause, drain, resume one."""
    if context.invoked_subcommand is None:
        list_systems(folder=folder, environment=environment, as_json=as_json)


@systems.command("list")
def list_systems(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """How each system does: its state and why, what waits, what was heard of it."""
    project, now = _load(folder, environment), datetime.now(UTC)
    found = run(_list(project, now))
    if as_json:
        print_json(found)
        return
    columns = ["system", "state", "open writes", "calls 24 h", "last webhook", "sweep moved"]
    print_table("", columns, [_row(system, now) for system in found], right=frozenset({2, 3}))
    for system in found:
        if system.reason:
            out.print(f"{system.name}: {system.reason}", markup=False, soft_wrap=True)


@systems.command()
def pause(
    name: Name,
    reason: Reason,
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Send nothing more to a system: what is under way ends, everything else waits until it is resumed."""
    _hold(name, False, reason, by, folder, environment, as_json)


@systems.command()
def drain(
    name: Name,
    reason: Reason,
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Finish what is queued for a system and take nothing new, until it is resumed."""
    _hold(name, True, reason, by, folder, environment, as_json)


@systems.command()
def resume(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the log.")] = "",
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Let a system work again; what waited goes on."""

    async def do(project: Project, store: Store, who: Principal, now: datetime) -> Hold:
        return await use.release(project, store, name, reason=reason, by=who, now=now)

    project = _load(folder, environment)
    ended = run(_doing(project, by, do))
    if as_json:
        print_json({"system": name, "resumed": True, "was": ended})
        return
    out.print(f"{escape(name)} works again; it was {escape(ended.words())}", soft_wrap=True)
    _say_when(project)


def _hold(name: str, drain: bool, reason: str, by: str, folder: Path | None, environment: str, as_json: bool) -> None:
    async def do(project: Project, store: Store, who: Principal, now: datetime) -> Hold:
        return await use.hold(project, store, name, drain=drain, reason=reason, by=who, now=now)

    project = _load(folder, environment)
    held = run(_doing(project, by, do))
    if as_json:
        print_json({"system": name, "hold": held})
        return
    out.print(f"{escape(name)} is {escape(held.words())}", soft_wrap=True)
    _say_when(project)


def _say_when(project: Project) -> None:
    hub = lock_holder(project.settings.database)
    err.print(f"the hub (process {hub}) hears of it at once" if hub else "no hub runs; it holds when one starts")


async def _doing(
    project: Project, by: str, do: Callable[[Project, Store, Principal, datetime], Awaitable[Hold]]
) -> Hold:
    async with _store(project, write=True) as store:
        return await do(project, store, local_principal(by or getpass.getuser()), datetime.now(UTC))


async def _list(project: Project, now: datetime) -> list[use.System]:
    async with _store(project, write=False) as store:
        return await use.list_systems(project, store, {}, now)


@asynccontextmanager
async def _store(project: Project, *, write: bool) -> AsyncIterator[Store]:
    if not project.settings.database.is_file():
        raise ConfigurationError(
            f"{project.settings.database} is not there: nothing has happened yet in this project; `tieline up` starts "
            "its hub"
        )
    store: Store = open_store(project) if write else open_reader(project.settings)
    try:
        yield store
    finally:
        await store.close()


def _row(system: use.System, now: datetime) -> list[object]:
    moved = max((sweep.moved_at for sweep in system.sweeps if sweep.moved_at), default=None)
    since = f" {span(now - system.since)}" if system.since else ""
    return [
        system.name,
        f"{system.state}{since}",
        f"{system.open_effects:,}" if system.open_effects else "",
        f"{system.lane.used_today:,}" if system.lane else "",
        f"{span(now - system.webhook_at)} ago" if system.webhook_at else "",
        f"{span(now - moved)} ago" if moved else "",
    ]


def _load(folder: Path | None, environment: str) -> Project:
    return load_project(load_settings(find_project(folder or Path.cwd()), environment, secrets=False))
