"""A Kantata OX account (formerly Mavenlink) on loopback: projects, participants, tasks, time entries, external
references, bearer tokens.

The token `sandbox-token` is good from the start. `configure` takes `client_id`, `client_secret`, `access_token`,
`requests_per_minute` and `workspace_requests_per_minute`. Fault beyond the kernel's: `expire_tokens` (every token is
revoked at the next matching request).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tieline_sandbox.kantata.errors import ORDERED, ApiError
from tieline_sandbox.kantata.handlers import Api, Rates, Tokens
from tieline_sandbox.kantata.model import Account
from tieline_sandbox.kernel.app import json_response
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import World


class Sandbox(Vendor):
    """The `kantata` vendor."""

    name = "kantata"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.reset()

    def reset(self) -> None:
        self.account, self.tokens, self.rates = Account(self.world), Tokens(), Rates()
        self._api = Api(self.account, self.tokens, self.rates, self.faults)

    def routes(self) -> list[BaseRoute]:
        # a reset makes a new API, so it is looked up at each request
        async def resource(request: Request) -> Response:
            return await self._api.resource(request)

        async def token(request: Request) -> Response:
            return await self._api.token(request)

        return [
            Route("/api/v1/{rest:path}", resource, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/oauth/token", token, methods=["POST"]),
        ]

    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        """Kinds: `workspaces` (with `external_reference` if wanted), `stories`, `external_references`, `users`,
        `participations`, `time_entries` (with `invoice_id` for time that was invoiced).
        """
        account = self.account
        ways: dict[str, Callable[[Record], Record]] = {
            "workspaces": account.seed_workspace,
            "stories": account.create_story,
            "external_references": account.refer,
            "users": account.seed_user,
            "participations": account.participate,
            "time_entries": lambda given: account.enter_time(given, invoice_id=given.get("invoice_id")),
        }
        try:
            return [ways[kind](given) for given in records]
        except ApiError as error:
            raise ValueError(f"{kind}: {error}") from error

    def documents(self, kind: str | None = None) -> dict[str, list[Record]]:
        tables = self.account.tables
        return {name: list(tables[name].values()) for name in ([kind] if kind else tables)}

    def refuse(self, fault: Fault) -> Response:
        kind = "oauth" if fault.status == 401 else "system"
        message = fault.code or ORDERED.get(fault.status, "An unexpected error occurred")
        return json_response({"errors": [{"type": kind, "message": message}]}, fault.status)

    def configure(self, settings: dict[str, Any]) -> dict[str, Any]:
        for name, value in settings.items():
            if name in ("client_id", "client_secret"):
                setattr(self.tokens, name, str(value))
            elif name == "access_token":
                self.tokens.good = {str(value)}
            elif name == "requests_per_minute":
                self.rates.per_minute = int(value)
            elif name == "workspace_requests_per_minute":
                self.rates.workspaces_per_minute = int(value)
            else:
                raise KeyError(name)
        return {
            "client_id": self.tokens.client_id,
            "requests_per_minute": self.rates.per_minute,
            "workspace_requests_per_minute": self.rates.workspaces_per_minute,
        }

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        if action == "expire_tokens":
            revoked = len(self.tokens.good)
            self.tokens.good.clear()
            return {"revoked": revoked}
        return super().act(action, arguments)


__all__ = ["Sandbox"]
