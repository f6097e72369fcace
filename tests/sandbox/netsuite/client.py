"""A small client for the tests: it logs in as an integration would and keeps nothing but the last answer's headers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tieline_sandbox.kernel.app import decode_json, encode_json

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PrivateKey = ec.EllipticCurvePrivateKey | RSAPrivateKey


def public_pem(key: PrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def assertion(key: PrivateKey, url: str, *, kid: str = "cert-1", alg: str = "ES256", **changed: Any) -> str:
    """A client assertion for the token endpoint at `url`; `changed` replaces or (with None) removes claims."""
    now = int(time.time())
    claims = {"iss": "client", "scope": "rest_webservices", "aud": url + TOKEN_PATH, "iat": now, "exp": now + 600}
    claims = {name: value for name, value in (claims | changed).items() if value is not None}
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    jwk = RSAKey.import_key(pem) if isinstance(key, RSAPrivateKey) else ECKey.import_key(pem)
    return jwt.encode({"alg": alg, "kid": kid, "typ": "JWT"}, claims, jwk, algorithms=[alg])


def tba_header(method: str, url: str, *, nonce: str | None = None, at: int | None = None, **changed: str) -> str:
    """An OAuth 1.0 header made from RFC 5849 alone. `changed` replaces consumer_secret, token, realm and so on."""
    known = {"consumer_key": "ck", "consumer_secret": "cs", "token": "tk", "token_secret": "ts", "realm": "TIELINE_SB1"}
    known |= changed
    oauth = {
        "oauth_consumer_key": known["consumer_key"],
        "oauth_nonce": nonce or uuid.uuid4().hex,
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(at if at is not None else int(time.time())),
        "oauth_token": known["token"],
        "oauth_version": "1.0",
    }
    parts = urlsplit(url)
    pairs = [*oauth.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    joined = "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs))
    bare = f"{parts.scheme}://{parts.netloc}{parts.path}"
    base = "&".join(quote(part, safe="") for part in (method, bare, joined))
    secret = f"{known['consumer_secret']}&{known['token_secret']}"
    digest = hmac.new(secret.encode(), base.encode(), hashlib.sha256).digest()
    oauth["oauth_signature"] = base64.b64encode(digest).decode()
    shown = ", ".join(f'{name}="{quote(value, safe="")}"' for name, value in oauth.items())
    return f'OAuth realm="{known["realm"]}", {shown}'


class Answer:
    """Status, headers and decoded body (exact decimals) of one answer."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.raw = status, headers, body
        self.body: Any = decode_json(body) if body else None

    @property
    def id(self) -> str:
        """The internal id at the end of the Location header."""
        return str(self.headers["Location"].rsplit("/", 1)[1])

    @property
    def detail(self) -> str:
        return str(self.body["o:errorDetails"][0]["detail"])

    @property
    def code(self) -> str:
        return str(self.body["o:errorDetails"][0]["o:errorCode"])


class Client:
    """Calls one sandbox with a bearer token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.session, self.url, self.key = session, url, key
        self.token = ""

    async def log_in(self) -> None:
        answer = await self.ask_token(assertion(self.key, self.url))
        self.token = answer.body["access_token"]

    async def ask_token(self, signed: str, **changed: str) -> Answer:
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        async with self.session.post(self.url + TOKEN_PATH, data=form | changed) as response:
            return Answer(response.status, response.headers, await response.read())

    async def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | (headers or {})
        data = body if isinstance(body, bytes) else None if body is None else encode_json(body)
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def record(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return await self.call(method, f"/services/rest/record/v1/{path}", body, headers)

    async def read(self, path: str) -> Any:
        """A record with its sublists."""
        return (await self.record("GET", f"{path}?expandSubResources=true")).body

    async def query(self, text: str, *, limit: int = 1000, offset: int = 0, params: list[Any] | None = None) -> Answer:
        body = {"q": text} | ({"params": params} if params else {})
        path = f"/services/rest/query/v1/suiteql?limit={limit}&offset={offset}"
        return await self.call("POST", path, body, {"Prefer": "transient"})

    async def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        async with self.session.request(method, f"{self.url}/_sandbox/{path}", json=body) as response:
            return decode_json(await response.read())
