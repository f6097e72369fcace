"""A NetSuite account on loopback: records, transforms, SuiteQL, metadata, jobs, RESTlets, two ways to log in, and a
small number of slots.

Faults beyond the kernel's: `expired_token` (every token dies before the request), `script_refusal` (a user event script
refuses a write), `record_changed` (an update meets another's), `error_after_save` (the work is done, the answer is
500), and for requests beyond the slots `misleading_login` (401) and `limit_as_400`.
Acts: `close_period` {"through": "2016-12"}, `open_period` {"from": "2016-12"}, `revoke_tokens`.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.vendor import Record, Vendor
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite.auth import Credentials, Gatekeeper
from tieline_sandbox.netsuite.errors import NetSuiteError, ordered
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.handlers import Handlers
from tieline_sandbox.netsuite.jobs import Jobs
from tieline_sandbox.netsuite.model import Account, Settings
from tieline_sandbox.netsuite.restlets import Restlets
from tieline_sandbox.netsuite.slots import Slots
from tieline_sandbox.netsuite.suiteql import Environment
from tieline_sandbox.netsuite.urls import routes

__all__ = ["Sandbox"]


class Sandbox(Vendor):
    """One account with its credentials, records, slots and jobs."""

    name = "netsuite"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.account = Account(world)
        self.gatekeeper = Gatekeeper(world)
        self.jobs = Jobs(world)
        self.slots = Slots(self.faults)
        self.restlets = Restlets(lambda: self.account)
        self._rezone()

    def routes(self) -> list[BaseRoute]:
        return routes(Handlers(self))

    def reset(self) -> None:
        self.account.reset()
        self.gatekeeper.reset()
        self.jobs.reset()
        self.restlets.reset()
        self.slots.refused = self.slots.peak = 0
        self._rezone()

    def seed(self, kind: str, records: list[Record]) -> list[Record]:
        """References may be written as an id, an external id or a name: {"subsidiary": "US01", "currency": "EUR"}."""
        if kind not in SPECS:
            raise KeyError(kind)
        try:
            return self.account.seed(kind, records)
        except NetSuiteError as error:
            raise ValueError(f"{kind}: {error.detail}") from error

    def documents(self, kind: str | None = None) -> dict[str, list[Record]]:
        """Records by type, sublists included, plus `job_queue` (asynchronous jobs), `file`, `deleted` and `slots`."""
        if kind is not None and kind not in SPECS:
            raise KeyError(kind)
        shown = {
            name: [entry.doc for entry in entries.values()]
            for name, entries in self.account.store.kinds.items()
            if kind in (None, name)
        }
        if kind is None:
            shown["job_queue"] = self.jobs.all()
            shown["file"] = list(self.restlets.files.values())
            shown["deleted"] = self.account.store.deleted
            shown["slots"] = [{"refused": self.slots.refused, "peak": self.slots.peak}]
        return shown

    def refuse(self, fault: Fault) -> Response:
        return ordered(fault.status, fault.code, self.gatekeeper.credentials.account).response()

    def configure(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings of the account (model.Settings) and credentials (auth.Credentials), in one flat object."""
        known = msgspec.structs.asdict(self.account.settings)
        credentials = msgspec.structs.asdict(self.gatekeeper.credentials)
        unknown = settings.keys() - known.keys() - credentials.keys()
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        known |= {name: value for name, value in settings.items() if name in known}
        credentials |= {name: value for name, value in settings.items() if name in credentials}
        self.gatekeeper.use(msgspec.convert(credentials, Credentials))
        self.account.settings = msgspec.convert(known, Settings)
        self._rezone()
        return known | {"account": credentials["account"], "client_id": credentials["client_id"]}

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        calendar = self.account.calendar
        if action == "close_period":
            return {"closed": self.account.close_periods(calendar.through(arguments["through"]), closed=True)}
        if action == "open_period":
            return {"opened": self.account.close_periods(calendar.since(arguments["from"]), closed=False)}
        if action == "revoke_tokens":
            return {"revoked": self.gatekeeper.revoke_tokens()}
        raise KeyError(action)

    def _rezone(self) -> None:
        zone = ZoneInfo(self.account.settings.time_zone)
        self.environment = Environment(self.account.store, self.account.applications, zone)
