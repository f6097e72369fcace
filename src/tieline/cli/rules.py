"""Commands about rules: list, show, diff, export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from tieline.app import rules as use
from tieline.app.views import rules_read
from tieline.app.views.reading import view_with
from tieline.app.views.rules_read import RuleLine, RulesView, Used
from tieline.app.wiring import make_resources, replay_corrections
from tieline.cli.opening import By, acting, open_project, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run
from tieline.engine.ports import Store
from tieline.errors import TielineError

Name = Annotated[str, typer.Argument(help="The table, as `tieline rules` lists it.")]

rules = typer.Typer(
    help="Tables of rules: list, show, compare versions, export corrections.", invoke_without_command=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(rules, name="rules")


@rules.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """Tables of rules: list, show, compare versions, export corrections. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_rules(folder=folder, environment=environment, as_json=as_json)


@rules.command("list")
def list_rules(
    kind: Annotated[str, typer.Option(help="Only tables of this kind, such as value_map.")] = "",
    search: Annotated[str, typer.Option(help="Only tables that contain this text.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """The tables in force: owner, version, since when, how many documents, what to look at."""

    async def work() -> list[RuleLine]:
        async with _opened(folder, environment) as (view, _):
            return await rules_read.list_rules(view, kind=kind, search=search)

    lines = run(work())
    if as_json:
        print_json(lines)
        return
    rows = [
        [
            line.name,
            line.kind,
            line.owner,
            line.version,
            f"{line.since:%d %b %Y %H:%M}",
            _used(line.used),
            "; ".join(line.problems),
        ]
        for line in lines
    ]
    print_table(
        "",
        ["table", "kind", "owner", "version", "in force since (UTC)", "documents", "to look at"],
        rows,
        frozenset({3, 5}),
    )


@rules.command()
def show(
    name: Name,
    version: Annotated[str, typer.Option(metavar="LABEL", help="An earlier version, as it lists them.")] = "",
    search: Annotated[str, typer.Option(help="Only rows that contain this text.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """One table: its rows in words, and its versions."""

    async def work() -> rules_read.RulePage:
        async with _opened(folder, environment) as (view, _):
            return await rules_read.read_rule(view, name, label=version, search=search, limit=1_000_000)

    page = run(work())
    if as_json:
        held = [{k: v for k, v in msgspec.to_builtins(held).items() if k != "text"} for held in page.versions]
        print_json({"name": name, "label": page.shown.label, "rows": page.entries, "versions": held})
        return
    out.print(f"[bold]{escape(page.shown.label)}[/]  owner {page.sheet.owner or 'nobody'}", soft_wrap=True)
    out.print(page.sheet.note, markup=False, soft_wrap=True)
    rows = [[escape(e.key), *(escape(e.cells.get(c, "")) for c in page.sheet.columns)] for e in page.entries]
    print_table("", [page.sheet.heading, *page.sheet.columns], rows)
    kept = [
        [v.label, f"{v.in_force_at:%d %b %Y %H:%M}", v.made_by or "the files", escape(v.reason)] for v in page.versions
    ]
    print_table("versions", ["version", "in force since (UTC)", "from", "why"], kept)


@rules.command()
def diff(
    name: Name,
    before: Annotated[str, typer.Argument(metavar="LABEL", help="A version; default: the one before the last.")] = "",
    after: Annotated[str, typer.Argument(metavar="LABEL", help="Another version; default: the one in force.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """What changed between two versions of a table, row by row."""

    async def work() -> rules_read.RuleDifference:
        async with _opened(folder, environment) as (view, store):
            held = await store.rule_versions(name, limit=2)
            if len(held) < 2 and not (before and after):
                raise TielineError(f"of {name!r} fewer than two versions are kept: there is nothing to compare")
            return await rules_read.compare_versions(view, name, before or held[1].label, after or held[0].label)

    found = run(work())
    if as_json:
        print_json(
            {"before": found.before.label, "after": found.after.label, "changes": found.changes, "maps": found.maps}
        )
        return
    out.print(f"{found.before.label} → {found.after.label}", markup=False, soft_wrap=True)
    for old, new in found.maps:
        out.print(f"looks things up in {new}, before in {old}", markup=False, soft_wrap=True)
    rows = [
        [escape(change.key), change.what, column, escape(old), escape(new)]
        for change in found.changes
        for column, (old, new) in change.cells.items()
    ]
    if rows:
        print_table("", [found.sheet.heading, "what", "column", "before", "after"], rows)
    elif not found.maps:
        out.print("no rule differs")


@rules.command()
def export(
    yes: Annotated[
        bool, typer.Option("--yes", help="Write the files; without, only show what would be written.")
    ] = False,
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Write corrections of value maps into the project's files; remarks and the order of entries stay as they are."""

    async def work() -> list[use.MapExport]:
        async with _opened(folder, environment, write=yes) as (view, store):
            if not yes:
                return use.plan_export(view)
            return await use.export(view, store, by=acting(by))

    plans = run(work())
    if as_json:
        print_json([{k: v for k, v in msgspec.structs.asdict(plan).items() if k != "text"} for plan in plans])
        return
    for plan in plans:
        _print_plan(plan, yes)
    if not plans:
        out.print("the files hold every correction: there is nothing to export")
    elif not yes and any(plan.changed for plan in plans):
        err.print("nothing was written; --yes writes it")


def _print_plan(plan: use.MapExport, written: bool) -> None:
    if plan.changed:
        out.print(f"{plan.file}{' written' if written else ''}", markup=False, soft_wrap=True)
    for key, cells in plan.changed.items():
        value = ", ".join(f"{column}: {cell}" for column, cell in cells.items()) or "taken out"
        out.print(f"  {key}: {value}", markup=False, soft_wrap=True)
    for key, cells in plan.conflicts.items():
        says = ", ".join(f"{column}: {cell}" for column, cell in cells.items()) or "no such entry"
        out.print(
            f"  {plan.value_map}: {key} is left out: {plan.file} was changed meanwhile and says {says}. "
            "Correct the entry to that, or change the file",
            markup=False,
            soft_wrap=True,
        )


def _used(used: Used) -> str:
    if used.documents is None:
        return ""
    return f"more than {used.documents:,}" if used.more else f"{used.documents:,}"


@asynccontextmanager
async def _opened(
    folder: Path | None, environment: str, *, write: bool = False
) -> AsyncIterator[tuple[RulesView, Store]]:
    project = open_project(folder, environment)
    resources = make_resources(project, {})
    async with stored(project.settings, write=write) as store:
        await replay_corrections(store, resources)
        view = view_with(project, resources.mappings, store)
        rules = RulesView(
            project=project,
            store=store,
            mappings=resources.mappings,
            corrections=resources.corrections,
            operations=view.operations,
        )
        yield rules, store
