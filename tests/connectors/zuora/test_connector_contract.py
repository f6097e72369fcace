"""The contract of all connectors, on Zuora: refusals inside 200, idempotency keys, numbers of our own choosing."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import pytest
from tests.connectors.zuora.tenant import (
    ACME,
    CUSTOMER,
    ORDER,
    Served,
    account,
    amendment,
    cancellation,
    order,
    renewal,
    settings_for,
    usage_batch,
)
from tests.connectors.zuora.tenant import call as tenant_call
from tests.connectors.zuora.test_notices import BODY, PASSWORD, SECRET, USER, headers

from tieline.connectors.sdk.contract import Account, Codes, ConnectorContract, Delivery, Refusal, Standing
from tieline.connectors.zuora import CONNECTOR
from tieline.connectors.zuora.errors import CATEGORIES
from tieline.engine.ports import Applied, Call, Operation
from tieline_sandbox.zuora.errors import Category

BUSY = b'{"code": "REQUEST_EXCEEDED_LIMIT", "message": "Your total number of concurrent requests have exceeded..."}'
LIMITED = b'{"success": false, "processId": "P", "reasons": [{"code": 58560070, "message": "limit"}]}'


def native(number: int) -> str:
    return f"006Aa00000{number:05d}AAA"


class ZuoraAccount(Account):
    """Accounts 1, 2, …, and orders of one more account."""

    connector = CONNECTOR
    wrong_credentials: ClassVar = {"client_secret": "wrong-secret-value"}
    token_path = "/oauth/token"
    missing: ClassVar = dict.fromkeys(CONNECTOR.manifest.reads, "8" * 32)
    throttles = (Refusal(429, BUSY), Refusal(429, b"<html>slow down</html>"), Refusal(200, LIMITED))

    def __init__(self, served: Served) -> None:
        super().__init__(served.url)
        self.served = served
        self._numbers = count(500)

    def settings(self, url: str, timeout_s: float) -> dict[str, Any]:
        callouts = {"callout_user": USER, "callout_password": PASSWORD, "callout_secret": SECRET}
        given = settings_for(url, timeout_s=timeout_s, **callouts)
        return {name: getattr(given, name) for name in given.__struct_fields__}

    def call(self, operation: Operation, number: int, content: int = 0, external_id: str = "") -> Call:
        if operation.kind == "customer":
            wire = account(f"salesforce-001-{number}", name=f"Acme, version {content}")
        elif operation.kind == "usage_batch":
            wire = usage_batch(f"U-{number}", native(number))
        else:
            wires = {"ensure": order, "cancel": cancellation, "amend": amendment, "renew": renewal}
            wire = wires[operation.action](native(number))
        return tenant_call(operation, wire, external_id=external_id, revision=content + 1)

    async def prepare(self, operation: Operation, number: int) -> str:
        if operation.kind != "customer":
            await self._send(CUSTOMER, account(ACME))
        if operation.action != "ensure" or operation.kind == "usage_batch":
            await self._send(ORDER, order(native(number)))
        return ""

    def changes_content(self, operation: Operation) -> bool:
        return operation.kind == "customer"

    def standing(self, operation: Operation, call: Call) -> Standing:
        if operation.kind == "customer":
            accounts = self.served.standing("accounts")
            found = [a for a in accounts if a["accountNumber"] == call.wire["accountNumber"]]
            return Standing(len(found), sum(a["name"] == call.wire["name"] for a in found))
        if operation.kind == "usage_batch":
            usages = [u for u in self.served.standing("usages") if u["fileName"] == call.wire["name"]]
            return Standing(len(usages), sum(u["quantity"] == 100 for u in usages))
        found = [o for o in self.served.standing("orders") if o["orderNumber"] == call.wire["orderNumber"]]
        return Standing(len(found), sum(o["status"] == "Completed" for o in found))

    def codes(self) -> Codes:
        return Codes(frozenset(str(int(c)) for c in Category), frozenset(map(str, CATEGORIES)))

    async def refused(self, operation: Operation) -> Call:
        call = self.call(operation, 77)
        if operation.kind == "customer":
            call.wire["currency"] = "not a currency"
        elif operation.kind == "usage_batch":
            call.wire["rows"][0]["ACCOUNT_ID"] = "nobody"
        else:
            call.wire["existingAccountNumber"] = "nobody"
        return call

    async def record(self, kind: str) -> str:
        if kind == "account":
            number = f"salesforce-001-{next(self._numbers)}"
            await self._send(CUSTOMER, account(number))
            return number
        if kind != "subscription":
            raise KeyError(kind)
        await self._send(CUSTOMER, account(ACME))
        number = native(next(self._numbers))
        await self._send(ORDER, order(number))
        return f"S-{number}"

    async def change(self, stream: str) -> str:
        return await self.record(stream.removesuffix("s"))

    def delivery(self) -> Delivery:
        return Delivery(headers(), BODY)

    def is_write(self, method: str, path: str) -> bool:
        return super().is_write(method, path) and not path.startswith("/v1/action/query")

    async def _send(self, operation: Operation, wire: dict[str, Any]) -> None:
        async with self.connected() as connector:
            (done,) = await connector.send(operation, [tenant_call(operation, wire)])
        assert isinstance(done, Applied), done


@pytest.fixture
def sandbox_account(served: Served) -> ZuoraAccount:
    return ZuoraAccount(served)


class TestContract(ConnectorContract):
    account_type = ZuoraAccount
