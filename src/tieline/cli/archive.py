"""Commands about what is kept: archive ended runs, export the log and the ledger, verify either."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app.archive import Moved, archive_runs
from tieline.app.export import TABLES, FolderCheck, check_folder, export
from tieline.app.settings import Settings
from tieline.cli.opening import begun, open_settings, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, progress, run
from tieline.engine.records import ArchiveFile, EndedMonth
from tieline.errors import ConfigurationError
from tieline.storage.archive import Manifest

archive = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(archive, name="archive")


@archive.callback()
def archive_ended(
    context: typer.Context,
    before: Annotated[str, typer.Option(metavar="DATE", help="Runs that ended before this day (UTC).")] = "",
    older_than: Annotated[str, typer.Option(metavar="DAYS", help="Runs that ended so long ago, for example 90d.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show what would move.")] = False,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Move runs that ended long ago, with their journals, from the database to Parquet files; first only show them.

    Ledger, log, references and cases stay. Trace, runs and replay find archived runs as before. The hub may run.
    """
    if context.invoked_subcommand is not None:
        return
    settings, moment = open_settings(folder, environment), _moment(before, older_than)
    months = run(_months(settings, moment))
    moved = _move(settings, moment, sum(month.runs for month in months)) if yes else None
    if as_json:
        print_json({"before": moment, "folder": str(settings.archive_folder), "months": months, "moved": moved})
        return
    _print_months(months, moment)
    if moved is not None:
        size = sum(file.bytes for file in moved.files)
        out.print(f"{moved.runs:,} runs archived in {len(moved.files)} files, {_size(size)}: {settings.archive_folder}")
        err.print("the room they leave in the database is used again; the file itself does not shrink")
    elif months:
        err.print("nothing was moved; --yes does it")


async def _months(settings: Settings, before: datetime) -> list[EndedMonth]:
    async with stored(settings) as store:
        return await store.ended_months(before)


def _move(settings: Settings, before: datetime, runs: int) -> Moved:
    async def work() -> Moved:
        async with stored(settings, write=True) as store:
            with progress("archiving runs", runs) as advance:
                return await archive_runs(store, store.archive, before, advance)

    return run(work())


def _print_months(months: list[EndedMonth], before: datetime) -> None:
    if not months:
        out.print(f"no run of the database ended before {before:%Y-%m-%d %H:%M} UTC")
        return
    rows: list[list[object]] = [[m.month, f"{m.runs:,}", f"{m.entries:,}", _size(m.bytes)] for m in months]
    runs, entries, held = (sum(getattr(m, name) for m in months) for name in ("runs", "entries", "bytes"))
    rows.append(["all", f"{runs:,}", f"{entries:,}", _size(held)])
    print_table(
        f"runs that ended before {before:%Y-%m-%d %H:%M} UTC",
        ["ended in", "runs", "journal entries", "journals hold"],
        rows,
        right=frozenset({1, 2, 3}),
    )


@archive.command("export")
def export_tables(
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for the files.")],
    tables: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(TABLES),
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="Only this month (UTC); default: all.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Write the log and the ledger as Parquet files, whole rows, for a warehouse or an auditor. Nothing is moved."""
    settings = open_settings(folder, environment)

    async def work() -> Manifest:
        async with stored(settings) as store:
            with progress("exporting rows", None) as advance:
                names = [name.strip() for name in tables.split(",")]
                return await export(store, to, names, month, lambda file: advance(file.rows))

    made = run(work())
    if as_json:
        print_json({"folder": str(to), "files": made.files, "chain": made.chain})
        return
    rows = [[name, f"{_rows(made.files, name):,}", sum(f.holds == name for f in made.files)] for name in TABLES]
    print_table("", ["table", "rows", "files"], [row for row in rows if row[2]], right=frozenset({1, 2}))
    if made.chain[1]:
        out.print(f"last hash of the exported log {made.chain[1]}")
    err.print(f"check it anywhere with: tieline archive verify {to}", soft_wrap=True)


@archive.command()
def verify(
    of: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Default: the project's archive.")] = None,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Check an export or the archive: each file is as it was written, exported events follow from each other."""
    found = check_folder(of or begun(open_settings(folder, environment)).archive_folder)
    if as_json:
        print_json({**_as_dict(found), "ok": found.ok})
    else:
        _print_check(found)
    if not found.ok:
        raise typer.Exit(1)


def _as_dict(found: FolderCheck) -> dict[str, object]:
    return {name: getattr(found, name) for name in FolderCheck.__struct_fields__}


def _print_check(found: FolderCheck) -> None:
    for problem in found.problems:
        err.print(f"[bold red]wrong:[/] {escape(problem)}", soft_wrap=True)
    if not found.problems:
        out.print(f"ok: {found.files} files with {found.rows:,} rows are as they were written")
    if found.chain is None:
        return
    if found.chain.ok:
        last = found.chain.last_hash
        out.print(f"ok: {found.chain.events:,} events, each follows from the one before; last hash {last}")
    else:
        err.print(f"[bold red]broken[/] at event #{found.chain.broken_at}: {found.chain.reason}", soft_wrap=True)


# --- shared -----------------------------------------------------------------------------------------------------------


def _moment(before: str, older_than: str) -> datetime:
    if bool(before) == bool(older_than):
        raise ConfigurationError("say how old: either --before 2026-01-01 or --older-than 90d")
    if before:
        try:
            return datetime.strptime(before, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise ConfigurationError(f"--before {before!r} is no day; write it like 2026-01-01") from error
    days = re.fullmatch(r"(\d+)d", older_than)
    if days is None:
        raise ConfigurationError(f"--older-than {older_than!r} is no number of days; write it like 90d")
    return datetime.now(UTC) - timedelta(days=int(days[1]))


def _rows(files: list[ArchiveFile], name: str) -> int:
    return sum(file.rows for file in files if file.holds == name)


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"
