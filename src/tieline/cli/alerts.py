"""Commands about alerts: what stands and who was told, and whether a way to somebody works."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app.alerts import use
from tieline.app.alerts.channels import Sender
from tieline.app.alerts.post import DEFAULT
from tieline.app.project import load_project
from tieline.cli.opening import open_settings, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, run

alerts = typer.Typer(help="What stands that needs somebody, and who was told of it.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(alerts, name="alerts")


@alerts.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """What stands that needs somebody, and who was told of it. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_alerts(folder=folder, environment=environment, as_json=as_json)


@alerts.command("list")
def list_alerts(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """What stands now, for whom it is, and who was told when."""
    settings = open_settings(folder, environment)

    async def work() -> list[use.Alert]:
        async with stored(settings) as store:
            return await use.list_alerts(load_project(settings), store, datetime.now(UTC))

    found = run(work())
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("nothing stands that needs somebody")
    for alert in found:
        out.print(f"[bold]{escape(alert.title)}[/]  for {escape(', '.join(alert.for_people))}")
        for fact in alert.facts:
            out.print(f"  {fact}", markup=False, soft_wrap=True)
        out.print(f"  {_heard(alert)}", markup=False, soft_wrap=True)
    if not settings.alerts.people:
        out.print("alerts are off: [alerts.people] names nobody", markup=False)


@alerts.command("test")
def send_test(
    to: Annotated[str, typer.Option(help="A person whom the settings of alerts name.")] = DEFAULT,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Send a test message over every way to somebody, and say what each server answered."""
    settings = open_settings(folder, environment, secrets=True)
    sender = Sender(project=settings.name, url=settings.hub.address())
    tried = run(use.try_ways(settings.alerts, to, sender, datetime.now(UTC)))
    if as_json:
        print_json(tried)
    else:
        for way in tried:
            mark = "[green]taken[/]" if way.taken else "[red]not taken[/]"
            out.print(f"{escape(way.way)}  {mark}: {escape(way.answer)}", soft_wrap=True)
    if not all(way.taken for way in tried):
        raise typer.Exit(1)


def _heard(alert: use.Alert) -> str:
    if not alert.heard:
        return "nobody is told: none of them stands in [alerts.people]"
    told = [f"{h.recipient} told {h.told_at:%d %b %H:%M} UTC" for h in alert.heard if h.told_at]
    waiting = [f"{h.recipient} not told yet" for h in alert.heard if not h.told_at]
    return "; ".join([*told, *waiting])
