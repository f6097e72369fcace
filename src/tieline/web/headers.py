"""The headers of every answer, also of errors, redirects and styles.

The Content-Security-Policy allows nothing but our own files: scripts and styles are never inline.
"""

from __future__ import annotations

from litestar.datastructures import MutableScopeHeaders
from litestar.types import BeforeMessageSendHookHandler, Message, Scope

from tieline.app.settings import HubSettings

EVERYWHERE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


def secure_headers(hub: HubSettings) -> BeforeMessageSendHookHandler:
    """What adds them to an answer that does not say otherwise itself."""
    added = {**EVERYWHERE, **(HTTPS if hub.secure else {})}

    async def add(message: Message, scope: Scope) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            for name, value in added.items():
                headers.setdefault(name, value)

    return add
