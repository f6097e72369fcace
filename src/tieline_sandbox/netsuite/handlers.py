"""The handlers: parse, call the account, answer. Source: REST API browser 2026.1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from tieline_sandbox.kernel.app import encode_json, json_response
from tieline_sandbox.netsuite.auth import TokenRefused
from tieline_sandbox.netsuite.errors import (
    NetSuiteError,
    bad_header,
    bad_parameter,
    no_such_record,
    unexpected,
    unreadable,
    user_error,
)
from tieline_sandbox.netsuite.fields import SPECS
from tieline_sandbox.netsuite.filters import parse_filter
from tieline_sandbox.netsuite.jobs import JOBS, MAX_BATCH, Work
from tieline_sandbox.netsuite.model import Account, WriteOptions
from tieline_sandbox.netsuite.render import RECORDS, link, page, record_url, render, render_sublist
from tieline_sandbox.netsuite.requests import (
    base_url,
    flag,
    json_body,
    key_of,
    kind_of,
    paging,
    preferences,
    write_options,
)
from tieline_sandbox.netsuite.restlets import as_restlet
from tieline_sandbox.netsuite.store import Entry, Record
from tieline_sandbox.netsuite.suiteql import run_query

if TYPE_CHECKING:
    from tieline_sandbox.netsuite import Sandbox

Handler = Callable[[Request], Awaitable[Response]]
COLLECTION = "application/vnd.oracle.resource+json; type=collection; charset=UTF-8"
SINGULAR = "application/vnd.oracle.resource+json; type=singular-resource; charset=UTF-8"


def answer(content: Any, media_type: str = SINGULAR) -> Response:
    return Response(encode_json(content), media_type=media_type)


class Handlers:
    """One method for each path and method; `governed` puts login, slots and errors around them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def account(self) -> Account:
        return self._sandbox.account

    def restlet(self) -> Handler:
        """Scripts share login and slots with the rest of the account, and say their refusals in their own way."""
        return self.governed(self._sandbox.restlets.handle, as_restlet)

    def governed(
        self, handler: Handler, refuse: Callable[[NetSuiteError], Response] = NetSuiteError.response
    ) -> Handler:
        sandbox = self._sandbox

        async def governed(request: Request) -> Response:
            method, path = request.method, request.url.path
            try:
                if sandbox.faults.strike("expired_token", method=method, path=path):
                    sandbox.gatekeeper.revoke_tokens()
                sandbox.gatekeeper.admit(request)
                settings, account = sandbox.account.settings, sandbox.gatekeeper.credentials.account
                async with sandbox.slots.one(settings.slots, settings.service_ms, method, path, account):
                    response = await handler(request)
                if method != "GET" and sandbox.faults.strike("error_after_save", method=method, path=path):
                    raise unexpected()
            except NetSuiteError as refusal:
                return refuse(refusal)
            return response

        return governed

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        try:
            issued = self._sandbox.gatekeeper.issue(form, request.headers.get("host", ""))
        except TokenRefused as refusal:
            return json_response({"error": refusal.code}, refusal.status, {"Cache-Control": "no-store"})
        return json_response(issued, headers={"Cache-Control": "no-store"})

    # --- records ---------------------------------------------------------------------------------------------------

    async def collection(self, request: Request) -> Response:
        """GET lists, POST creates; other methods, and POST with `items`, are batches and run only as jobs."""
        kind, method = kind_of(request), request.method
        wants_job = "respond-async" in preferences(request)
        if method == "GET":
            return await self._maybe_later(request, lambda: self._list(request, kind), wants_job=wants_job)
        if method == "DELETE":
            keys = [key for key in request.query_params.get("ids", "").split(",") if key]
            return self._batch(request, [self._later_delete(kind, key) for key in keys], wants_job=wants_job)
        body, options, base = await json_body(request), write_options(request), base_url(request)
        if method == "POST" and not (isinstance(body, dict) and "items" in body and "item" not in body):
            return await self._maybe_later(
                request, lambda: self._create(request, kind, body, options), wants_job=wants_job
            )
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise unreadable("Invalid content in the request body. An array of items is expected.")
        works = [self._later_write(method, kind, item, options, base) for item in items]
        return self._batch(request, works, wants_job=wants_job)

    async def record(self, request: Request) -> Response:
        kind, key = kind_of(request), key_of(request)
        if request.method == "GET":
            work: Work = lambda: self._get(request, kind, key)  # noqa: E731 - one of four alike
        elif request.method == "DELETE":
            work = self._later_delete(kind, key)
        else:
            body, options = await json_body(request), write_options(request)
            if request.method == "PATCH":
                work = lambda: self._update(request, kind, key, body, options)  # noqa: E731
            else:
                work = lambda: self._upsert(request, kind, key, body, options)  # noqa: E731
        return await self._maybe_later(request, work)

    async def transform(self, request: Request) -> Response:
        kind, key, target = kind_of(request), key_of(request), request.path_params["target"]
        body, options = await json_body(request, required=False), write_options(request)

        async def work() -> Response:
            self._obstruct(request.method, request.url.path)
            source = self._sandbox.account.locate(kind, key)
            entry, warnings = self._sandbox.account.transform(source, target, body, options)
            return created(entry, base_url(request), warnings)

        return await self._maybe_later(request, work)

    async def sublist(self, request: Request) -> Response:
        kind, name = kind_of(request), request.path_params["sublist"]
        entry = self._sandbox.account.locate(kind, key_of(request))
        if name not in SPECS[kind].sublists:
            raise no_such_record()
        shown = render_sublist(self._sandbox.account.store, entry, name, base_url(request))
        number = request.path_params.get("line")
        if number is None:
            return answer(shown, COLLECTION)
        if not 1 <= number <= shown["count"]:
            raise no_such_record()
        return answer(shown["items"][number - 1])

    async def _list(self, request: Request, kind: str) -> Response:
        limit, offset = paging(request)
        entries: list[Entry] = list(self._sandbox.account.store.kinds[kind].values())
        if ids := request.query_params.get("ids"):
            entries = [entry for key in ids.split(",") if (entry := self._find(kind, key)) is not None]
        if query := request.query_params.get("q"):
            matches = parse_filter(query)
            entries = [entry for entry in entries if matches(entry.doc)]
        shown, base = entries[offset : offset + limit], base_url(request)
        if flag(request, "expandRecords"):
            items = [render(self._sandbox.account.store, entry, base) for entry in shown]
        else:
            items = [{"links": [link(record_url(base, entry))], "id": entry.id} for entry in shown]
        return answer(page(items, len(entries), offset, limit, f"{base}{RECORDS}/{kind}"), COLLECTION)

    def _find(self, kind: str, key: str) -> Entry | None:
        store = self._sandbox.account.store
        return store.find_external(kind, key[4:]) if key.startswith("eid:") else store.find(kind, key)

    async def _get(self, request: Request, kind: str, key: str) -> Response:
        entry = self._sandbox.account.locate(kind, key)
        only = request.query_params.get("fields")
        shown = render(
            self._sandbox.account.store,
            entry,
            base_url(request),
            expand=flag(request, "expandSubResources"),
            only=None if only is None else frozenset(only.split(",")),
        )
        return answer(shown)

    async def _create(self, request: Request, kind: str, body: Any, options: WriteOptions) -> Response:
        self._obstruct(request.method, request.url.path)
        return created(*self._with_base(request, self._sandbox.account.create(kind, body, options)))

    async def _update(self, request: Request, kind: str, key: str, body: Any, options: WriteOptions) -> Response:
        entry = self._sandbox.account.locate(kind, key)
        self._obstruct(request.method, request.url.path, update=True)
        return created(*self._with_base(request, self._sandbox.account.update(entry, body, options)))

    async def _upsert(self, request: Request, kind: str, key: str, body: Any, options: WriteOptions) -> Response:
        if not key.startswith("eid:"):
            raise user_error("An upsert needs an external ID: PUT …/eid:<external ID>. Use PATCH with an internal ID.")
        self._obstruct(request.method, request.url.path, update=self._find(kind, key) is not None)
        return created(*self._with_base(request, self._sandbox.account.upsert(kind, key[4:], body, options)))

    def _with_base(self, request: Request, written: tuple[Entry, list[str]]) -> tuple[Entry, str, list[str]]:
        return written[0], base_url(request), written[1]

    def _obstruct(self, method: str, path: str, *, update: bool = False) -> None:
        """Refusals that have nothing to do with the request: a company's own script, another user's edit."""
        faults = self._sandbox.faults
        if faults.strike("script_refusal", method=method, path=path):
            raise user_error("A user event script rejected the record.")
        if update and faults.strike("record_changed", method=method, path=path):
            raise user_error("Record has been changed.")

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def _maybe_later(self, request: Request, work: Work, *, wants_job: bool | None = None) -> Response:
        if wants_job is None:
            wants_job = "respond-async" in preferences(request)
        return self._queue(request, [work]) if wants_job else await work()

    def _batch(self, request: Request, works: list[Work], *, wants_job: bool) -> Response:
        if not wants_job:
            raise bad_header(
                "Prefer", "A batch of records is processed asynchronously only: send Prefer: respond-async."
            )
        if not works:
            raise unreadable("Invalid content in the request body. At least one record is expected.")
        if len(works) > MAX_BATCH:
            raise user_error(f"A batch holds at most {MAX_BATCH} records.")
        return self._queue(request, works)

    def _queue(self, request: Request, works: list[Work]) -> Response:
        key = request.headers.get("x-netsuite-idempotency-key")
        job = self._sandbox.jobs.submit(works, key, self._sandbox.account.settings.job_ms / 1000)
        headers = {"Location": f"{JOBS}/{job.id}", "Preference-Applied": "respond-async"}
        return Response(status_code=202, headers=headers, media_type="application/json")

    def _later_delete(self, kind: str, key: str) -> Work:
        async def work() -> Response:
            account = self._sandbox.account
            account.delete(account.locate(kind, key))
            return Response(status_code=204)

        return work

    def _later_write(self, method: str, kind: str, item: Any, options: WriteOptions, base: str) -> Work:
        async def work() -> Response:
            account = self._sandbox.account
            self._obstruct(method, f"{RECORDS}/{kind}")
            key = item.get("id") if isinstance(item, dict) else None
            external = item.get("externalId") if isinstance(item, dict) else None
            if method == "POST":
                written = account.create(kind, item, options)
            elif method == "PUT":
                if not external:
                    raise user_error("Please enter value(s) for: External ID.")
                written = account.upsert(kind, str(external), item, options)
            else:
                found = account.locate(kind, str(key) if key else f"eid:{external}")
                written = account.update(found, item, options)
            return created(written[0], base, written[1])

        return work

    async def job(self, request: Request) -> Response:
        return answer(self._sandbox.jobs.job(request.path_params["job"]).shown(base_url(request)))

    async def tasks(self, request: Request) -> Response:
        job = self._sandbox.jobs.job(request.path_params["job"])
        url = f"{base_url(request)}{JOBS}/{job.id}/task"
        items: list[Record] = [{"links": [link(f"{url}/{task.id}")], "id": task.id} for task in job.tasks]
        return answer(page(items, len(items), 0, MAX_BATCH, url), COLLECTION)

    async def task(self, request: Request) -> Response:
        job_id, task_id = request.path_params["job"], request.path_params["task"]
        url = f"{base_url(request)}{JOBS}/{job_id}/task/{task_id}"
        return answer(self._sandbox.jobs.task(job_id, task_id).shown(url))

    async def result(self, request: Request) -> Response:
        task = self._sandbox.jobs.task(request.path_params["job"], request.path_params["task"])
        if task.answer is None:
            raise user_error("The task is not completed yet.")
        return task.answer

    # --- query and system --------------------------------------------------------------------------------------------

    async def suiteql(self, request: Request) -> Response:
        if "transient" not in preferences(request):
            raise bad_header("Prefer", "The required request header 'Prefer' is missing or not set to 'transient'.")
        limit, offset = paging(request)
        body = await json_body(request)
        query = body.get("q") if isinstance(body, dict) else None
        if not isinstance(query, str):
            raise bad_parameter("q", "The query is missing. Send it as the property 'q' of the request body.")
        rows, total = run_query(
            self._sandbox.environment,
            query,
            body.get("params") or [],
            self._sandbox.world.now(),
            limit=limit,
            offset=offset,
        )
        url = f"{base_url(request)}/services/rest/query/v1/suiteql"
        return answer(page(rows, total, offset, limit, url), COLLECTION)

    async def governance_limits(self, _: Request) -> Response:
        settings = self._sandbox.account.settings
        if not settings.administrator:
            raise NetSuiteError(403, "INSUFFICIENT_PERMISSION", "You do not have permissions for this operation.")
        return json_response(
            {
                "accountConcurrencyLimit": settings.slots,
                "accountUnallocatedConcurrencyLimit": settings.slots,
                "limitType": "accountSpecific",
            }
        )


def created(entry: Entry, base: str, warnings: list[str]) -> Response:
    """204 with the address of the record; what was ignored is named in a Warning header."""
    headers = {"Location": record_url(base, entry)}
    if warnings:
        headers["Warning"] = f'299 - "Ignored unknown or invalid properties: {", ".join(warnings)}"'.encode(
            "ascii", "replace"
        ).decode()
    return Response(status_code=204, headers=headers)
