"""Deciding through the API: a value map corrected and its cases released, an approval given, each once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.api.test_api import key, kind, program
from tests.support.company import Company, company, eventually
from tests.support.room import bearer
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.app.principal import Permission, Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """Two deals with a product that nobody mapped, and one with a discount that finance must see."""
    async with company(tmp_path_factory.mktemp("decisions") / "project") as c:
        lines = [
            line(1, 1, "GTXPro", "100.00"),
            line(2, 1, "GTXPro", "50.00"),
            line(3, 1, "GTX Pro", "60.00", Discount=40),
        ]
        await seed(c, [account(n) for n in (1, 2, 3)], [opportunity(n) for n in (1, 2, 3)], lines)
        for deal in (1, 2, 3):
            await win(c, deal)

        async def waiting() -> bool:
            return len(await c.worker.store.cases()) == 3

        await eventually(waiting)
        yield c


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(hub: Company) -> AsyncIterator[httpx.AsyncClient]:
    token = await bearer(hub, roles=(Role.ADMIN,), name="finance-bot")
    async with program(hub, token) as made:
        yield made


async def listed(client: httpx.AsyncClient, path: str, **wanted: object) -> list[dict[str, Any]]:
    answer = await client.get(path, params={name: str(value) for name, value in wanted.items()})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["items"]
    return rows


async def test_cases_are_listed_page_by_page_and_by_what_they_are(client: httpx.AsyncClient) -> None:
    """Those of one cause belong together; another state, or a class nobody has, gives none."""
    everything = await listed(client, "/v1/cases")
    cursor = (await client.get("/v1/cases?limit=2")).json()["next"]
    assert [case["id"] for case in await listed(client, "/v1/cases", cursor=cursor)] == [everything[2]["id"]]
    same = await listed(client, "/v1/cases", **{"class": "unknown-product", "cause": "unknown-product:GTXPro"})
    assert sorted(case["amount"] for case in same) == ["100.00 USD", "50.00 USD"]
    assert await listed(client, "/v1/cases", state="closed") == []
    one = (await client.get(f"/v1/cases/{same[0]['id']}")).json()
    assert (one, "nearest: `GTX Pro`" in one["message"]) == (same[0], True)


async def test_an_action_that_the_case_does_not_take_is_refused(client: httpx.AsyncClient) -> None:
    (case, *_) = await listed(client, "/v1/cases", **{"class": "unknown-product"})
    answer = await client.post(f"/v1/cases/{case['id']}/decision", json={"action": "explode"}, headers=key("no"))
    assert (answer.status_code, kind(answer)) == (422, "refused")
    assert "'explode'" in answer.json()["detail"]
    assert (await client.get(f"/v1/cases/{case['id']}")).json()["state"] == "open"


async def test_what_is_said_of_a_case_is_told_once_and_by_whoever_may(hub: Company, client: httpx.AsyncClient) -> None:
    """The same request again says nothing twice; approvers may speak of approvals, and of nothing else."""
    (approval,) = await listed(client, "/v1/approvals")
    (case, *_) = await listed(client, "/v1/cases", **{"class": "unknown-product"})
    path, body = f"/v1/cases/{case['id']}/comments", {"text": "asked sales"}
    answers = [await client.post(path, json=body, headers=key("say-1")) for _ in range(2)]
    assert [answer.json() for answer in answers] == [case, case]
    async with program(hub, await bearer(hub, Permission.READ, Permission.APPROVE, name="approver-bot")) as approver:
        said = await approver.post(f"/v1/approvals/{approval['id']}/comments", json=body, headers=key("say-2"))
        assert said.status_code == 200, said.text
        for refused in (path, f"/v1/approvals/{case['id']}/comments", f"/v1/cases/{approval['id']}/comments"):
            assert kind(await approver.post(refused, json=body, headers=key(refused))) == "not-allowed"
    told = [event.subject for event in await hub.worker.store.events(type="CaseCommented")]
    assert [subject.rpartition("/")[2] for subject in told] == [case["id"], approval["id"]]


async def test_a_case_is_given_to_somebody_once(hub: Company, client: httpx.AsyncClient) -> None:
    (case, *_) = await listed(client, "/v1/cases", **{"class": "unknown-product"})
    path, body = f"/v1/cases/{case['id']}/assignment", {"owner": "rita", "reason": "she knows the customer"}
    first, again = [await client.post(path, json=body, headers=key("give-1")) for _ in range(2)]
    assert first.json() == again.json() == {**case, "owner": "rita"}
    assert len(await hub.worker.store.events(type="CaseAssigned")) == 1
    nobody = await client.post(path, json={"owner": " "}, headers=key("give-2"))
    assert (nobody.status_code, kind(nobody)) == (422, "refused")


async def test_a_correction_releases_what_waits_for_it(hub: Company, client: httpx.AsyncClient) -> None:
    """The plan says which cases; the correction sent again corrects nothing twice."""
    products = (await client.get("/v1/value-maps/products")).json()
    body = {"key": "GTXPro", "value": products["entries"]["GTX Pro"], "reason": "a typing error"}
    plan = (await client.post("/v1/value-maps/products/corrections/plan", json=body)).json()
    assert len(plan["cases"]) == 2
    path = "/v1/value-maps/products/corrections"
    first, again = [await client.post(path, json=body, headers=key("correct-1")) for _ in range(2)]
    assert sorted(first.json()["released"]) == sorted(case["id"] for case in plan["cases"])
    assert again.json() == first.json()
    assert len(await hub.worker.store.events(type="ValueMapCorrected")) == 1

    async def closed() -> bool:
        return len(await listed(client, "/v1/cases", state="closed")) == 2

    await eventually(closed)
    assert "GTXPro" in (await client.get("/v1/value-maps/products")).json()["entries"]


async def test_an_approval_takes_its_own_right_and_is_given_once(hub: Company, client: httpx.AsyncClient) -> None:
    """A token that may operate may not approve; the answer of the first approval is the answer of the second."""
    (case,) = await listed(client, "/v1/approvals")
    path, body = f"/v1/approvals/{case['id']}/decision", {"approved": True, "reason": "agreed"}
    async with program(hub, await bearer(hub, Permission.READ, Permission.OPERATE, name="operator-bot")) as operator:
        refused = await operator.post(path, json=body, headers=key("a0"))
        assert (refused.status_code, kind(refused)) == (403, "not-allowed")
        by_another_way = await operator.post(
            f"/v1/cases/{case['id']}/decision", json={"action": "approve"}, headers=key("a1")
        )
        assert (by_another_way.status_code, kind(by_another_way)) == (403, "not-allowed")
    first, again = [await client.post(path, json=body, headers=key("approve-1")) for _ in range(2)]
    assert (first.status_code, first.json(), again.json()) == (200, {"cases": [case["id"]]}, {"cases": [case["id"]]})
    (decided,) = [e for e in await hub.worker.store.events(type="CaseDecided") if e.subject.endswith(case["id"])]
    assert b'"finance-bot"' in decided.data
    late = await client.post(path, json=body, headers=key("approve-2"))
    assert kind(late) in ("refused", "conflict")
