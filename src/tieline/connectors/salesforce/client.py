"""Salesforce's REST API: paths, paging, batches. Returns wire types; knows no canonical entity.

Source: REST API Developer Guide, Query, sObject Collections and Limits resources. A request line holds 16,384 bytes,
so long lists of ids go out as several queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urlsplit

import msgspec

from tieline.connectors.salesforce import errors, wire
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.wire import QueryResult, SaveResult
from tieline.connectors.sdk import Answer, ClientCredentials, Session
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
        self._session = Session(settings.url, self._auth, errors.from_answer, timeout_s=settings.timeout_s)
        self._base = f"/services/data/v{settings.api_version}"
        self.api_usage = ""

    async def close(self) -> None:
        await self._session.close()

    # reading

    async def records(self, kind: str, ids: Sequence[str]) -> dict[str, Record]:
        """Accounts, contacts or opportunities by id: first 15 characters of the id → record, for those that stand."""
        sobject, fields = self._select(kind)
        found = await self.select(sobject, fields, ids)
        return {native_id: self._completed(record) for native_id, record in found.items()}

    async def select(self, sobject: str, fields: Sequence[str], ids: Sequence[str]) -> dict[str, Record]:
        """These fields of records by id, as `records` gives them. Id is always among them."""
        soql = f"SELECT {', '.join(dict.fromkeys(('Id', *fields)))} FROM {sobject} WHERE Id IN "
        found: dict[str, Record] = {}
        for id_list in self._in_lists(soql, ids):
            found |= {same_id(record["Id"]): record for record in await self.query(soql + id_list)}
        return found

    async def query(self, soql: str) -> list[Record]:
        """All records of a query, page after page, child relationships completed. Raises VendorUnavailable…"""
        records: list[Record] = []
        page: QueryResult | None = await self._page(f"{self._base}/query", {"q": soql})
        while page is not None:
            records += page["records"]
            page = await self._next_page(page)
        for record in records:
            await self._complete_children(record)
        return records

    async def organization(self) -> Record:
        """The org's own record: Id, Name, OrganizationType, IsSandbox."""
        found = await self.query("SELECT Id, Name, OrganizationType, IsSandbox FROM Organization LIMIT 1")
        if not found:
            raise VendorUnavailable("Salesforce answered without its Organization record")
        return found[0]

    def instance_url(self) -> str:
        """Where Salesforce says this org lives, "" before the first token."""
        answer = self._auth.answer if isinstance(self._auth, ClientCredentials) else {}
        return str(answer.get("instance_url", ""))

    def check_instance(self) -> None:
        """Raise ConfigurationError when Salesforce says that the org lives on another host than `url`."""
        told = self.instance_url()
        if told and urlsplit(told).netloc.lower() != urlsplit(self._settings.url).netloc.lower():
            raise ConfigurationError(f"salesforce: `url` is {self._settings.url}, but this org lives at {told}")

    # writing

    async def update(self, records: Sequence[Record]) -> tuple[list[SaveResult], str]:
        """Change up to 200 records, each on its own (allOrNone false): one row per record in order, and the request id.

        Raises OutcomeUnknown when the answer cannot be matched with the records sent.
        """
        body = {"allOrNone": False, "records": list(records)}
        answer = await self._session.request("PATCH", f"{self._base}/composite/sobjects", writes=True, json=body)
        self._note_usage(answer)
        rows = _decoded(answer)
        if not isinstance(rows, list) or len(rows) != len(records) or not all(isinstance(r, dict) for r in rows):
            raise OutcomeUnknown(f"Salesforce answered {len(records)} records with something else than a row for each")
        return cast("list[SaveResult]", rows), answer.headers.get(errors.REQUEST_ID, "")

    # inside

    async def _page(self, path: str, params: Mapping[str, str] | None = None) -> QueryResult:
        try:
            answer = await self._session.request("GET", path, writes=False, params=params)
            self._note_usage(answer)
            page = _decoded(answer)
        except OutcomeUnknown as error:
            raise VendorUnavailable(str(error)) from error
        if not isinstance(page, dict) or not isinstance(page.get("records"), list):
            raise VendorUnavailable("Salesforce answered a query with something else than records")
        return cast("QueryResult", page)

    async def _next_page(self, page: QueryResult) -> QueryResult | None:
        if page.get("done", True):
            return None
        return await self._page(page["nextRecordsUrl"])

    async def _complete_children(self, record: Record) -> None:
        # a child relationship has pages of its own: a deal of very many lines would silently lose some
        for child in record.values():
            if isinstance(child, dict) and child.get("done") is False:
                page = await self._next_page(cast("QueryResult", child))
                while page is not None:
                    child["records"] += page["records"]
                    page = await self._next_page(page)
                child["done"] = True

    def _select(self, kind: str) -> tuple[str, list[str]]:
        if kind == "opportunity":
            lines = f"(SELECT {', '.join(wire.LINE_FIELDS)} FROM OpportunityLineItems ORDER BY SortOrder, Id)"
            return "Opportunity", [*self._kept(wire.OPPORTUNITY_FIELDS), lines]
        if kind == "account":
            return "Account", self._kept(wire.ACCOUNT_FIELDS)
        if kind == "contact":
            return "Contact", list(wire.CONTACT_FIELDS)
        raise ConfigurationError(f"salesforce: there is nothing to fetch of kind {kind!r}")

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

    def _note_usage(self, answer: Answer) -> None:
        """Keep what Salesforce says of the day's calls: `api-usage=18/15000`."""
        for part in answer.headers.get("sforce-limit-info", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "api-usage":
                self.api_usage = value


def _decoded(answer: Answer) -> Any:
    try:
        return answer.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # a proxy or maintenance page with status 200 is not an answer of Salesforce
        raise OutcomeUnknown("Salesforce answered with something else than JSON") from error
