"""Who calls: the bearer token becomes a Principal, and each call counts against its quota. No cookie is looked at."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import Message, Scope

from tieline.api.v1.problems import Refusal
from tieline.app.access import Access
from tieline.app.principal import Principal

PER_MINUTE = 600
NEEDS = "needs"
"""The option of a handler that names the right it takes."""
_ALLOWANCE = "tieline.allowance"


class Allowance(msgspec.Struct, frozen=True):
    """What a token has left: whole requests, and the seconds until there is one more than now."""

    limit: int
    left: int
    next_s: int


class Quotas:
    """A bucket for each token: full after a minute of silence, empty after a minute's requests at once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, token: str, per_minute: int) -> Allowance:
        """One request. Raises Refusal for one too many."""
        now, rate = self._now(), per_minute / 60
        held, at = self._buckets.get(token, (float(per_minute), now))
        held = min(per_minute, held + (now - at) * rate)
        taken = held >= 1
        left = held - taken
        self._buckets[token] = (left, now)
        allowance = Allowance(per_minute, int(left), math.ceil((1 - left % 1) / rate))
        if not taken:
            detail = f"this token may make {per_minute} requests a minute; the next one in {allowance.next_s} s"
            raise Refusal("quota-exceeded", detail, headers={"Retry-After": str(allowance.next_s), **told(allowance)})
        return allowance


def told(allowance: Allowance) -> dict[str, str]:
    """The quota as headers (draft-ietf-httpapi-ratelimit-headers-10)."""
    return {
        "RateLimit-Policy": f'"token";q={allowance.limit};w=60',
        "RateLimit": f'"token";r={allowance.left};t={allowance.next_s}',
    }


class TokenAuthentication(AbstractAuthenticationMiddleware):
    """Raises Refusal for a request without a token in force."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise _unknown("send a token: Authorization: Bearer tl_…", "")
        access, quotas = _access(connection), connection.app.state.quotas
        token = await access.token(secret.strip())
        principal = access.speaks_for(token) if token else None
        if token is None or principal is None:
            raise _unknown("this token expired, was revoked, or never was", ', error="invalid_token"')
        connection.scope["state"][_ALLOWANCE] = quotas.take(token.id, token.per_minute or PER_MINUTE)
        return AuthenticationResult(user=principal, auth=token.id)


def _access(connection: ASGIConnection[Any, Any, Any, Any]) -> Access:
    access: Access = connection.app.state.desk.access
    return access


def _unknown(detail: str, error: str) -> Refusal:
    return Refusal("unauthenticated", detail, headers={"WWW-Authenticate": f'Bearer realm="tieline"{error}'})


def may(connection: ASGIConnection[Any, Principal, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises NotAllowed when the token, or the person it speaks for, lacks the right that the handler names."""
    if needs := handler.opt.get(NEEDS):
        connection.user.require(needs)


async def before_send(message: Message, scope: Scope) -> None:
    """Headers of every answer, problems too."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        headers.setdefault("Cache-Control", "no-store")
        if isinstance(allowance := scope.get("state", {}).get(_ALLOWANCE), Allowance):
            for name, value in told(allowance).items():
                headers.setdefault(name, value)
