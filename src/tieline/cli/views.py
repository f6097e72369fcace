"""Commands that look: trace, explain, status, events, effects, runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tieline.app.settings import find_project
from tieline.app.views.reading import reading
from tieline.app.views.resolve import SeveralDeals
from tieline.app.views.trace import trace as trace_deal
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, run
from tieline.cli.trace_text import print_choices, print_trace


def register(app: typer.Typer) -> None:
    app.command()(trace)


def trace(
    ident: Annotated[str, typer.Argument(metavar="ID", help="Any id or number of any system, deal, case, run or event.")],
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Show the whole way of the deal behind an id: money, what it waits for, everything that happened.

    An id that several systems or kinds use is written out: netsuite/invoice/123.
    """
    run(_trace(_root(folder), environment, ident, as_json))


async def _trace(root: Path, environment: str, ident: str, as_json: bool) -> None:
    async with reading(root, environment) as view:
        try:
            found = await trace_deal(view, ident, datetime.now(UTC))
        except SeveralDeals as several:
            if as_json:
                print_json({"error": str(several), "matches": several.matches})
            err.print(f"{several}:", markup=False)
            print_choices(err, several.matches)
            raise typer.Exit(1) from None
    if as_json:
        print_json(found)
    else:
        print_trace(out, found)


def _root(folder: Path | None) -> Path:
    return find_project(folder or Path.cwd())
