"""Make a project's folder from a shipped template."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tieline.app.settings import FILE_NAME
from tieline.errors import ConfigurationError

TEMPLATES = Path(__file__).parent / "templates"
DEFAULT = "quote_to_cash"


def make_project(
    folder: Path,
    template: str = DEFAULT,
    *,
    urls: Mapping[str, str] | None = None,
    poll_s: float | None = None,
    port: int | None = None,
    demo: bool = False,
) -> list[Path]:
    """Copy a template into `folder`; returns the files made. `urls` names other addresses for its connections.

    `demo` makes a project whose pages say that nothing is real, and let everybody on this machine in.

    Raises ConfigurationError for an unknown template, a folder that holds a project already or cannot be written.
    """
    source = TEMPLATES / template
    if not source.is_dir():
        known = ", ".join(sorted(p.name for p in TEMPLATES.iterdir() if p.is_dir()))
        raise ConfigurationError(f"there is no template {template!r}; known: {known}")
    if (folder / FILE_NAME).exists():
        raise ConfigurationError(f"{folder} holds a project already ({FILE_NAME}); choose another folder")
    try:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, shutil.Error) as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error}; check the folder's owner and permissions"
        ) from error
    _adapt(folder / FILE_NAME, urls or {}, poll_s, port, demo)
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _adapt(path: Path, urls: Mapping[str, str], poll_s: float | None, port: int | None, demo: bool) -> None:
    text = path.read_text(encoding="utf-8")
    for name, url in urls.items():
        text = re.sub(rf'(\[connections\.{name}\][^\[]*?\nurl = )"[^"]*"', rf'\g<1>"{url}"', text)
    if poll_s is not None:
        text = re.sub(r"(?m)^poll_s = \S+", f"poll_s = {poll_s}", text)
    if port is not None:
        text = re.sub(r"(?m)^port = \d+", f"port = {port}", text)
    if demo:
        text = text.replace("[hub]\n", "[hub]\ndemo = true\n")
    path.write_text(text, encoding="utf-8")
