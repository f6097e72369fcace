"""Which ID tokens are believed, and what their claims mean here."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tieline.app.access.oidc import identity, trusted
from tieline.app.access.signing_in import SignInFailed
from tieline.app.entrance import OidcSettings
from tieline.app.principal import Role

KEY, OTHER = (RSAKey.generate_key(2048, parameters={"kid": kid}) for kid in ("one", "other"))
KEYS = {"keys": [KEY.as_dict(private=False)]}
GOOD = {"iss": "https://id.example", "aud": "tieline", "sub": "1", "nonce": "n", "iat": 1, "exp": time.time() + 300}
SETTINGS = OidcSettings(
    issuer="https://id.example", client_id="tieline", role_map={"a": Role.VIEWER}, roles_claim="realm_access.roles"
)


def signed(claims: dict[str, Any], key: RSAKey = KEY) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def believed(token: str) -> dict[str, Any]:
    return trusted(token, KEYS, issuer="https://id.example", client_id="tieline", nonce="n")


def test_a_token_signed_for_us_and_for_this_sign_in_is_believed() -> None:
    assert believed(signed(GOOD))["sub"] == "1"
    assert believed(signed({**GOOD, "aud": ["tieline", "x"], "azp": "tieline"}))["sub"] == "1"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"aud": ["tieline", "x"], "azp": "x"},
        {"nonce": "of another sign-in"},
        {"exp": 1_000_000},
        {"iat": 9_999_999_999},
        {"sub": None},
    ],
)
def test_a_token_for_another_or_of_another_time_is_not(claims: dict[str, Any]) -> None:
    with pytest.raises(SignInFailed):
        believed(signed({**GOOD, **claims}))


def part(said: bytes) -> str:
    return base64.urlsafe_b64encode(said).rstrip(b"=").decode()


def test_a_token_that_somebody_else_or_nobody_signed_is_not() -> None:
    nobody, secret = (
        f"{part(json.dumps(head).encode())}.{part(json.dumps(GOOD).encode())}"
        for head in ({"alg": "none"}, {"alg": "HS256", "kid": "one"})
    )
    public_key_as_a_secret = hmac.digest(KEY.as_pem(private=False), secret.encode(), "sha256")
    for token in (
        signed(GOOD, OTHER),
        f"{nobody}.",
        f"{secret}.{part(public_key_as_a_secret)}",
        signed(GOOD)[:-4],
        "",
        "a.b.c",
    ):
        with pytest.raises(SignInFailed):
            believed(token)


def test_groups_may_stand_inside_another_claim() -> None:
    found = identity(SETTINGS, {"sub": "1", "email": "x@example.com", "realm_access": {"roles": ["a", "b"]}})
    assert found.roles == {Role.VIEWER}
    assert found.groups == ("a", "b")


@pytest.mark.parametrize("claims", [{}, {"email": "x@example.com", "email_verified": False}])
def test_an_address_that_nobody_verified_is_no_name(claims: dict[str, object]) -> None:
    with pytest.raises(SignInFailed):
        identity(SETTINGS, {"sub": "1", **claims})


def test_the_settings_keep_their_secret() -> None:
    assert "hush" not in repr(msgspec.structs.replace(SETTINGS, client_secret="hush"))
