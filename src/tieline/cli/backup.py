"""The commands `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from tieline.app.backup import back_up
from tieline.app.backup import restore as put_back
from tieline.cli.opening import By, acting, open_settings
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, run
from tieline.storage.copies import Contents


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; default: beside the database.")] = None,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Copy the database, also while the hub works on it; the copy is read through before it is called one."""
    target, contents = back_up(open_settings(folder, environment).database, to)
    if as_json:
        print_json({"file": str(target), **msgspec.to_builtins(contents)})
        return
    out.print(f"{target}: {_words(contents)}", markup=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup, as `tieline backup` made it.")],
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the log.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the database while no hub runs; the replaced file is kept beside it."""
    database = open_settings(folder, environment).database
    done = run(put_back(database, file, by=acting(by).name, reason=reason))
    told = done.told
    if as_json:
        print_json({"database": str(database), "kept": str(done.kept or ""), **msgspec.to_builtins(told)})
        return
    out.print(f"{database}: {_words(done.contents)}", markup=False, soft_wrap=True)
    if done.kept:
        out.print(f"what stood there is kept as {escape(str(done.kept))}", soft_wrap=True)
    out.print(
        f"the log had reached event {told.lost_seq} and goes on behind it. At the next start sweeps read again what "
        "they find changed since the backup, and every document is looked for before it is first written; what people "
        "decided since then must be decided again",
        soft_wrap=True,
    )


def _words(contents: Contents) -> str:
    if contents.at is None:
        return "whole, and empty"
    return (
        f"whole, up to event {contents.last_event} of {contents.at:%Y-%m-%d %H:%M:%S} UTC; {contents.events} events, "
        f"{contents.effects} writes ({contents.in_doubt} not settled), {contents.open_runs} runs at work, "
        f"{contents.open_cases} open cases"
    )
