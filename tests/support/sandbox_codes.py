"""Every code that a sandbox can answer, read from its own source: a code added there must get a row in the table."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType


def codes_in(package: ModuleType, pattern: str) -> frozenset[str]:
    """What the first group of `pattern` finds in the modules of a sandbox."""
    folder = Path(str(package.__file__)).parent
    texts = (path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    return frozenset(code for text in texts for code in re.findall(pattern, text))
