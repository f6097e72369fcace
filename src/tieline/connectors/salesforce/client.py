"""Salesforce's REST API: paths, paging, batches. Returns wire types; knows no canonical entity.

Source: REST API Developer Guide, Query, sObject Collections and Limits resources. A request line holds 16,384 bytes,
so long lists of ids go out as several queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import quote, urlsplit

import msgspec

from tieline.connectors.salesforce import errors, wire
from tieline.connectors.salesforce.bulk import BulkQuery
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.wire import QueryResult, SaveResult
from tieline.connectors.sdk import Answer, ClientCredentials, Session, every
from tieline.errors import ConfigurationError, OutcomeUnknown, VendorUnavailable

MAX_RECORDS = 200
MAX_URI_BYTES = 16_000
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")

Record = dict[str, Any]


def is_id(text: str) -> bool:
    """Whether a text can be an id of Salesforce at all; anything else never reaches a query."""
    return _ID.match(text) is not None


def same_id(text: str) -> str:
    """What two spellings of one id share: its first 15 characters, which are case-sensitive."""
    return text[:15]


class SalesforceClient:
    """One org. Reads raise VendorUnavailable where a write would leave its outcome unknown."""

    def __init__(self, settings: SalesforceSettings) -> None:
        self._settings = settings
        self._auth = settings.auth()
        self._session = Session(
            settings.url, self._auth, errors.from_answer, timeout_s=settings.timeout_s, allowance=allowance
        )
        self.usage = self._session.usage
        self.recent = self._session.recent
        self._base = f"/services/data/v{settings.api_version}"
        self.said_at: datetime | None = None
        self._tenant = settings.organization_id
        self._signed: Mapping[str, str] = {}
        self.bulk = BulkQuery(self._session, self._base)

    async def close(self) -> None:
        await self._session.close()

    # reading

    async def records(self, kind: str, ids: Sequence[str]) -> dict[str, Record]:
        """Accounts, contacts or opportunities by id: first 15 characters of the id → record, for those that stand."""
        sobject, fields = self._select(kind)
        found = await self.select(sobject, fields, ids)
        in_currency = "CurrencyIsoCode" in wire.SHAPES[kind].record.__annotations__
        return {native_id: self._completed(record) if in_currency else record for native_id, record in found.items()}

    async def select(self, sobject: str, fields: Sequence[str], ids: Sequence[str]) -> dict[str, Record]:
        """These fields of records by id, as `records` gives them. Id is always among them."""
        soql = f"SELECT {', '.join(dict.fromkeys(('Id', *fields)))} FROM {sobject} WHERE Id IN "
        found: dict[str, Record] = {}
        for id_list in self._in_lists(soql, ids):
            found |= {same_id(record["Id"]): record for record in await self.query(soql + id_list)}
        return found

    async def query(self, soql: str, *, deleted: bool = False) -> list[Record]:
        """All records of a query, page after page, child relationships completed. Raises VendorUnavailable…

        `deleted` finds what is in the recycle bin too.
        """
        records = await self._all(await self._page(f"{self._base}/{'queryAll' if deleted else 'query'}", {"q": soql}))
        for record in records:
            await self._complete_children(record)
        return records

    async def count(self, sobject: str, where: str) -> int:
        """How many records a condition finds, deleted ones included."""
        condition = f" WHERE {where}" if where else ""
        page = await self._page(f"{self._base}/queryAll", {"q": f"SELECT COUNT() FROM {sobject}{condition}"})
        return page["totalSize"]

    async def organization(self) -> Record:
        """The org's own record: Id, Name, OrganizationType, IsSandbox."""
        found = await self.query("SELECT Id, Name, OrganizationType, IsSandbox FROM Organization LIMIT 1")
        if not found:
            raise VendorUnavailable("Salesforce answered without its Organization record")
        return found[0]

    async def pubsub_metadata(self) -> list[tuple[str, str]]:
        """What proves a session to the Pub/Sub API: the token, where the org lives, and the org's id."""
        self._signed = await self._auth.headers(self._session.http(), "GET", self._settings.url)
        token = self._signed["Authorization"].removeprefix("Bearer ")
        if not self._tenant:
            self._tenant = str((await self.organization())["Id"])
        instance = self.instance_url() or self._settings.url
        return [("accesstoken", token), ("instanceurl", instance), ("tenantid", self._tenant)]

    def renew_session(self) -> None:
        """The Pub/Sub API does not accept the session any more: the next one is a new one."""
        self._auth.forget(self._signed)

    def instance_url(self) -> str:
        """Where Salesforce says this org lives, "" before the first token."""
        answer = self._auth.answer if isinstance(self._auth, ClientCredentials) else {}
        return str(answer.get("instance_url", ""))

    def check_instance(self) -> None:
        """Raise ConfigurationError when Salesforce says that the org lives on another host than `url`."""
        told = self.instance_url()
        if told and urlsplit(told).netloc.lower() != urlsplit(self._settings.url).netloc.lower():
            raise ConfigurationError(f"salesforce: `url` is {self._settings.url}, but this org lives at {told}")

    async def describe(self, sobject: str) -> Record:
        """What the org says of an object: its fields and relationships."""
        try:
            answer = await self._session.request("GET", f"{self._base}/sobjects/{sobject}/describe", writes=False)
            told = _decoded(answer)
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error
        return told if isinstance(told, dict) else {}

    # writing

    async def update(self, records: Sequence[Record]) -> tuple[list[SaveResult], str]:
        """Change up to 200 records, each on its own (allOrNone false): one row per record in order, and the request id.

        Raises OutcomeUnknown when the answer cannot be matched with the records sent.
        """
        body = {"allOrNone": False, "records": list(records)}
        answer = await self._session.request("PATCH", f"{self._base}/composite/sobjects", writes=True, json=body)
        rows = _decoded(answer)
        if not isinstance(rows, list) or len(rows) != len(records) or not all(isinstance(r, dict) for r in rows):
            raise OutcomeUnknown(f"Salesforce answered {len(records)} records with something else than a row for each")
        return cast("list[SaveResult]", rows), answer.headers.get(errors.REQUEST_ID, "")

    # inside

    async def _page(self, path: str, params: Mapping[str, str] | None = None) -> QueryResult:
        page = await self._read(path, params)
        if not isinstance(page, dict) or not isinstance(page.get("records"), list):
            raise VendorUnavailable("Salesforce answered a query with something else than records")
        return cast("QueryResult", page)

    async def _read(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        try:
            answer = await self._session.request("GET", path, writes=False, params=params)
            self.said_at = _date(answer) or self.said_at
            return _decoded(answer)
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error

    async def _all(self, first: QueryResult) -> list[Record]:
        """The records of a page and of all that follow it, each page by the link in the one before."""

        async def read(link: str) -> tuple[list[Record], str | None]:
            page = await self._page(link) if link else first
            return page["records"], None if page.get("done", True) else page["nextRecordsUrl"]

        return await every("Salesforce", "", read)

    async def _complete_children(self, record: Record) -> None:
        # a child relationship has pages of its own: a deal of very many lines would silently lose some
        for child in record.values():
            if isinstance(child, dict) and child.get("done") is False:
                child["records"] = await self._all(cast("QueryResult", child))
                child["done"] = True

    def _select(self, kind: str) -> tuple[str, list[str]]:
        shape = wire.SHAPES.get(kind)
        if shape is None:
            raise ConfigurationError(f"salesforce: there is nothing to fetch of kind {kind!r}")
        return shape.sobject, self._kept(shape.fields())

    def _kept(self, fields: Sequence[str]) -> list[str]:
        left_out = set()
        if not self._settings.multi_currency:
            left_out.add("CurrencyIsoCode")
        if not self._settings.country_codes:
            left_out.add("BillingCountryCode")
        return [name for name in fields if name not in left_out]

    def _completed(self, record: Record) -> Record:
        if not self._settings.multi_currency:
            record["CurrencyIsoCode"] = self._settings.currency
        return record

    def _in_lists(self, soql: str, ids: Sequence[str]) -> Iterator[str]:
        """The ids as SOQL lists, each short enough for one request line and for 200 records.

        15 characters name a record as well as 18, and one wrong checksum among 200 ids would fail the whole query.
        """
        room = MAX_URI_BYTES - len(f"{self._base}/query?q=") - len(quote(soql))
        per_id = len(quote("'" + "0" * 15 + "', "))
        size = max(1, min(MAX_RECORDS, room // per_id))
        known = list(dict.fromkeys(same_id(i) for i in ids if is_id(i)))
        for start in range(0, len(known), size):
            yield "(" + ", ".join(f"'{i}'" for i in known[start : start + size]) + ")"


def allowance(answer: Answer) -> tuple[int, int] | None:
    """What Salesforce says of the last 24 hours: `Sforce-Limit-Info: api-usage=18/15000; api-bursts=1/750`."""
    for part in answer.headers.get("sforce-limit-info", "").split(";"):
        name, _, value = part.strip().partition("=")
        used, _, per_day = value.partition("/")
        if name == "api-usage" and used.isdecimal() and per_day.isdecimal():
            return int(per_day), int(used)
    return None


def _date(answer: Answer) -> datetime | None:
    """What time it is there, by the answer's own header, in whole seconds."""
    try:
        return parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None


def _decoded(answer: Answer) -> Any:
    try:
        return answer.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # a proxy or maintenance page with status 200 is not an answer of Salesforce
        raise OutcomeUnknown("Salesforce answered with something else than JSON") from error
