"""A conversation is recorded and answered again without the vendor; what was never said is told apart."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.kantata.account import project_call, settings_for
from tests.connectors.netsuite.conftest import CUSTOMER, ORDER, Books
from tests.connectors.netsuite.conftest import HERE as NETSUITE_TESTS

from tieline.connectors.kantata.connector import KantataConnector
from tieline.connectors.netsuite import CONNECTOR, NetSuiteConnector, NetSuiteSettings
from tieline.engine.ports import Applied
from tieline.errors import OutcomeUnknown
from tieline.mapping import MappingSet
from tieline_sandbox.__main__ import vendor_of
from tieline_sandbox.kernel import recording
from tieline_sandbox.kernel.exchanges import Body, Request, answered, asked
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.kernel.hiding import hide_in_body, hide_pairs
from tieline_sandbox.kernel.matching import key_of, nearest
from tieline_sandbox.kernel.replaying import replay_of
from tieline_sandbox.kernel.server import listening, serving, serving_apps
from tieline_sandbox.kernel.vendor import Vendor
from tieline_sandbox.kernel.world import World

LOGINS = {
    "zuora": ("/oauth/token", "00000000-0000-0000-0000-00000tieline", "/v1/accounts/nobody"),
    "salesforce": ("/services/oauth2/token", "tieline", "/services/data/v62.0/sobjects/Account/nobody"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recorded.jsonl"


async def call(method: str, url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


def text_of(file: Path) -> str:
    return file.read_text()


def write(file: Path, text: str) -> None:
    file.write_text(text)


@asynccontextmanager
async def recorded(vendor: Vendor, file: Path) -> AsyncIterator[str]:
    """The address of the sandbox; what is said to it stands in the file afterwards."""
    async with serving([vendor]) as urls, aiohttp.ClientSession() as http:
        url = urls[vendor.name]
        assert (await call("POST", f"{url}/_sandbox/recording"))[1]["on"]
        yield url
        assert not (await call("DELETE", f"{url}/_sandbox/recording"))[1]["on"]
        async with http.get(f"{url}/_sandbox/recording") as answer:
            write(file, await answer.text())


@asynccontextmanager
async def replayed(file: Path) -> AsyncIterator[str]:
    async with serving_apps({"it": replay_of(file)}, listening(["it"], {}), None) as urls:
        yield urls["it"]


async def projects(url: str) -> list[Any]:
    """One project opened and renamed, another whose answer is lost and that is then found."""
    kantata = KantataConnector("kantata", settings_for(url))
    operation = kantata.manifest.operations[0]
    try:
        (opened,) = await kantata.send(operation, [project_call()])
        assert isinstance(opened, Applied)
        renamed = await kantata.send(operation, [project_call(external_id=opened.external_id, title="roll-out")])
        lost = project_call("salesforce-006Aa000001XyZ2AAK", title="lost")
        with pytest.raises(OutcomeUnknown):
            await kantata.send(operation, [lost])
        return [opened, *renamed, *await kantata.probe(operation, [lost])]
    finally:
        await kantata.close()


async def books(vendor: Vendor, url: str) -> list[Any]:
    """A customer and an order, the order sent twice and asked for."""
    keys: dict[str, Any] = {"consumer_key": "ck", "consumer_secret": "cs", "token_id": "tk", "token_secret": "ts"}
    settings = NetSuiteSettings(url=url, account="TIELINE_SB1", subsidiary="Northwind GmbH", timeout_s=5.0, **keys)
    connector = CONNECTOR.open("netsuite", settings)
    assert isinstance(connector, NetSuiteConnector)
    mappings = MappingSet.load(CONNECTOR.mappings, NETSUITE_TESTS / "value_maps", functions=CONNECTOR.functions)
    it = Books(vendor, connector, mappings)  # type: ignore[arg-type]
    try:
        customer = await it.post_customer()
        order = [await it.send("order", ORDER), await it.send("order", ORDER), await it.probe("order", ORDER)]
        return [customer, *order, await it.probe("customer", CUSTOMER)]
    finally:
        await connector.close()


async def test_a_connector_gets_the_same_answers_from_a_recording_and_loses_the_same(file: Path) -> None:
    vendor = vendor_of("kantata", World())
    async with recorded(vendor, file) as url:
        vendor.faults.add(Fault(kind="drop_response", method="POST", body="lost"))
        told = await projects(url)
    async with replayed(file) as url:
        assert await projects(url) == told
        assert (await call("GET", f"{url}/_sandbox/unused"))[1] == {"count": 0, "unused": []}
        health = (await call("GET", f"{url}/_sandbox/health"))[1]
    assert (health["vendor"], health["unrecorded"], health["requests"]) == ("kantata", 0, health["exchanges"])
    assert "sandbox-token" not in text_of(file)


async def test_requests_signed_anew_each_time_are_answered_and_links_lead_to_the_replay(file: Path) -> None:
    """The sandbox has another address by then, which stands in Location and in links."""
    vendor = vendor_of("netsuite", World())
    vendor.seed("subsidiary", [{"name": "Northwind GmbH", "currency": "EUR", "country": {"id": "DE"}}])
    vendor.seed("serviceSaleItem", [{"itemId": name} for name in ("GTX Pro", "GTX API Calls", "Implementation")])
    vendor.seed("otherChargeItem", [{"itemId": "Rounding"}])
    async with recorded(vendor, file) as url:
        told = await books(vendor, url)
    text = text_of(file)
    assert url not in text
    assert "http://sandbox.invalid/services/rest/record/v1/salesOrder/" in text
    assert [word for word in ("OAuth", "oauth_", "authorization") if word in text] == []
    async with replayed(file) as again:
        assert await books(vendor, again) == told
        assert (await call("GET", f"{again}/_sandbox/health"))[1]["unrecorded"] == 0


@pytest.mark.parametrize("name", LOGINS)
async def test_a_login_is_recorded_without_its_secrets_and_gives_a_token_that_works(name: str, file: Path) -> None:
    path, client, nobody = LOGINS[name]
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": "sandbox-secret"}
    async with recorded(vendor_of(name, World()), file) as url, aiohttp.ClientSession() as http:
        async with http.post(url + path, data=form) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Cookie": "sid=crumbs"}
        refused = await call("GET", f"{url}{nobody}?access_token=inquery", **headers)
    text = text_of(file)
    assert [secret for secret in ("sandbox-secret", token, "crumbs", "inquery", "Bearer ") if secret in text] == []
    async with replayed(file) as url, aiohttp.ClientSession() as http:
        async with http.post(url + path, data=form | {"client_secret": "another"}) as answer:
            granted = await answer.json()
        assert granted["access_token"].startswith("replayed-")
        assert granted.get("instance_url", url) == url
        assert await call("GET", f"{url}{nobody}?access_token=other") == refused


async def test_whoever_needs_a_token_gets_one_though_no_login_was_recorded(file: Path) -> None:
    async with recorded(vendor_of("zuora", World()), file):
        pass
    form = {"grant_type": "client_credentials"}
    async with (
        replayed(file) as url,
        aiohttp.ClientSession() as http,
        http.post(f"{url}/oauth/token", data=form) as answer,
    ):
        assert (await answer.json())["access_token"].startswith("replayed-")


async def test_answers_come_in_their_order_and_the_last_one_stays(file: Path) -> None:
    headers = {"Authorization": "Bearer sandbox-token"}
    body = {"workspace": {"title": "one", "creator_role": "maven", "price": 5000}}
    async with recorded(vendor_of("kantata", World()), file) as url:
        counts = [(await call("GET", f"{url}/api/v1/workspaces", **headers))[1]["count"]]
        assert (await call("POST", f"{url}/api/v1/workspaces", body, **headers))[0] == 200
        counts.append((await call("GET", f"{url}/api/v1/workspaces", **headers))[1]["count"])
    assert counts == [0, 1]
    async with replayed(file) as url:
        again = [(await call("GET", f"{url}/api/v1/workspaces"))[1]["count"] for _ in range(3)]
        assert again == [0, 1, 1]
        unused = (await call("GET", f"{url}/_sandbox/unused"))[1]
        assert [(each["request"]["method"], each["request"]["path"]) for each in unused["unused"]] == [
            ("POST", "/api/v1/workspaces")
        ]


async def test_what_was_not_recorded_is_refused_with_the_nearest_and_what_differs(file: Path) -> None:
    headers = {"Authorization": "Bearer sandbox-token"}
    body = {"workspace": {"title": "one", "creator_role": "maven", "price": 5000}}
    async with recorded(vendor_of("kantata", World()), file) as url:
        await call("POST", f"{url}/api/v1/workspaces", body, **headers)
        await call("GET", f"{url}/api/v1/workspaces?per_page=10", **headers)
    async with replayed(file) as url:
        other = {"workspace": {"title": "two", "creator_role": "maven", "password": "hush"}}
        status, told = await call("POST", f"{url}/api/v1/workspaces", other)
        assert status == 501
        assert told["nearest"]["path"] == "/api/v1/workspaces"
        assert told["differs"] == [
            'body.workspace.title: asked "two", recorded "one"',
            'body.workspace.password: asked "(hidden)", recorded nothing',
            "body.workspace.price: asked nothing, recorded 5000",
        ]
        assert "hush" not in json.dumps(told)
        status, told = await call("GET", f"{url}/api/v1/workspaces?per_page=20")
        assert (status, told["differs"]) == (501, ['query.per_page: asked "20", recorded "10"'])
        log = (await call("GET", f"{url}/_sandbox/requests?last=1"))[1]
        assert (log["count"], log["requests"][0]["recorded"]) == (2, False)


async def test_a_recording_ends_where_there_is_no_room_and_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_EXCHANGES", 2)
    vendor = vendor_of("kantata", World())
    async with recorded(vendor, file) as url:
        assert "going on" in (await call("POST", f"{url}/_sandbox/recording"))[1]["error"]
        for _ in range(3):
            await call("GET", f"{url}/api/v1/users")
        told = (await call("GET", f"{url}/_sandbox/health"))[1]["recording"]
    assert (told["on"], told["exchanges"], told["full"]) == (False, 2, True)
    assert len(text_of(file).splitlines()) == 3


def test_the_command_plays_a_recording_and_ends_in_good_order(file: Path) -> None:
    asyncio.run(_record_nothing(file))
    command = [sys.executable, "-m", "tieline_sandbox", "--replay", str(file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["kantata"]
        assert asyncio.run(call("GET", f"{url}/_sandbox/health"))[1]["replay"]["vendor"] == "kantata"
        process.terminate()
        assert process.wait(10) == 0


async def _record_nothing(file: Path) -> None:
    async with recorded(vendor_of("kantata", World()), file):
        pass


def test_a_file_that_is_no_recording_is_refused_with_its_line(file: Path) -> None:
    file.write_text("{}\n")
    with pytest.raises(ValueError, match="jsonl is no recording"):
        replay_of(file)
    asyncio.run(_record_nothing(file))
    file.write_text(file.read_text() + '{"at": 1}\n')
    with pytest.raises(ValueError, match="line 2"):
        replay_of(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.just("(hidden)"),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON), st.dictionaries(st.text(max_size=3), JSON))
def test_requests_are_the_same_exactly_when_nothing_sets_them_apart(one: Any, other: Any) -> None:
    a, b = (Request("POST", "/x", body=Body(json.dumps(each))) for each in (one, other))
    assert (key_of(a) == key_of(b)) == (nearest(a, [b])[1] == [])
    again = Request("POST", "/x", body=Body(json.dumps(dict(reversed(one.items())), indent=1)))
    assert key_of(a) == key_of(again)


def test_the_spelling_of_a_number_and_the_order_of_a_query_make_no_difference() -> None:
    one = Request("PUT", "/x", "a=1&b=2&a=3", body=Body('{"amount": 1.50}'))
    assert key_of(one) == key_of(Request("PUT", "/x", "b=2&a=1&a=3", body=Body('{"amount":1.5}')))
    assert key_of(one) != key_of(Request("PUT", "/x", "b=2&a=3&a=1", body=Body('{"amount":1.5}')))


@pytest.mark.parametrize(
    "name", ["access_token", "clientSecret", "password", "creditCardNumber", "X-Api-Key", "client_assertion"]
)
def test_a_secret_is_hidden_wherever_it_stands(name: str) -> None:
    """What holds none stays as it was, to the byte."""
    assert "4111-hush" not in hide_in_body(json.dumps({"a": [{name: "4111-hush"}]}), "")
    assert "4111-hush" not in hide_pairs(f"a=1&{name}=4111-hush")
    assert hide_in_body('{ "nextPageToken": 1.50, "code": 7}', "") == '{ "nextPageToken": 1.50, "code": 7}'


def test_a_file_is_the_same_under_another_boundary_and_comes_back_to_the_byte() -> None:
    def upload(boundary: bytes, content: bytes) -> Request:
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=" + boundary)]
        scope = {"method": "POST", "path": "/x", "query_string": b"", "scheme": "http", "headers": headers}
        return asked(scope, b"--" + boundary + b"\r\n\r\n" + content + b"\r\n--" + boundary + b"--")

    zipped = b"PK\x03\x04\xff\xfe"
    assert key_of(upload(b"one", zipped)) == key_of(upload(b"another", zipped))
    assert key_of(upload(b"one", zipped)) != key_of(upload(b"one", zipped + b"\x00"))
    assert answered(200, {}, zipped, "http://127.0.0.1").body.content("http://127.0.0.1") == zipped
