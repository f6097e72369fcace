"""The generated pages of docs/reference: written from the code that runs, so that they cannot be out of date.

`python -m tieline.app.reference` writes them, `--check` names those that are stale. Same code, same text: nothing in
them depends on the day, the machine or the order in which modules were loaded.
"""

from __future__ import annotations

from pathlib import Path

from tieline.app.reference.api import api, document
from tieline.app.reference.contracts import entities, errors, events, schemas
from tieline.app.reference.edges import commands, connectors, control_calls, sandbox_control, settings
from tieline.app.reference.metrics import metrics
from tieline.app.reference.rules import cases, classes_in_code, mappings, policies

__all__ = ["classes_in_code", "control_calls", "pages", "stale"]


def pages() -> dict[str, str]:
    """Path below docs/reference → content, of every generated page and schema."""
    return {
        "commands.md": commands(),
        "settings.md": settings(),
        "events.md": events(),
        "entities.md": entities(),
        "errors.md": errors(),
        "connectors.md": connectors(),
        "mappings.md": mappings(),
        "policies.md": policies(),
        "cases.md": cases(),
        "sandbox-control.md": sandbox_control(),
        "api.md": api(),
        "metrics.md": metrics(),
        "openapi.json": document(),
        **{f"schemas/{name}": text for name, text in schemas().items()},
    }


def stale(folder: Path) -> list[str]:
    """The generated pages in `folder` that are missing or differ from what the code says now, and schemas left over."""
    made = pages()
    wrong = [name for name, text in made.items() if _read(folder / name) != text]
    left = [p for p in folder.glob("schemas/*.json") if f"schemas/{p.name}" not in made]
    return [*wrong, *(f"schemas/{p.name} (left over)" for p in left)]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
