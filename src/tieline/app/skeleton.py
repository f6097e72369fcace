"""Make the folder of a new connector: an installable package with its sandbox and the contract as its tests.

Whatever is not filled in yet fails its tests with a sentence that says where.
"""

from __future__ import annotations

import re
from pathlib import Path

from tieline.app.project import installed_connectors
from tieline.errors import ConfigurationError

SKELETON = Path(__file__).parent / "skeletons" / "connector"
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def make_connector(name: str, parent: Path) -> list[Path]:
    """Write `tieline-NAME` into a folder; returns the files made.

    Raises ConfigurationError for a name that cannot be a package, is taken, or whose folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name a connector: use small letters, digits and '_', like 'acme_erp'"
        )
    if name in installed_connectors():
        raise ConfigurationError(f"there is a connector {name!r} already; choose another name")
    folder = parent / f"tieline-{name.replace('_', '-')}"
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already; choose another folder with --folder")
    try:
        return [_write(source, folder, name) for source in sorted(SKELETON.rglob(f"*{SUFFIX}"))]
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error}; check its owner and permissions") from error


def _write(source: Path, folder: Path, name: str) -> Path:
    relative = source.relative_to(SKELETON).as_posix().removesuffix(SUFFIX)
    relative = ".gitignore" if relative == "gitignore" else relative.replace("acme", name)
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_named(source.read_text(encoding="utf-8"), name), encoding="utf-8")
    return path


def _named(text: str, name: str) -> str:
    title = "".join(part.capitalize() for part in name.split("_"))
    text = text.replace("tieline-acme", f"tieline-{name.replace('_', '-')}").replace("api.acme.example", "api.example")
    return text.replace("acme", name).replace("Acme", title)
