"""Login: what opens the account, and how NetSuite says no."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.sandbox.netsuite.client import Client, assertion, public_pem, tba_header

from tieline_sandbox.netsuite import Sandbox

CUSTOMERS = "/services/rest/record/v1/customer"


async def test_a_signed_assertion_buys_a_token_for_an_hour(client: Client, sandbox: Sandbox) -> None:
    """The token opens the account until the world's clock has moved on by 60 minutes."""
    assert (await client.record("GET", "customer")).status == 200
    await sandbox.world.advance(sandbox.world.now() + timedelta(minutes=61))
    refused = await client.record("GET", "customer")
    assert (refused.status, refused.code) == (401, "INVALID_LOGIN")
    assert refused.detail.startswith("Invalid login attempt. For more details, see the Login Audit Trail")
    assert refused.headers["WWW-Authenticate"].startswith('Bearer realm="TIELINE_SB1", error="invalid_token"')
    assert refused.headers["Content-Type"] == "application/vnd.oracle.resource+json; type=error"
    await client.log_in()
    assert (await client.record("GET", "customer")).status == 200


async def test_rsa_pss_assertions_are_accepted(client: Client) -> None:
    """PS256 is the algorithm of Oracle's own sample."""
    key = rsa.generate_private_key(65537, 2048)
    await client.control("configure", {"certificates": {"cert-2": public_pem(key)}})
    answer = await client.ask_token(assertion(key, client.url, kid="cert-2", alg="PS256"))
    assert answer.status == 200
    assert answer.body["expires_in"] == "3600"


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"iss": "somebody"}, 401, "invalid_client"),
        ({"aud": "https://elsewhere.example/token"}, 401, "invalid_client"),
        ({"kid": "cert-9"}, 401, "invalid_client"),
        ({"scope": "restlets"}, 400, "invalid_scope"),
        ({"iat": None}, 400, "invalid_request"),
        ({"exp": int(time.time()) + 7200}, 400, "invalid_grant"),
        ({"exp": int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())}, 400, "invalid_grant"),
    ],
)
async def test_a_faulty_assertion_buys_nothing(
    client: Client, changed: dict[str, str], status: int, error: str
) -> None:
    """Wrong issuer, audience, certificate, scope or life: each has its OAuth error."""
    answer = await client.ask_token(assertion(client.key, client.url, **changed))
    assert (answer.status, answer.body) == (status, {"error": error})


async def test_a_foreign_signature_buys_nothing(client: Client) -> None:
    """The kid is right but the key is not."""
    answer = await client.ask_token(assertion(ec.generate_private_key(ec.SECP256R1()), client.url))
    assert (answer.status, answer.body) == (401, {"error": "invalid_client"})


async def test_revoked_tokens_are_dead(client: Client) -> None:
    """Revocation by a person, and on order by the fault `expired_token`, end in the same 401."""
    assert await client.control("act/revoke_tokens", {}) == {"revoked": 1}
    assert (await client.record("GET", "customer")).status == 401
    await client.log_in()
    await client.control("faults", {"kind": "expired_token"})
    assert (await client.record("GET", "customer")).status == 401


async def test_a_tba_signature_opens_the_account(client: Client) -> None:
    """The signature covers the query too; the nonce serves once."""
    url = f"{client.url}{CUSTOMERS}?limit=1&q=companyName%20START_WITH%20Ac"
    header = {"Authorization": tba_header("GET", url, nonce="n1")}
    path = url.removeprefix(client.url)
    first = await client.call("GET", path, headers=header)
    assert (first.status, first.body["totalResults"]) == (200, 1)
    assert (await client.call("GET", path, headers=header)).status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"consumer_secret": "wrong"},
        {"token_secret": "wrong"},
        {"token": "wrong"},
        {"realm": "OTHER"},
        {"at": 1_000_000_000},
    ],
)
async def test_a_faulty_tba_header_is_refused(client: Client, changed: dict[str, str]) -> None:
    """Secrets, token, account and time are all checked."""
    header = tba_header("GET", client.url + CUSTOMERS, **changed)  # type: ignore[arg-type]
    refused = await client.call("GET", CUSTOMERS, headers={"Authorization": header})
    assert (refused.status, refused.code) == (401, "INVALID_LOGIN")


async def test_a_tba_header_without_signature_is_malformed(client: Client) -> None:
    """400 with the challenge of a malformed request, not 401."""
    refused = await client.call("GET", CUSTOMERS, headers={"Authorization": 'OAuth realm="TIELINE_SB1"'})
    assert refused.status == 400
    assert 'error="invalid_request"' in refused.headers["WWW-Authenticate"]
