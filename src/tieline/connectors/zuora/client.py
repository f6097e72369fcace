"""Calls to one Zuora tenant: headers, idempotency keys, object query with its pages. Gives wire shapes, raises ours.

The invariant: an idempotency key is sent again only while the request it was sent with may still be carried out.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from tieline.connectors.sdk import Answer, ClientCredentials, Session
from tieline.connectors.zuora import errors
from tieline.connectors.zuora.settings import ZuoraSettings
from tieline.connectors.zuora.wire import Body
from tieline.errors import OutcomeUnknown, TielineError, VendorUnavailable

ZUORA_ID = re.compile(r"[0-9a-f]{32}")
_LISTABLE = re.compile(r"[\w.\-/ ]+")
_TRACK_UNFIT = re.compile(r"[^\x20-\x7e]|[:;\"']")
_REMEMBERED = 8192
_KEY_LENGTH = 200

T = TypeVar("T")
R = TypeVar("R")


class ZuoraClient:
    """One tenant. All methods raise TielineErrors; `about` names the document in their messages."""

    def __init__(self, settings: ZuoraSettings) -> None:
        self.settings = settings
        self._auth = ClientCredentials(
            f"{settings.url.rstrip('/')}/oauth/token",
            {
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
                "grant_type": "client_credentials",
            },
        )
        # Refusals are read with the document's name and the kind of call at hand, so the session passes all answers on.
        self._session = Session(
            settings.url, self._auth, lambda _: None, timeout_s=settings.timeout_s, connections=max(settings.slots, 1)
        )
        self._reads = asyncio.Semaphore(max(settings.reads_at_once, 1))
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._account_ids: OrderedDict[str, str] = OrderedDict()

    async def close(self) -> None:
        await self._session.close()

    # --- documents by their own paths ---------------------------------------------------------------------------------

    async def find_account(self, number: str) -> Body | None:
        """GET /v1/accounts/{number}: basicInfo, billingAndPayment, billToContact, taxInfo."""
        return await self.get(f"/v1/accounts/{_part(number)}", f"account {number}")

    async def find_order(self, number: str) -> Body | None:
        """The `order` of GET /v1/orders/{number}."""
        answer = await self.get(f"/v1/orders/{_part(number)}", f"order {number}")
        order = (answer or {}).get("order")
        return order if isinstance(order, dict) else None

    async def account_id(self, number: str) -> str | None:
        """The Zuora id of an account number; ids never change, so they are remembered."""
        if ZUORA_ID.fullmatch(number):
            return number
        if number not in self._account_ids:
            found = await self.find_account(number)
            if found is None:
                return None
            _remember(self._account_ids, number, str(found["basicInfo"]["id"]))
        return self._account_ids[number]

    async def create_account(self, body: Body, key: str) -> Body:
        """POST /v1/accounts: accountId, accountNumber."""
        number = str(body.get("accountNumber", ""))
        return await self.post("/v1/accounts", body, key, about=f"account {number}", track=number)

    async def update_account(self, number: str, body: Body) -> Body:
        """PUT /v1/accounts/{number}."""
        return await self.put(f"/v1/accounts/{_part(number)}", body, about=f"account {number}", track=number)

    async def create_order(self, body: Body, key: str, track: str) -> Body:
        """POST /v1/orders, or the asynchronous path with its job followed to the end, as the settings say."""
        about = f"order {body.get('orderNumber', '')}"
        if not self.settings.async_orders:
            return await self.post("/v1/orders", body, key, about=about, track=track)
        accepted = await self.post("/v1/async/orders", body, key, about=about, track=track)
        return await self._follow(str(accepted.get("jobId", "")), key, about)

    async def _follow(self, job: str, key: str, about: str) -> Body:
        """Wait for a job. Raises OutcomeUnknown when it takes longer than `async_timeout_s`, or cannot be read."""
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + self.settings.async_timeout_s, self.settings.async_poll_s
        while loop.time() < ends:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 5.0)
            try:
                state = await self.get(f"/v1/async-jobs/{_part(job)}", f"job {job} of {about}")
            except TielineError as error:
                raise OutcomeUnknown(f"job {job} of {about} was accepted and cannot be read: {error}") from error
            if state is None or state.get("status") == "Failed":
                self._next_try(key)
                failed = str((state or {}).get("errors") or f"Zuora does not know job {job}")
                raise errors.job_failure(failed, about) if state else OutcomeUnknown(f"{about}: {failed}")
            if state.get("status") == "Completed":
                result = state.get("result")
                return result if isinstance(result, dict) else {}
        raise OutcomeUnknown(f"job {job} of {about} is still running")

    # --- queries ------------------------------------------------------------------------------------------------------

    async def query(
        self, kind: str, filters: Sequence[str] = (), *, expand: Sequence[str] = (), sort: str = "", cursor: str = "",
        fields: Sequence[str] = (),
    ) -> tuple[list[Body], str]:  # fmt: skip
        """One page of GET /object-query/{kind}: the records and the cursor of the next page ("" for the last)."""
        pairs = [("pageSize", str(self.settings.page_size))]
        pairs += [("filter[]", f) for f in filters] + [("expand[]", e) for e in expand]
        pairs += [("fields[]", ",".join(fields))] if fields else []
        pairs += [("sort[]", sort)] if sort else []
        pairs += [("cursor", cursor)] if cursor else []
        page = await self.read(f"/object-query/{kind}?{urlencode(pairs, quote_via=quote)}", f"a query on {kind}")
        data = page.get("data")
        if not isinstance(data, list):
            raise VendorUnavailable(f"Zuora answered a query on {kind} without records")
        return data, str(page.get("nextPage") or "")

    async def all(
        self, kind: str, filters: Sequence[str] = (), *, expand: Sequence[str] = (), fields: Sequence[str] = ()
    ) -> AsyncIterator[Body]:
        """Every record of a query, page by page."""
        cursor = ""
        while True:
            records, cursor = await self.query(kind, filters, expand=expand, fields=fields, cursor=cursor)
            for record in records:
                yield record
            if not cursor:
                return

    async def listed(
        self, kind: str, field: str, values: Iterable[str], *, expand: Sequence[str] = (), only: Sequence[str] = (),
        fields: Sequence[str] = (),
    ) -> list[Body]:  # fmt: skip
        """The records whose `field` is one of `values`: a page of values to a call, several calls side by side.

        A value that cannot stand in an IN list (it holds a comma or bracket) is asked for alone.
        """
        wanted = list(dict.fromkeys(v for v in values if v))
        plain = [v for v in wanted if _LISTABLE.fullmatch(v)]
        size = self.settings.page_size
        filters = [f"{field}.IN:[{','.join(plain[i : i + size])}]" for i in range(0, len(plain), size)]
        filters += [f"{field}.EQ:{v}" for v in wanted if not _LISTABLE.fullmatch(v)]

        async def ask(one: str) -> list[Body]:
            return [record async for record in self.all(kind, [one, *only], expand=expand, fields=fields)]

        return [record for page in await self.each(ask, filters) for record in page]

    async def zoql(self, statement: str) -> list[Body]:
        """POST /v1/action/query, and queryMore until done; it changes nothing and takes no idempotency key."""
        found: list[Body] = []
        path, body = "/v1/action/query", {"queryString": statement}
        while True:
            answer = await self._read("POST", path, body)
            if (error := errors.refusal(answer, writes=False, about="a ZOQL query")) is not None:
                raise error
            page = answer.json() or {}
            found += page.get("records") or []
            if page.get("done", True) or not page.get("queryLocator"):
                return found
            path, body = "/v1/action/queryMore", {"queryLocator": str(page["queryLocator"])}

    async def paged(self, path: str, field: str, about: str) -> list[Body]:
        """Every record of a /v1 list: `field` of each page, following nextPage (refused on another host)."""
        found: list[Body] = []
        next_path = path
        while next_path:
            page = await self.read(next_path, about)
            found += page.get(field) or []
            next_path = str(page.get("nextPage") or "")
        return found

    async def each(self, call: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Calls side by side, in the order of the items; how many at once is decided for every read together."""
        return list(await asyncio.gather(*(call(item) for item in items)))

    # --- the wire -----------------------------------------------------------------------------------------------------

    async def get(self, path: str, about: str) -> Body | None:
        """Read one document; None for what is not there."""
        answer = await self._read("GET", path)
        return None if errors.is_absent(answer) else self._body(answer, about)

    async def read(self, path: str, about: str) -> Body:
        """Read what must be there, a list or a query: "not found" is a wrong address or right, not an empty list."""
        return self._body(await self._read("GET", path), about)

    def _body(self, answer: Answer, about: str) -> Body:
        if (error := errors.refusal(answer, writes=False, about=about)) is not None:
            raise error
        body = answer.json()
        if not isinstance(body, dict):
            raise VendorUnavailable(f"Zuora answered {about} with nothing")
        return body

    async def post(self, path: str, body: Body, key: str, *, about: str, track: str) -> Body:
        """Write once: under the same key Zuora repeats its first answer for 24 hours, a failure too."""
        headers = {"Idempotency-Key": self._key(key)} if key else {}
        return await self._write("POST", path, body, headers, about=about, track=track, key=key)

    async def put(self, path: str, body: Body, *, about: str, track: str) -> Body:
        """Change. A PUT takes no idempotency key: it is idempotent by itself."""
        return await self._write("PUT", path, body, {}, about=about, track=track)

    async def _write(
        self, method: str, path: str, body: Body, headers: dict[str, str], *, about: str, track: str, key: str = ""
    ) -> Body:
        answer = await self._session.request(
            method, path, writes=True, json=body, headers={**headers, **self._headers(track)}
        )
        error = errors.refusal(answer, writes=True, about=about)
        if error is None:
            content = answer.json()
            if isinstance(content, dict):
                return content
            error = OutcomeUnknown(f"Zuora answered {about} with nothing")
        if answer.status not in errors.RUNNING:
            # The answer to this key is final, and would be repeated to every later attempt.
            self._next_try(key)
        raise error

    async def _read(self, method: str, path: str, body: Body | None = None) -> Answer:
        async with self._reads:
            return await self._session.request(method, path, writes=False, json=body, headers=self._headers())

    def _headers(self, track: str = "") -> dict[str, str]:
        given = {
            "Zuora-Track-Id": _TRACK_UNFIT.sub("-", track)[:64],
            "Zuora-Entity-Ids": self.settings.entity_ids,
            "Zuora-Version": self.settings.version,
        }
        return {name: value for name, value in given.items() if value}

    def _key(self, key: str) -> str:
        """The header for a call's key: the key itself, then `key-1`, `key-2` after final refusals."""
        tries = self._tries.get(key, 0)
        short = key if len(key) <= _KEY_LENGTH else hashlib.sha256(key.encode()).hexdigest()
        return f"{short}-{tries}" if tries else short

    def _next_try(self, key: str) -> None:
        if key:
            _remember(self._tries, key, self._tries.get(key, 0) + 1)


def _remember(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _part(text: str) -> str:
    """A path part: nothing in it can leave the path."""
    return quote(text, safe="")
