"""Commands about a project's folder: init, check, test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app.alerts.use import unheard
from tieline.app.project import Project
from tieline.app.template import DEFAULT, make_project
from tieline.app.versions import left_behind
from tieline.cli.opening import open_project
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json, run
from tieline.engine.records import InFlight
from tieline.errors import ConfigurationError
from tieline.mapping import ExampleResult, ProblemsFound


def register(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(check)
    app.command("test")(run_examples)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project shall be.")],
    template: Annotated[str, typer.Option(help="The template to start from.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a project's folder: settings, value maps, policies, ready for your git."""
    made = make_project(folder, template)
    if as_json:
        print_json({"folder": str(folder), "files": [str(p.relative_to(folder)) for p in made]})
        return
    out.print(f"made {len(made)} files in {folder}")
    out.print("next: put your addresses into tieline.toml and the secrets it names into the environment,")
    out.print(f"then: tieline check --project {folder}")


def check(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """Check settings, mapping tables, value maps, policies and processes without calling any system."""
    try:
        project = open_project(folder, environment)
    except ProblemsFound as found:
        if as_json:
            print_json({"ok": False, "problems": [str(p) for p in found.problems]})
        for problem in found.problems:
            err.print(f"[red]{escape(str(problem))}[/]", soft_wrap=True)
        err.print(f"{len(found.problems)} problems")
        raise typer.Exit(2) from None
    counts = {
        "tables": len(project.mappings.names),
        "value_maps": len(project.mappings.value_maps),
        "validation_rules": len(project.validation.rules),
        "approval_rules": len(project.approvals.rules),
        "processes": len(project.processes),
        "connections": len(project.settings.connections),
    }
    behind, notes = _behind(project)
    notes += unheard(project)
    if as_json:
        print_json({"ok": True, **counts, "on_earlier_versions": behind, "notes": notes})
        return
    for note in notes:
        err.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    out.print("ok: " + ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items()))


def _behind(project: Project) -> tuple[list[InFlight], list[str]]:
    """Runs that will not go on with the code as it is, and a sentence about each; a database may be unreadable."""
    try:
        behind = run(left_behind(project))
    except ConfigurationError as unreadable:
        return [], [f"nothing is known about runs in flight: {unreadable}"]
    return behind, [_finishing(version, project) for version in behind]


def _finishing(version: InFlight, project: Project) -> str:
    """What becomes of runs in flight that began with other code than the project has now."""
    number = "1 run" if version.runs == 1 else f"{version.runs} runs"
    since = f"since {version.oldest_at:%d %b %Y}"
    if version.process not in project.processes:
        return f"{number} of {version.process} in flight ({since}), which the project has no more, will finish on it"
    return (
        f"{version.process} has changed: {number} in flight ({since}) will finish on version {version.version}; "
        f"`tieline runs move --process {version.process}` shows which could go on with the new one"
    )


def run_examples(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """Run the examples inside the mapping tables."""
    project = open_project(folder, environment)
    results = project.mappings.run_examples()
    failed = [r for r in results if not r.ok]
    if as_json:
        print_json(
            {"passed": len(results) - len(failed), "failed": len(failed), "examples": [_row(r) for r in results]}
        )
    else:
        for result in failed:
            err.print(str(result), soft_wrap=True, markup=False)
        out.print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def _row(result: ExampleResult) -> dict[str, object]:
    return {"mapping": result.mapping, "name": result.name, "passed": result.ok, "result": str(result)}
