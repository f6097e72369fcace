"""Where people look at a record: the workspace of a project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def record_page(url: str, kind: str, external_id: str, response: Mapping[str, Any]) -> str:
    """`https://app.mavenlink.com/workspaces/123`."""
    base = url.rstrip("/").replace("//api.", "//app.", 1)
    return f"{base}/workspaces/{quote(external_id, safe='')}" if kind == "project" else ""
