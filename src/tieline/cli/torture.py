"""`tieline torture`: break everything, count in the systems, say what was found."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tieline.app.torture.schedule import EPISODES, Schedule
from tieline.cli.output import AsJson, amount, err, out, print_json, print_table, run

if TYPE_CHECKING:
    from tieline.app.torture.chaos import Suffering
    from tieline.app.torture.every_boundary import Deaths

NONE = "none"


def register(app: typer.Typer) -> None:
    app.command()(torture)


def torture(
    boundaries: Annotated[
        bool, typer.Option("--boundaries", help="Kill the hub at every boundary of a whole deal, one world for each.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="With --boundaries: each K-th only, from a place of the seed.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=3, help="Win deals for so long while everything breaks; 60 if nothing is asked.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same deals and the same schedule.")] = 1,
    episode: Annotated[
        list[str] | None,
        typer.Option(help=f"Only these episodes: {', '.join(EPISODES)}; or {NONE}. May be repeated."),
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COMMAND", help="Another program for the same schedule. May be repeated."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write report.html and report.json into this folder.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Keep projects, databases and logs here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the real quote-to-cash against the sandboxes while everything breaks, then count what stands in them.

    Exit code 1 when something was lost, doubled, unequal, out of order, or a case is false or missing.
    """
    from tieline.app.torture import chaos, every_boundary
    from tieline.app.torture.report import document

    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise typer.BadParameter(f"{folder} is not empty; name a new folder")
    place = folder or Path(tempfile.mkdtemp(prefix="tieline-torture-"))
    rivals = _contenders(contender or [])
    schedule: Schedule | None = None
    deaths: Deaths | None = None
    found: list[Suffering] = []
    columns = (TextColumn("{task.description:<64}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting the systems", total=1.0)

        def tell(stage: str, done: float) -> None:
            progress.update(task, description=stage[:64], completed=done)

        if boundaries:
            deaths = run(every_boundary.die_everywhere(every_boundary.Plan(folder=place, seed=seed, every=every), tell))
        if seconds is not None or not boundaries:
            plan = chaos.Plan(
                folder=place, seconds=seconds or 60.0, seed=seed, episodes=_episodes(episode), contenders=rivals
            )
            schedule, found = run(chaos.torment(plan, tell))
    seen = document(shlex.join(["tieline", *sys.argv[1:]]), deaths, schedule, found)
    if report is not None:
        _write(report, seen)
    if as_json:
        print_json(seen)
    else:
        _print(seen, place, report)
    if not seen["survived"]:
        raise typer.Exit(1)


def _contenders(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [name for name, _, command in pairs if not command or not name.replace("-", "").isalnum()]
    if wrong:
        raise typer.BadParameter(f"--contender is NAME=COMMAND, with a NAME of letters, digits and -: {wrong[0]!r}")
    return {name: command for name, _, command in pairs}


def _episodes(asked: list[str] | None) -> tuple[str, ...]:
    chosen = [name for name in asked or EPISODES if name != NONE]
    unknown = [name for name in chosen if name not in EPISODES]
    if unknown:
        raise typer.BadParameter(f"there is no episode {unknown[0]!r}; known: {', '.join(EPISODES)}, {NONE}")
    return tuple(name for name in EPISODES if name in chosen)


def _write(folder: Path, seen: dict[str, Any]) -> None:
    from tieline.app.torture.page import render

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(seen, enc_hook=str)))
    (folder / "report.html").write_text(render(seen), encoding="utf-8")


def _print(seen: dict[str, Any], place: Path, report: Path | None) -> None:
    if seen["boundaries"]:
        _print_boundaries(seen["boundaries"])
    if seen["chaos"]:
        _print_chaos(seen["chaos"])
    colour = "green" if seen["survived"] else "red"
    money = "equal" if seen["money_equal"] else "NOT equal"
    out.print(f"[{colour}]Tieline: lost {seen['lost']}, doubled {seen['doubled']}, money {money}[/]")
    out.print(f"databases and logs: {place}", markup=False, soft_wrap=True)
    if report is not None:
        out.print(f"report: {report / 'report.html'}", markup=False, soft_wrap=True)


def _print_boundaries(found: dict[str, Any]) -> None:
    out.print(
        f"[bold]{found['died']} deaths[/] at {found['tried']} of {found['known']} boundaries "
        f"of one deal, in {found['seconds']:g} s (seed {found['seed']})"
    )
    for death in found["deaths"]:
        for wrong in death["wrong"]:
            out.print(f"  - {death['boundary']}: {wrong}", markup=False, soft_wrap=True)
    for boundary in found["not_reached"]:
        out.print(f"  - not reached: {boundary}", markup=False, soft_wrap=True)


def _print_chaos(chaos: dict[str, Any]) -> None:
    out.print(f"[bold]{chaos['deals']} deals won[/] in {chaos['seconds']:g} s of chaos (seed {chaos['seed']})")
    rows = [
        [
            c["name"],
            c["tally"]["documents"],
            len(c["tally"]["lost"]),
            len(c["tally"]["doubled"]),
            "equal" if c["money_equal"] else "NOT equal",
            c["kills"],
            sum(number for kind, number in c["struck"].items() if kind != "outage"),
            c["requests"],
        ]
        for c in chaos["contenders"]
    ]
    columns = ["contender", "documents", "lost", "doubled", "money", "kills", "faults struck", "requests"]
    print_table("", columns, rows, right=frozenset({1, 2, 3, 5, 6, 7}))
    ours = chaos["contenders"][0]
    paid = ", ".join(f"{amount(value)} {currency}" for currency, value in ours["verdict"]["paid"].items())
    words = f"booked, billed, posted and paid: {paid}" if ours["survived"] else "what is wrong with Tieline:"
    out.print(words, markup=False, soft_wrap=True)
    for wrong in [*ours["wrong"], *([f"did not settle: {ours['unsettled']}"] if ours["unsettled"] else [])]:
        out.print(f"  - {wrong}", markup=False, soft_wrap=True)
    for told in ours["told"]:
        mark = "[red]✗[/]" if told["wrong"] else "[green]✓[/]"
        out.print(f"  {mark} {told['episode']}: {told['seen']}", soft_wrap=True)
