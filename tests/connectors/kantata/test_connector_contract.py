"""The contract of all connectors, on Kantata OX: nothing is kept unique, so every doubt is looked up first."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.connectors.kantata.account import Served, project_call, projects, wire_for
from tests.support.sandbox_codes import codes_in

import tieline_sandbox.kantata
from tieline.connectors.kantata import CONNECTOR
from tieline.connectors.kantata.errors import STATUSES
from tieline.connectors.sdk.contract import Account, Codes, ConnectorContract, Refusal, Standing
from tieline.engine.ports import Call, Operation
from tieline_sandbox.kantata import Sandbox
from tieline_sandbox.kantata.errors import ORDERED

TIME = {"date_performed": "2026-03-02", "time_in_minutes": 90, "rate_in_cents": 12_000}
REFERENCE = "service_model_ref"


class KantataAccount(Account):
    """Projects of deals 1, 2, …; another content is another title."""

    connector = CONNECTOR
    wrong_credentials: ClassVar = {"token": "revoked-token-value"}
    missing: ClassVar = {"project": "999999", "time_entry": "999999"}
    throttles = (Refusal(429, b'{"errors": [{"type": "system", "message": "Too many requests"}]}'),)

    def __init__(self, served: Served) -> None:
        super().__init__(served.url)
        self.sandbox: Sandbox = served.account

    def settings(self, url: str, timeout_s: float) -> dict[str, Any]:
        return {"url": url, "token": "sandbox-token", "timeout_s": timeout_s, "streams": ("time_entry",)}

    def call(self, operation: Operation, number: int, content: int = 0, external_id: str = "") -> Call:
        return project_call(f"salesforce-006-{number}", external_id=external_id, title=f"Project, version {content}")

    def standing(self, operation: Operation, call: Call) -> Standing:
        references = self.sandbox.documents("external_references")["external_references"]
        ours = {str(r["subject_id"]) for r in references if r[REFERENCE] == call.key.canonical_id}
        found = [project for project in projects(self.sandbox) if str(project["id"]) in ours]
        return Standing(len(found), sum(project["title"] == call.wire["title"] for project in found))

    def codes(self) -> Codes:
        raised = codes_in(tieline_sandbox.kantata, r"(?:system|ApiError)\((\d{3})")
        return Codes(raised | {str(status) for status in ORDERED}, frozenset(map(str, STATUSES)))

    async def refused(self, operation: Operation) -> Call:
        return project_call("salesforce-006-bad", title="")

    async def record(self, kind: str) -> str:
        if kind == "time_entry":
            return await self.change(kind)
        (project,) = self.sandbox.seed("workspaces", [wire_for("salesforce-006-standing")])
        return str(project["id"])

    async def change(self, stream: str) -> str:
        (entry,) = self.sandbox.seed("time_entries", [TIME | {"workspace_id": self._project()}])
        return str(entry["id"])

    def _project(self) -> int:
        (project,) = self.sandbox.seed("workspaces", [wire_for("salesforce-006-worked-on")])
        return int(project["id"])


@pytest.fixture
def sandbox_account(served: Served) -> KantataAccount:
    return KantataAccount(served)


class TestContract(ConnectorContract):
    account_type = KantataAccount
