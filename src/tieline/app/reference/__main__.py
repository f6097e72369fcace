"""`python -m tieline.app.reference`: write the generated pages, or with --check tell which are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tieline.app.reference import pages, stale

FOLDER = Path("docs") / "reference"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 when --check finds a stale page."""
    parser = argparse.ArgumentParser("tieline.app.reference", description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; name the pages that are stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are (docs/reference)")
    options = parser.parse_args(arguments)
    return _check(options.folder) if options.check else _write(options.folder)


def _write(folder: Path) -> int:
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


def _check(folder: Path) -> int:
    wrong = stale(folder)
    for name in wrong:
        sys.stderr.write(f"{folder / name} is stale; run `python -m tieline.app.reference`\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
