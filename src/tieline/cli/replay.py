"""The command `replay`: show what running again would do, then, with --yes, ask the hub for it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tieline.app.project import load_project
from tieline.app.replay import Planned, ReplayPlan, RunPlan, plan_replay, request_replay
from tieline.app.settings import find_project, load_settings
from tieline.app.views.reading import view_of
from tieline.app.views.status import lock_holder
from tieline.app.wiring import open_store
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, run

_MARKS = {
    "nothing": "[dim]=[/]",
    "create": "[yellow]+[/]",
    "update": "[yellow]~[/]",
    "ask": "[yellow]?[/]",
    "link": "[cyan]&[/]",
    "tell": "[cyan]◆[/]",
    "decide": "[magenta]![/]",
}
_WORDS = {
    "nothing": "nothing to do",
    "create": "would be created",
    "update": "would be changed",
    "ask": "would be asked about",
    "link": "would be linked",
    "tell": "would be told",
    "decide": "",
}


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    run_id: Annotated[str, typer.Option("--run", metavar="ID", help="One run, for example post-invoice:17.")] = "",
    event: Annotated[str, typer.Option(metavar="ID_OR_SEQ", help="Every process that ran on one event.")] = "",
    deal: Annotated[str, typer.Option(metavar="ID", help="Every run of a deal; any id of it will do.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show what would be done.")] = False,
    by: Annotated[str, typer.Option(help="Who asks for it; default: the user of this shell.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Run processes again on what they ran on. Finished writes are never repeated; lost ones are looked for first."""
    root = find_project(folder or Path.cwd())
    plan, asked, hub = run(_replay(root, environment, (run_id, event, deal), yes, by or getpass.getuser(), reason))
    if as_json:
        print_json({"runs": plan.runs, "left_out": plan.left_out, "sends": plan.sends, "requested": asked})
        return
    _print(plan)
    if asked:
        when = f"the hub (process {hub}) takes it up at once" if hub else "the hub takes it up when it starts"
        err.print(f"asked for: {', '.join(asked)}; {when}", soft_wrap=True, markup=False)
    elif plan.runs:
        err.print("nothing was done; --yes asks the hub to do it")


async def _replay(
    root: Path, environment: str, what: tuple[str, str, str], yes: bool, by: str, reason: str
) -> tuple[ReplayPlan, list[str], str | None]:
    project = load_project(load_settings(root, environment, secrets=False))
    store = open_store(project)
    try:
        view = await view_of(project.settings, store)
        plan = await plan_replay(project, view, run=what[0], event=what[1], deal=what[2])
        asked = await request_replay(store, plan, by=by, reason=reason, now=datetime.now(UTC)) if yes else []
        return plan, asked, lock_holder(project.settings.database)
    finally:
        await store.close()


def _print(plan: ReplayPlan) -> None:
    for one in plan.runs:
        _print_run(one)
    for left_out in plan.left_out:
        out.print(f"[yellow]left out:[/] {escape(left_out)}")
    total = plan.sends
    writes = "nothing would be sent to any system" if not total else f"{total} writes would go to systems"
    out.print(f"[bold]{writes}[/]" + (", as far as can be foreseen" if any(r.unforeseen for r in plan.runs) else ""))
    out.print("[dim]what a run reads anew from systems may by now differ from what it read the first time[/]")


def _print_run(one: RunPlan) -> None:
    out.print(f"[bold]{one.first_run}[/]  {escape(one.event)}")
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("", width=3, justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for action in one.actions:
        table.add_row(_MARKS[action.action], action.system, _words(action))
    if one.unforeseen:
        table.add_row("[yellow]…[/]", "", f"[yellow]{escape(one.unforeseen)}[/]")
    if one.actions or one.unforeseen:
        out.print(table)


def _words(action: Planned) -> str:
    word = _WORDS[action.action]
    said = f"{escape(action.what)}{f': {word}' if word else ''}"
    why = f" [dim]({escape(action.why)})[/]" if action.why else ""
    return f"[dim]{said}[/]{why}" if action.action == "nothing" else f"{said}{why}"
