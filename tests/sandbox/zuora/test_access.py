"""The door of the Zuora sandbox: who gets in, how often, and what is remembered."""

from __future__ import annotations

import asyncio

import pytest
from tests.sandbox.zuora.conftest import Zuora, account, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGN_IN = {"code": 90000011, "message": "this resource is protected, please sign in first"}


async def test_a_token_is_asked_for_with_the_right_secret(zuora: Zuora) -> None:
    """Wrong credentials and wrong grants are refused; the answer names the token's life."""
    form = {"grant_type": "client_credentials", "client_id": zuora.sandbox.tenant.settings.client_id}
    async with zuora.session.post(f"{zuora.base}/oauth/token", data={**form, "client_secret": "no"}) as refused:
        assert refused.status == 401
    async with zuora.session.post(
        f"{zuora.base}/oauth/token", data={**form, "client_secret": "sandbox-secret"}
    ) as given:
        token = await given.json()
    assert token["token_type"] == "bearer"
    assert token["expires_in"] == 3599


async def test_without_a_living_token_every_path_answers_401_in_zuoras_words(zuora: Zuora) -> None:
    """Unknown, expired by time, and expired on order look the same."""
    for headers in ({"Authorization": "Bearer nonsense"}, {"Authorization": ""}):
        status, body, _ = await zuora.ask("GET", "/v1/accounts/A-1", **headers)
        assert (status, body["success"], body["reasons"]) == (401, False, [SIGN_IN])
    await zuora.control("faults", {"kind": "expire_tokens"})
    assert (await zuora.ask("GET", "/v1/accounts/A-1"))[0] == 401
    zuora.sandbox.tenant.settings.token_lifetime_s = -1
    await zuora.sign_in()
    assert (await zuora.ask("GET", "/v1/accounts/A-1"))[0] == 401


async def test_tokens_are_rationed(zuora: Zuora) -> None:
    """The token endpoint counts by address and minute, and can be told to refuse at once."""
    await zuora.control("configure", {"token_limit_per_min": 2})
    statuses = []
    for _ in range(2):
        async with zuora.session.post(f"{zuora.base}/oauth/token", data={"grant_type": "x"}) as response:
            statuses.append(response.status)
    assert statuses == [400, 429]


async def test_every_answer_carries_the_vendors_headers(zuora: Zuora) -> None:
    """The track id comes back, a request id is minted, limits are told."""
    _, _, headers = await zuora.ask("GET", "/v1/accounts/A-1", Zuora_Track_Id="trace-1")
    assert headers["Zuora-Track-Id"] == "trace-1"
    assert len(headers["Zuora-Request-Id"]) == 32
    assert headers["RateLimit-Limit"].startswith("50000, 50000;w=60")
    assert int(headers["RateLimit-Remaining"]) < 50000
    assert headers["Concurrency-Limit-Type"] == "Default"
    assert headers["Concurrency-Limit-Limit"] == "40"


async def test_the_rate_limit_refuses_with_nothing_remaining(zuora: Zuora) -> None:
    """Once used up, the minute is over for everyone."""
    await zuora.control("configure", {"rate_limit_per_min": 1})
    await zuora.ask("GET", "/v1/accounts/A-1")
    status, _, headers = await zuora.ask("GET", "/v1/accounts/A-1")
    assert (status, headers["RateLimit-Remaining"]) == (429, "0")


async def test_too_many_requests_at_once_are_refused(zuora: Zuora) -> None:
    """The limit counts what is under way; the refusal names itself and when to come back."""
    await zuora.control("configure", {"concurrency_limit": 2, "latency_s": 0.1})
    answers = await asyncio.gather(*(zuora.ask("GET", "/v1/accounts/A-1") for _ in range(5)))
    refused = [(body, headers) for status, body, headers in answers if status == 429]
    assert len(refused) == 3
    assert refused[0][0]["code"] == "REQUEST_EXCEEDED_LIMIT"
    assert refused[0][1]["Retry-After"] == "2"


async def test_an_idempotency_key_gives_the_first_answer_again(zuora: Zuora) -> None:
    """Twice the same request makes one order; after 24 hours of the tenant's clock the key is forgotten."""
    first = await zuora.post("/v1/orders", order("1"), Idempotency_Key="k1")
    second = await zuora.post("/v1/orders", order("1"), Idempotency_Key="k1")
    assert first == second
    assert len(zuora.sandbox.documents("orders")["orders"]) == 1
    await zuora.advance(2)
    third = await zuora.post("/v1/orders", order("1"), Idempotency_Key="k1")
    assert third["reasons"][0]["message"] == "The order number O-1 already exists."


async def test_failures_are_remembered_under_the_key_too(zuora: Zuora) -> None:
    """A lock that has long gone is still answered: a retry needs a new key."""
    await zuora.control("faults", {"kind": "locked", "path": "/v1/orders"})
    first = await zuora.post("/v1/orders", order("1"), Idempotency_Key="k1")
    assert first["reasons"] == [
        {"code": 58560050, "message": "Operation failed due to a lock competition, please retry later."}
    ]
    assert await zuora.post("/v1/orders", order("1"), Idempotency_Key="k1") == first
    assert (await zuora.post("/v1/orders", order("1"), Idempotency_Key="k2"))["success"] is True


async def test_a_key_in_use_is_409_and_a_different_body_422(zuora: Zuora) -> None:
    """The same key may neither run twice at once nor mean two things."""
    await zuora.control("faults", {"kind": "slow", "seconds": 0.2})
    slow = asyncio.create_task(zuora.ask("POST", "/v1/accounts", account("A-9"), Idempotency_Key="k"))
    await asyncio.sleep(0.05)
    assert (await zuora.ask("POST", "/v1/accounts", account("A-9"), Idempotency_Key="k"))[0] == 409
    assert (await slow)[0] == 200
    assert (await zuora.ask("POST", "/v1/accounts", account("A-10"), Idempotency_Key="k"))[0] == 422


async def test_ordered_statuses_speak_zuoras_words(zuora: Zuora) -> None:
    """A 429 fault names the limit, a 503 fault is a temporary error."""
    await zuora.control("faults", {"kind": "status", "status": 429})
    status, body, headers = await zuora.ask("GET", "/v1/accounts/A-1")
    assert (status, body["code"], headers["Retry-After"]) == (429, "REQUEST_EXCEEDED_LIMIT", "2")
    await zuora.control("faults", {"kind": "status", "status": 503})
    status, body, _ = await zuora.ask("GET", "/v1/accounts/A-1")
    assert (status, body["reasons"][0]["code"]) == (503, 50000061)


async def test_a_body_that_is_not_json_is_malformed(zuora: Zuora) -> None:
    """Category 90, with HTTP 400."""
    headers = {"Authorization": f"Bearer {zuora.token}", "Content-Type": "application/json"}
    async with zuora.session.post(f"{zuora.base}/v1/accounts", data=b"{", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["reasons"][0]["code"] == 50000090


async def test_reset_forgets_tokens_documents_and_settings(zuora: Zuora) -> None:
    """After a reset the tenant is as new."""
    await zuora.control("reset", {})
    assert (await zuora.ask("GET", "/v1/accounts/A-1"))[0] == 401
    await zuora.sign_in()
    answer = await zuora.get("/v1/accounts/A-1")
    assert answer["reasons"] == [{"code": 50000040, "message": "Cannot find entity by key: 'A-1'."}]
