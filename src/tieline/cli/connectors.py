"""Commands about connectors: what each can do, whether a connection works, drift, and a new one to fill in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app import connectors as use
from tieline.app.skeleton import make_connector
from tieline.cli.opening import open_project
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, print_table, run

Connection = Annotated[str, typer.Argument(help="The connection, as tieline.toml names it.")]

new = typer.Typer(help="Make something to fill in.", no_args_is_help=True)
connectors = typer.Typer(help="What each connector can do; check a connection.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(connectors, name="connectors")
    app.add_typer(new, name="new")


@new.callback()
def _new() -> None:
    """Make something to fill in."""


@new.command("connector")
def new_connector(
    name: Annotated[str, typer.Argument(help="What the vendor is called in tieline.toml: small letters, digits, '_'.")],
    folder: Annotated[Path, typer.Option(help="Where its folder shall be.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a connector package: its sandbox, and tests that say what to fill in."""
    made = make_connector(name, folder)
    root = folder / f"tieline-{name.replace('_', '-')}"
    if as_json:
        print_json({"folder": str(root), "files": [str(path.relative_to(root)) for path in made]})
        return
    out.print(f"made {len(made)} files in {root}", markup=False, soft_wrap=True)
    out.print(f"next: cd {root} && pytest; each test that fails says what to fill in", markup=False, soft_wrap=True)
    out.print("then: pip install --editable . makes it known to `tieline check`", markup=False, soft_wrap=True)


@connectors.callback()
def default(context: typer.Context, as_json: AsJson = False) -> None:
    """What each installed connector can do: how each object is written and why that is safe, what is read and heard."""
    if context.invoked_subcommand is not None:
        return
    found = use.abilities()
    if as_json:
        print_json(found)
        return
    for one in found:
        print_table(f"{one.name}  (API {one.api_version})", COLUMNS, _rows(one), right=frozenset({3}))
        out.print(f"sweeps: {', '.join(one.streams) or 'nothing'}\n")


@connectors.command()
def show(
    name: Annotated[str, typer.Argument(help="The connector, as `tieline connectors` names it.")],
    as_json: AsJson = False,
) -> None:
    """One connector whole: objects, streams, reference lists, limits, and the rights its credentials need."""
    one = use.ability(name)
    if as_json:
        print_json(one)
        return
    print_table(f"{one.name}  (API {one.api_version}, from {one.package})", COLUMNS, _rows(one), right=frozenset({3}))
    drift = "yes, so `tieline connectors drift` can compare them" if one.describes_fields else "no"
    out.print(f"sweeps: {', '.join(one.streams) or 'nothing'}", soft_wrap=True)
    out.print(f"reference lists: {', '.join(one.catalogues) or 'none'}", soft_wrap=True)
    out.print(f"tells its fields: {drift}", soft_wrap=True)
    out.print(f"limits: {', '.join(f'{name} {value:,}' for name, value in one.limits.items())}", soft_wrap=True)
    out.print(f"rights its credentials need: {'; '.join(one.scopes) or 'none named'}", markup=False, soft_wrap=True)


@connectors.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Connections; all when none is named.")] = None,
    folder: ProjectFolder = None,
    environment: Environment = "",
    calls: Annotated[bool, typer.Option("--calls", help="Show what was asked and answered, without secrets.")] = False,
    hide: Annotated[
        list[str] | None, typer.Option(help="Hide this field's values in --calls, besides secrets.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Log in at each connection and tell who we are there. Changes nothing."""
    found = run(use.check_connections(open_project(folder, environment, secrets=True), names or [], tuple(hide or ())))
    if as_json:
        print_json(found)
    else:
        for one in found:
            word = f"[red]failed[/]  {escape(one.error)}" if one.error else f"[green]ok[/]  {escape(one.says)}"
            out.print(f"{one.connection}: {word}", soft_wrap=True)
            if calls:
                _print_calls(one)
    if any(one.error for one in found):
        raise typer.Exit(1)


@connectors.command()
def drift(
    connection: Connection, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Compare the tables with the fields the system has now: unknown fields, other types, required ones unfilled."""
    found = run(use.find_drift(open_project(folder, environment, secrets=True), connection))
    if as_json:
        print_json({**_plain(found), "problems": [str(problem) for problem in found.problems]})
    else:
        for problem in found.problems:
            out.print(str(problem), markup=False, soft_wrap=True)
        missing = f"; not described: {', '.join(found.not_described)}" if found.not_described else ""
        out.print(
            f"{len(found.problems)} differences in {', '.join(found.described)}{missing}", markup=False, soft_wrap=True
        )
    if found.problems:
        raise typer.Exit(1)


COLUMNS = ["object", "written", "safe by", "a call", "fetched", "found", "heard"]


def _rows(one: use.Ability) -> list[list[str]]:
    rows = []
    for kind in one.objects:
        marks = ["yes" if mark else "" for mark in (kind.fetched, kind.found, kind.heard)]
        first, *others = [[use.deed(o), o.safety.value, str(o.bulk)] for o in kind.writes] or [["", "", ""]]
        rows.append([kind.kind, *first, *marks])
        rows += [["", *other, "", "", ""] for other in others]
    return rows


def _print_calls(one: use.Checked) -> None:
    for call in one.calls:
        out.print(f"  {call.method} {call.path}  →  {call.status or 'no answer'}", markup=False, soft_wrap=True)
        for text in (call.request, call.response):
            if text:
                out.print(f"    {text}", markup=False, soft_wrap=True)


def _plain(found: use.Drift) -> dict[str, object]:
    return {"connection": found.connection, "described": found.described, "not_described": found.not_described}
