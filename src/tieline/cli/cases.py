"""Commands about cases: list, show, and each decision."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from tieline.app import cases as use
from tieline.app.principal import Principal, local_principal
from tieline.app.project import load_project
from tieline.app.settings import find_project, load_settings
from tieline.app.views.words import figure
from tieline.app.wiring import make_resources, replay_corrections
from tieline.cli.output import AsJson, ProjectFolder, out, print_json, print_table, run
from tieline.engine.records import CaseFilter, CaseRow, CaseState
from tieline.processes.resources import Resources
from tieline.storage.sqlite import SqliteStore

CaseId = Annotated[str | None, typer.Argument(help="The case, as `tieline cases` shows it.")]
Cause = Annotated[str | None, typer.Option(help="All open cases of this cause instead of one case.")]
OfClass = Annotated[str | None, typer.Option("--class", help="All open cases of this class instead of one case.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")]
By = Annotated[str, typer.Option(help="Who decides; default: you.")]

MOST_LISTED = 1_000

cases = typer.Typer(help="What waits for a person: list, show, decide.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(cases, name="cases")


@cases.callback()
def default(context: typer.Context, folder: ProjectFolder = None, as_json: AsJson = False) -> None:
    """What waits for a person: list, show, decide. Without a command: the open cases by cause."""
    if context.invoked_subcommand is None:
        list_cases(folder=folder, as_json=as_json)


@cases.command("list")
def list_cases(
    folder: ProjectFolder = None,
    case_class: Annotated[str | None, typer.Option("--class", help="Only this class.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what this owner must decide.")] = None,
    state: Annotated[CaseState, typer.Option(help="Open ones, or those decided or closed.")] = CaseState.OPEN,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those past their deadline.")] = False,
    each: Annotated[bool, typer.Option("--each", help="Every case on a line of its own, the first 1,000.")] = False,
    as_json: AsJson = False,
) -> None:
    """The open cases, grouped by cause: one remedy releases a group."""
    now = datetime.now(UTC)
    wanted = CaseFilter(state=state, case_class=case_class, owner=owner, due_by=now if overdue else None)

    async def by_cause() -> list[use.CaseGroup]:
        async with _store(folder) as store:
            return await use.groups(store, wanted, now, MOST_LISTED)

    async def one_by_one() -> use.CasePage:
        async with _store(folder) as store:
            return await use.page(store, wanted, limit=MOST_LISTED)

    if each or state is CaseState.CLOSED:  # what is closed is history: newest first
        _show_each(run(one_by_one()), as_json)
    else:
        _show_groups(run(by_cause()), state, as_json)


def _show_each(page: use.CasePage, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(page.cases))
        return
    rows = [[c.id, c.case_class, c.owner, _age(c), c.amount, escape(c.message)] for c in page.cases]
    print_table("", ["case", "class", "owner", "age", "amount", "what happened"], rows)
    if page.after:
        out.print(f"the first {MOST_LISTED:,}; there are more: narrow them down with --class, --owner or --overdue")


def _show_groups(found: list[use.CaseGroup], state: CaseState, as_json: bool) -> None:
    if as_json:
        print_json([{**msgspec.to_builtins(g.of), "example": msgspec.to_builtins(g.example)} for g in found])
    elif not found:
        out.print(f"no {state} cases" + (": nothing waits for a person" if state is CaseState.OPEN else ""))
    for group in found if not as_json else []:
        count = f"{group.of.count:,} cases" if group.of.count > 1 else "1 case"
        late = f", [red]{group.of.overdue:,} overdue[/]" if group.of.overdue else ""
        money = "".join(f", {figure(sum_of)} {currency}" for currency, sum_of in group.of.money.items())
        out.print(
            f"[bold]{escape(group.of.cause)}[/]  {count}{money}, oldest {_age(group.example)}, "
            f"owner {escape(group.of.owner)}{late}"
        )
        out.print(f"  {group.example.message.splitlines()[0]}", markup=False, soft_wrap=True)
        out.print(f"  e.g. {group.example.id}  next: {group.example.next_step}", markup=False, soft_wrap=True)


@cases.command()
def show(
    case_id: Annotated[str, typer.Argument(help="The case.")], folder: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """One case: what happened, the document, the candidates, and what may be done."""

    async def work() -> CaseRow:
        async with _store(folder) as store:
            return await use.get_case(store, case_id)

    case = run(work())
    if as_json:
        print_json(msgspec.to_builtins(case))
        return
    out.print(f"[bold]{case.id}[/]  {case.case_class}  [{_colour(case)}]{case.state}[/]")
    out.print(case.message, markup=False, soft_wrap=True)
    due = f"{case.due_at:%Y-%m-%d %H:%M} UTC"
    print_table(
        "",
        ["", ""],
        [
            ["deal", case.correlation_id],
            ["amount", case.amount],
            ["owner", case.owner + (f" (escalated {case.escalated_at:%Y-%m-%d %H:%M})" if case.escalated_at else "")],
            ["opened", f"{case.opened_at:%Y-%m-%d %H:%M} UTC ({_age(case)} ago)"],
            ["due", due + (f", then {case.escalate_to}" if case.escalate_to else "")],
            ["next step", escape(case.next_step)],
            [
                "actions",
                ", ".join(case.actions) if case.state is CaseState.OPEN else f"{case.decision} by {case.decided_by}",
            ],
            ["cause", escape(case.cause)],
        ],
    )
    _print_details(case)


def _print_details(case: CaseRow) -> None:
    candidates = case.details.get("candidates")
    if candidates:
        mine = case.details.get("customer") or case.details["document"]
        address = mine.get("billing_address", {})
        rows = [
            [
                "ours",
                escape(str(mine.get("name") or mine.get("title") or mine.get("number") or mine["id"])),
                escape(", ".join(filter(None, (address.get(k, "") for k in ("street", "city", "country"))))),
                "",
            ]
        ]
        rows += [
            [escape(c["external_id"]), escape(c["name"]), escape(c["address"]), c["matched_by"]] for c in candidates
        ]
        print_table("candidates", ["id", "name", "address", "matched by"], rows)
    for finding in case.details.get("findings", []):
        out.print(f"  - {finding['message']}", markup=False, soft_wrap=True)
    if "document" in case.details:
        out.print_json(data=case.details["document"])


def _decision_command(action: str, help_text: str) -> None:
    @cases.command(action, help=help_text)
    def command(
        case_id: CaseId = None,
        cause: Cause = None,
        case_class: OfClass = None,
        reason: Reason = "",
        by: By = "",
        folder: ProjectFolder = None,
        as_json: AsJson = False,
    ) -> None:
        _decide(folder, (case_id, cause, case_class), action, by, reason, {}, as_json)


for _action, _help in (
    ("retry", "Try again as it is: after the cause was mended elsewhere; what is in doubt is asked about first."),
    ("skip", "Go on without this document; say why with --reason."),
    ("cancel", "Cancel the run; what it did is taken back (compensated)."),
    ("approve", "Approve what waits for approval."),
    ("refuse", "Refuse what waits for approval; the deal stops."),
    ("create", "None of the candidates: create a new record."),
    ("accept", "An event told twice with other content: take the second telling too."),
    ("dismiss", "Nothing is to be done about it."),
):
    _decision_command(_action, _help)


@cases.command()
def link(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    external_id: Annotated[str, typer.Argument(help="The id of the record that stands there already.")],
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """It stands there already under this id: use that record."""
    _decide(folder, (case_id, None, None), "link", by, reason, {"external_id": external_id}, as_json)


@cases.command("send-again")
def send_again(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """You looked in the system, and the document does not stand there: send it again."""
    _decide(folder, (case_id, None, None), "send-again", by, reason, {}, as_json)


@cases.command("comment")
def comment_on(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    text: Annotated[str, typer.Argument(help="What you want to say.")],
    by: By = "",
    folder: ProjectFolder = None,
) -> None:
    """Say something about a case; it stays in its history and in the trace of the deal."""

    async def work() -> None:
        async with _store(folder) as store:
            await use.comment(store, await use.get_case(store, case_id), text, by=_who(by))

    run(work())
    out.print(f"{case_id.upper()}: comment recorded")


@cases.command("assign")
def assign_to(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    owner: Annotated[str, typer.Argument(help="Who shall decide it: a person or a team.")],
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
) -> None:
    """Give a case to somebody; its deadline stays as it is."""

    async def work() -> None:
        async with _store(folder) as store:
            await use.assign(store, await use.get_case(store, case_id), owner, by=_who(by), reason=reason)

    run(work())
    out.print(f"{case_id.upper()}: given to {owner}")


@cases.command()
def correct(
    case_id: CaseId = None,
    cause: Cause = None,
    case_class: OfClass = None,
    field: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE of the document; dotted, several times.")
    ] = None,
    value_map: Annotated[
        str | None, typer.Option("--map", help="Correct this value map instead of the document.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The key the value map lacks.")] = None,
    as_like: Annotated[str | None, typer.Option("--like", help="Copy the row of this key.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE of the new row.")] = None,
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Correct the document of a case, or (--map) a value map, which releases every case of the cause."""
    if value_map is None:
        _decide(folder, (case_id, cause, case_class), "correct", by, reason, _pairs(field or []), as_json)
        return
    if key is None or (as_like is None) == (not column):
        raise typer.BadParameter("--map needs --key and either --like or --column")
    if case_class is not None:
        raise typer.BadParameter("--map releases the cases of one cause: name a case or --cause, not --class")

    async def work() -> list[str]:
        async with _store(folder) as store:
            about = (await use.chosen(store, case_id, cause))[0].cause if case_id or cause else None
            table = (await _resources(folder, store)).value_map(value_map)
            row = use.like(table, as_like) if as_like else _pairs(column or [])
            return await use.correct_value_map(store, table, key, row, by=_who(by), reason=reason, cause=about)

    released = run(work())
    if as_json:
        print_json({"value_map": value_map, "key": key, "released": released})
        return
    out.print(f"{value_map}: {key} recorded; {len(released)} cases released")
    out.print(
        "`tieline rules export` writes it into the project's files, so that the next release has it", soft_wrap=True
    )


def _decide(
    folder: Path | None,
    which: tuple[str | None, str | None, str | None],
    action: str,
    by: str,
    reason: str,
    arguments: dict[str, Any],
    as_json: bool,
) -> None:
    async def work() -> list[str]:
        async with _store(folder) as store:
            found = await use.chosen(store, *which)
            return await use.decide(store, found, action, by=_who(by), reason=reason, arguments=arguments)

    decided = run(work())
    if as_json:
        print_json({"action": action, "decided": decided})
        return
    what = decided[0] if len(decided) == 1 else f"{len(decided)} cases"
    out.print(f"{what}: {action} recorded; the hub carries it out")


def _who(by: str) -> Principal:
    return local_principal(by or getpass.getuser())


@asynccontextmanager
async def _store(folder: Path | None) -> AsyncIterator[SqliteStore]:
    settings = load_settings(find_project(folder or Path.cwd()), secrets=False)
    store = SqliteStore(settings.database)
    try:
        yield store
    finally:
        await store.close()


async def _resources(folder: Path | None, store: SqliteStore) -> Resources:
    project = load_project(load_settings(find_project(folder or Path.cwd()), secrets=False))
    resources = make_resources(project, {})
    await replay_corrections(store, resources)
    return resources


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(pairs) or any("=" not in text for text in texts):
        raise typer.BadParameter("write NAME=VALUE")
    return pairs


def _age(case: CaseRow) -> str:
    age: timedelta = datetime.now(UTC) - case.opened_at
    minutes = int(age.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def _colour(case: CaseRow) -> str:
    return {CaseState.OPEN: "red", CaseState.DECIDED: "yellow"}.get(case.state, "green")
