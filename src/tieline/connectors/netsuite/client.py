"""Calls to one NetSuite account: records by internal or external id, SuiteQL with its pages.

The invariant: never more calls in flight than `slots`, because the number is shared by the whole account.
`X-NetSuite-Idempotency-Key` is not sent: it counts on asynchronous calls only; the external id is what makes a write
safe to repeat.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from tieline.connectors.netsuite.errors import NotThere, Refusals
from tieline.connectors.netsuite.settings import NetSuiteSettings, make_auth
from tieline.connectors.sdk import Answer, Session, every
from tieline.engine.ports import Wire
from tieline.errors import OutcomeUnknown, RejectedByVendor, VendorUnavailable

RECORD = "/services/rest/record/v1"
SUITEQL = "/services/rest/query/v1/suiteql"
QUERY_PAGE = 1000
"""NetSuite's largest page. Beyond 100,000 rows a query must be cut by id, as `changes` does."""

_STRICT = {"X-NetSuite-PropertyNameValidation": "Error", "X-NetSuite-PropertyValueValidation": "Error"}
"""The default drops unknown fields with a warning that nobody reads: a missing custom field must be refused."""

_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_ID = re.compile(r"/(\d+)/?\Z")


class Client:
    """Thin: paths, headers, pages. Returns records and rows in NetSuite's own shape, fractions as Decimal."""

    def __init__(self, settings: NetSuiteSettings) -> None:
        self._session = Session(
            settings.base_url,
            make_auth(settings),
            Refusals(),
            timeout_s=settings.timeout_s,
            connections=settings.slots,
        )
        self.usage = self._session.usage
        self.recent = self._session.recent
        self._slots = asyncio.Semaphore(settings.slots)

    @property
    def calls(self) -> int:
        """How many HTTP calls were made."""
        return self._session.calls

    async def upsert(self, record: str, external_id: str, body: Wire, replace: str = "") -> str:
        """Create or update by external id; returns the internal id."""
        answer = await self._write("PUT", f"{RECORD}/{record}/{eid(external_id)}", body, replace)
        return _written_id(answer, record)

    async def update(self, record: str, internal_id: str, body: Wire, replace: str = "") -> str:
        """Change the given fields. Raises NotThere."""
        answer = await self._write("PATCH", f"{RECORD}/{record}/{quote(internal_id, safe='')}", body, replace)
        _done(answer, f"the change of {record} {internal_id}")
        return internal_id

    async def delete(self, record: str, external_id: str) -> None:
        """Raises NotThere."""
        answer = await self._call("DELETE", f"{RECORD}/{record}/{eid(external_id)}", writes=True)
        _done(answer, f"the deletion of {record} {external_id}")

    async def get(self, record: str, key: str, *, expand: bool = True) -> Wire | None:
        """A record by internal id or `eid(…)`, sublists included; None when it does not stand there."""
        params = {"expandSubResources": "true"} if expand else None
        try:
            answer = await self._read("GET", f"{RECORD}/{record}/{key}", params=params)
        except NotThere:
            return None
        found = _object(answer)
        if not found.get("id"):
            # an object without an id is no record, and not "no such record" either
            raise VendorUnavailable(f"NetSuite answered a {record} with something else", retry_after_s=1.0)
        return found

    async def describe(self, record: str) -> Wire:
        """The JSON Schema of a record type as this account and role have it."""
        path = f"{RECORD}/metadata-catalog/{record}"
        return _object(await self._read("GET", path, headers={"Accept": "application/schema+json"}))

    async def query(self, sql: str, *, limit: int = QUERY_PAGE, offset: int = 0) -> tuple[list[Wire], bool]:
        """One page of a SuiteQL query: rows with lower-case names, and whether there are more."""
        params = {"limit": str(limit), "offset": str(offset)}
        headers = {"Prefer": "transient"}
        page = _object(await self._read("POST", SUITEQL, params=params, json={"q": sql}, headers=headers))
        rows = page.get("items")
        if not isinstance(rows, list):
            raise VendorUnavailable("NetSuite answered a query without rows")
        return [{name: value for name, value in row.items() if name != "links"} for row in rows], bool(
            page.get("hasMore")
        )

    async def query_all(self, sql: str) -> list[Wire]:
        """Every row of a query that is ordered and not long."""

        async def read(offset: int) -> tuple[list[Wire], int | None]:
            rows, more = await self.query(sql, offset=offset)
            if more and not rows:
                raise VendorUnavailable("NetSuite answered with an empty page and says that there is more")
            return rows, offset + QUERY_PAGE if more else None  # an offset must be a multiple of the limit

        return await every("NetSuite", 0, read)

    async def close(self) -> None:
        await self._session.close()

    async def _write(self, method: str, path: str, body: Wire, replace: str) -> Answer:
        params = {"replace": replace} if replace else None
        return await self._call(method, path, writes=True, json=body, params=params, headers=_STRICT)

    async def _read(self, method: str, path: str, **how: Any) -> Answer:
        try:
            return await self._call(method, path, writes=False, **how)
        except OutcomeUnknown as error:
            # A read that failed in the middle has done nothing.
            raise VendorUnavailable(str(error), retry_after_s=1.0) from error
        except VendorUnavailable as error:
            if not _connection_broke(error):
                raise
        # A kept connection that NetSuite closed in that moment says nothing about NetSuite: a read may be repeated.
        return await self._call(method, path, writes=False, **how)

    async def _call(self, method: str, path: str, *, writes: bool, **how: Any) -> Answer:
        async with self._slots:
            return await self._session.request(method, path, writes=writes, **how)


def _connection_broke(error: VendorUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not isinstance(
        cause, aiohttp.ClientConnectorError
    )


def eid(external_id: str) -> str:
    """The path segment that names a record by external id. Raises RejectedByVendor for one that cannot stand in a URL.

    Source: "Using External IDs" (section_156334828635): letters, numbers, underscore and hyphen; a `|` is misread.
    """
    if not _EXTERNAL_ID.match(external_id):
        raise RejectedByVendor(
            f"NetSuite takes external ids of letters, digits, '_' and '-' only, and '{external_id}' has others"
        )
    return f"eid:{quote(external_id, safe='')}"


def _done(answer: Answer, what: str) -> None:
    """A change or deletion is answered with 204 and nothing else; 202 only queues it, 200 is a proxy's page."""
    if answer.status != 204:
        raise OutcomeUnknown(f"NetSuite answered {what} with {answer.status} instead of 204")


def _written_id(answer: Answer, record: str) -> str:
    """The internal id, from Location: `…/record/v1/invoice/647`. Raises OutcomeUnknown when it does not say."""
    found = _ID.search(answer.headers.get("location", ""))
    if found is None or f"/{record}/" not in answer.headers["location"]:
        raise OutcomeUnknown(f"NetSuite answered {answer.status} to a {record} without saying where it stands")
    return found.group(1)


def _object(answer: Answer) -> Wire:
    try:
        content = answer.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VendorUnavailable("NetSuite sent an answer that is no JSON", retry_after_s=1.0) from error
    if not isinstance(content, dict):
        raise VendorUnavailable("NetSuite sent an answer that is no JSON object", retry_after_s=1.0)
    return content
