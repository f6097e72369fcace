"""Which handler answers which resource, and the way from HTTP to it: size, session, allowance, version."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kernel.app import encode_json
from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.auth import OAuthError, Sessions, with_basic
from tieline_sandbox.salesforce.bulk import BulkResources, job_routes
from tieline_sandbox.salesforce.calls import Answer, Call, Handler, Routes, dispatch
from tieline_sandbox.salesforce.collections import Collections
from tieline_sandbox.salesforce.composite import Composite
from tieline_sandbox.salesforce.describe import VERSIONS, versions
from tieline_sandbox.salesforce.handlers import Resources
from tieline_sandbox.salesforce.jobs import Jobs
from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.outbound import Outbox
from tieline_sandbox.salesforce.query import Queries
from tieline_sandbox.salesforce.usage import Usage

MAX_URI = 16_384
_VERSIONED = re.compile(r"/services/data/v(\d+\.\d)(?:/(.*))?")
_JSON = "application/json;charset=UTF-8"


class Front:
    """The HTTP edge of one org."""

    def __init__(self, org: Org, sessions: Sessions, usage: Usage, jobs: Jobs, outbox: Outbox, faults: Faults) -> None:
        self._sessions, self._usage, self._outbox, self._faults = sessions, usage, outbox, faults
        self._org = org
        self._routes = _routes(org, usage, jobs)

    async def versions(self, _: Request) -> Response:
        return _response(Answer(200, versions()))

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        self._outbox.base_url = _base_url(request)
        try:
            form = with_basic(form, request.headers.get("authorization", ""))
            return _response(Answer(200, self._sessions.grant(form, self._outbox.base_url)))
        except OAuthError as error:
            return _response(Answer(400, error.body))

    async def data(self, request: Request) -> Response:
        too_big = _too_big(request)
        if too_big is not None:
            return too_big
        path = request.scope["path"]
        if path == "/services/data/":
            return await self.versions(request)
        try:
            self._admit(request)
            with self._usage.under_way():
                return await self._served(request, path)
        except errors.ApiError as error:
            return _response(Answer(error.status, error.body()), self._usage.header())

    async def _served(self, request: Request, path: str) -> Response:
        slow = self._faults.strike("long_request", method=request.method, path=path)
        if slow is not None:
            await asyncio.sleep(slow.seconds)
        match = _VERSIONED.fullmatch(path)
        if match is None or match[1] not in VERSIONS:
            return _response(Answer(404, errors.no_resource().body()), self._usage.header())
        query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        # tunnelled for clients that cannot PATCH
        method = query.pop("_HttpMethod", request.method)
        resource = (match[2] or "").strip("/")
        call = Call(method, resource, match[1], query, request.headers, await request.body())
        self._org.guards.allow_duplicates = _says(request.headers.get("sforce-duplicate-rule-header"), "allowSave")
        return _response(dispatch(self._routes, call), self._usage.header())

    def _admit(self, request: Request) -> None:
        """Raises ApiError when there is no good session, or no call left today."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._faults.strike("expire_tokens", method=request.method, path=request.scope["path"]):
            self._sessions.expire_all()
        if scheme and scheme.lower() not in ("bearer", "oauth"):
            raise errors.bad_auth_header()
        if not self._sessions.good(token):
            raise errors.session_expired()
        self._usage.spend()


def _routes(org: Org, usage: Usage, jobs: Jobs) -> Routes:
    queries = Queries(org)
    one, many = Resources(org, queries, usage), Collections(org)
    table: Routes = []
    together = Composite(org, lambda call: dispatch(table, call))
    by_external: dict[str, Handler] = {"GET": one.retrieve_external, "PATCH": one.upsert, "DELETE": one.delete_external}
    table += [
        (re.compile(r"query"), {"GET": one.query}),
        (re.compile(r"sobjects/(\w+)/describe"), {"GET": one.describe}),
        (re.compile(r"sobjects/(\w+)/updated"), {"GET": one.updated}),
        (re.compile(r"sobjects/(\w+)/deleted"), {"GET": one.deleted}),
        (re.compile(r"sobjects/(\w+)/([^/]+)"), {"GET": one.retrieve, "PATCH": one.update, "DELETE": one.delete}),
        (re.compile(r"sobjects/(\w+)"), {"GET": one.sobject, "POST": one.create}),
        (re.compile(r"composite/sobjects"), {"POST": many.create, "PATCH": many.update, "DELETE": many.delete}),
        (re.compile(r"composite/sobjects/(\w+)/(\w+)"), {"PATCH": many.upsert}),
        (re.compile(r"composite/sobjects/(\w+)"), {"GET": many.retrieve, "POST": many.retrieve}),
        (re.compile(r"composite"), {"POST": together.composite}),
        (re.compile(r"composite/tree/(\w+)"), {"POST": together.tree}),
        (re.compile(r"query/([\w-]+)"), {"GET": one.query_more}),
        (re.compile(r"queryAll"), {"GET": one.query_all}),
        (re.compile(r"queryAll/([\w-]+)"), {"GET": one.query_more}),
        (re.compile(r"sobjects/(\w+)/(\w+)/(.+)"), by_external),
        (re.compile(r"sobjects"), {"GET": one.sobjects}),
        *job_routes(BulkResources(org, jobs, usage)),
        (re.compile(r"limits"), {"GET": one.limits}),
        (re.compile(r""), {"GET": one.resources}),
    ]
    return table


def _too_big(request: Request) -> Response | None:
    """Salesforce's front servers refuse long requests in HTML, before any API sees them."""
    scope = request.scope
    uri = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    if uri > MAX_URI:
        return Response("<h1>URI Too Long</h1>", 414, media_type="text/html")
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    if uri + headers > MAX_URI:
        return Response("<h1>Request Header Fields Too Large</h1>", 431, media_type="text/html")
    return None


def _says(header: str | None, option: str) -> bool:
    """Whether `allowSave=true; includeRecordDetails=false` names this option as true."""
    pairs = (part.partition("=") for part in (header or "").split(";"))
    return any(name.strip().lower() == option.lower() and value.strip().lower() == "true" for name, _, value in pairs)


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def _response(answer: Answer, usage: str | None = None) -> Response:
    headers = answer.headers
    if usage is not None:
        headers["Sforce-Limit-Info"] = usage
    if answer.status == 401:
        headers["WWW-Authenticate"] = "Token"
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers, media_type="text/csv")
    return Response(encode_json(answer.body), answer.status, headers, media_type=_JSON)
