"""The door: tokens, rate and concurrency limits, idempotency keys, the headers on every answer, and faults.

Order at the door: rate limit, token, concurrency, idempotency, the handler. Refusals before the handler are not
remembered under an idempotency key; whatever the handler answers is, failures too.
Source: developer.zuora.com, "Rate limits" and "Idempotent requests".
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kernel.app import decode_json, encode_json
from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.zuora import errors
from tieline_sandbox.zuora.errors import Category, Record, Refusal, Resource
from tieline_sandbox.zuora.model import Tenant
from tieline_sandbox.zuora.usage import UsageRefused

KEEP_RESULTS = timedelta(hours=24)
_TOO_MANY_RATE = "Too Many Requests"
_SIGN_IN = "this resource is protected, please sign in first"


@dataclass
class Call:
    """One request, parsed. `body` is decoded JSON, or None; `raw` the bytes of a form or file."""

    method: str
    path: str
    params: dict[str, str]
    query: list[tuple[str, str]]
    body: Any
    raw: bytes
    headers: dict[str, str]
    base_url: str
    request: Request

    def first(self, name: str, default: str | None = None) -> str | None:
        return next((v for k, v in self.query if k == name), default)


@dataclass
class Answer:
    """A body with a status other than 200."""

    body: Any
    status: int = 200


Handler = Callable[[Tenant, Call], Any]


@dataclass
class _Saved:
    fingerprint: str
    until: datetime
    response: tuple[int, bytes] | None = None


@dataclass
class _Window:
    started: float = 0.0
    used: int = 0

    def take(self, limit: int) -> tuple[bool, int, int]:
        """Whether one more fits into this minute; what remains, and the seconds to the next minute."""
        now = time.monotonic()
        if now - self.started >= 60:
            self.started, self.used = now, 0
        self.used += 1
        return self.used <= limit, max(limit - self.used, 0), max(int(60 - (now - self.started)), 1)


@dataclass
class Door:
    """Guards every path of one tenant."""

    tenant: Tenant
    faults: Faults
    tokens: dict[str, float] = field(default_factory=dict)
    _windows: dict[str, _Window] = field(default_factory=dict)
    _saved: dict[str, _Saved] = field(default_factory=dict)
    _running: int = 0

    def reset(self) -> None:
        self.tokens.clear()
        self._windows.clear()
        self._saved.clear()

    async def token(self, request: Request) -> Response:
        """POST /oauth/token: client credentials as a form."""
        t, settings = self.tenant, self.tenant.settings
        form = await _form(request)
        window = self._windows.setdefault(f"auth {request.client.host if request.client else ''}", _Window())
        fits, _, _ = window.take(settings.token_limit_per_min)
        if not fits or self.faults.strike("token_limit", method="POST", path=request.url.path):
            return self._respond(
                429, {"message": _TOO_MANY_RATE}, {"Retry-After": str(settings.retry_after_s)}, request
            )
        if form.get("grant_type") != "client_credentials":
            return self._respond(400, {"code": 400, "message": "Invalid grant_type"}, {}, request)
        if (form.get("client_id"), form.get("client_secret")) != (settings.client_id, settings.client_secret):
            return self._respond(401, {"message": "Invalid client id or client secret"}, {}, request)
        token = f"{t.world.random.getrandbits(128):032x}"
        self.tokens[token] = time.monotonic() + settings.token_lifetime_s
        body = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": int(settings.token_lifetime_s) - 1,
            "scope": "entity.00000000-0000-0000-0000-000000000000 platform.write service.usage.delete tenant.10001",
            "jti": t.new_id(),
        }
        return self._respond(200, body, {}, request)

    def guard(
        self, handler: Handler, style: str = "v1", *, high_volume: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """The Starlette endpoint of `handler`; `style` says how failures are worded: v1, query, crud or action."""

        async def endpoint(request: Request) -> Response:
            return await self._enter(request, handler, style, high_volume)

        return endpoint

    async def _enter(self, request: Request, handler: Handler, style: str, high_volume: bool) -> Response:
        settings = self.tenant.settings
        fits, remaining, reset = self._windows.setdefault("api", _Window()).take(settings.rate_limit_per_min)
        limit = settings.rate_limit_per_min
        headers = {
            "RateLimit-Limit": f"{limit}, {limit};w=60, 2250000;w=3600, 27000000;w=86400",
            "RateLimit-Remaining": str(remaining),
            "RateLimit-Reset": str(reset),
        }
        if not fits:
            return self._respond(429, {"message": _TOO_MANY_RATE}, headers, request)
        if not self._signed_in(request):
            return self._respond(
                401, self._failure(Resource.AUTH * 100 + Category.AUTHENTICATION, _SIGN_IN), headers, request
            )
        allowed = settings.high_volume_limit if high_volume else settings.concurrency_limit
        if request.url.path.startswith("/v1"):
            headers |= {
                "Concurrency-Limit-Type": "High-Volume Transactions" if high_volume else "Default",
                "Concurrency-Limit-Limit": str(allowed),
                "Concurrency-Limit-Remaining": str(max(allowed - self._running - 1, 0)),
            }
        if self._running >= allowed:
            headers["Retry-After"] = str(settings.retry_after_s)
            return self._respond(429, {"code": "REQUEST_EXCEEDED_LIMIT", "message": errors.TOO_MANY}, headers, request)
        self._running += 1
        try:
            status, body = await self._once(request, handler, style)
        finally:
            self._running -= 1
        return self._respond(status, body, headers, request)

    def _signed_in(self, request: Request) -> bool:
        if self.faults.strike("expire_tokens", method=request.method, path=request.url.path):
            self.tokens.clear()
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self.tokens.get(token, 0.0) > time.monotonic()

    async def _once(self, request: Request, handler: Handler, style: str) -> tuple[int, bytes]:
        """Carry out the request, or answer what the same idempotency key was answered before."""
        raw = await request.body()
        key = request.headers.get("idempotency-key") if request.method in ("POST", "PATCH") else None
        if key is None:
            return await self._handle(request, handler, style, raw)
        if len(key) > 255:
            return 400, encode_json(self._failure(_BAD_KEY, "The idempotency key should be 255 characters or less."))
        fingerprint = hashlib.sha256(f"{request.method} {request.url.path} ".encode() + raw).hexdigest()
        now = self.tenant.world.now()
        saved = self._saved.get(key)
        if saved is not None and saved.until > now:
            if saved.fingerprint != fingerprint:
                return 422, encode_json(
                    self._failure(_BAD_KEY, "The idempotency key was used with a different request.")
                )
            if saved.response is None:
                return 409, encode_json(
                    self._failure(_BAD_KEY, "A request with the same idempotency key is still in progress.")
                )
            return saved.response
        saved = self._saved[key] = _Saved(fingerprint, now + KEEP_RESULTS)
        try:
            saved.response = await self._handle(request, handler, style, raw)
        except BaseException:
            del self._saved[key]
            raise
        return saved.response

    async def _handle(self, request: Request, handler: Handler, style: str, raw: bytes) -> tuple[int, bytes]:
        slow = self.faults.strike("slow", method=request.method, path=request.url.path, body=raw)
        pause = slow.seconds if slow else self.tenant.settings.latency_s
        if pause:
            await asyncio.sleep(pause)
        try:
            call = _parse(request, raw)
            self._locked(call, style)
            answer = handler(self.tenant, call)
        except Refusal as refusal:
            return self._refused(refusal, style)
        except UsageRefused as refused:
            return 400, encode_json(errors.action_failure(str(refused), refused.code))
        except msgspec.DecodeError as error:
            malformed = Refusal(Resource.UNKNOWN, Category.MALFORMED, f"Malformed request body: {error}", 400)
            return self._refused(malformed, style)
        if isinstance(answer, Answer):
            file = isinstance(answer.body, bytes)
            return answer.status, answer.body if file else self._encoded(answer.body, style)
        return 200, self._encoded(answer, style)

    def _locked(self, call: Call, style: str) -> None:
        if call.method != "GET" and style in ("v1", "crud"):
            body = call.raw
            if self.faults.strike("locked", method=call.method, path=call.path, body=body):
                raise Refusal(_resource_of(call.path), Category.LOCKED, errors.LOCKED)

    def _refused(self, refusal: Refusal, style: str) -> tuple[int, bytes]:
        if style == "query":
            return refusal.status if refusal.status != 200 else 400, encode_json(
                {"code": refusal.code, "message": refusal.message}
            )
        if style in ("crud", "action"):
            code = "LOCK_COMPETITION" if refusal.code % 100 == Category.LOCKED else "INVALID_VALUE"
            return 400, encode_json(errors.action_failure(refusal.message, code))
        return refusal.status, encode_json(self._failure(refusal.code, refusal.message))

    def _encoded(self, body: Any, style: str) -> bytes:
        if isinstance(body, dict) and body.get("success") is False:
            body = {**body, "processId": self._process_id(), "requestId": self.tenant.new_id()}
        return encode_json(body)

    def _failure(self, code: int, message: str) -> Record:
        return errors.failure(code, message, self._process_id(), self.tenant.new_id())

    def _process_id(self) -> str:
        return f"{self.tenant.world.random.getrandbits(64):016X}"

    def _respond(self, status: int, body: Any, headers: dict[str, str], request: Request) -> Response:
        content = body if isinstance(body, bytes) else encode_json(body)
        headers["Zuora-Request-Id"] = f"{self.tenant.world.random.getrandbits(128):032x}"
        if track := request.headers.get("zuora-track-id"):
            headers["Zuora-Track-Id"] = track[:64]
        media = "text/csv" if request.url.path.startswith("/v1/files/") and status == 200 else "application/json"
        return Response(content, status, headers, media_type=media)


_BAD_KEY = Resource.UNKNOWN * 100 + Category.RULE
_RESOURCES = {
    "accounts": Resource.ACCOUNT, "orders": Resource.ORDER, "subscriptions": Resource.SUBSCRIPTION,
    "invoices": Resource.INVOICE, "credit-memos": Resource.CREDIT_MEMO, "payments": Resource.PAYMENT,
    "bill-runs": Resource.BILL_RUN, "usage": Resource.USAGE,
}  # fmt: skip


def _resource_of(path: str) -> Resource:
    return next((_RESOURCES[part] for part in path.split("/") if part in _RESOURCES), Resource.UNKNOWN)


def _parse(request: Request, raw: bytes) -> Call:
    kind = request.headers.get("content-type", "application/json")
    body = decode_json(raw) if raw and "json" in kind else None
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Call(
        request.method,
        request.url.path,
        request.path_params,
        query,
        body,
        raw,
        dict(request.headers),
        str(request.base_url).rstrip("/"),
        request,
    )


async def _form(request: Request) -> dict[str, str]:
    raw = await request.body()
    kind = request.headers.get("content-type", "")
    if "multipart/form-data" in kind:
        return {name: content.decode() for name, (_, content) in multipart(kind, raw).items()}
    return dict(parse_qsl(raw.decode("latin-1")))


def multipart(content_type: str, raw: bytes) -> dict[str, tuple[str, bytes]]:
    """Form fields by name: (file name, content). Enough for a usage file and for the token form."""
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    fields: dict[str, tuple[str, bytes]] = {}
    for part in raw.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        names = dict(
            p.strip().split("=", 1) for p in head.decode("latin-1").replace("\r\n", ";").split(";") if "=" in p
        )
        fields[names.get("name", "").strip('"')] = (names.get("filename", "").strip('"'), content)
    return fields
