"""Sessions: the token endpoint, expiry by clock and on order, and the refusals of both flows."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.sandbox.salesforce.client import CREDENTIALS, Client

from tieline_sandbox.kernel.app import decode_json

EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def ask(org: Client, form: dict[str, str]) -> tuple[int, Any]:
    async with org.http.post(f"{org.base}/services/oauth2/token", data=form) as response:
        return response.status, decode_json(await response.read())


async def test_client_credentials_give_a_token_and_the_address_to_call(org: Client) -> None:
    """instance_url comes back with the token; a client must not have it hard-coded."""
    status, body = await ask(org, CREDENTIALS)
    assert status == 200
    assert body["instance_url"] == org.base
    assert body["token_type"] == "Bearer"
    assert {"access_token", "id", "issued_at", "signature"} <= set(body)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (CREDENTIALS | {"client_id": "stranger"}, "invalid_client_id"),
        (CREDENTIALS | {"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": GRANT, "assertion": "x.y.z"}, "invalid_grant"),
    ],
)
async def test_the_token_endpoint_refuses_in_oauth_words(org: Client, form: dict[str, str], error: str) -> None:
    """Token errors are {"error", "error_description"}, not the API's error list."""
    status, body = await ask(org, form)
    assert (status, body["error"]) == (400, error)
    assert body["error_description"]


@pytest.mark.parametrize(
    ("basic", "status"), [("tieline:sandbox-secret", 200), ("tieline:wrong", 400), ("stranger:sandbox-secret", 400)]
)
async def test_the_client_may_name_itself_by_http_basic(org: Client, basic: str, status: int) -> None:
    """RFC 6749, 2.3.1: as simple-salesforce does; the form then has the grant type alone."""
    headers = {"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"}
    form, url = {"grant_type": "client_credentials"}, f"{org.base}/services/oauth2/token"
    async with org.http.post(url, data=form, headers=headers) as response:
        assert response.status == status
    async with org.http.post(url, data=form, headers={"Authorization": "Basic ?"}) as response:
        assert (await response.json())["error"] == "invalid_client"


async def test_a_jwt_is_verified_with_the_configured_key(org: Client) -> None:
    """RS256, issuer, subject, audience and expiry all count; a good assertion gives a working session."""
    key = RSAKey.generate_key(2048)
    await org.control("configure", {"jwt_public_key": key.as_pem(private=False).decode()})
    good = {
        "iss": "tieline",
        "sub": "integration@tieline.example",
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }

    async def grant(claims: dict[str, Any], signer: RSAKey = key) -> tuple[int, Any]:
        return await ask(org, {"grant_type": GRANT, "assertion": jwt.encode({"alg": "RS256"}, claims, signer)})

    status, body = await grant(good)
    assert status == 200
    org.token = body["access_token"]
    assert (await org.call("GET", "limits")).status == 200
    # simple-salesforce writes the seconds as text
    assert (await grant(good | {"exp": str(good["exp"])}))[0] == 200
    late = {"exp": int(time.time()) - 1}
    for wrong in ({"iss": "x"}, {"sub": "x"}, {"aud": "https://evil.example"}, late, {"exp": "soon"}):
        assert (await grant(good | wrong))[0] == 400
    assert (await grant(good, RSAKey.generate_key(2048)))[0] == 400


async def test_sessions_end_by_the_clock(org: Client) -> None:
    """A token that was good a moment ago is answered 401 in Salesforce's words."""
    await org.control("configure", {"session_seconds": 0.05})
    await org.log_in()
    assert (await org.call("GET", "limits")).status == 200
    await asyncio.sleep(0.08)
    reply = await org.call("GET", "limits")
    assert (reply.status, reply.body) == (401, EXPIRED)


async def test_sessions_end_on_order(org: Client) -> None:
    """The fault `expire_tokens` ends every session once; a new login works."""
    await org.control("faults", {"kind": "expire_tokens", "path": "query"})
    assert (await org.call("GET", "limits")).status == 200
    assert (await org.call("GET", "query", params={"q": "SELECT Id FROM Account"})).status == 401
    await org.log_in()
    assert (await org.call("GET", "limits")).status == 200


async def test_no_token_or_a_wrong_scheme_is_refused(org: Client) -> None:
    """Nothing below /services/data/vXX.0 answers a stranger; the list of versions does."""
    assert (await org.call("GET", "limits", headers={"Authorization": ""})).body == EXPIRED
    reply = await org.call("GET", "limits", headers={"Authorization": "Basic abc"})
    assert (reply.status, reply.body[0]["errorCode"]) == (401, "INVALID_AUTH_HEADER")
    versions = await org.call("GET", "/services/data", headers={"Authorization": ""})
    assert [v["version"] for v in versions.body] == ["59.0", "60.0", "61.0", "62.0"]
