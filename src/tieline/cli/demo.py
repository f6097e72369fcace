"""`tieline demo`: the main job, shown and counted."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tieline.app.demo.director import Outcome, Plan, perform
from tieline.app.demo.export import Export
from tieline.app.demo.live import LiveShow
from tieline.cli.output import AsJson, amount, err, out, print_json, print_table, run


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    deals: Annotated[int, typer.Option(min=1, help="How many deals sales closes.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed makes the same deals.")] = 1,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Break things on the way.")] = True,
    folder: Annotated[Path | None, typer.Option(help="Keep project, database and logs here.")] = None,
    deals_csv: Annotated[
        Path | None, typer.Option(help="Your own deals instead: a CRM export of opportunities.")
    ] = None,
    accounts_csv: Annotated[Path | None, typer.Option(help="With --deals-csv: the accounts.")] = None,
    products_csv: Annotated[Path | None, typer.Option(help="With --deals-csv: the price list.")] = None,
    csv_mappings: Annotated[
        Path | None, typer.Option(help="A folder of tables that say what your columns mean.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Go on until Ctrl-C instead, with the pages to look at; nothing is counted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Close deals in Salesforce, break the network, kill the hub, let three years pass, and count what stands."""
    if live:
        run(_live(folder, seed))
        return
    export = _export(deals_csv, accounts_csv, products_csv, csv_mappings)
    plan = Plan(deals=deals, seed=seed, faults=faults and export is None, folder=folder, export=export)
    columns = (TextColumn("{task.description:<58}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting Salesforce, Zuora, NetSuite, Kantata and the hub", total=1.0)

        def tell(stage: str, done: float) -> None:
            progress.update(task, description=stage, completed=done)

        outcome = run(perform(plan, tell))
    if as_json:
        print_json(_document(outcome))
    else:
        _print(outcome, plan)
    if not outcome.verdict.ties_out:
        raise typer.Exit(1)


async def _live(folder: Path | None, seed: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = folder or Path(tempfile.mkdtemp(prefix="tieline-demo-"))
    folder.mkdir(parents=True, exist_ok=True)

    def ready(address: str) -> None:
        out.print(
            f"the control room is at [bold]{address}[/]; days pass, deals are won, cases wait for you", soft_wrap=True
        )
        out.print(
            f"the same project on the command line: {_own_name()} status --project {folder}/project", soft_wrap=True
        )
        out.print("Ctrl-C ends it")

    with err.status("starting Salesforce, Zuora, NetSuite, Kantata and the hub") as waiting:
        await LiveShow(folder, seed).run(stop, ready, waiting.update)


def _export(deals: Path | None, accounts: Path | None, products: Path | None, mappings: Path | None) -> Export | None:
    if deals is None and accounts is None and products is None:
        return None
    if deals is None or accounts is None or products is None:
        raise typer.BadParameter("--deals-csv, --accounts-csv and --products-csv go together")
    return Export(deals=deals, accounts=accounts, products=products, mappings=mappings)


def _document(outcome: Outcome) -> dict[str, Any]:
    verdict: dict[str, Any] = msgspec.to_builtins(outcome.verdict, builtin_types=(Decimal,))
    documents = {name: verdict.pop(name) for name in ("lost", "doubled", "unequal", "status_wrong")}
    return {
        **verdict,
        "lost": len(documents["lost"]),
        "doubled": len(documents["doubled"]),
        "unequal": len(documents["unequal"]),
        "status_wrong": len(documents["status_wrong"]),
        "findings": documents,
        "ties_out": outcome.verdict.ties_out,
        "cases_open": len(outcome.cases),
        "cases": [
            {"id": c.id, "class": c.case_class, "owner": c.owner, "cause": c.cause, "next_step": c.next_step}
            for c in outcome.cases
        ],
        "corrections": [msgspec.to_builtins(c) for c in outcome.corrections],
        "approved": outcome.approved,
        "kills": outcome.kills,
        "faults": outcome.faults,
        "requests": outcome.requests,
        "seconds": outcome.seconds,
        "folder": str(outcome.folder),
    }


def _print(outcome: Outcome, plan: Plan) -> None:
    v = outcome.verdict
    out.print(f"[bold]{v.deals_won} deals won[/], counted in the systems themselves after {outcome.seconds:g} s")
    if plan.faults:
        out.print(f"on the way: {outcome.faults} faults ordered, {outcome.kills} kill -9 of the hub")
    for c in outcome.corrections:
        out.print(
            f"one correction ({c.value_map}: {c.key} like {c.like}) released {c.cases} deals; "
            f"{c.posted_before} orders stood before it",
            soft_wrap=True,
        )
    print_table(
        "",
        ["what stands", "number", "where"],
        [
            ["customers", v.customers, "Zuora and NetSuite"],
            ["subscriptions", v.subscriptions, "Zuora"],
            ["sales orders", v.orders, "NetSuite"],
            ["projects", v.projects, "Kantata"],
            ["invoices", v.invoices, "NetSuite, as Zuora issued them"],
            ["credit notes", v.credit_notes, "NetSuite"],
            ["payments", v.payments, "NetSuite, applied"],
        ],
        right=frozenset({1}),
    )
    print_table(
        f"money of the {v.deals_complete} completed deals",
        ["", "contracts", "overage", "credits", "booked", "billed", "posted"],
        [_money_row(v, currency) for currency in sorted({*v.booked, *v.billed, *v.posted})],
        right=frozenset(range(1, 7)),
    )
    _print_verdict(outcome)
    _print_cases(outcome)
    out.print("try next:")
    invoice = outcome.example_invoice
    for command in ("cases", f"trace {invoice}", f"explain netsuite invoice {invoice} amount"):
        out.print(f"  {_own_name()} {command} --project {outcome.folder}/project", markup=False, soft_wrap=True)


def _own_name() -> str:
    """How this command was called, so that what is printed can be copied."""
    path = Path(sys.argv[0]).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _money_row(v: Any, currency: str) -> list[str]:
    books = (v.contracts, v.overage, v.credited, v.booked, v.billed, v.posted)
    return [currency, *(amount(book.get(currency, Decimal(0))) for book in books)]


def _print_verdict(outcome: Outcome) -> None:
    v = outcome.verdict
    equal = v.booked == v.billed == v.posted
    out.print("[green]booked = billed = posted[/]" if equal else "[red]booked, billed and posted differ[/]", end="; ")
    colour = "green" if not (v.lost or v.doubled or v.unequal) else "red"
    out.print(f"[{colour}]lost {len(v.lost)}, doubled {len(v.doubled)}, unequal {len(v.unequal)}[/]")
    out.print(f"{v.deals_cancelled} cancelled, {v.deals_in_cases} waiting for a person, {outcome.approved} approved")
    for name in (*v.lost[:5], *v.doubled[:5], *v.unequal[:5], *v.status_wrong[:5]):
        out.print(f"  - {name}", markup=False, soft_wrap=True)


def _print_cases(outcome: Outcome) -> None:
    causes: dict[str, list[Any]] = {}
    for case in outcome.cases:
        causes.setdefault(case.cause, []).append(case)
    if causes:
        out.print("open cases:")
    for group in causes.values():
        case = group[0]
        out.print(f"  {len(group)} x {case.case_class}, owner {case.owner}", markup=False)
        out.print(f"    {case.message.splitlines()[0]}", markup=False, soft_wrap=True)
        out.print(f"    next: {case.next_step}", markup=False, soft_wrap=True)
