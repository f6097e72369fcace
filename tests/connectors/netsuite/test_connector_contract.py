"""The contract of all connectors, on NetSuite: documents are upserted under our id, throttles come in disguise."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import pytest
from tests.connectors.netsuite.conftest import (
    CONTACT,
    CREDIT_NOTE,
    CUSTOMER,
    DEPOSIT,
    INVOICE,
    JOURNAL,
    ORDER,
    PAYMENT,
    PROJECT,
    money,
)
from tests.support.sandbox_codes import codes_in

import tieline_sandbox.netsuite
from tieline.connectors.netsuite import CONNECTOR
from tieline.connectors.netsuite.errors import CODES
from tieline.connectors.netsuite.records import RECORDS
from tieline.connectors.sdk.contract import Account, Codes, ConnectorContract, Refusal, Standing
from tieline.engine.ports import Applied, Call, Operation, Wire
from tieline.engine.records import EffectKey
from tieline.mapping import MappingSet
from tieline_sandbox.netsuite import Sandbox

DOCUMENTS: dict[str, Wire] = {
    "customer": CUSTOMER,
    "order": ORDER,
    "invoice": INVOICE,
    "credit_note": CREDIT_NOTE,
    "payment": PAYMENT,
    "deposit": DEPOSIT,
    "journal_entry": JOURNAL,
    "contact": CONTACT,
    "project": PROJECT,
}

VARIED = {"contact": "phone", "project": "description"}
"""Where the content of a document shows."""


def refusal(status: int, code: str, detail: str) -> Refusal:
    body = f'{{"status": {status}, "o:errorDetails": [{{"detail": "{detail}", "o:errorCode": "{code}"}}]}}'
    return Refusal(status, body.encode())


class NetSuiteAccount(Account):
    """One customer; orders, invoices, credit notes and payments 1, 2, … of it, and customers by the same number."""

    connector = CONNECTOR
    wrong_credentials: ClassVar = {"token_secret": "wrong-secret-value"}
    missing: ClassVar = {name: "999999" for kind in RECORDS for name in (kind, f"{kind}.header")}
    throttles = (
        refusal(429, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked."),
        refusal(400, "SSS_REQUEST_LIMIT_EXCEEDED", "Request limit exceeded."),
        refusal(401, "INVALID_LOGIN", "Invalid login attempt. For more details, see the Login Audit Trail."),
    )

    def __init__(self, sandbox: Sandbox, url: str, mappings: MappingSet) -> None:
        super().__init__(url)
        self.sandbox, self._mappings = sandbox, mappings
        self._refs: dict[tuple[str, str], str] = {}
        self._numbers = count(500)

    def settings(self, url: str, timeout_s: float) -> dict[str, Any]:
        keys = {"consumer_key": "ck", "consumer_secret": "cs", "token_id": "tk", "token_secret": "ts"}
        return {**keys, "url": url, "account": "TIELINE_SB1", "subsidiary": "Northwind GmbH", "timeout_s": timeout_s}

    def call(self, operation: Operation, number: int, content: int = 0, external_id: str = "") -> Call:
        document = self._document(operation.kind, number, content)
        wire = self._mappings.mapping(operation.mapping).run(document, refs=self._refs)
        key = EffectKey("netsuite", operation.kind, document["id"], operation.action)
        return Call(key=key, revision=content + 1, wire=wire, external_id=external_id)

    async def prepare(self, operation: Operation, number: int) -> str:
        if operation.kind != "customer":
            await self._post("customer", 0)
        if operation.kind in ("credit_note", "payment"):
            await self._post("invoice", number)
        return await self._post("order", number) if operation.action == "withdraw" else ""

    def changes_content(self, operation: Operation) -> bool:
        return operation.action == "ensure"

    def standing(self, operation: Operation, call: Call) -> Standing:
        record = RECORDS[operation.kind].name
        found = [r for r in self.sandbox.documents(record)[record] if r.get("externalId") == call.key.canonical_id]
        if operation.action == "withdraw":
            return Standing(int(not found), int(not found))
        return Standing(len(found), sum(_content(r) == _content(call.wire) for r in found))

    def codes(self) -> Codes:
        raised = codes_in(tieline_sandbox.netsuite, r'NetSuiteError\(\s*\d+,\s*"([A-Z_]+)"')
        return Codes(raised, frozenset(CODES))

    async def refused(self, operation: Operation) -> Call | None:
        if operation.action == "withdraw":
            return None
        await self.prepare(operation, 99)
        call = self.call(operation, 99)
        call.wire["nobodyMadeThis"] = "x"
        return call

    async def record(self, kind: str) -> str:
        plain = kind.removesuffix(".header")
        operation = next(o for o in CONNECTOR.manifest.operations if o.kind == plain)
        number = next(self._numbers)
        await self.prepare(operation, number)
        return await self._post(plain, number)

    async def change(self, stream: str) -> str:
        return await self.record(stream)

    def is_write(self, method: str, path: str) -> bool:
        return super().is_write(method, path) and not path.endswith("/suiteql")

    async def _post(self, kind: str, number: int) -> str:
        operation = next(o for o in CONNECTOR.manifest.operations if (o.kind, o.action) == (kind, "ensure"))
        async with self.connected() as connector:
            call = self.call(operation, number)
            (done,) = await connector.send(operation, [call])
        assert isinstance(done, Applied), done
        self._refs[kind, call.key.canonical_id] = done.external_id
        return done.external_id

    def _document(self, kind: str, number: int, content: int) -> Wire:
        document = DOCUMENTS[kind]
        named = {**document, "id": f"{document['id']}-{number}"}
        if kind == "customer":
            return {**named, "name": f"{document['name']} {number}", "phone": f"+49 221 555{content}"}
        named |= {name: f"{document[name]}-{number}" for name in ("number", "title") if name in document}
        named |= {"customer": f"{CUSTOMER['id']}-0"} if "customer" in document else {}
        if kind in VARIED:
            return {**named, VARIED[kind]: f"+49 221 555{content}"}
        if kind == "deposit":
            return {**named, "amount": money(f"5{content}.00")}
        if kind == "journal_entry":
            return {**named, "lines": [{**line, "customer": "", "memo": f"v{content}"} for line in document["lines"]]}
        if "applications" in document:
            amount = money(f"2{content}.00")
            named["applications"] = [{"invoice": f"{INVOICE['id']}-{number}", "amount": amount}]
        if "lines" in document:
            named["lines"] = [{**line, "description": f"version {content}"} for line in document["lines"]]
        return named


def _content(record: Wire) -> Any:
    lines = (record.get("item") or record.get("line") or {}).get("items") or []
    paid = [line.get("amount") for line in (record.get("apply") or {}).get("items") or [] if line.get("apply")]
    texts = [line.get("description") or line.get("memo") for line in lines]
    return record.get("phone"), record.get("comments"), record.get("payment"), texts, [str(amount) for amount in paid]


@pytest.fixture
def sandbox_account(sandbox: tuple[Sandbox, str], mappings: MappingSet) -> NetSuiteAccount:
    return NetSuiteAccount(*sandbox, mappings)


class TestContract(ConnectorContract):
    account_type = NetSuiteAccount
