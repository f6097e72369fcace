"""The contract of all connectors, on Salesforce: the status of deals is written, deals are swept and announced."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.connectors.salesforce.org import TOKEN, Served, deal_of, seed_deals, seed_one, status_call
from tests.connectors.salesforce.test_notices import envelope, notification
from tests.support.sandbox_codes import codes_in

import tieline_sandbox.salesforce
from tieline.connectors.salesforce import CONNECTOR
from tieline.connectors.salesforce.errors import CODES
from tieline.connectors.sdk.contract import Account, Codes, ConnectorContract, Delivery, Refusal, Standing
from tieline.engine.ports import Call, Operation
from tieline_sandbox.salesforce import Sandbox
from tieline_sandbox.salesforce.errors import ORDERED

LIMIT = b'[{"message": "ConcurrentRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]'


def deal(number: int) -> str:
    return f"006{number:012d}AAA"


PREFIXES = {
    "opportunity": "006", "account": "001", "contact": "003", "product": "01t", "price": "01u", "quote": "0Q0",
    "contract": "800", "order": "801",
}  # fmt: skip


class SalesforceAccount(Account):
    """Deals 1, 2, …; another content is another status."""

    connector = CONNECTOR
    wrong_credentials: ClassVar = {"client_secret": "wrong-secret-value"}
    token_path = "/services/oauth2/token"
    missing: ClassVar = {kind: f"{prefix}000000000999AAA" for kind, prefix in PREFIXES.items()}
    throttles = (Refusal(403, LIMIT), Refusal(400, LIMIT), Refusal(429, b""), Refusal(420, b""))

    def __init__(self, served: Served) -> None:
        super().__init__(served.url)
        self.sandbox: Sandbox = served.org

    def settings(self, url: str, timeout_s: float) -> dict[str, Any]:
        given = {"client_id": "tieline", "client_secret": "sandbox-secret", "outbound_message_token": TOKEN}
        return {**given, "url": url, "timeout_s": timeout_s}

    def call(self, operation: Operation, number: int, content: int = 0, external_id: str = "") -> Call:
        return status_call(deal(number), external_id=external_id, Tieline_Detail__c=f"version {content}")

    async def prepare(self, operation: Operation, number: int) -> str:
        seed_deals(self.sandbox, 1, Id=deal(number))
        return ""

    def standing(self, operation: Operation, call: Call) -> Standing:
        found = deal_of(self.sandbox, call.wire["Id"])
        as_sent = int(all(found.get(name) == value for name, value in call.wire.items()))
        return Standing(as_sent, as_sent)

    def codes(self) -> Codes:
        raised = codes_in(tieline_sandbox.salesforce, r'(?:ApiError|in_query)\(\s*(?:\d+,\s*)?"([A-Z_]+)"')
        return Codes(raised | {code for code, _ in ORDERED.values()}, frozenset(CODES))

    async def refused(self, operation: Operation) -> Call:
        await self.prepare(operation, 77)
        return status_call(deal(77), Subscription__c="S" * 81)

    async def record(self, kind: str) -> str:
        return seed_one(self.sandbox, kind)

    async def change(self, stream: str) -> str:
        if stream != "won_opportunities":
            raise KeyError(stream)
        return seed_deals(self.sandbox, 1)[0]

    def delivery(self) -> Delivery:
        return Delivery({}, envelope(notification(1)), {"token": TOKEN})


@pytest.fixture
def sandbox_account(served: Served) -> SalesforceAccount:
    return SalesforceAccount(served)


class TestContract(ConnectorContract):
    account_type = SalesforceAccount
