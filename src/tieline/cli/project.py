"""Commands about a project's folder: init, check, test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tieline.app.project import load_project
from tieline.app.settings import find_project, load_settings
from tieline.app.template import DEFAULT, make_project
from tieline.cli.output import AsJson, Environment, ProjectFolder, err, out, print_json
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
    root = find_project(folder or Path.cwd())
    try:
        project = load_project(load_settings(root, environment, secrets=False))
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
    if as_json:
        print_json({"ok": True, **counts})
        return
    out.print("ok: " + ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items()))


def run_examples(folder: ProjectFolder = None, environment: Environment = "", as_json: AsJson = False) -> None:
    """Run the examples inside the mapping tables."""
    project = load_project(load_settings(find_project(folder or Path.cwd()), environment, secrets=False))
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
