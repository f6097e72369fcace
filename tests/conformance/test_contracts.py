"""Our connectors' own traffic against the published contracts: one operation of each kind, everything recorded.

What the connector sends must be what the vendor describes; what it is answered must be, too, or the connector would
learn from the sandbox what the vendor never says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.conformance.contracts import Contract, Report, find
from tests.connectors.netsuite import conftest as netsuite
from tests.connectors.salesforce import org as salesforce
from tests.connectors.zuora import tenant as zuora

from tieline.connectors.netsuite import CONNECTOR, NetSuiteConnector, NetSuiteSettings
from tieline.connectors.salesforce.connector import DEAL_STATUS, STREAM, SalesforceConnector
from tieline.connectors.zuora import ZuoraConnector
from tieline.engine.ports import Applied, Call, Connector
from tieline.engine.records import EffectKey
from tieline.mapping import MappingSet
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.vendor import Vendor
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox as NetSuiteSandbox
from tieline_sandbox.salesforce import Sandbox as SalesforceSandbox
from tieline_sandbox.zuora import Sandbox as ZuoraSandbox

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Recording:
    """A served sandbox that keeps what passes."""

    def __init__(self, vendor: str, url: str, session: aiohttp.ClientSession) -> None:
        self.vendor, self.url, self._session = vendor, url, session

    async def order(self, path: str, content: Any) -> None:
        async with self._session.post(f"{self.url}/_sandbox/{path}", json=content) as answer:
            assert answer.status < 300, await answer.text()

    async def judged(self) -> Report:
        async with self._session.get(f"{self.url}/_sandbox/requests?last=5000") as answer:
            entries = (await answer.json())["requests"]
        path = find(self.vendor)
        assert path is not None
        return Contract.load(self.vendor, path).judge(entries)


@asynccontextmanager
async def recording(sandbox: Vendor) -> AsyncIterator[Recording]:
    """Serve the sandbox and record all traffic; skips where the vendor's contract is not at hand."""
    if find(sandbox.name) is None:
        pytest.skip(f"the published contract of {sandbox.name} is not beside this project")
    async with serving([sandbox]) as urls, aiohttp.ClientSession() as session:
        recorded = Recording(sandbox.name, urls[sandbox.name], session)
        await recorded.order("record", {"bodies": True})
        yield recorded


async def applied(outcomes: Awaitable[Sequence[Any]]) -> list[Applied]:
    """The outcomes or findings, all of which must say that the document stands."""
    told = list(await outcomes)
    assert all(isinstance(one, Applied) for one in told), told
    return told


async def sweep(connector: Connector) -> None:
    """Every stream from its beginning."""
    for stream in connector.manifest.streams:
        await connector.changes(stream, "")


def fits(report: Report, *operations: str) -> None:
    """Nothing unexplained, and these operations are among what was checked."""
    assert not report.unknown, "\n".join(f"{times} × {finding}" for finding, times in report.unknown.items())
    assert set(operations) <= report.operations.keys()


async def test_salesforce_is_asked_and_told_what_the_contract_knows() -> None:
    """Status written back and probed; deals, accounts and contacts read; the stream and the catalogue."""
    sandbox = SalesforceSandbox(World(START))
    async with recording(sandbox) as recorded:
        deal, account = salesforce.seed_whole_deal(sandbox)
        contact = sandbox.seed("Contact", [{"LastName": "Byron", "AccountId": account}])[0]["Id"]
        connector = SalesforceConnector("salesforce", salesforce.settings_for(recorded.url))
        status = salesforce.status_call(deal, Invoiced__c=1, Project__c="P-1")
        await applied(connector.send(DEAL_STATUS, [status]))
        await applied(connector.probe(DEAL_STATUS, [status]))
        for kind, number in (("opportunity", deal), ("account", account), ("contact", contact)):
            (found,) = await connector.fetch(kind, [number])
            assert found is not None
        assert await connector.catalogue("product")
        assert (await connector.changes(STREAM, "")).changed
        await connector.close()
        v = "/services/data/v{version}"
        fits(await recorded.judged(), "POST /services/oauth2/token", f"PATCH {v}/composite/sobjects", f"GET {v}/query")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_zuora_is_asked_and_told_what_the_contract_knows(asynchronous: bool) -> None:
    """An account made and changed, an order made and cancelled; invoices, memos and payments read; the streams."""
    sandbox = ZuoraSandbox(World(zuora.START, seed=7))
    sandbox.seed("products", list(zuora.CATALOGUE))
    async with recording(sandbox) as recorded:
        settings = zuora.settings_for(recorded.url, async_orders=asynchronous, async_poll_s=0.02)
        connector = ZuoraConnector("zuora", settings)
        await applied(connector.send(zuora.CUSTOMER, [zuora.call(zuora.CUSTOMER, zuora.account())]))
        changed = zuora.account(name="Acme AG")
        await applied(connector.send(zuora.CUSTOMER, [zuora.call(zuora.CUSTOMER, changed, external_id=zuora.ACME)]))
        await applied(connector.probe(zuora.CUSTOMER, [zuora.call(zuora.CUSTOMER, changed, external_id=zuora.ACME)]))
        order = zuora.call(zuora.ORDER, zuora.order())
        await applied(connector.send(zuora.ORDER, [order]))
        await applied(connector.probe(zuora.ORDER, [order]))
        await recorded.order("clock", {"days": 20})
        numbers = documents_of(sandbox)
        for kind, number in numbers.items():
            (found,) = await connector.fetch(kind, [number])
            assert found is not None, kind
        cancellation = zuora.call(zuora.CANCEL, zuora.cancellation())
        await applied(connector.send(zuora.CANCEL, [cancellation]))
        await applied(connector.probe(zuora.CANCEL, [cancellation]))
        assert await connector.find("customer", {"id": zuora.ACME, "name": "Acme AG"})
        assert await connector.catalogue("rate_plan")
        await sweep(connector)
        await connector.close()
        ordering = "POST /v1/async/orders" if asynchronous else "POST /v1/orders"
        made = ("POST /v1/accounts", "PUT /v1/accounts/{account-key}", ordering)
        fits(await recorded.judged(), *made, "GET /object-query/invoices", "GET /object-query/payments")


def documents_of(sandbox: ZuoraSandbox) -> dict[str, str]:
    """A number of each kind that can be read, after a payment of, and a credit on, the first invoice."""
    invoice = sandbox.documents("invoices")["invoices"][0]
    applied_to = [{"invoiceNumber": invoice["invoiceNumber"], "amount": 10}]
    money = {"type": "External", "accountNumber": zuora.ACME, "amount": 10, "currency": "EUR", "invoices": applied_to}
    payment = sandbox.seed("payments", [money])[0]
    return {
        "invoice": invoice["invoiceNumber"],
        "payment": payment["paymentNumber"],
        "subscription": sandbox.documents("subscriptions")["subscriptions"][0]["name"],
        "account": zuora.ACME,
    }


async def test_netsuite_is_asked_and_told_what_the_contract_knows() -> None:
    """Every kind written, probed, and read whole and as header; an order withdrawn; catalogues and streams."""
    sandbox = NetSuiteSandbox(World(START))
    seed_account(sandbox)
    mappings = MappingSet.load(CONNECTOR.mappings, Path(netsuite.HERE) / "value_maps", functions=CONNECTOR.functions)
    async with recording(sandbox) as recorded:
        connector = NetSuiteConnector("netsuite", netsuite_settings(recorded.url))
        books = netsuite.Books(sandbox, connector, mappings)
        for kind, document in DOCUMENTS.items():
            number = await books.post(kind, document)
            await applied(returned(books.probe(kind, document)))
            for read in (kind, f"{kind}.header"):
                (found,) = await connector.fetch(read, [number])
                assert found is not None, read
        withdrawn = Call(key=EffectKey("netsuite", "order", netsuite.ORDER["id"], "withdraw"), revision=1, wire={})
        operation = books.operation("order", "withdraw")
        await applied(connector.send(operation, [withdrawn]))
        await applied(connector.probe(operation, [withdrawn]))
        assert await connector.find("customer", netsuite.CUSTOMER)
        for catalogue in ("item", "subsidiary", "currency", "term", "billingschedule", "accountingperiod"):
            assert await connector.catalogue(catalogue)
        await sweep(connector)
        await connector.close()
        written = (f"PUT /record/v1/{name}/{{id}}" for name in ("customer", "salesOrder", "invoice", "creditMemo"))
        fits(await recorded.judged(), *written, "DELETE /record/v1/salesOrder/{id}", "POST /query/v1/suiteql")


async def test_netsuite_is_logged_in_to_as_the_contract_says() -> None:
    """OAuth 2.0 machine to machine: the signed assertion as a form, then the bearer token."""
    sandbox = NetSuiteSandbox(World(START))
    seed_account(sandbox)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    sandbox.configure({"certificates": {"cert-1": public}})
    async with recording(sandbox) as recorded:
        login = {"client_id": "client", "certificate_id": "cert-1", "private_key": private, "algorithm": "ES256"}
        connector = NetSuiteConnector("netsuite", msgspec.convert({"url": recorded.url, **login}, NetSuiteSettings))
        assert await connector.check()
        await connector.close()
        fits(await recorded.judged(), "POST /auth/oauth2/v1/token")


DOCUMENTS = {
    "customer": netsuite.CUSTOMER,
    "order": netsuite.ORDER,
    "invoice": netsuite.INVOICE,
    "credit_note": netsuite.CREDIT_NOTE,
    "payment": netsuite.PAYMENT,
}


async def returned(finding: Awaitable[Any]) -> list[Any]:
    return [await finding]


def seed_account(sandbox: NetSuiteSandbox) -> None:
    sandbox.configure({"time_zone": "America/Los_Angeles"})
    sandbox.seed("subsidiary", [{"name": "Northwind GmbH", "currency": "EUR", "country": {"id": "DE"}}])
    sandbox.seed("serviceSaleItem", [{"itemId": name} for name in ("GTX Pro", "GTX API Calls", "Implementation")])
    sandbox.seed("otherChargeItem", [{"itemId": "Rounding"}])


def netsuite_settings(url: str) -> NetSuiteSettings:
    return NetSuiteSettings(
        url=url,
        account="TIELINE_SB1",
        consumer_key="ck",
        consumer_secret="cs",
        token_id="tk",
        token_secret="ts",
        subsidiary="Northwind GmbH",
        timeout_s=5.0,
    )
