"""A Salesforce org on loopback: OAuth, sObjects, SOQL, collections, composite, limits and Outbound Messages.

`configure` takes `client_id`, `client_secret`, `username`, `jwt_public_key` (PEM), `session_seconds`,
`daily_api_requests`, `unique_external_ids`, `outbound_messages` and `outbound_retry_s`.
Faults beyond the kernel's: `expire_tokens` (every session ends at the next matching request), `lock_row` and
`validation_rule` (one record write is refused; `path` is matched against `/Opportunity/006…`, `code` is the rule's
message). Actions: `expire_tokens`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tieline_sandbox.kernel.app import json_response
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce.auth import Sessions
from tieline_sandbox.salesforce.errors import ORDERED
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.outbound import OutboundMessage, Outbox
from tieline_sandbox.salesforce.schema import SOBJECTS
from tieline_sandbox.salesforce.seeding import seed
from tieline_sandbox.salesforce.urls import Front
from tieline_sandbox.salesforce.usage import Usage


class Sandbox(Vendor):
    """The `salesforce` vendor."""

    name = "salesforce"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.reset()

    def reset(self) -> None:
        self.org = Org(self.world, self.faults)
        self.sessions = Sessions()
        self.usage = Usage(self.world)
        self.outbox = Outbox(self.org, self.webhooks)
        self.org.announce = self.outbox.changed
        self._front = Front(self.org, self.sessions, self.usage, self.outbox, self.faults)

    def routes(self) -> list[BaseRoute]:
        # a reset makes a new front, so it is looked up at each request
        async def data(request: Request) -> Response:
            return await self._front.data(request)

        async def versions(request: Request) -> Response:
            return await self._front.versions(request)

        async def token(request: Request) -> Response:
            return await self._front.token(request)

        return [
            Route("/services/data/{rest:path}", data, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
            Route("/services/data", versions),
            Route("/services/oauth2/token", token, methods=["POST"]),
        ]

    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        return seed(self.org, kind, records)

    def documents(self, kind: str | None = None) -> dict[str, list[Record]]:
        """Records that are not deleted, by object."""
        names = [SOBJECTS[kind.lower()].name] if kind else list(self.org.store.tables)
        tables = self.org.store.tables
        return {name: [r for r in tables[name].records.values() if not r["IsDeleted"]] for name in names}

    def refuse(self, fault: Fault) -> Response:
        code, message = ORDERED.get(fault.status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred"))
        # Salesforce has no 429: too many calls at once are refused with 403
        status = 403 if fault.status == 429 else fault.status
        body = [{"message": message, "errorCode": fault.code or code}]
        return json_response(body, status, {"Sforce-Limit-Info": self.usage.header()})

    def configure(self, settings: dict[str, Any]) -> dict[str, Any]:
        for name, value in settings.items():
            self._set(name, value)
        return {
            "client_id": self.sessions.client_id,
            "username": self.sessions.username,
            "session_seconds": self.sessions.seconds,
            "daily_api_requests": self.usage.allowed,
            "unique_external_ids": self.org.unique_external_ids,
            "outbound_messages": [msgspec.to_builtins(m) for m in self.outbox.messages],
        }

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        if action == "expire_tokens":
            return {"expired": self.sessions.expire_all()}
        return super().act(action, arguments)

    def _set(self, name: str, value: Any) -> None:
        if name in ("client_id", "client_secret", "username"):
            setattr(self.sessions, name, str(value))
        elif name == "jwt_public_key":
            self.sessions.public_key = value
        elif name == "session_seconds":
            self.sessions.seconds = float(value)
        elif name == "daily_api_requests":
            self.usage.allowed = int(value)
        elif name == "unique_external_ids":
            self.org.unique_external_ids = bool(value)
        elif name == "outbound_retry_s":
            self.outbox.retry_after_s = tuple(float(seconds) for seconds in value)
        elif name == "outbound_messages":
            messages = msgspec.convert(value, list[OutboundMessage])
            for message in messages:
                message.check()
            self.outbox.messages = messages
        else:
            raise KeyError(name)


__all__ = ["Sandbox"]
