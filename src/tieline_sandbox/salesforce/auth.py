"""OAuth at /services/oauth2/token: client credentials and JWT bearer; sessions that last two hours of real time.

Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow" and "OAuth 2.0 JWT Bearer Flow".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tieline_sandbox.salesforce.model import ORGANIZATION_ID, USER_ID

SESSION_S = 2 * 60 * 60
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")


class OAuthError(Exception):
    """A refusal of the token endpoint: `{"error", "error_description"}`, always 400."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.body = {"error": error, "error_description": description}


class Sessions:
    """The connected app and the access tokens that are good now."""

    def __init__(self) -> None:
        self.client_id, self.client_secret = "tieline", "sandbox-secret"
        self.username = "integration@tieline.example"
        self.public_key: str | None = None
        self.seconds: float = SESSION_S
        self._until: dict[str, float] = {}

    def good(self, token: str) -> bool:
        until = self._until.get(token)
        return until is not None and time.monotonic() < until

    def expire_all(self) -> int:
        count = len(self._until)
        self._until.clear()
        return count

    def grant(self, form: Mapping[str, str], base_url: str) -> dict[str, Any]:
        """Answer a token request. Raises OAuthError."""
        kind = form.get("grant_type")
        if kind == "client_credentials":
            self._check_client(form)
        elif kind == JWT_GRANT:
            self._check_assertion(form.get("assertion", ""), base_url)
        else:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return self._token(base_url)

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.client_secret.encode()):
            raise OAuthError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str, base_url: str) -> None:
        if self.public_key is None:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        try:
            claims = jwt.decode(assertion, RSAKey.import_key(self.public_key), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            raise OAuthError("invalid_grant", "invalid assertion") from None
        if claims.get("iss") != self.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in (*LOGIN_HOSTS, base_url):
            raise OAuthError("invalid_grant", "audience is invalid")
        if claims.get("sub") != self.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        if _seconds(claims.get("exp")) <= time.time():
            raise OAuthError("invalid_grant", "expired authorization code")

    def _token(self, base_url: str) -> dict[str, Any]:
        token = f"{ORGANIZATION_ID[:15]}!AQ{secrets.token_urlsafe(48)}"
        self._until[token] = time.monotonic() + self.seconds
        identity = f"{base_url}/id/{ORGANIZATION_ID}/{USER_ID}"
        issued = str(int(time.time() * 1000))
        digest = hmac.new(self.client_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
        return {
            "access_token": token,
            "signature": base64.b64encode(digest).decode(),
            "scope": "api",
            "instance_url": base_url,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
        }


def with_basic(form: Mapping[str, str], authorization: str) -> dict[str, str]:
    """The form with the client's id and secret, which may come as HTTP Basic instead (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return dict(form)
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise OAuthError("invalid_client", "invalid client credentials") from None
    return {"client_id": client_id, "client_secret": secret, **form}


def _seconds(expires: object) -> int:
    """Unix seconds of `exp`; widespread clients write the number as text, and Salesforce takes it."""
    text = str(expires)
    return int(text) if text.isdecimal() else 0
