"""Commands that look: trace, explain, status, events, effects, runs. None of them writes or calls a system."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.live import Live

from tieline.app.settings import find_project
from tieline.app.views import listing
from tieline.app.views.explain import explain_document
from tieline.app.views.reading import View, reading
from tieline.app.views.resolve import SeveralDeals
from tieline.app.views.status import HubView, hub_status
from tieline.app.views.trace import trace as trace_deal
from tieline.app.views.words import kind_words, span
from tieline.cli.explain_text import print_lineage
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, print_table, run
from tieline.cli.status_text import print_status, status_of
from tieline.cli.trace_text import print_choices, print_trace
from tieline.events import LoggedEvent

T = TypeVar("T")
Deal = Annotated[str, typer.Option(metavar="ID", help="Only of this deal; any id of it will do.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1)]
WATCH_EVERY_S = 1.0


def register(app: typer.Typer) -> None:
    app.command()(trace)
    app.command()(explain)
    app.command()(status)
    app.command()(events)
    app.command()(effects)


def trace(
    ident: Annotated[str, typer.Argument(metavar="ID", help="Any id or number: document, deal, case, run, event.")],
    everything: Annotated[bool, typer.Option("--all", help="Notices, confirmations and finished runs too.")] = False,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Show the whole way of the deal behind an id: money, what it waits for, everything that happened.

    An id that several systems or kinds use is written out: netsuite/invoice/123.
    """
    try:
        found = _look(folder, environment, lambda view: trace_deal(view, ident, datetime.now(UTC)))
    except SeveralDeals as several:
        if as_json:
            print_json({"error": str(several), "matches": several.matches})
        err.print(f"{several}:", markup=False, soft_wrap=True)
        print_choices(err, several.matches)
        raise typer.Exit(1) from None
    if as_json:
        print_json(found)
    else:
        print_trace(out, found, everything)


def explain(
    system: Annotated[str, typer.Argument(help="A connection, for example netsuite.")],
    document: Annotated[str, typer.Argument(help="The kind of document, by our name or the system's.")],
    ident: Annotated[str, typer.Argument(metavar="ID", help="Its id there, its number, or its canonical id.")],
    field: Annotated[str, typer.Argument(help="A field of it (item.items[0].amount, or amount); default: all.")] = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Explain a document in a system: each value, the rule that made it, and its way back to the CRM."""
    found = _look(folder, environment, lambda view: explain_document(view, system, document, ident, field), tables=True)
    if as_json:
        print_json(found)
    else:
        print_lineage(out, found, field)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Draw it again every second until Ctrl-C.")] = False,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Show how the hub does: systems, runs, effects, and what needs a person."""
    if watch and not as_json:
        run(_watch(_root(folder), environment))
        return
    found = _look(folder, environment, lambda view: hub_status(view, datetime.now(UTC)))
    if as_json:
        print_json(found)
    else:
        print_status(out, found)


async def _watch(root: Path, environment: str) -> None:
    async with reading(root, environment) as view:

        async def now() -> HubView:
            return await hub_status(view, datetime.now(UTC))

        with Live(status_of(await now()), console=out, screen=out.is_terminal, auto_refresh=False) as live:
            while True:
                live.update(status_of(await now()), refresh=True)
                await asyncio.sleep(WATCH_EVERY_S)


def events(
    type: Annotated[str, typer.Option(help="Only of this type, for example InvoiceIssued.")] = "",  # noqa: A002
    deal: Deal = "",
    after: Annotated[int, typer.Option(metavar="SEQ", help="The ones behind this place; default: the newest.")] = 0,
    limit: Limit = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then go on as they come, until Ctrl-C.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Walk the hash chain of the whole log instead.")] = False,
    cloudevents: Annotated[bool, typer.Option("--cloudevents", help="Print CloudEvents, one JSON line each.")] = False,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """List events of the log, or prove that nobody changed it."""
    if verify:
        _verify(folder, environment, as_json)
        return
    shown = _cloudevents if cloudevents else _json_events if as_json else _event_table
    found = _look(
        folder,
        environment,
        lambda view: listing.list_events(view, event_type=type, deal=deal, after=after, limit=limit),
    )
    if follow:
        place = found[-1].seq if found else after
        (_cloudevents if cloudevents or as_json else _event_lines)(found)
        run(
            _follow(
                _root(folder), environment, type, deal, place, _cloudevents if cloudevents or as_json else _event_lines
            )
        )
        return
    shown(found)


def _verify(folder: Path | None, environment: str, as_json: bool) -> None:
    found = _look(folder, environment, listing.verify_chain)
    if as_json:
        print_json(found)
    elif found.ok:
        out.print(f"ok: {found.events:,} events, each follows from the one before; last hash {found.last_hash}")
    else:
        err.print(f"[bold red]broken[/] at event #{found.broken_at}: {found.reason}", soft_wrap=True)
        err.print(f"{found.events:,} events before it are as they were recorded")
    if not found.ok:
        raise typer.Exit(1)


async def _follow(
    root: Path, environment: str, kind: str, deal: str, after: int, show: Callable[[list[LoggedEvent]], None]
) -> None:
    async with reading(root, environment) as view:
        async for event in listing.follow_events(view, event_type=kind, deal=deal, after=after):
            show([event])
            sys.stdout.flush()


def _cloudevents(found: list[LoggedEvent]) -> None:
    for event in found:
        sys.stdout.write(msgspec.json.encode(listing.cloud_event(event)).decode() + "\n")


def _json_events(found: list[LoggedEvent]) -> None:
    print_json([{**msgspec.structs.asdict(listing.event_line(e)), "data": msgspec.Raw(e.data)} for e in found])


def _event_table(found: list[LoggedEvent]) -> None:
    lines = [listing.event_line(event) for event in found]
    print_table(
        "",
        ["#", "UTC", "type", "where", "what"],
        [[f"{e.seq}", f"{e.recorded_at:%d %b %H:%M:%S}", e.type, e.system, e.words] for e in lines],
        right=frozenset({0}),
    )


def _event_lines(found: list[LoggedEvent]) -> None:
    for line in map(listing.event_line, found):
        out.print(f"{line.seq:>6} {line.recorded_at:%d %b %H:%M:%S} {line.system:<10} {line.words}", markup=False)


def effects(
    connection: Annotated[str, typer.Option(help="Only in this system.")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind, for example invoice.")] = "",
    state: Annotated[str, typer.Option(help="intended, in_doubt, applied or rejected.")] = "",
    deal: Deal = "",
    limit: Limit = 50,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """List writes to systems, the newest at the end."""
    found = _look(
        folder,
        environment,
        lambda view: listing.list_effects(view, connection=connection, kind=kind, state=state, deal=deal, limit=limit),
    )
    if as_json:
        print_json(found)
        return
    print_table(
        "",
        ["UTC", "system", "document", "canonical id", "state", "id there", "tries", "took"],
        [_effect_row(effect) for effect in found],
        right=frozenset({6}),
    )


def _effect_row(effect: listing.EffectLine) -> list[object]:
    revision = f" r{effect.revision}" if effect.revision > 1 else ""
    error = f": {effect.error}" if effect.error else ""
    took = span(effect.settled_at - effect.intended_at) if effect.settled_at else ""
    return [
        f"{effect.intended_at:%d %b %H:%M:%S}",
        effect.connection,
        f"{kind_words(effect.kind, effect.action)}{revision}",
        effect.canonical_id,
        f"{effect.state.value.replace('_', ' ')}{error}",
        effect.external_id,
        effect.attempts,
        took,
    ]


def runs(
    context: typer.Context,
    process: Annotated[str, typer.Option(help="Only of this process.")] = "",
    state: Annotated[str, typer.Option(help="ready, waiting, done, cancelled, …; default: all but superseded.")] = "",
    deal: Deal = "",
    limit: Limit = 50,
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """List runs of processes, the newest at the end."""
    if context.invoked_subcommand is not None:
        return
    found = _look(
        folder, environment, lambda view: listing.list_runs(view, process=process, state=state, deal=deal, limit=limit)
    )
    if as_json:
        print_json(found)
        return
    print_table(
        "",
        ["run", "state", "began (UTC)", "took", "deal or record", "waits for"],
        [
            [
                row.id,
                row.state.value,
                f"{row.started_at:%d %b %H:%M:%S}",
                span(row.ended_at - row.started_at) if row.ended_at else "",
                row.correlation_id or row.key,
                row.waits_for or row.error,
            ]
            for row in found
        ],
    )


# --- shared -----------------------------------------------------------------------------------------------------------


def _look(
    folder: Path | None, environment: str, use_case: Callable[[View], Awaitable[T]], *, tables: bool = False
) -> T:
    """Open the project for reading and ask one thing of it."""

    async def ask() -> T:
        async with reading(_root(folder), environment, tables=tables) as view:
            return await use_case(view)

    return run(ask())


def _root(folder: Path | None) -> Path:
    return find_project(folder or Path.cwd())
