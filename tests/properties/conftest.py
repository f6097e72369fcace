"""What the machines need of Python."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_collection_while_hypothesis_reads_source() -> Iterator[None]:
    """CPython before 3.11.9 can raise SystemError when a collection comes in the middle of `ast.parse` (gh-106905)."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
