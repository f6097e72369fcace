"""A mail server and a webhook receiver on loopback that keep what they are sent, and fail on order."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from tieline_sandbox.kernel.tls import issue


class AnyPort(Controller):
    """A controller of a port that the system chose; its own knocks at the port that was asked for."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class MailServer:
    """SMTP that wants a password after STARTTLS, none without. `refuse` holds what it answers to the next mails."""

    def __init__(self, folder: Path, security: Literal["starttls", "tls", "none"] = "starttls") -> None:
        self.mails: list[EmailMessage] = []
        self.refuse: list[str] = []
        self.ca = folder / "ca.pem"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(issue(folder))
        wants: dict[str, dict[str, Any]] = {
            "tls": {"ssl_context": context},
            "none": {},
            "starttls": {
                "tls_context": context,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": self._authenticate,
            },
        }
        self._controller = AnyPort(self, hostname="127.0.0.1", port=0, **wants[security])

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _way: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given == LoginPassword(b"tieline", b"s3cret"), handled=False)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse.pop(0)
        self.mails.append(message_from_bytes(envelope.original_content, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK queued as 4711"


class Hook(list[tuple[dict[str, str], bytes]]):
    """What was posted: headers by lower-case name, and body. `answers` holds (status, headers) of the next ones."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[int, dict[str, str]]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        return web.Response(status=status, headers=headers, text="ok" if status == 200 else "no_service")


@asynccontextmanager
async def webhook() -> AsyncIterator[Hook]:
    """A receiver of webhooks."""
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{path:.*}", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hook
    finally:
        await runner.cleanup()
