"""Commands about versions of processes: processes, runs move."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app.principal import Principal
from tieline.app.project import Project
from tieline.app.versions import CURRENT, Move, MovePlan, VersionLine, list_versions, plan_moves, request_moves
from tieline.app.views.status import lock_holder
from tieline.cli import views
from tieline.cli.opening import By, acting, open_project, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run

MOST_SHOWN = 40

runs = typer.Typer(help="List runs of processes, or move them to another version.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.command()(processes)
    runs.callback()(views.runs)
    runs.command()(move)
    app.add_typer(runs, name="runs")


def processes(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """List the processes with their versions: the current ones, and those that runs in flight finish on."""
    lines = run(list_versions(open_project(folder, environment)))
    if as_json:
        print_json(lines)
        return
    print_table(
        "",
        ["process", "version", "", "first run (UTC)", "in flight", "oldest of them (UTC)"],
        [_version_row(line) for line in lines],
        right=frozenset({4}),
    )


def _version_row(line: VersionLine) -> list[object]:
    return [
        line.process,
        line.version,
        "current" if line.current else "earlier",
        f"{line.first_seen_at:%d %b %Y %H:%M}" if line.first_seen_at else "",
        line.runs or "",
        f"{line.oldest_at:%d %b %Y %H:%M}" if line.oldest_at else "",
    ]


def move(
    process: Annotated[str, typer.Option(metavar="NAME", help="Runs of this process.")] = "",
    run_id: Annotated[str, typer.Option("--run", metavar="ID", help="Only this run.")] = "",
    from_version: Annotated[str, typer.Option("--from", metavar="VERSION", help="Only runs on this version.")] = "",
    to: Annotated[str, typer.Option(metavar="VERSION", help="The version to go on with.")] = CURRENT,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show which runs could move.")] = False,
    by: By = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Move runs in flight to another version of their process: those whose journal it fits; the others stay.

    Each run is checked by going through its journal without doing anything, here and once more by the hub.
    """
    project = open_project(folder, environment)
    plan, asked = run(_move(project, (process, run_id, from_version, to), yes, acting(by), reason))
    if as_json:
        print_json({"process": plan.process, "to": plan.to_version, "runs": plan.moves, "requested": asked})
        return
    _print(plan)
    if asked:
        hub = lock_holder(project.settings.database)
        when = f"the hub (process {hub}) moves them at once" if hub else "the hub moves them when it starts"
        err.print(f"asked for: {_runs(len(asked))}; {when}", markup=False)
    elif plan.fitting:
        err.print("nothing was done; --yes asks the hub to do it")


async def _move(
    project: Project, what: tuple[str, str, str, str], yes: bool, by: Principal, reason: str
) -> tuple[MovePlan, list[str]]:
    async with stored(project.settings, write=True) as store:
        process, run_id, from_version, to = what
        plan = await plan_moves(project, store, process=process, run=run_id, from_version=from_version, to=to)
        now = datetime.now(UTC)
        if not yes:
            return plan, []
        return plan, await request_moves(project, store, plan, by=by, reason=reason, now=now)


def _print(plan: MovePlan) -> None:
    if not plan.moves:
        out.print(f"no run in flight of {plan.process} is on another version than {plan.to_version}", markup=False)
        return
    staying = [m for m in plan.moves if not m.fits]
    print_table(
        "",
        ["run", "deal or record", "is on", f"with {plan.to_version}"],
        [_row(m) for m in [*staying, *plan.fitting][:MOST_SHOWN]],
    )
    if len(plan.moves) > MOST_SHOWN:
        out.print(f"… and {len(plan.moves) - MOST_SHOWN} more; --json lists all")
    out.print(f"[bold]{_runs(len(plan.fitting))} can move, {_stay(len(staying))}[/]")
    for why, number in Counter(m.reason for m in staying).most_common(5):
        out.print(f"  {_stay(number)}: {escape(why)}", soft_wrap=True)
    _print_cases([m for m in plan.fitting if m.case])


def _row(move: Move) -> list[object]:
    told = f"fits; next: {move.next}" if move.fits else f"{_place(move)}{move.reason}"
    return [move.run, move.deal or move.key, move.from_version, escape(told)]


def _place(move: Move) -> str:
    return f"position {move.position}: " if move.position >= 0 else ""


def _print_cases(stopped: list[Move]) -> None:
    if stopped:
        named = ", ".join(m.case for m in stopped[:5]) + (", …" if len(stopped) > 5 else "")
        out.print(
            f"{_runs(len(stopped))} of them stopped with a case and go on when it is decided: {named}", soft_wrap=True
        )


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _stay(number: int) -> str:
    return "1 stays" if number == 1 else f"{number} stay"
