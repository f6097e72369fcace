"""The command `deals`: the list of deals, and making it anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tieline.app.deals import list_anew
from tieline.app.settings import find_project
from tieline.app.views.deals import Asked, DealPage, find_deals
from tieline.app.views.reading import reading
from tieline.app.views.words import span
from tieline.cli.opening import open_settings, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, print_table, run

deals = typer.Typer(help="The deals that were won, newest first; make their list anew.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(deals, name="deals")


@deals.callback()
def list_deals(
    context: typer.Context,
    find: Annotated[str, typer.Option("--find", "-f", help="Any id, or part of a customer's or deal's name.")] = "",
    status: Annotated[str, typer.Option(help="Only this status, e.g. Paid.")] = "",
    currency: Annotated[str, typer.Option(help="Only this currency.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """The deals that were won, newest first: where each stands and what it waits for."""
    if context.invoked_subcommand is None:
        root = find_project(folder or Path.cwd())
        _print(run(_found(root, environment, Asked(q=find, status=status, currency=currency))), as_json)


async def _found(root: Path, environment: str, asked: Asked) -> DealPage:
    async with reading(root, environment) as view:
        return await find_deals(view, asked)


def _print(page: DealPage, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(page.deals))
        return
    if not page.deals:
        out.print("no deal fits")
        return
    now = datetime.now(UTC)
    rows = [
        [d.name, d.customer_name, f"{d.amount} {d.currency}", d.status, d.won_on, f"{span(now - d.changed_at)} ago"]
        for d in page.deals
    ]
    print_table("", ["deal", "customer", "amount", "status", "won", "last change"], rows, right=frozenset({2}))
    if page.older:
        out.print(f"[dim]the newest {len(page.deals)}; --find, --status and --currency narrow it[/]")


@deals.command()
def rebuild(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """Have the hub make the list anew, from the log and the ledger; nothing else is touched."""

    async def work() -> int:
        async with stored(open_settings(folder, environment), write=True) as store:
            return await list_anew(store, store)

    number = run(work())
    if as_json:
        print_json({"to_list": number})
        return
    told = f"{number} deals will be listed anew while the hub runs; until then the list shows their old lines"
    out.print(told, soft_wrap=True)
