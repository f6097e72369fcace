"""The page of a sandbox, for people: one HTML document that speaks to the control API and to nothing else.

Style and script stand inside it, and the content security policy names both by their hash: nothing else can run.
What a document or a request holds is shown as text only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


def page_of(vendor: str) -> Callable[[Request], Awaitable[Response]]:
    """The handler that answers with the page."""

    async def page(_: Request) -> Response:
        content, policy = _built()
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return HTMLResponse(content.replace("{vendor}", vendor), headers=headers)

    return page


@cache
def _built() -> tuple[str, str]:
    """The page with its parts in place, and the policy that fits it."""
    style, script = _text("page.css"), _text("page.js")
    content = _text("page.html").replace("{style}", style).replace("{script}", script)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return content, policy


def _text(name: str) -> str:
    return (files("tieline_sandbox.page") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
