"""Who may call: OAuth 2.0 machine to machine (a signed JWT for a token of 60 minutes) and TBA (OAuth 1.0, HMAC-SHA256).

Assertions and TBA timestamps are held against both the world's clock and the real one: a test moves the first by
months, while a client that signs knows only the second. Tokens expire by the world's clock.
Sources: Oracle help "The Request Token Structure" (section_162790605110), "POST Request to the Token Endpoint"
(section_162755359851), "Token-based Authentication" and RFC 5849.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from starlette.requests import Request

from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite.errors import NetSuiteError, invalid_login

TOKEN_LIFE = timedelta(minutes=60)
ASSERTION_LIFE_S = 3600
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105 - a path, not a secret
ALGORITHMS = ["PS256", "PS384", "PS512", "RS256", "ES256", "ES384", "ES512"]
TBA_WINDOW_S = 300
_OAUTH_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Credentials(msgspec.Struct, kw_only=True):
    """`configure` replaces any of these. `certificates`: certificate id (kid) → PEM certificate or public key."""

    account: str = "TIELINE_SB1"
    client_id: str = "client"
    certificates: dict[str, str] = {}
    consumer_key: str = "ck"
    consumer_secret: str = "cs"  # noqa: S105 - the published default of a sandbox
    token_id: str = "tk"  # noqa: S105
    token_secret: str = "ts"  # noqa: S105


class TokenRefused(Exception):
    """OAuth 2.0 error answer of the token endpoint: `code` is RFC 6749's."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Gatekeeper:
    """Issues tokens and checks every request's Authorization header."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.reset()

    def reset(self) -> None:
        self.credentials = Credentials()
        self._tokens: dict[str, datetime] = {}
        self._nonces: dict[str, int] = {}
        self._keys: dict[str, RSAKey | ECKey] = {}

    def use(self, credentials: Credentials) -> None:
        """Take over credentials. Raises ValueError when a PEM cannot be read."""
        self._keys = {kid: _key_of(pem) for kid, pem in credentials.certificates.items()}
        self.credentials = credentials

    def revoke_tokens(self) -> int:
        """Every token issued so far is dead, as after an administrator revoked the mapping."""
        count = len(self._tokens)
        self._tokens.clear()
        return count

    def issue(self, form: Mapping[str, Any], host: str) -> dict[str, str]:
        """Answer a token request. Raises TokenRefused."""
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused("unsupported_grant_type")
        assertion = form.get("client_assertion")
        if form.get("client_assertion_type") != ASSERTION_TYPE or not isinstance(assertion, str):
            raise TokenRefused("invalid_request")
        self._check_assertion(assertion, host)
        token = f"{self.credentials.account}.{secrets.token_urlsafe(32)}"
        self._tokens[token] = self._world.now() + TOKEN_LIFE
        return {"access_token": token, "expires_in": "3600", "token_type": "bearer"}

    def admit(self, request: Request) -> None:
        """Raises NetSuiteError: 400 for a malformed header, 401 for one that opens nothing."""
        header = request.headers.get("authorization", "")
        scheme, _, rest = header.partition(" ")
        if scheme == "Bearer":
            expires = self._tokens.get(rest.strip())
            if expires is None or expires <= self._world.now():
                raise invalid_login(self.credentials.account)
        elif scheme == "OAuth":
            self._check_signature(request, rest)
        else:
            raise invalid_login(self.credentials.account)

    def _check_assertion(self, assertion: str, host: str) -> None:
        try:
            token = jwt.decode(assertion, self._find_key, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError) as error:
            raise TokenRefused("invalid_client", 401) from error
        claims = token.claims
        scopes = claims.get("scope")
        listed = scopes if isinstance(scopes, list) else re.split(r"[ ,]+", str(scopes))
        if claims.get("iss") != self.credentials.client_id or not self._is_for_us(claims.get("aud"), host):
            raise TokenRefused("invalid_client", 401)
        if "rest_webservices" not in listed:
            raise TokenRefused("invalid_scope")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise TokenRefused("invalid_request")
        in_time = any(issued <= now + 60 and now < expires for now in self._clocks())
        if not in_time or expires - issued > ASSERTION_LIFE_S:
            raise TokenRefused("invalid_grant")

    def _find_key(self, token: Any) -> RSAKey | ECKey:
        return self._keys[token.headers()["kid"]]

    def _is_for_us(self, audience: Any, host: str) -> bool:
        official = self.credentials.account.lower().replace("_", "-") + ".suitetalk.api.netsuite.com"
        for one in audience if isinstance(audience, list) else [audience]:
            url = urlsplit(str(one))
            if url.path == TOKEN_PATH and url.netloc in (host, official):
                return True
        return False

    def _clocks(self) -> tuple[float, float]:
        return self._world.now().timestamp(), datetime.now(UTC).timestamp()

    def _check_signature(self, request: Request, header: str) -> None:
        given = {name: unquote(value) for name, value in _OAUTH_PARAMETER.findall(header)}
        known = self.credentials
        refusal = invalid_login(known.account)
        try:
            stamp, nonce, signature = int(given["oauth_timestamp"]), given["oauth_nonce"], given["oauth_signature"]
        except (KeyError, ValueError) as error:
            raise malformed(known.account) from error
        named = (given.get("realm"), given.get("oauth_consumer_key"), given.get("oauth_token"))
        if named != (known.account, known.consumer_key, known.token_id):
            raise refusal
        if given.get("oauth_signature_method") != "HMAC-SHA256":
            raise refusal
        if not any(abs(now - stamp) <= TBA_WINDOW_S for now in self._clocks()) or nonce in self._nonces:
            raise refusal
        expected = sign_tba(request.method, _url_of(request), given, known.consumer_secret, known.token_secret)
        if not hmac.compare_digest(expected, signature):
            raise refusal
        self._remember(nonce, stamp)

    def _remember(self, nonce: str, stamp: int) -> None:
        self._nonces[nonce] = stamp
        if len(self._nonces) > 20_000:
            newest = max(self._nonces.values())
            self._nonces = {one: at for one, at in self._nonces.items() if newest - at <= 2 * TBA_WINDOW_S}


def sign_tba(method: str, url: str, oauth: Mapping[str, str], consumer_secret: str, token_secret: str) -> str:
    """The HMAC-SHA256 signature (base64) of RFC 5849 over method, URL and all parameters but realm and signature."""
    parts = urlsplit(url)
    signed = [(name, value) for name, value in oauth.items() if name not in ("realm", "oauth_signature")]
    signed += parse_qsl(parts.query, keep_blank_values=True)
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in signed)
    base_url = f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path}"
    base = "&".join(
        (method.upper(), _encoded(base_url), _encoded("&".join(f"{name}={value}" for name, value in pairs)))
    )
    key = f"{_encoded(consumer_secret)}&{_encoded(token_secret)}"
    return base64.b64encode(hmac.digest(key.encode(), base.encode(), "sha256")).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")


def _url_of(request: Request) -> str:
    # The path as it was sent: decoding `eid:a%20b` would break the signature of a client that encoded it.
    path = request.scope["raw_path"].decode("latin-1").split("?", 1)[0]
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.url.scheme}://{request.headers.get('host', '')}{path}" + (f"?{query}" if query else "")


def malformed(account: str) -> NetSuiteError:
    """400 with the challenge that Oracle documents for a request in a wrong format."""
    detail = "The request could not be understood by the server due to malformed syntax."
    challenge = f'Bearer realm="{account}", error="invalid_request", error_description="{detail}"'
    return NetSuiteError(400, "INVALID_REQUEST", detail, headers={"WWW-Authenticate": challenge})


def _key_of(pem: str) -> RSAKey | ECKey:
    data = pem.encode()
    if b"BEGIN CERTIFICATE" in data:
        key: Any = x509.load_pem_x509_certificate(data).public_key()
    else:
        key = serialization.load_pem_public_key(data)
    spki = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return ECKey.import_key(spki) if isinstance(key, EllipticCurvePublicKey) else RSAKey.import_key(spki)
