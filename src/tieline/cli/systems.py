"""Commands about systems: how each does; pause, drain, resume."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app import systems as use
from tieline.app.project import Project
from tieline.app.views.status import lock_holder
from tieline.app.views.words import span
from tieline.cli.opening import By, acting, open_project, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run
from tieline.engine.records import Hold

Name = Annotated[str, typer.Argument(metavar="SYSTEM", help="The connection, as tieline.toml names it.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the log and shown to everybody.")]

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
    project, now = open_project(folder, environment), datetime.now(UTC)
    found = run(_list(project, now))
    if as_json:
        print_json(found)
        return
    columns = ["system", "state", "open writes", "calls 24 h", "last webhook", "sweep moved"]
    print_table("", columns, [_row(system, now) for system in found], right=frozenset({2, 3}))
    for system in found:
        if system.reason:
            out.print(f"{system.name}: {system.reason}", markup=False, soft_wrap=True)


def _stop_command(action: str, drain: bool, help_text: str) -> None:
    @systems.command(action, help=help_text)
    def command(
        name: Name,
        reason: Reason,
        by: By = "",
        folder: ProjectFolder = None,
        environment: Environment = "",
        as_json: AsJson = False,
    ) -> None:
        project = open_project(folder, environment)

        async def work() -> Hold:
            who, now = acting(by), datetime.now(UTC)
            async with stored(project.settings, write=True) as store:
                return await use.hold(project, store, name, drain=drain, reason=reason, by=who, now=now)

        held = run(work())
        if as_json:
            print_json({"system": name, "hold": held})
            return
        out.print(f"{escape(name)} is {escape(held.words())}", soft_wrap=True)
        _say_when(project)


for _action, _drain, _help in (
    ("pause", False, "Send nothing more to a system: what is under way ends, the rest waits until it is resumed."),
    ("drain", True, "Finish what is queued for a system and take nothing new, until it is resumed."),
):
    _stop_command(_action, _drain, _help)


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
    project = open_project(folder, environment)

    async def work() -> Hold:
        async with stored(project.settings, write=True) as store:
            return await use.release(project, store, name, reason=reason, by=acting(by), now=datetime.now(UTC))

    ended = run(work())
    if as_json:
        print_json({"system": name, "resumed": True, "was": ended})
        return
    out.print(f"{escape(name)} works again; it was {escape(ended.words())}", soft_wrap=True)
    _say_when(project)


def _say_when(project: Project) -> None:
    hub = lock_holder(project.settings.database)
    err.print(f"the hub (process {hub}) hears of it at once" if hub else "no hub runs; it holds when one starts")


async def _list(project: Project, now: datetime) -> list[use.System]:
    async with stored(project.settings) as store:
        return await use.list_systems(project, store, {}, now)


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
