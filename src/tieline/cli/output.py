"""What a command prints: words and progress on standard error, one JSON document on standard output with --json."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

T = TypeVar("T")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
ProjectFolder = Annotated[
    Path | None, typer.Option("--project", "-p", help="The project's folder; default: this one or the nearest above.")
]
Environment = Annotated[str, typer.Option("--env", "-e", help="The environment of tieline.toml to use.")]

_encoder = msgspec.json.Encoder(decimal_format="string", enc_hook=str)


def print_json(document: Any) -> None:
    """One JSON document; amounts are strings, so that nothing rounds them."""
    sys.stdout.write(msgspec.json.format(_encoder.encode(document), indent=2).decode() + "\n")


def print_table(title: str, columns: list[str], rows: list[list[Any]], right: frozenset[int] = frozenset()) -> None:
    """A table for people; columns whose index is in `right` are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        number = index in right
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in rows:
        table.add_row(
            *("" if cell is None else amount(cell) if isinstance(cell, Decimal) else str(cell) for cell in row)
        )
    out.print(table)


@contextmanager
def progress(doing: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while long work is done, where somebody looks; yields what advances it."""
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done: bar.advance(task, done)


def amount(value: Decimal) -> str:
    """12,345.60"""
    return f"{value:,.2f}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
