"""`tieline`: every command, and what an error looks like at the end."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from tieline.cli import (
    alerts,
    archive,
    backup,
    cases,
    connectors,
    deals,
    demo,
    hub,
    project,
    replay,
    rules,
    systems,
    tokens,
    torture,
    users,
    versions,
    views,
)
from tieline.cli.output import err
from tieline.errors import ConfigurationError, TielineError

app = typer.Typer(
    name="tieline",
    help="Links CRM, billing and ERP, and proves what happened to the money.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
project.register(app)
hub.register(app)
views.register(app)
versions.register(app)
rules.register(app)
replay.register(app)
cases.register(app)
deals.register(app)
connectors.register(app)
systems.register(app)
alerts.register(app)
users.register(app)
tokens.register(app)
archive.register(app)
backup.register(app)
demo.register(app)
torture.register(app)


def run() -> None:
    """Entry point. Exit codes: 0 done, 1 refused or failed, 2 something to put right in settings, files or machine."""
    try:
        app()
    except ConfigurationError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except TielineError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(130)
