"""The HTTP edge: tokens, rates, `.json` paths, bodies in JSON or Rails forms, and one handler a resource."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kantata import errors
from tieline_sandbox.kantata.listing import envelope, index
from tieline_sandbox.kantata.model import Account
from tieline_sandbox.kernel.app import decode_json, json_response
from tieline_sandbox.kernel.faults import Faults

Handler = Callable[[Request], Awaitable[Response]]
KINDS = {
    "workspaces": "workspace",
    "stories": "story",
    "external_references": "external_reference",
    "users": "user",
    "participations": "participation",
    "time_entries": "time_entry",
}
_PATH = re.compile(r"/api/v1/(\w+)(?:/(\w+))?(?:\.json)?")


class Tokens:
    """Bearer tokens: one fixed, others by client credentials. They do not expire; they can be revoked."""

    def __init__(self) -> None:
        self.client_id, self.client_secret = "tieline", "sandbox-secret"
        self.good = {"sandbox-token"}

    def grant(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """A token answer, or None when the client is not known."""
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        if authorization.lower().startswith("basic "):
            try:
                decoded = base64.b64decode(authorization[6:]).decode("utf-8", "replace")
            except ValueError:
                return None
            client_id, _, client_secret = decoded.partition(":")
        if (client_id, client_secret) != (self.client_id, self.client_secret):
            return None
        token = secrets.token_hex(32)
        self.good.add(token)
        return {"access_token": token, "token_type": "Bearer", "scope": "api_only", "created_at": int(time.time())}


class Rates:
    """Requests of the running minute, for all and for /workspaces alone; 0 is no limit."""

    def __init__(self) -> None:
        self.per_minute = 0
        self.workspaces_per_minute = 0
        self._minute, self._all, self._workspaces = 0, 0, 0

    def spend(self, kind: str) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._all, self._workspaces = minute, 0, 0
        self._all += 1
        if self.per_minute and self._all > self.per_minute:
            return False
        if kind != "workspaces":
            return True
        self._workspaces += 1
        return not self.workspaces_per_minute or self._workspaces <= self.workspaces_per_minute


class Api:
    """Handlers of /api/v1 and /oauth/token."""

    def __init__(self, account: Account, tokens: Tokens, rates: Rates, faults: Faults) -> None:
        self._account, self._tokens, self._rates, self._faults = account, tokens, rates, faults

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            problem = "The authorization grant type is not supported by the authorization server."
            return json_response({"error": "unsupported_grant_type", "error_description": problem}, 400)
        granted = self._tokens.grant(form, request.headers.get("authorization", ""))
        if granted is None:
            problem = (
                "Client authentication failed due to unknown client, no client authentication included, or "
                "unsupported authentication method."
            )
            return json_response({"error": "invalid_client", "error_description": problem}, 401)
        return json_response(granted)

    async def resource(self, request: Request) -> Response:
        headers = {"x-request-id": secrets.token_hex(16)}
        try:
            status, body = self._answer(request, await request.body())
        except errors.ApiError as error:
            status, body = error.status, error.body()
        return Response(status_code=204, headers=headers) if status == 204 else json_response(body, status, headers)

    def _answer(self, request: Request, body: bytes) -> tuple[int, Any]:
        match = _PATH.fullmatch(request.scope["path"])
        if self._faults.strike("expire_tokens", method=request.method, path=request.scope["path"]):
            self._tokens.good.clear()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self._tokens.good:
            raise errors.not_authorized()
        if match is None or match[1] not in KINDS:
            raise errors.not_found()
        if not self._rates.spend(match[1]):
            raise errors.too_many_requests()
        return self._route(request, match[1], match[2], body)

    def _route(self, request: Request, kind: str, record_id: str | None, body: bytes) -> tuple[int, Any]:
        query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        method = request.method
        if record_id is None and method == "GET":
            return 200, index(self._account, kind, query)
        if method in ("POST", "PUT"):
            data = _decoded(request, body)
            saved = self._saved(method, kind, record_id, data)
            return 200, envelope(self._account, kind, saved, query)
        if record_id is not None and method == "DELETE" and kind != "users":
            self._account.delete(kind, record_id)
            return 204, None
        if record_id is not None and method == "GET" and kind != "external_references":
            return 200, envelope(self._account, kind, [self._shown(kind, record_id, query)], query)
        raise errors.not_found()

    def _shown(self, kind: str, record_id: str, query: dict[str, str]) -> dict[str, Any]:
        record = self._account.get(kind, record_id)
        # default filters apply to a single object too: an archived project is "not found" unless asked for
        if record.get("archived") and query.get("include_archived") != "true":
            raise errors.not_found()
        return record

    def _saved(self, method: str, kind: str, record_id: str | None, data: dict[str, Any]) -> list[dict[str, Any]]:
        account, key = self._account, KINDS[kind]
        many = data.get(kind)
        if kind == "workspaces" and method == "POST" and record_id is None and isinstance(many, list):
            if not all(isinstance(one, dict) for one in many):
                raise errors.missing_parameter(key)
            return account.create_workspaces(many)
        given = data.get(key)
        if not isinstance(given, dict):
            raise errors.missing_parameter(key)
        if kind == "external_references" and method == "POST" and record_id == "create_or_update":
            return [account.refer(given)]
        if kind == "workspaces":
            return self._saved_workspace(method, record_id, given)
        if kind == "stories":
            if method == "POST" and record_id is None:
                return [account.create_story(given)]
            if method == "PUT" and record_id is not None:
                return [account.update_story(record_id, given)]
        if kind == "participations" and method == "POST" and record_id is None:
            return [account.participate(given)]
        if kind == "time_entries" and method == "POST" and record_id is None:
            return [account.enter_time(given)]
        if kind == "time_entries" and method == "PUT" and record_id is not None:
            return [account.change_time(record_id, given)]
        raise errors.not_found()

    def _saved_workspace(self, method: str, record_id: str | None, given: dict[str, Any]) -> list[dict[str, Any]]:
        if method == "POST" and record_id is None:
            return self._account.create_workspaces([given])
        if method == "PUT" and record_id is not None:
            return [self._account.update_workspace(record_id, given)]
        raise errors.not_found()


def _decoded(request: Request, body: bytes) -> dict[str, Any]:
    if "form-urlencoded" in request.headers.get("content-type", ""):
        return _from_form(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        data = decode_json(body) if body else {}
    except msgspec.DecodeError:
        raise errors.system(400, "There was a problem in the JSON you submitted") from None
    if not isinstance(data, dict):
        raise errors.system(400, "There was a problem in the JSON you submitted")
    return data


def _from_form(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`workspace[external_reference][service_name]=x` as nested objects."""
    data: dict[str, Any] = {}
    for key, value in pairs:
        *outer, last = re.findall(r"[^\[\]]+", key) or [key]
        inside = data
        for step in outer:
            inside = inside.setdefault(step, {})
        inside[last] = value
    return data
