"""What the shipped tables need beyond the formula language. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def native_id(canonical_id: str) -> str:
    """`salesforce-006Aa000001XyZ1AAK` → `006Aa000001XyZ1AAK`: the id people find in the system of record."""
    return canonical_id.rpartition("-")[2]


FUNCTIONS: dict[str, Callable[..., Any]] = {"native_id": native_id}
