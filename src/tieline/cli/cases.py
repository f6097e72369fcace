"""Commands about cases: list, show, and each decision."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from tieline.app import cases as use
from tieline.app.project import Project
from tieline.app.settings import Settings
from tieline.app.wiring import make_resources, replay_corrections
from tieline.cli.cases_text import print_case, print_each, print_groups
from tieline.cli.opening import By, acting, open_project, open_settings, stored
from tieline.cli.output import AsJson, Environment, ProjectFolder, out, print_json, run
from tieline.engine.records import CaseFilter, CaseRow, CaseState
from tieline.processes.resources import Resources
from tieline.storage.sqlite import SqliteStore

CaseId = Annotated[str | None, typer.Argument(help="The case, as `tieline cases` shows it.")]
Cause = Annotated[str | None, typer.Option(help="All open cases of this cause instead of one case.")]
OfClass = Annotated[str | None, typer.Option("--class", help="All open cases of this class instead of one case.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")]

MOST_LISTED = 1_000

cases = typer.Typer(help="What waits for a person: list, show, decide.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(cases, name="cases")


@cases.callback()
def default(
    context: typer.Context, folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False
) -> None:
    """What waits for a person: list, show, decide. Without a command: the open cases by cause."""
    if context.invoked_subcommand is None:
        list_cases(folder=folder, environment=environment, as_json=as_json)


@cases.command("list")
def list_cases(
    folder: ProjectFolder = None,
    environment: Environment = "",
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
        async with stored(open_settings(folder, environment)) as store:
            return await use.groups(store, wanted, now, MOST_LISTED)

    async def one_by_one() -> use.CasePage:
        async with stored(open_settings(folder, environment)) as store:
            return await use.page(store, wanted, limit=MOST_LISTED)

    if each or state is CaseState.CLOSED:  # what is closed is history: newest first
        page = run(one_by_one())
        if as_json:
            print_json(page.cases)
        else:
            print_each(page)
        return
    found = run(by_cause())
    if as_json:
        print_json([{**msgspec.to_builtins(group.of), "example": group.example} for group in found])
    else:
        print_groups(found, state)


@cases.command()
def show(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """One case: what happened, the document, the candidates, and what may be done."""

    async def work() -> CaseRow:
        async with stored(open_settings(folder, environment)) as store:
            return await use.get_case(store, case_id)

    case = run(work())
    if as_json:
        print_json(case)
        return
    print_case(case)


def _decision_command(action: str, help_text: str) -> None:
    @cases.command(action, help=help_text)
    def command(
        case_id: CaseId = None,
        cause: Cause = None,
        case_class: OfClass = None,
        reason: Reason = "",
        by: By = "",
        folder: ProjectFolder = None,
        environment: Environment = "",
        as_json: AsJson = False,
    ) -> None:
        _decide(open_settings(folder, environment), (case_id, cause, case_class), action, by, reason, {}, as_json)


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
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """It stands there already under this id: use that record."""
    _decide(
        open_settings(folder, environment),
        (case_id, None, None),
        "link",
        by,
        reason,
        {"external_id": external_id},
        as_json,
    )


@cases.command("send-again")
def send_again(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """You looked in the system, and the document does not stand there: send it again."""
    _decide(open_settings(folder, environment), (case_id, None, None), "send-again", by, reason, {}, as_json)


@cases.command("comment")
def comment_on(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    text: Annotated[str, typer.Argument(help="What you want to say.")],
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
) -> None:
    """Say something about a case; it stays in its history and in the trace of the deal."""

    async def work() -> None:
        async with stored(open_settings(folder, environment), write=True) as store:
            await use.comment(store, await use.get_case(store, case_id), text, by=acting(by))

    run(work())
    out.print(f"{case_id.upper()}: comment recorded")


@cases.command("assign")
def assign_to(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    owner: Annotated[str, typer.Argument(help="Who shall decide it: a person or a team.")],
    reason: Reason = "",
    by: By = "",
    folder: ProjectFolder = None,
    environment: Environment = "",
) -> None:
    """Give a case to somebody; its deadline stays as it is."""

    async def work() -> None:
        async with stored(open_settings(folder, environment), write=True) as store:
            await use.assign(store, await use.get_case(store, case_id), owner, by=acting(by), reason=reason)

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
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Correct the document of a case, or (--map) a value map, which releases every case of the cause."""
    if value_map is None:
        _decide(
            open_settings(folder, environment),
            (case_id, cause, case_class),
            "correct",
            by,
            reason,
            _pairs(field or []),
            as_json,
        )
        return
    if key is None or (as_like is None) == (not column):
        raise typer.BadParameter("--map needs --key and either --like or --column")
    if case_class is not None:
        raise typer.BadParameter("--map releases the cases of one cause: name a case or --cause, not --class")

    async def work() -> list[str]:
        async with stored(open_settings(folder, environment), write=True) as store:
            about = [(await use.chosen(store, case_id, cause))[0].cause] if case_id or cause else []
            table = (await _resources(open_project(folder, environment), store)).value_map(value_map)
            row = use.like(table, as_like) if as_like else _pairs(column or [])
            return await use.correct_value_map(store, table, key, row, by=acting(by), reason=reason, causes=about)

    released = run(work())
    if as_json:
        print_json({"value_map": value_map, "key": key, "released": released})
        return
    out.print(f"{value_map}: {key} recorded; {len(released)} cases released")
    out.print(
        "`tieline rules export` writes it into the project's files, so that the next release has it", soft_wrap=True
    )


def _decide(
    settings: Settings,
    which: tuple[str | None, str | None, str | None],
    action: str,
    by: str,
    reason: str,
    arguments: dict[str, Any],
    as_json: bool,
) -> None:
    async def work() -> list[str]:
        async with stored(settings, write=True) as store:
            found = await use.chosen(store, *which)
            return await use.decide(store, found, action, by=acting(by), reason=reason, arguments=arguments)

    decided = run(work())
    if as_json:
        print_json({"action": action, "decided": decided})
        return
    what = decided[0] if len(decided) == 1 else f"{len(decided)} cases"
    out.print(f"{what}: {action} recorded; the hub carries it out")


async def _resources(project: Project, store: SqliteStore) -> Resources:
    resources = make_resources(project, {})
    await replay_corrections(store, resources)
    return resources


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(pairs) or any("=" not in text for text in texts):
        raise typer.BadParameter("write NAME=VALUE")
    return pairs
