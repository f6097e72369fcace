"""Mistakes that integrations of NetSuite are known for. Each test shows a plain reader or writer making the mistake on
the sandbox, and the connector not making it on the same account.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from tests.sandbox.netsuite.client import Answer, Client, public_pem

from tieline.connectors.netsuite import CONNECTOR, NetSuiteConnector, NetSuiteSettings
from tieline.engine.ports import Applied, Call, Operation, Wire
from tieline.engine.records import EffectKey
from tieline.errors import RateLimited, RejectedByVendor
from tieline.mapping import MappingSet
from tieline.mapping.failures import MissingReference
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENING = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
"""18:00 of the day before in Los Angeles, where the account keeps its clock."""

TOKENS = {"account": "TIELINE_SB1", "consumer_key": "ck", "consumer_secret": "cs", "token_id": "tk"}
TABLES = MappingSet.load(
    CONNECTOR.mappings, Path("tests/connectors/netsuite/value_maps"), functions=CONNECTOR.functions
)
CUSTOMER = next(operation for operation in CONNECTOR.manifest.operations if operation.kind == "customer")


class Books(NamedTuple):
    """An account, where it is served, and a plain client that is logged in."""

    sandbox: Sandbox
    url: str
    plain: Client

    def connector(self, **changes: Any) -> NetSuiteConnector:
        settings = {"subsidiary": "US01", "token_secret": "ts", **TOKENS, **changes}
        return NetSuiteConnector("netsuite", NetSuiteSettings(url=self.url, **settings))

    def customers(self) -> list[Wire]:
        return self.sandbox.documents("customer")["customer"]

    def at(self, moment: datetime, name: str) -> str:
        """A customer whose last change was then."""
        self.sandbox.world.set(moment)
        (made,) = self.sandbox.seed("customer", [{"companyName": name, "subsidiary": "US01"}])
        return str(made["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing() -> AsyncIterator[Books]:
    sandbox, key = Sandbox(World(EVENING)), ec.generate_private_key(ec.SECP256R1())
    async with serving([sandbox]) as urls, aiohttp.ClientSession() as http:
        sandbox.configure({"certificates": {"cert-1": public_pem(key)}})
        yield Books(sandbox, urls["netsuite"], Client(http, urls["netsuite"], key))


@pytest_asyncio.fixture(loop_scope="module")
async def books(standing: Books) -> Books:
    sandbox = standing.sandbox
    certificates = sandbox.gatekeeper.credentials.certificates
    sandbox.reset()
    sandbox.faults.clear()
    sandbox.world.set(EVENING)
    sandbox.configure({"certificates": certificates, "time_zone": "America/Los_Angeles"})
    sandbox.seed("subsidiary", [{"name": "US01", "country": "US", "currency": "USD"}])
    await standing.plain.log_in()
    return standing


def company(number: int, **changed: Any) -> Wire:
    document = {"id": f"crm-{number}", "name": f"Company {number}", "currency": "USD", "parent": None}
    address = {"street": "", "city": "", "state": "", "postal_code": "", "country": "US"}
    blank = {"email": "", "phone": "", "website": "", "tax_registrations": [], "billing_address": address}
    return document | blank | changed


def call(document: Wire, refs: dict[tuple[str, str], str] | None = None) -> Call:
    wire = TABLES.mapping(CUSTOMER.mapping).run(document, refs=refs or {})
    return Call(key=EffectKey("netsuite", "customer", document["id"]), revision=1, wire=wire)


async def sent(connector: NetSuiteConnector, *calls: Call, operation: Operation = CUSTOMER) -> list[Any]:
    """The outcome of each call, sent on its own as workers do."""
    outcomes = await asyncio.gather(*(connector.send(operation, [one]) for one in calls), return_exceptions=True)
    return [one if isinstance(one, BaseException) else one[0] for one in outcomes]


async def test_a_busy_account_that_says_invalid_login_attempt_takes_a_good_login_for_a_dead_one(books: Books) -> None:
    """Beyond its slots an account may answer 401. Whoever stops for that stops an integration whose login is good."""
    connector = books.connector()
    assert isinstance((await sent(connector, call(company(0))))[0], Applied)
    books.sandbox.configure({"slots": 1, "service_ms": 30})
    books.sandbox.faults.add(Fault(kind="misleading_login", times=100))

    answers: list[Answer] = await asyncio.gather(*(books.plain.record("GET", "customer") for _ in range(4)))
    naive = [answer.detail for answer in answers if answer.status == 401]  # "fix the credentials", and the line stops
    waiting = [call(company(number)) for number in (1, 2, 3)]
    refused = 0
    while waiting:
        outcomes = await sent(connector, *waiting)
        assert all(isinstance(one, Applied | RateLimited) for one in outcomes), outcomes
        waiting = [one for one, outcome in zip(waiting, outcomes, strict=True) if isinstance(outcome, RateLimited)]
        refused += len(waiting)
    await connector.close()

    assert naive
    assert all("Invalid login attempt" in detail for detail in naive)
    assert refused > 0
    assert [one["companyName"] for one in books.customers()].count("Company 2") == 1


async def test_records_between_the_sync_and_the_accounts_midnight_are_never_returned_by_a_date(books: Books) -> None:
    """The date of the last sync in UTC is tomorrow where the account stands: its evening falls out of every window."""
    connector = books.connector()
    early = books.at(EVENING - timedelta(minutes=10), "Early")
    books.sandbox.world.set(EVENING)
    naive = await _changed_since(books, EVENING - timedelta(days=1))
    ours, cursor = await _told(connector, "")

    late = books.at(EVENING + timedelta(hours=2), "Late")  # 20:00 in Los Angeles, of the same local day
    books.sandbox.world.set(EVENING + timedelta(days=1))
    await books.plain.log_in()
    naive |= await _changed_since(books, EVENING)
    more, _ = await _told(connector, cursor)
    await connector.close()

    assert naive == {early}, "no sync ever returns what changed that evening"
    assert late in more
    assert ours | more == {early, late}


async def test_two_webhooks_that_race_to_create_one_customer_make_two(books: Books) -> None:
    """Both look, both find nothing, both create. A key of our own that NetSuite keeps unique makes it one."""
    books.sandbox.configure({"service_ms": 20})

    async def webhook() -> None:
        found = await books.plain.query("SELECT id FROM customer WHERE companyname = 'Company 1'")
        if not found.body["items"]:
            await books.plain.record("POST", "customer", {"companyName": "Company 1", "subsidiary": {"id": "1"}})

    await asyncio.gather(webhook(), webhook())
    connector = books.connector()
    outcomes = await sent(connector, call(company(2)), call(company(2)))
    await connector.close()

    names = [one["companyName"] for one in books.customers()]
    assert names.count("Company 1") == 2
    assert names.count("Company 2") == 1
    assert len({one.external_id for one in outcomes}) == 1


async def test_a_child_that_comes_before_its_parent_is_stored_without_it(books: Books) -> None:
    """A writer that lets NetSuite drop what it cannot resolve is answered 204, and the family is lost for good."""
    lenient = {"X-NetSuite-PropertyValueValidation": "Warning"}
    body = {"companyName": "Daughter", "subsidiary": {"id": "1"}, "parent": {"externalId": "crm-1"}}
    answer = await books.plain.record("PUT", "customer/eid:naive", body, lenient)
    connector = books.connector()
    daughter = company(2, parent="crm-1")
    with pytest.raises(MissingReference) as waiting:
        call(daughter)
    (parent,) = await sent(connector, call(company(1)))
    (child,) = await sent(connector, call(daughter, {("customer", "crm-1"): parent.external_id}))
    await connector.close()

    assert answer.status == 204
    assert "parent" not in await books.plain.read("customer/eid:naive")
    assert waiting.value.missing == [("customer", "crm-1")]
    assert (await books.plain.read(f"customer/{child.external_id}"))["parent"]["id"] == parent.external_id


async def test_a_204_whose_field_was_not_saved_counts_as_written(books: Books) -> None:
    """By default NetSuite drops a field it does not know and answers 204; the warning stands in a header."""
    books.sandbox.configure({"custom_fields": []})
    body = {"companyName": "Company 1", "subsidiary": {"id": "1"}, "custentity_tieline_source": "crm-1"}
    answer = await books.plain.record("PUT", "customer/eid:naive", body)
    connector = books.connector()
    (outcome,) = await sent(connector, call(company(2)))
    await connector.close()

    assert answer.status == 204
    assert "custentity_tieline_source" not in await books.plain.read("customer/eid:naive")
    assert isinstance(outcome, RejectedByVendor)
    assert "custentity_tieline_source" in str(outcome)
    assert [one.get("externalId") for one in books.customers()] == ["naive"]


async def test_a_202_is_not_a_record(books: Books) -> None:
    """An asynchronous write is accepted before it is looked at: the refusal stands in the result of its task."""
    body = {"companyName": "Company 1", "subsidiary": {"id": "99"}}
    answer = await books.plain.record("POST", "customer", body, {"Prefer": "respond-async"})
    path = answer.headers["Location"]
    while not (await books.plain.call("GET", path)).body["completed"]:
        pass
    result = await books.plain.call("GET", f"{path}/task/1/result")
    connector = books.connector(subsidiary="FR01")
    (outcome,) = await sent(connector, call(company(1)))
    await connector.close()

    assert (answer.status, result.status) == (202, 400)
    assert isinstance(outcome, RejectedByVendor), "ours is written at once, or refused at once"
    assert books.customers() == []


async def _changed_since(books: Books, last_sync: datetime) -> set[str]:
    """A sync that keeps the date of its last run, as most samples do."""
    sql = f"SELECT id FROM customer WHERE lastmodifieddate >= TO_DATE('{last_sync:%Y-%m-%d}', 'YYYY-MM-DD')"
    return {str(row["id"]) for row in (await books.plain.query(sql)).body["items"]}


async def _told(connector: NetSuiteConnector, cursor: str) -> tuple[set[str], str]:
    """What one sweep tells, and the cursor behind it."""
    found: set[str] = set()
    while True:
        page = await connector.changes("customer", cursor)
        found |= {native_id for native_id, _ in page.changed}
        cursor = page.cursor
        if not page.more:
            return found, cursor
