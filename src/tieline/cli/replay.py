"""The command `replay`: show what running again would do, then, with --yes, ask the hub for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tieline.app.principal import Principal
from tieline.app.project import Project
from tieline.app.replay import (
    ASKED,
    Group,
    Planned,
    ReplayPlan,
    RunPlan,
    Wanted,
    plan_replay,
    progress_of,
    request_replay,
)
from tieline.app.views.reading import view_of
from tieline.app.views.status import lock_holder
from tieline.app.views.words import figure
from tieline.cli.opening import By, acting, open_project, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, progress, run
from tieline.engine.ports import Store
from tieline.engine.records import RunState
from tieline.errors import ConfigurationError

FEW = 20
"""So many lines of one sort are shown; what is more is counted."""
LOOK_EVERY_S = 0.5
_UNDER_WAY = (ASKED, RunState.QUEUED.value, RunState.READY.value)

_MARKS = {
    "nothing": "[dim]=[/]",
    "create": "[yellow]+[/]",
    "update": "[yellow]~[/]",
    "ask": "[yellow]?[/]",
    "link": "[cyan]&[/]",
    "tell": "[cyan]◆[/]",
    "decide": "[magenta]![/]",
}
_UNNAMED = {"tell": "events", "decide": "decisions of people, taken before or to be asked", "link": "records"}
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
    process: Annotated[str, typer.Option(help="Runs of this process.")] = "",
    since: Annotated[str, typer.Option(metavar="WHEN", help="Runs that began then or later (2026-01-31, UTC).")] = "",
    until: Annotated[str, typer.Option(metavar="WHEN", help="Runs that began before.")] = "",
    state: Annotated[str, typer.Option(help="Runs that ended so: done or cancelled.")] = "",
    deals: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Runs of the deals in this file, an id a line.")
    ] = None,
    case_class: Annotated[str, typer.Option(metavar="CLASS", help="Runs that opened a case of this class.")] = "",
    cause: Annotated[str, typer.Option(help="Runs that opened a case of this cause.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many of what a filter matches, oldest first.")] = 1000,
    each: Annotated[bool, typer.Option("--each", help="Show each run that a filter matches, not groups.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show what would be done.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="With --yes: stay until the hub has run them.")] = False,
    by: By = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Run processes again on what they ran on. Finished writes are never repeated; lost ones are looked for first.

    Filters may be combined: --process post-invoice --since 2026-01-01 --case-class invoice-rejected.
    """
    project = open_project(folder, environment)
    wanted = Wanted(
        run=run_id,
        event=event,
        deal=deal,
        process=process,
        state=state,
        since=_moment("--since", since),
        until=_moment("--until", until),
        deals=_lines(deals) if deals else (),
        case_class=case_class,
        cause=cause,
        limit=limit,
    )
    run(_replay(project, wanted, yes, wait, acting(by), reason, each, as_json))


async def _replay(
    project: Project,
    wanted: Wanted,
    yes: bool,
    wait: bool,
    by: Principal,
    reason: str,
    each: bool,
    as_json: bool,
) -> None:
    async with stored(project.settings, write=True) as store:
        view = await view_of(project.settings, store)
        with progress("looking at runs", None) as advance:
            plan = await plan_replay(project, view, wanted, advance)
        if not as_json:
            _print(plan, each or not wanted.is_filter)
        hub = lock_holder(project.settings.database)
        if yes and wait and hub is None:
            raise ConfigurationError("no hub works on this project, nothing was asked for; `tieline up` starts one")
        now = datetime.now(UTC)
        asked = await request_replay(store, plan, by=by, reason=reason, now=now) if yes else []
        if not as_json:
            _print_asked(plan, asked, hub)
        stand = await _until_run(store, asked) if wait and asked else {}
    if as_json:
        _print_json(plan, asked, stand)
    elif stand:
        out.print(", ".join(f"{number:,} {state}" for state, number in sorted(stand.items())))


async def _until_run(store: Store, asked: list[str]) -> dict[str, int]:
    """Until each has ended or waits: state → number of runs."""
    shown = 0
    with progress("the hub runs them", len(asked)) as advance:
        while True:
            stand = await progress_of(store, asked)
            over = sum(number for state, number in stand.items() if state not in _UNDER_WAY)
            advance(over - shown)
            shown = over
            if over == len(asked):
                return dict(stand)
            await asyncio.sleep(LOOK_EVERY_S)


# --- output -----------------------------------------------------------------------------------------------------------


def _print_json(plan: ReplayPlan, asked: list[str], stand: dict[str, int]) -> None:
    print_json(
        {
            "runs": plan.runs,
            "groups": plan.groups,
            "left_out": plan.left_out,
            "more": plan.more,
            "sends": plan.sends,
            "requested": asked,
            "stand": stand,
        }
    )


def _print(plan: ReplayPlan, each: bool) -> None:
    if each:
        for one in plan.runs:
            _print_run(one)
    else:
        _print_groups(plan)
    for left_out in plan.left_out if each else plan.left_out[:FEW]:
        out.print(f"[yellow]left out:[/] {escape(left_out)}")
    if not each and len(plan.left_out) > FEW:
        out.print(f"[yellow]left out:[/] {len(plan.left_out) - FEW:,} more; --each names them")
    if plan.more:
        out.print("[yellow]more runs match:[/] these are the oldest; --limit takes more, --since the next")
    total = plan.sends
    writes = "nothing would be sent to any system" if not total else f"{total:,} writes would go to systems"
    out.print(f"[bold]{writes}[/]" + (", as far as can be foreseen" if plan.unforeseen else ""))
    out.print("[dim]what a run reads anew from systems may by now differ from what it read the first time[/]")


def _print_asked(plan: ReplayPlan, asked: list[str], hub: str | None) -> None:
    if asked:
        named = ", ".join(asked) if len(asked) <= FEW else f"{len(asked):,} runs, {asked[0]} to {asked[-1]}"
        when = f"the hub (process {hub}) takes it up at once" if hub else "the hub takes it up when it starts"
        err.print(f"asked for: {named}; {when}", soft_wrap=True, markup=False)
    elif plan.runs:
        err.print("nothing was done; --yes asks the hub to do it")


def _print_groups(plan: ReplayPlan) -> None:
    deals = len({one.deal for one in plan.runs if one.deal})
    first, last = plan.runs[0], plan.runs[-1]
    of_deals = f" of {deals:,} deals" if deals > 1 else " of one deal" if deals else ""
    out.print(f"[bold]{len(plan.runs):,} runs[/]{of_deals}, {first.first_run} to {last.first_run}")
    table = _table()
    table.add_column("", justify="right")
    for group in plan.groups:
        table.add_row(_MARKS[group.action], group.system, _group_words(group), _group_money(group))
    for why, number in plan.unforeseen.most_common(FEW):
        table.add_row("[yellow]…[/]", "", f"[yellow]{number:,} runs: {escape(why)}[/]", "")
    out.print(table)


def _group_words(group: Group) -> str:
    what = group.kind or _UNNAMED[group.action]
    words = f"{group.documents:,} {what}{f': {_WORDS[group.action]}' if _WORDS[group.action] else ''}"
    return f"[dim]{words}[/]" if group.action == "nothing" else words


def _group_money(group: Group) -> str:
    money = ", ".join(f"{figure(amount)} {currency}" for currency, amount in sorted(group.money.items()))
    return f"[dim]{money}[/]" if group.action == "nothing" else money


def _print_run(one: RunPlan) -> None:
    out.print(f"[bold]{one.first_run}[/]  {escape(one.event)}")
    table = _table()
    for action in one.actions:
        table.add_row(_MARKS[action.action], action.system, _words(action))
    if one.unforeseen:
        table.add_row("[yellow]…[/]", "", f"[yellow]{escape(one.unforeseen)}[/]")
    if one.actions or one.unforeseen:
        out.print(table)


def _table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("", width=3, justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    return table


def _words(action: Planned) -> str:
    word = _WORDS[action.action]
    said = f"{escape(action.what)}{f': {word}' if word else ''}"
    why = f" [dim]({escape(action.why)})[/]" if action.why else ""
    return f"[dim]{said}[/]{why}" if action.action == "nothing" else f"{said}{why}"


# --- input ------------------------------------------------------------------------------------------------------------


def _moment(option: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text!r} is no time; write it like 2026-01-31 or 2026-01-31T08:00"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        found = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as a list of ids ({error})") from error
    if not found:
        raise ConfigurationError(f"{path}: there is no id in it")
    return found
