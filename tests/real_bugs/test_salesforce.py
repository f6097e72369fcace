"""Mistakes that integrations of Salesforce are known for. Each test shows a plain reader or writer making the mistake
on the sandbox, and the connector not making it on the same org.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
import grpc
import pytest
import pytest_asyncio

from tieline.connectors.salesforce.connector import DEAL_STATUS, STREAM, SalesforceConnector
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.engine.ports import Applied, Call
from tieline.engine.records import EffectKey
from tieline.errors import RejectedByVendor
from tieline_sandbox.kernel.server import serving
from tieline_sandbox.kernel.world import World
from tieline_sandbox.salesforce import Sandbox
from tieline_sandbox.salesforce.messages import CUSTOM, SERVICE, message
from tieline_sandbox.salesforce.model import ORGANIZATION_ID

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENING = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)
APP: dict[str, Any] = {"client_id": "tieline", "client_secret": "sandbox-secret"}
DEAL = {"Name": "Deal", "StageName": "Closed Won", "CloseDate": "2026-01-15"}


class Org(NamedTuple):
    """An org, where it is served, and a plain session with it."""

    sandbox: Sandbox
    url: str
    http: aiohttp.ClientSession

    async def token(self) -> str:
        form = {"grant_type": "client_credentials", **APP}
        async with self.http.post(f"{self.url}/services/oauth2/token", data=form) as response:
            return str((await response.json())["access_token"])

    async def call(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        headers = {"Authorization": f"Bearer {await self.token()}"} | how.pop("headers", {})
        url = f"{self.url}/services/data/v62.0/{path}"
        async with self.http.request(method, url, json=body, headers=headers, **how) as response:
            assert response.status < 300
            return await response.json() if "json" in response.headers.get("Content-Type", "") else None

    async def ids(self, soql: str) -> list[str]:
        return [record["Id"] for record in (await self.call("GET", "query", params={"q": soql}))["records"]]

    def connector(self, **changes: Any) -> SalesforceConnector:
        return SalesforceConnector("salesforce", SalesforceSettings(url=self.url, **APP, **changes))

    def deals(self, count: int, stamp: str) -> list[str]:
        return [r["Id"] for r in self.sandbox.seed("Opportunity", [DEAL | {"SystemModstamp": stamp}] * count)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing() -> AsyncIterator[Org]:
    sandbox = Sandbox(World(EVENING))
    async with serving([sandbox]) as urls, aiohttp.ClientSession() as http:
        yield Org(sandbox, urls["salesforce"], http)


@pytest.fixture
def org(standing: Org) -> Org:
    standing.sandbox.reset()
    standing.sandbox.world.set(EVENING)
    return standing


async def told(connector: SalesforceConnector, stream: str, cursor: str = "") -> tuple[set[str], str]:
    """What one sweep tells, and the cursor behind it."""
    found: set[str] = set()
    while True:
        page = await connector.changes(stream, cursor)
        found |= {native_id for native_id, _ in page.changed}
        cursor = page.cursor
        if not page.more:
            return found, cursor


async def test_a_cursor_of_a_stamp_alone_skips_rows_that_share_it(org: Org) -> None:
    """SystemModstamp is in whole seconds and a data load fills one: "greater than the last one" loses the rest."""
    deals = org.deals(25, "2026-03-10T10:00:00.000+0000")

    naive: set[str] = set()
    last, size = "1970-01-01T00:00:00Z", 10
    for _ in range(5):
        soql = f"SELECT Id, SystemModstamp FROM Opportunity WHERE SystemModstamp > {last} ORDER BY SystemModstamp"
        page = (await org.call("GET", "query", params={"q": f"{soql} LIMIT {size}"}))["records"]
        naive |= {record["Id"] for record in page}
        last = page[-1]["SystemModstamp"] if page else last
    connector = org.connector(page_size=size)
    ours, _ = await told(connector, STREAM)
    await connector.close()

    assert len(naive) == size, "the naive reader stops after its first page"
    assert ours == set(deals)


async def test_records_changed_between_the_sync_and_the_accounts_midnight_are_never_returned_by_day(org: Org) -> None:
    """A daily sync of TODAY: the day ends at midnight of the user, hours after the sync, and tomorrow begins anew."""
    org.sandbox.configure({"time_zone": "America/Los_Angeles"})
    connector = org.connector()
    today = "SELECT Id FROM Opportunity WHERE SystemModstamp = TODAY AND IsWon = true"
    (early,) = org.deals(1, "2026-03-10T19:00:00.000+0000")
    naive = set(await org.ids(today))
    ours, cursor = await told(connector, STREAM)

    # 18:00 in Los Angeles: still the day of the first sync, long after it
    (late,) = org.deals(1, "2026-03-11T01:00:00.000+0000")
    org.sandbox.world.set(EVENING + timedelta(days=1))
    naive |= set(await org.ids(today))
    more, _ = await told(connector, STREAM, cursor)
    await connector.close()

    assert naive == {early}, "no sync ever returns what changed that evening"
    assert ours | more == {early, late}


async def test_an_expired_replay_id_kills_a_subscription_that_only_tries_again(org: Org) -> None:
    """After 72 hours the stored replay id is refused, and it will be refused for ever."""
    address = org.sandbox.serve_pubsub(0)
    address.keepalive_s = 0.05
    given = {"change_events": ("account",), "pubsub_url": f"http://{address.address}", "listen_s": 0.2}
    connector = org.connector(**given)
    cursor, place = await _anchored(connector)
    await connector.close()
    missed = _account(org, "Missed")
    org.sandbox.world.set(EVENING + timedelta(hours=80))
    later = _account(org, "Later")

    metadata = [("accesstoken", await org.token()), ("instanceurl", org.url), ("tenantid", ORGANIZATION_ID)]
    naive = [_resubscribed(address.address, metadata, place) for _ in range(3)]
    connector = org.connector(**given)
    ours: set[str] = set()
    for _ in range(8):
        page = await connector.changes("account_events", cursor)
        ours, cursor = ours | {native_id for native_id, _ in page.changed}, page.cursor
    await connector.close()

    assert naive == ["INVALID_ARGUMENT"] * 3
    assert {missed, later} <= ours


async def test_a_status_of_200_counts_rows_as_written_that_were_refused(org: Org) -> None:
    """A collection call answers 200 whatever became of its rows; each row tells its own outcome."""
    good, bad = org.deals(2, "2026-03-10T10:00:00.000+0000")
    wires = [{"Id": good, "Tieline_Status__c": "Active"}, {"Id": bad, "Tieline_Status__c": "S" * 41}]

    typed = [{"attributes": {"type": "Opportunity"}, **wire} for wire in wires]
    rows = await org.call("PATCH", "composite/sobjects", {"records": typed})
    naive = {wire["Id"] for wire in wires}  # the call succeeded, so all of it must have
    connector = org.connector()
    calls = [Call(key=EffectKey("salesforce", "deal_status", w["Id"]), revision=1, wire=w) for w in wires]
    outcomes = await connector.send(DEAL_STATUS, calls)
    await connector.close()

    written = {i for i in (good, bad) if org.sandbox.org.store.get("Opportunity", i)["Tieline_Status__c"]}  # type: ignore[index]
    assert naive - written == {bad}, "the naive writer counts a row that was refused"
    assert [row["success"] for row in rows] == [True, False]
    assert isinstance(outcomes[0], Applied)
    assert isinstance(outcomes[1], RejectedByVendor)
    assert outcomes[1].vendor_code == "STRING_TOO_LONG"


async def test_a_bulk_job_that_is_complete_may_have_written_nothing(org: Org) -> None:
    """JobComplete says that the job ended. What it wrote stands in its results."""
    job = await org.call("POST", "jobs/ingest", {"object": "Account", "operation": "insert"})
    text = {"data": b"Name,Phone\n,030\n,040\n", "headers": {"Content-Type": "text/csv"}}
    await org.call("PUT", f"jobs/ingest/{job['id']}/batches", **text)
    await org.call("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    while (info := await org.call("GET", f"jobs/ingest/{job['id']}"))["state"] != "JobComplete":
        pass

    assert info["numberRecordsFailed"] == info["numberRecordsProcessed"] == 2
    assert await org.ids("SELECT Id FROM Account") == []


async def _anchored(connector: SalesforceConnector) -> tuple[str, bytes]:
    """Read until the stream stands behind a replay id: the cursor, and that id."""
    cursor = ""
    for _ in range(40):
        cursor = (await connector.changes("account_events", cursor)).cursor
        if replay := cursor.partition("~")[0]:
            return cursor, bytes.fromhex(replay)
    raise AssertionError(cursor)


def _account(org: Org, name: str) -> str:
    model = org.sandbox.org
    with model.unit():
        return str(model.create(model.sobject("Account"), {"Name": name})["Id"])


def _resubscribed(address: str, metadata: list[tuple[str, str]], place: bytes) -> str:
    """What a subscriber hears that always resumes from the replay id it has stored."""
    request = message("FetchRequest")(
        topic_name="/data/AccountChangeEvent", replay_preset=CUSTOM, replay_id=place, num_requested=10
    )
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Subscribe", lambda m: m.SerializeToString(), message("FetchResponse").FromString
        )
        try:
            return f"{len(next(call(iter([request]), metadata=metadata, timeout=5)).events)} events"
        except grpc.RpcError as error:
            return str(error.code().name)
