"""A Salesforce org on loopback: OAuth, sObjects, SOQL, collections, composite, Bulk API 2.0, events and limits.

`configure` takes the connected app (`client_id`, `client_secret`, `username`, `jwt_public_key` as PEM,
`session_seconds`), limits (`daily_api_requests`, `long_requests`, `long_request_s`), what an administrator sets up
(`custom_objects`, `validation_rules`, `duplicate_rules`, `unique_external_ids`, `time_zone`), what is sent
(`outbound_messages`, `outbound_retry_s`, `change_data_capture`, `pubsub_keepalive_s`) and `bulk_step_s`, the pace of
bulk jobs. Faults beyond the kernel's: `expire_tokens` (every session ends at the next matching request), `lock_row`
and `validation_rule` (one record write is refused; `path` is matched against `/Opportunity/006…`, `code` is the rule's
message), `long_request` (`seconds`), `bulk_job_fails` (before the next 200 rows), `stream_break` (after a delivery).
Actions: `expire_tokens`; `merge` {object, master, losers} and `undelete` {object, id}; `gap` {object, ids} announces
changes without content; `pubsub` {port} serves the Pub/Sub API (gRPC, needs the extra `pubsub`) and tells its address;
a snapshot or a restore ends it, and it is ordered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tieline_sandbox.kernel.app import json_response
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import controls
from tieline_sandbox.salesforce.auth import Sessions
from tieline_sandbox.salesforce.errors import ORDERED, ApiError
from tieline_sandbox.salesforce.eventbus import EventBus
from tieline_sandbox.salesforce.jobs import Jobs
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.outbound import Outbox
from tieline_sandbox.salesforce.seeding import seed
from tieline_sandbox.salesforce.store import Change
from tieline_sandbox.salesforce.urls import Front
from tieline_sandbox.salesforce.usage import Usage

if TYPE_CHECKING:
    from tieline_sandbox.salesforce.pubsub import PubSub


class Sandbox(Vendor):
    """The `salesforce` vendor."""

    name = "salesforce"
    refusal_marks = (b'"success":false', b'"errorCode":')  # of one record or subrequest among many

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.pubsub: PubSub | None = None
        self._build()

    def reset(self) -> None:
        self.bus.close()
        self._build()

    def _build(self) -> None:
        self.org = Org(self.world, self.faults)
        self.sessions = Sessions()
        self.usage = Usage(self.world)
        self.jobs = Jobs(self.org, self.faults)
        self.outbox = Outbox(self.org, self.webhooks)
        self.bus = EventBus(self.org, self.usage)
        self.org.announce = self._announce
        self._front = Front(self.org, self.sessions, self.usage, self.jobs, self.outbox, self.faults)

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
        names = [self.org.schema[kind].name] if kind else list(self.org.store.tables)
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
            setting = controls.SETTINGS.get(name)
            if setting is None:
                raise KeyError(name)
            setting(self, value)
        return controls.in_force(self)

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        deed = controls.ACTIONS.get(action)
        if deed is None:
            return super().act(action, arguments)
        try:
            return deed(self, arguments)
        except ApiError as error:
            # the control API explains a wrong order; it does not refuse like the vendor
            raise ValueError(str(error)) from error

    def serve_pubsub(self, port: int) -> PubSub:
        """Start the Pub/Sub API, once. Raises ModuleNotFoundError without the extra `pubsub`."""
        if self.pubsub is None:
            from tieline_sandbox.salesforce.pubsub import Live, PubSub

            self.pubsub = PubSub(lambda: Live(self.bus, self.sessions), self.faults)
        self.pubsub.start(port)
        return self.pubsub

    def close(self) -> None:
        if self.pubsub is not None:
            self.pubsub.stop()

    def _announce(self, changes: list[Change]) -> None:
        self.outbox.changed(changes)
        self.bus.changed(changes)


__all__ = ["Sandbox"]
