"""Authentication as objects: each gives the headers of a call. Tokens are cached, renewed ahead of time, and
renewed once at a time however many calls find them expired. Secrets never appear in an error."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tieline.errors import AuthorizationFailed, VendorUnavailable

RENEW_AHEAD_S = 60.0
LONGEST_LIFE_S = 10 * 365 * 86_400.0
"""No calendar is asked for a day further away, whatever lifetime an endpoint tells."""

_decoder = msgspec.json.Decoder(float_hook=float)  # a lifetime of 1e999 must not make the token unreadable


class TokenAge(msgspec.Struct, frozen=True, kw_only=True):
    """When a token was got, and until when the vendor says that it holds. Never the token."""

    got_at: datetime
    expires_at: datetime


class Auth(Protocol):
    """Gives the headers that prove who calls."""

    renewable: bool

    async def headers(self, http: aiohttp.ClientSession, method: str, url: str) -> Mapping[str, str]:
        """The headers of one call. Raises AuthorizationFailed, or VendorUnavailable when the token cannot be had."""

    def forget(self, refused: Mapping[str, str]) -> None:
        """The vendor does not accept these headers any more.

        A token that was renewed since is kept: of fifty calls refused with one old token, one renews it.
        """

    def age(self) -> TokenAge | None:
        """Of the token in use; None where nothing expires, or none was needed yet."""


class ApiKey:
    """A key that never changes, in a header of the vendor's choosing."""

    renewable = False

    def __init__(self, header: str, key: str) -> None:
        self._headers = {header: key}

    async def headers(self, http: aiohttp.ClientSession, method: str, url: str) -> Mapping[str, str]:
        return self._headers

    def forget(self, refused: Mapping[str, str]) -> None:
        """Nothing is cached."""

    def age(self) -> TokenAge | None:
        return None


class TokenAuth(ApiKey):
    """A bearer token that never changes (personal tokens)."""

    def __init__(self, token: str) -> None:
        super().__init__("Authorization", f"Bearer {token}")


class BasicAuth(ApiKey):
    """User and password in every call."""

    def __init__(self, user: str, password: str) -> None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        super().__init__("Authorization", f"Basic {pair}")


class ClientCredentials:
    """OAuth2 client credentials: POST a form to `token_url`, get {access_token, expires_in, …}.

    `instance_url` is set from the answer where the vendor sends one (Salesforce).
    """

    renewable = True

    def __init__(self, token_url: str, form: Mapping[str, str], *, lifetime_s: float = 3600.0) -> None:
        self._token_url, self._form, self._lifetime_s = token_url, form, lifetime_s
        self._token: str | None = None
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()
        self._age: TokenAge | None = None
        self.answer: dict[str, Any] = {}

    async def headers(self, http: aiohttp.ClientSession, method: str, url: str) -> Mapping[str, str]:
        if self._token is None or time.monotonic() > self._renew_at:
            async with self._renewing:
                if self._token is None or time.monotonic() > self._renew_at:
                    await self._renew(http)
        return self._headers()

    def forget(self, refused: Mapping[str, str]) -> None:
        if refused == self._headers():
            self._token = None

    def age(self) -> TokenAge | None:
        return self._age

    def form(self) -> Mapping[str, str]:
        """What is posted to the token endpoint."""
        return self._form

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def _renew(self, http: aiohttp.ClientSession) -> None:
        try:
            # a redirect would carry the client secret to another address
            async with http.post(self._token_url, data=dict(self.form()), allow_redirects=False) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VendorUnavailable(f"no token from {self._token_url}: {type(error).__name__}") from error
        self._keep(status, _token_answer(self._token_url, status, body))

    def _keep(self, status: int, answer: dict[str, Any]) -> None:
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise AuthorizationFailed(
                f"{self._token_url} gave no token (HTTP {status}{_said(answer)}): "
                "check the credentials of this connection"
            )
        self.answer, self._token = answer, token
        lifetime = _lifetime_s(answer.get("expires_in"), self._lifetime_s)
        self._renew_at = time.monotonic() + max(lifetime - RENEW_AHEAD_S, lifetime / 2)
        now = datetime.now(UTC)
        self._age = TokenAge(got_at=now, expires_at=now + timedelta(seconds=min(lifetime, LONGEST_LIFE_S)))


def _token_answer(url: str, status: int, body: bytes) -> dict[str, Any]:
    """The endpoint's answer. Raises VendorUnavailable for what is no answer of a token endpoint at all."""
    if status == 429 or status >= 500:
        raise VendorUnavailable(f"no token from {url}: HTTP {status}", retry_after_s=1.0)
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if status < 400:
            # a proxy's page, a login form, half an answer: it says nothing about our credentials
            raise VendorUnavailable(f"no token from {url}: the answer is not JSON", retry_after_s=1.0) from error
        answer = {}
    return answer if isinstance(answer, dict) else {}


def _said(answer: Mapping[str, Any]) -> str:
    """The endpoint's own short code ("invalid_client"): never its longer texts, which may quote what was sent."""
    code = answer.get("error")
    return f", {code}" if isinstance(code, str) and code.isidentifier() else ""


def _lifetime_s(told: Any, otherwise: float) -> float:
    """Seconds that a token lasts; what the endpoint says is believed only when it is a number above zero."""
    try:
        seconds = float(told)
    except (TypeError, ValueError):
        return otherwise
    return seconds if 0 < seconds < float("inf") else otherwise


class RefreshToken(ClientCredentials):
    """OAuth2 with a refresh token. Where the vendor gives a new one with each use, `rotated` is told at once: whoever
    keeps the secret must keep the new one, because the old one is dead.
    """

    def __init__(
        self, token_url: str, form: Mapping[str, str], refresh_token: str, rotated: Callable[[str], None]
    ) -> None:
        super().__init__(token_url, form)
        self._refresh_token, self._rotated = refresh_token, rotated

    def form(self) -> Mapping[str, str]:
        return {**self._form, "grant_type": "refresh_token", "refresh_token": self._refresh_token}

    def _keep(self, status: int, answer: dict[str, Any]) -> None:
        given = answer.get("refresh_token")
        if isinstance(given, str) and given and given != self._refresh_token:
            self._refresh_token = given
            self._rotated(given)
        super()._keep(status, answer)


class JwtBearer(ClientCredentials):
    """OAuth2 with a signed assertion. `make_form(assertion)` is the form; `claims` are completed with iat and exp."""

    def __init__(
        self,
        token_url: str,
        private_key_pem: str,
        claims: Mapping[str, Any],
        make_form: Callable[[str], Mapping[str, str]],
        *,
        algorithm: str = "RS256",
        key_id: str = "",
        lifetime_s: float = 3600.0,
        assertion_lifetime_s: int = 180,
    ) -> None:
        super().__init__(token_url, {}, lifetime_s=lifetime_s)
        key_type = ECKey if algorithm.startswith("ES") else RSAKey
        self._key = key_type.import_key(private_key_pem)
        self._claims, self._make_form, self._algorithm, self._key_id = claims, make_form, algorithm, key_id
        self._assertion_lifetime_s = assertion_lifetime_s

    def form(self) -> Mapping[str, str]:
        now = int(time.time())
        header = {"alg": self._algorithm, "typ": "JWT", **({"kid": self._key_id} if self._key_id else {})}
        claims = {**self._claims, "iat": now, "exp": now + self._assertion_lifetime_s}
        return self._make_form(jwt.encode(header, claims, self._key, algorithms=[self._algorithm]))


class OAuth1:
    """OAuth 1.0a with HMAC-SHA256 and a realm (NetSuite token-based authentication).

    Source: RFC 5849, section 3.4; the realm is not part of the signature.
    """

    renewable = False

    def __init__(self, realm: str, consumer_key: str, consumer_secret: str, token: str, token_secret: str) -> None:
        self._realm, self._consumer_key, self._token = realm, consumer_key, token
        self._signing_key = f"{_escape(consumer_secret)}&{_escape(token_secret)}".encode()

    async def headers(self, http: aiohttp.ClientSession, method: str, url: str) -> Mapping[str, str]:
        oauth = {
            "oauth_consumer_key": self._consumer_key,
            "oauth_token": self._token,
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(time.time())),
            "oauth_nonce": secrets.token_hex(12),
            "oauth_version": "1.0",
        }
        parts = urlsplit(url)
        pairs = [*parse_qsl(parts.query, keep_blank_values=True), *oauth.items()]
        normal = "&".join(f"{k}={v}" for k, v in sorted((_escape(k), _escape(v)) for k, v in pairs))
        base = "&".join((method.upper(), _escape(f"{parts.scheme}://{parts.netloc}{parts.path}"), _escape(normal)))
        digest = hmac.new(self._signing_key, base.encode(), hashlib.sha256).digest()
        signed = {"realm": self._realm, **oauth, "oauth_signature": base64.b64encode(digest).decode()}
        return {"Authorization": "OAuth " + ", ".join(f'{k}="{_escape(v)}"' for k, v in signed.items())}

    def forget(self, refused: Mapping[str, str]) -> None:
        """Nothing is cached."""

    def age(self) -> TokenAge | None:
        return None


def _escape(text: str) -> str:
    return quote(text, safe="-._~")
