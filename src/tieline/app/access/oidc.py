"""Signing in at an identity provider: OpenID Connect, authorization code with PKCE, state and nonce.

The invariant: an ID token counts only when the provider signed it, for us, now, and for the very sign-in that this
browser began. Sources: OpenID Connect Core 1.0, section 3.1; Discovery 1.0; RFC 7636; RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tieline.app.access.signing_in import Identity, SignInFailed
from tieline.app.entrance import OidcSettings
from tieline.app.outbound import LOOPBACK
from tieline.errors import VendorUnavailable

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with the provider's key pair; never one that our own secret, or nobody, could have made."""
LEEWAY_S = 60
TIMEOUT = aiohttp.ClientTimeout(total=15)


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that a browser began: what it carries until it comes back from the provider."""

    state: str
    nonce: str
    verifier: str
    next: str


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Provider:
    """The identity provider of the settings. It is asked for its addresses and keys at each sign-in."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self.name = urlsplit(settings.issuer).hostname or settings.issuer

    async def begin(self, redirect_uri: str, next_path: str) -> tuple[str, Begun]:
        """Where to send the browser, and what it must bring back. Raises VendorUnavailable."""
        begun = Begun(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            next=next_path,
        )
        async with _session() as session:
            metadata = await self._metadata(session)
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.settings.scopes,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": _challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}", begun

    async def finish(self, answer: Mapping[str, str], begun: Begun, redirect_uri: str) -> Identity:
        """Who came back. Raises SignInFailed and VendorUnavailable."""
        if not secrets.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise SignInFailed("this answer of the identity provider belongs to another sign-in; begin again")
        if "error" in answer:
            said = answer.get("error_description") or answer["error"]
            raise SignInFailed(f"the identity provider did not sign you in: {said[:300]}")
        async with _session() as session:
            metadata = await self._metadata(session)
            if answer.get("iss", metadata.issuer) != metadata.issuer:
                raise SignInFailed("another identity provider answered than the one that was asked; begin again")
            tokens = await self._tokens(session, metadata, answer.get("code", ""), begun, redirect_uri)
            keys = await _json(session, metadata.jwks_uri)
            claims = trusted(
                str(tokens.get("id_token", "")),
                keys,
                issuer=metadata.issuer,
                client_id=self.settings.client_id,
                nonce=begun.nonce,
            )
            if not {self.settings.roles_claim.split(".")[0], self.settings.name_claim} <= claims.keys():
                claims = {**await _userinfo(session, metadata, tokens, claims["sub"]), **claims}
        return identity(self.settings, claims)

    async def _metadata(self, session: aiohttp.ClientSession) -> _Metadata:
        issuer = self.settings.issuer.rstrip("/")
        address = f"{issuer}/.well-known/openid-configuration"
        try:
            found = msgspec.convert(await _json(session, address), _Metadata)
        except msgspec.ValidationError as error:
            raise VendorUnavailable(f"{address} does not describe an identity provider: {error}") from error
        if found.issuer.rstrip("/") != issuer:
            raise VendorUnavailable(f"{address} speaks for {found.issuer}; write that as `issuer` in [access.oidc]")
        for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint):
            _encrypted(endpoint)
        return found

    async def _tokens(
        self, session: aiohttp.ClientSession, metadata: _Metadata, code: str, begun: Begun, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": begun.verifier,
            "client_id": self.settings.client_id,
        }
        headers, secret = {}, self.settings.client_secret
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749, section 2.3.1
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif secret:
            form["client_secret"] = secret
        return await _json(session, metadata.token_endpoint, form, headers)


def trusted(id_token: str, keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of an ID token that the issuer signed for us and for this sign-in. Raises SignInFailed."""
    rules = jwt.JWTClaimsRegistry(
        leeway=LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        key_set = KeySet.import_key_set({"keys": keys.get("keys", [])})
        claims = dict(jwt.decode(id_token, key_set, algorithms=ALGORITHMS).claims)
        rules.validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise SignInFailed(f"the identity provider's answer cannot be trusted ({error}); begin again") from error
    if claims.get("azp", client_id) != client_id:
        raise SignInFailed("the identity provider's answer is for another application")
    return claims


def identity(settings: OidcSettings, claims: Mapping[str, Any]) -> Identity:
    """Who the claims speak of, and which roles their groups mean here. Raises SignInFailed."""
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or not name:
        raise SignInFailed(f"the identity provider does not say your {settings.name_claim}; ask an admin")
    if settings.name_claim == "email" and claims.get("email_verified") is False:
        raise SignInFailed(f"the identity provider has not verified that {name} is yours")
    said = _inside(claims, settings.roles_claim)
    groups = (said,) if isinstance(said, str) else tuple(map(str, said)) if isinstance(said, list) else ()
    roles = frozenset(settings.role_map[group] for group in groups if group in settings.role_map)
    return Identity(
        subject=f"{settings.issuer.rstrip('/')} {claims['sub']}",
        name=name.lower(),
        email=str(claims.get("email", "")),
        groups=groups,
        roles=roles,
    )


def _inside(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a dotted path into others (`realm_access.roles`)."""
    if path in claims:
        return claims[path]
    first, _, rest = path.partition(".")
    inner = claims.get(first)
    return _inside(inner, rest) if rest and isinstance(inner, Mapping) else None


async def _userinfo(
    session: aiohttp.ClientSession, metadata: _Metadata, tokens: Mapping[str, Any], subject: str
) -> dict[str, Any]:
    """What else the provider says of this person, and only of them."""
    if not metadata.userinfo_endpoint:
        return {}
    headers = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
    said = await _json(session, metadata.userinfo_endpoint, headers=headers)
    return said if said.get("sub") == subject else {}


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=TIMEOUT)


async def _json(
    session: aiohttp.ClientSession,
    address: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An answer of the provider. Raises SignInFailed where it refuses, VendorUnavailable where it cannot be read."""
    asked = {"Accept": "application/json", **(headers or {})}
    method = "GET" if form is None else "POST"
    try:
        async with session.request(method, address, data=form, headers=asked, allow_redirects=False) as answer:
            status, body = answer.status, await answer.read()
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise VendorUnavailable(
            f"the identity provider cannot be reached or understood ({address}): {error}"
        ) from error
    if status >= 400:
        why = said.get("error_description") or said.get("error") or status
        raise SignInFailed(f"the identity provider refused the sign-in: {why}; begin again")
    return said


def _encrypted(address: str) -> None:
    parts = urlsplit(address)
    if address and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise VendorUnavailable(f"the identity provider names an address that is not https: {address}")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
