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

from tieline.connectors.sdk import Answer, ClientCredentials, Session, every, follow, parts
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
            settings.url,
            self._auth,
            lambda _: None,
            timeout_s=settings.timeout_s,
            connections=max(settings.slots, 1),
            allowance=allowance,
        )
        self.usage = self._session.usage
        self.recent = self._session.recent
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

    async def import_usage(self, name: str, content: bytes, key: str) -> str:
        """POST /v1/object/import: the id of an import whose rows are still to be read."""
        boundary = hashlib.sha256(content).hexdigest()
        fields = (("ImportType", "", b"Usage"), ("Name", "", name.encode()), ("File", "usage.csv", content))
        form = b"".join(_form_part(boundary, *field) for field in fields) + f"--{boundary}--\r\n".encode()
        headers = {"Idempotency-Key": self._key(key)} if key else {}
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        about = f"usage batch {name}"
        answer = await self._write("POST", "/v1/object/import", form, headers, about=about, track=name, key=key)
        return str(answer["Id"])

    async def find_import(self, key: str, name: str) -> list[Body]:
        """GET /v1/object/import/{id}. Raises OutcomeUnknown when it cannot be read: its rows may be stored by then."""
        try:
            return [await self.read(f"/v1/object/import/{_part(key)}", f"the import of usage batch {name}")]
        except TielineError as error:
            raise OutcomeUnknown(f"usage batch {name} was received and its import cannot be read: {error}") from error

    async def imports(self, name: str) -> list[Body]:
        """Every import of this name, by ZOQL."""
        quoted = name.replace("\\", "\\\\").replace("'", "\\'")
        return await self.zoql(
            f"select Id, Status, StatusReason, Md5, ImportedCount from Import where Name = '{quoted}'"
        )

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
        return _records(page, "data", f"a query on {kind}"), str(page.get("nextPage") or "")

    async def all(
        self, kind: str, filters: Sequence[str] = (), *, expand: Sequence[str] = (), fields: Sequence[str] = ()
    ) -> AsyncIterator[Body]:
        """Every record of a query, page by page."""

        async def read(cursor: str) -> tuple[list[Body], str | None]:
            records, following = await self.query(kind, filters, expand=expand, fields=fields, cursor=cursor)
            return records, following or None

        async for page in follow("Zuora", "", read):
            for record in page:
                yield record

    async def listed(
        self, kind: str, field: str, values: Iterable[str], *, expand: Sequence[str] = (), only: Sequence[str] = (),
        fields: Sequence[str] = (),
    ) -> list[Body]:  # fmt: skip
        """The records whose `field` is one of `values`: a page of values to a call, several calls side by side.

        A value that cannot stand in an IN list (it holds a comma or bracket) is asked for alone.
        """
        wanted = list(dict.fromkeys(v for v in values if v))
        plain = [v for v in wanted if _LISTABLE.fullmatch(v)]
        filters = [f"{field}.IN:[{','.join(some)}]" for some in parts(plain, self.settings.page_size)]
        filters += [f"{field}.EQ:{v}" for v in wanted if not _LISTABLE.fullmatch(v)]

        async def ask(one: str) -> list[Body]:
            return [record async for record in self.all(kind, [one, *only], expand=expand, fields=fields)]

        return [record for page in await self.each(ask, filters) for record in page]

    async def zoql(self, statement: str) -> list[Body]:
        """POST /v1/action/query, and queryMore until done; it changes nothing and takes no idempotency key."""

        async def read(locator: str) -> tuple[list[Body], str | None]:
            path, body = (
                ("/v1/action/queryMore", {"queryLocator": locator})
                if locator
                else ("/v1/action/query", {"queryString": statement})
            )
            page = self._body(await self._read("POST", path, body), "a ZOQL query")
            following = "" if page.get("done", True) else str(page.get("queryLocator") or "")
            return _records(page, "records", "a ZOQL query") if page.get("size") else [], following or None

        return await every("Zuora", "", read)

    async def paged(self, path: str, field: str, about: str) -> list[Body]:
        """Every record of a /v1 list: `field` of each page, following nextPage (refused on another host)."""

        async def read(place: str) -> tuple[list[Body], str | None]:
            page = await self.read(place, about)
            return _records(page, field, about), str(page.get("nextPage") or "") or None

        return await every("Zuora", path, read)

    async def each(self, call: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Calls side by side, in the order of the items; how many at once is decided for every read together."""
        return list(await asyncio.gather(*(call(item) for item in items)))

    # --- the wire -----------------------------------------------------------------------------------------------------

    async def get(self, path: str, about: str) -> Body | None:
        """Read one document; None for what is not there."""
        answer = await self._read("GET", path)
        if errors.is_absent(answer):
            return None
        body = self._body(answer, about)
        if body.get("success") is not True:
            # {} is not "no such document": it would be written a second time
            raise VendorUnavailable(f"Zuora answered {about} with something else")
        return body

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
        self, method: str, path: str, body: Body | bytes, headers: dict[str, str], *, about: str, track: str,
        key: str = "",
    ) -> Body:  # fmt: skip
        json, data = (None, body) if isinstance(body, bytes) else (body, None)
        answer = await self._session.request(
            method, path, writes=True, json=json, data=data, headers={**headers, **self._headers(track)}
        )
        error = errors.refusal(answer, writes=True, about=about)
        if error is None:
            content = answer.json()
            # CRUD calls say it with a capital.
            if isinstance(content, dict) and (content.get("success") is True or content.get("Success") is True):
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


def allowance(answer: Answer) -> tuple[int, int | None] | None:
    """What Zuora says of the day: `RateLimit-Limit: 50000, 50000;w=60, 27000000;w=86400`, windows in seconds.

    RateLimit-Remaining is about the first number, which is the day's only when no shorter window has the same.
    """
    current, *windows = (part.strip() for part in answer.headers.get("ratelimit-limit", "").split(","))
    limits = {window: limit for limit, _, window in (part.partition(";w=") for part in windows)}
    per_day, left = limits.get("86400", ""), answer.headers.get("ratelimit-remaining", "")
    if not per_day.isdecimal():
        return None
    of_day = left.isdecimal() and [window for window, limit in limits.items() if limit == current] == ["86400"]
    return int(per_day), int(per_day) - int(left) if of_day else None


def _remember(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _records(page: Body, field: str, about: str) -> list[Body]:
    """The records of a page. Raises VendorUnavailable for a page without any list: that is not an empty one."""
    found = page.get(field)
    if not isinstance(found, list):
        raise VendorUnavailable(f"Zuora answered {about} without records")
    return found


def _form_part(boundary: str, name: str, file_name: str, content: bytes) -> bytes:
    file = f'; filename="{file_name}"' if file_name else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def _part(text: str) -> str:
    """A path part: nothing in it can leave the path."""
    return quote(text, safe="")
