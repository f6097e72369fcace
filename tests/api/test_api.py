"""The REST API of a company whose first deal was paid: who may, what is answered, pages, problems, writes done once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from tests.e2e.test_one_deal import OPPORTUNITY, pay_one_deal
from tests.support.company import Company, company, eventually
from tests.support.room import bearer, make_user

from tieline.api.v1.app import openapi
from tieline.app.access import new_token
from tieline.app.principal import Permission, Principal, Role
from tieline.engine.ports import Batch
from tieline.events import OpportunityWon, VendorNotified, make_event
from tieline.web.session import cookie_name

DEAL = f"salesforce-{OPPORTUNITY['Id']}"
STOP = {"how": "pause", "reason": "month end"}
PROBLEM = "tag:tieline,2026:problem/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    async with company(tmp_path_factory.mktemp("api") / "project") as c:
        await pay_one_deal(c)
        yield c


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(hub: Company) -> AsyncIterator[httpx.AsyncClient]:
    """A program that may do everything."""
    async with program(hub, await bearer(hub)) as made:
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


def program(hub: Company, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{hub.hub_url}/api", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def kind(answer: httpx.Response) -> str:
    """The kind of a problem, which is told as one."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    return str(problem["type"].removeprefix(PROBLEM))


def wrong_fields(answer: httpx.Response) -> list[str]:
    return [one["where"] for one in answer.json().get("errors", [])]


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


# --- who may ----------------------------------------------------------------------------------------------------------


async def test_no_operation_answers_without_a_token(hub: Company) -> None:
    """Every operation of the document, and none of them looks at cookies."""
    operations = [(path, method) for path, methods in openapi()["paths"].items() for method in methods]
    await make_user(hub.desk.access, "ada", *Role)
    session = await hub.desk.access.open_session(Principal(name="ada", roles=frozenset(Role)))
    cookies = {cookie_name(hub.desk): session}
    async with httpx.AsyncClient(base_url=f"{hub.hub_url}/api", cookies=cookies) as stranger:
        for path, method in operations:
            answer = await stranger.request(method, path.replace("{", "").replace("}", "").replace("sequence", "1"))
            assert (answer.status_code, kind(answer)) == (401, "unauthenticated"), path
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tieline"'


async def test_a_token_that_expired_or_was_revoked_opens_nothing(hub: Company) -> None:
    now, tokens = datetime.now(UTC), hub.desk.access.tokens
    expired, expired_secret = new_token("robot", "old", tuple(Permission), 0, now, now - timedelta(seconds=1))
    revoked, revoked_secret = new_token("robot", "lost", tuple(Permission), 0, now, now + timedelta(days=1))
    await tokens.add(expired, expired_secret)
    await tokens.add(revoked, revoked_secret)
    await tokens.revoke(revoked.id)
    for secret in (expired_secret, revoked_secret, "tl_never-was"):
        async with program(hub, secret) as client:
            answer = await client.get("/v1/status")
            assert (answer.status_code, kind(answer)) == (401, "unauthenticated")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_a_scope_that_is_missing_is_named(hub: Company) -> None:
    async with program(hub, await bearer(hub, Permission.READ)) as reader:
        assert (await reader.get("/v1/systems/zuora")).status_code == 200
        answer = await reader.post("/v1/systems/zuora/stop", json=STOP, headers=key("r1"))
    assert (answer.status_code, kind(answer)) == (403, "not-allowed")
    assert "'operate'" in answer.json()["detail"]


async def test_a_scope_gives_no_right_that_the_person_lacks(hub: Company) -> None:
    token = await bearer(hub, *Permission, roles=(Role.VIEWER,), name="vera")
    async with program(hub, token) as viewer:
        answer = await viewer.post("/v1/systems/zuora/stop", json=STOP, headers=key("v1"))
    assert (answer.status_code, kind(answer)) == (403, "not-allowed")
    assert await hub.worker.store.events(type="ConnectionHeld") == []


async def test_too_many_requests_are_told_when_to_come_back(hub: Company) -> None:
    now = datetime.now(UTC)
    await make_user(hub.desk.access, "robot", *Role)
    token, secret = new_token("robot", "slow", tuple(Permission), 2, now, now + timedelta(days=1))
    await hub.desk.access.tokens.add(token, secret)
    async with program(hub, secret) as client:
        answers = [await client.get("/v1/tables") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert [a.headers["RateLimit"].split(";")[1] for a in answers] == ["r=1", "r=0", "r=0"]
    assert kind(answers[2]) == "quota-exceeded"
    assert 0 < int(answers[2].headers["Retry-After"]) <= 30


# --- problems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/v1/events?limit=0", ["query.limit"]),
        ("/v1/events?limit=many", ["query.limit"]),
        ("/v1/events?after=-1", ["query.after"]),
        ("/v1/runs?state=finished", ["query.state"]),
        ("/v1/runs?state=done&state=ready", ["query.state"]),
        ("/v1/runs?since=yesterday", ["query.since"]),
        ("/v1/runs?since=2026-11-01T00:00:00", ["query.since"]),
        ("/v1/effects?conection=zuora&kind=null", ["query.conection", "query.kind"]),
        ("/v1/events?type=&deal=", ["query.type", "query.deal"]),
        ("/v1/deals?won_from=monday", ["query.won_from"]),
        ("/v1/resolve", ["query.id"]),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, path: str, wrong: list[str]) -> None:
    """A filter that is spelt wrong is refused too: ignored, it would give everything."""
    answer = await client.get(path)
    assert (answer.status_code, kind(answer), wrong_fields(answer)) == (400, "invalid-request", wrong)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"how": "halt", "reason": "x"}, ["body.how"]),
        ({"how": "pause"}, ["body.reason"]),
        ({"how": "pause", "reason": ""}, ["body.reason"]),
        ({"how": "pause", "reason": "x", "until": "monday"}, ["body.until"]),
    ],
)
async def test_a_wrong_body_is_named(client: httpx.AsyncClient, body: dict[str, str], wrong: list[str]) -> None:
    answer = await client.post("/v1/systems/zuora/stop", json=body, headers=key("b1"))
    assert (answer.status_code, kind(answer), wrong_fields(answer)) == (400, "invalid-request", wrong)


@pytest.mark.parametrize(
    ("request_", "status", "name"),
    [
        (("GET", "/v1/nothing", {}), 404, "not-found"),
        (("GET", "/v1/deals/nobody-knows", {}), 404, "not-found"),
        (("GET", "/v1/explain/netsuite/spaceship/1", {}), 404, "not-found"),
        (("GET", "/v1/events/99999999999999999999", {}), 404, "not-found"),
        (("GET", "/v1/events?cursor=bm9uc2Vuc2U", {}), 400, "invalid-cursor"),
        (("GET", "/v1/effects?cursor=WyJlZmZlY3RzIiwiYSIsImIiLCJjIiwiZCIsMV0", {}), 400, "invalid-cursor"),
        (("DELETE", "/v1/deals/x", {}), 405, "method-not-allowed"),
        (("GET", "/v1/status", {"headers": {"Accept": "text/csv"}}), 406, "not-acceptable"),
        (("POST", "/v1/replays/plan", {"data": {"deal": "x"}}), 415, "unsupported-media-type"),
        (("POST", "/v1/replays/plan", {"json": {"deal": "x" * 2_000_000}}), 413, "too-large"),
        (("POST", "/v1/replays/plan", {"json": {}}), 400, "invalid-request"),
        (("POST", "/v1/systems/zuora/stop", {"json": STOP}), 400, "invalid-request"),
    ],
    ids=str,
)
async def test_what_goes_wrong_is_told_as_a_problem(
    client: httpx.AsyncClient, request_: tuple[str, str, dict[str, Any]], status: int, name: str
) -> None:
    method, path, more = request_
    answer = await client.request(method, path, **more)
    assert (answer.status_code, kind(answer)) == (status, name)
    assert answer.headers["Cache-Control"] == "no-store"


# --- pages ------------------------------------------------------------------------------------------------------------

LISTS: dict[str, Callable[[Any], Any]] = {
    "/v1/events": lambda row: row["sequence"],
    "/v1/runs": lambda row: row["id"],
    "/v1/effects": lambda row: (row["connection"], row["kind"], row["canonical_id"], row["action"], row["revision"]),
    "/v1/entities/invoice": lambda row: row["id"],
}


@pytest.mark.parametrize("path", LISTS)
async def test_pages_give_every_row_once_whatever_comes_meanwhile(
    hub: Company, client: httpx.AsyncClient, path: str
) -> None:
    """Rows are added after each page; those of the beginning come once each, in order, and the last page ends it."""
    name = LISTS[path]
    before = [name(row) for row in (await client.get(path, params={"limit": 200})).json()["items"]]
    seen: list[Any] = []
    answer = await client.get(path, params={"limit": 3})
    while True:
        page = answer.json()
        seen += [name(row) for row in page["items"]]
        if page["next"] is None:
            break
        await happen(hub, f"{path}{len(seen)}")
        answer = await client.get(answer.links["next"]["url"].removeprefix("/api"))
    assert len(before) > 3
    assert seen[: len(before)] == before
    assert len(set(seen)) == len(seen)


async def happen(hub: Company, name: str) -> None:
    """Something that makes an event, and a run that finds nothing to do."""
    told = VendorNotified(connection="zuora", kind="account", native_id=name, action="changed")
    now = datetime.now(UTC)
    await hub.worker.store.commit(Batch(events=[make_event(told, source="zuora", id=name, time=now)]))


async def test_a_cursor_holds_for_its_own_list_alone(client: httpx.AsyncClient) -> None:
    cursor = (await client.get("/v1/events?limit=1")).json()["next"]
    answer = await client.get("/v1/runs", params={"cursor": cursor})
    assert (answer.status_code, kind(answer)) == (400, "invalid-cursor")


async def test_the_log_is_followed_by_the_place_of_the_last_event(client: httpx.AsyncClient, hub: Company) -> None:
    last = (await hub.worker.store.events(limit=1, newest=True))[0].seq
    assert (await client.get("/v1/events", params={"after": last})).json()["items"] == []
    await happen(hub, "something-new")
    (event,) = (await client.get("/v1/events", params={"after": last, "limit": 1})).json()["items"]
    assert (event["id"], event["sequence"]) == ("something-new", str(last + 1))


# --- what is answered -------------------------------------------------------------------------------------------------


async def test_a_deal_is_found_by_any_id_and_its_money_is_exact(hub: Company, client: httpx.AsyncClient) -> None:
    """By the id that NetSuite gave its order; amounts are texts."""
    (order,) = await hub.worker.store.effects(connection="netsuite", kind="order")
    found = (await client.get("/v1/resolve", params={"id": f"netsuite/order/{order.external_id}"})).json()
    assert [match["deals"] for match in found["matches"]] == [[DEAL]]
    deal = (await client.get(f"/v1/deals/{OPPORTUNITY['Id']}")).json()
    assert (deal["deal"], deal["status"], deal["money"]["booked"]) == (DEAL, "Paid", "1500.01")
    money = (await client.get(f"/v1/deals/{DEAL}/money")).json()
    assert (money["billed"], money["not_posted"], money["owed"], money["currency"]) == (
        "1500.01",
        "0.00",
        "0.00",
        "USD",
    )


async def test_deals_are_listed_by_what_is_asked_of_them(client: httpx.AsyncClient) -> None:
    """By customer, money and day; the list follows the log."""
    wanted = {"q": "acme", "currency": "USD", "amount_from": "1500", "amount_to": "1500.01", "won_from": "2026-01-05"}

    async def listed() -> bool:
        items = (await client.get("/v1/deals", params=wanted)).json()["items"]
        return [(one["id"], one["amount"], one["status"]) for one in items] == [(DEAL, "1500.01", "Paid")]

    await eventually(listed)
    assert (await client.get("/v1/deals", params={**wanted, "won_to": "2026-01-04"})).json()["items"] == []


async def test_an_id_of_several_things_offers_them(hub: Company, client: httpx.AsyncClient) -> None:
    """The customer of two deals leads to both, and the deal is not guessed."""
    (won,) = await hub.worker.store.events(type="OpportunityWon")
    data = msgspec.json.decode(won.data, type=OpportunityWon, strict=False)
    other = msgspec.structs.replace(data.contract, id="salesforce-006000000000002AAA")
    told = make_event(msgspec.structs.replace(data, contract=other), source="salesforce", id="w2", time=won.time)
    await hub.worker.store.commit(Batch(events=[told]))

    async def listed() -> bool:
        return (await client.get(f"/v1/deals/{data.contract.customer}")).status_code == 409

    await eventually(listed)
    answer = await client.get(f"/v1/deals/{data.contract.customer}")
    assert kind(answer) == "several-found"
    assert {deal for one in answer.json()["choices"] for deal in one["deals"]} == {DEAL, other.id}


async def test_an_amount_is_explained_back_to_its_line(hub: Company, client: httpx.AsyncClient) -> None:
    """And the files of the rules are named without telling where this machine keeps them."""
    (invoice, *_) = await hub.worker.store.effects(connection="netsuite", kind="invoice")
    answer = await client.get(f"/v1/explain/netsuite/invoice/{invoice.external_id}", params={"field": "amount"})
    lineage = answer.json()
    assert lineage["canonical_id"] == invoice.canonical_id
    steps = lineage["fields"][0]["steps"]
    assert [steps[0]["what"], steps[-1]["what"]] == ["sent to netsuite", "read from salesforce"]
    assert {step["file"] for step in steps if step["file"]} >= {"tieline/connectors/netsuite/mappings/invoice.yaml"}


async def test_an_effect_shows_what_was_sent_and_answered(hub: Company, client: httpx.AsyncClient) -> None:
    (order,) = await hub.worker.store.effects(connection="netsuite", kind="order")
    listed = (await client.get("/v1/effects", params={"external_id": order.external_id, "kind": "order"})).json()
    assert [one["canonical_id"] for one in listed["items"]] == [order.canonical_id]
    (revision,) = (await client.get(f"/v1/effects/netsuite/order/{order.canonical_id}")).json()["revisions"]
    assert revision["effect"]["state"] == "applied"
    assert revision["document"]["id"] == order.canonical_id
    assert revision["request"]


async def test_an_entity_says_where_it_stands(client: httpx.AsyncClient) -> None:
    found = (await client.get(f"/v1/entities/contract/{DEAL}")).json()
    assert found["entity"]["content"]["lines"][0]["net"]["amount"] == "1000.01"
    invoices = (await client.get("/v1/entities/invoice")).json()["items"]
    places = (await client.get(f"/v1/entities/invoice/{invoices[0]['id']}")).json()["stands"]
    assert [place["connection"] for place in places] == ["netsuite"]


async def test_a_run_is_shown_with_what_it_did(client: httpx.AsyncClient) -> None:
    runs = (await client.get("/v1/runs", params={"process": "quote-to-cash", "deal": DEAL})).json()["items"]
    run = (await client.get(f"/v1/runs/{runs[0]['id']}")).json()
    assert run["run"]["state"] == "done"
    assert [step["position"] for step in run["journal"]] == list(range(len(run["journal"])))


async def test_an_event_is_a_cloudevent(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/events/1")
    event = answer.json()
    assert answer.headers["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["source"], event["sequence"]) == ("1.0", "/salesforce", "1")
    assert event["type"] == "tieline.VendorNotified.v1"


# --- writes -----------------------------------------------------------------------------------------------------------


async def test_a_system_is_stopped_once_by_a_request_that_is_sent_again(
    hub: Company, client: httpx.AsyncClient
) -> None:
    first, again = [await client.post("/v1/systems/kantata/stop", json=STOP, headers=key("stop-1")) for _ in range(2)]
    assert (first.status_code, first.json()["hold"]["by"]) == (200, "robot")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert len(await hub.worker.store.events(type="ConnectionHeld", subject="kantata")) == 1
    assert (await client.get("/v1/systems/kantata")).json()["system"]["hold"]["reason"] == "month end"
    late = await client.post("/v1/systems/kantata/stop", json=STOP, headers=key("stop-2"))
    assert (late.status_code, kind(late)) == (409, "conflict")
    resumed = await client.post("/v1/systems/kantata/resume", json={}, headers=key("resume-1"))
    assert (resumed.status_code, resumed.json()["hold"]["reason"]) == (200, "month end")


async def test_a_replay_is_planned_then_asked_for_once(hub: Company, client: httpx.AsyncClient) -> None:
    """The plan writes nothing; the request that is sent again starts no second run."""
    wanted = {"deal": DEAL}
    plan = (await client.post("/v1/replays/plan", json=wanted)).json()
    assert plan["sends"] == 0
    assert await hub.worker.store.events(type="ReplayRequested") == []
    body = {**wanted, "reason": "to be sure"}
    first, again = [await client.post("/v1/replays", json=body, headers=key("replay-1")) for _ in range(2)]
    assert first.json() == again.json()
    assert len(await hub.worker.store.events(type="ReplayRequested")) == len(first.json()["runs"]) == len(plan["runs"])

    async def all_made() -> bool:
        answers = [await client.get(f"/v1/runs/{run}") for run in first.json()["runs"]]
        return all(a.status_code == 200 and a.json()["run"]["ended_at"] for a in answers)

    await eventually(all_made)


async def test_a_key_of_another_request_is_refused(client: httpx.AsyncClient) -> None:
    await client.post("/v1/systems/nowhere/resume", json={}, headers=key("mine"))
    first = await client.post("/v1/systems/kantata/resume", json={}, headers=key("mine"))
    second = await client.post("/v1/systems/kantata/resume", json={"reason": "x"}, headers=key("mine"))
    assert (first.status_code, kind(first)) == (409, "conflict")
    assert (second.status_code, kind(second)) == (422, "key-reused")


# --- the document -----------------------------------------------------------------------------------------------------


async def test_the_document_is_served_to_everybody(hub: Company) -> None:
    async with httpx.AsyncClient(base_url=f"{hub.hub_url}/api") as stranger:
        assert (await stranger.get("/schema/openapi.json")).json() == openapi()
        assert (await stranger.get("/schema")).json()["openapi"] == "3.1.0"


async def test_every_operation_has_a_name_of_its_own_and_says_what_it_needs() -> None:
    operations = [one for methods in openapi()["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    assert all(one["summary"] and one["tags"] and one["security"] for one in operations)
