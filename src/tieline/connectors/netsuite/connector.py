"""NetSuite as a connector: documents are upserted under our canonical id as their external id.

Sending the same document twice changes nothing the second time, and asking by external id tells what became of the
first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from tieline.connectors.netsuite.client import Client, eid
from tieline.connectors.netsuite.compare import difference, matching_address, released
from tieline.connectors.netsuite.describing import record_schema
from tieline.connectors.netsuite.errors import AlreadyThere, NotThere, about
from tieline.connectors.netsuite.matching import (
    addresses_agree,
    candidate,
    how_it_matches,
    name_part,
    tax_numbers,
)
from tieline.connectors.netsuite.queries import changed, chunks, customers_like, headers, latest
from tieline.connectors.netsuite.records import CATALOGUES, RECORDS, SWEPT, RecordType, record_type
from tieline.connectors.netsuite.references import References, UnknownName
from tieline.connectors.netsuite.settings import API_VERSION, NetSuiteSettings
from tieline.connectors.netsuite.stream import Position, next_window, read_position, write_position
from tieline.connectors.sdk import Recent, each, wall_to_utc
from tieline.engine.ports import (
    Absent,
    Applied,
    Call,
    Candidate,
    Changes,
    Finding,
    Limits,
    Manifest,
    Notice,
    Operation,
    Outcome,
    Safety,
    Usage,
    Wire,
)
from tieline.errors import (
    AuthorizationFailed,
    ConfigurationError,
    InvalidMessage,
    OutcomeUnknown,
    RejectedByVendor,
    TielineError,
    TransientError,
)

WITHDRAW = "withdraw"
HEADER = ".header"
MAX_CANDIDATES = 10


def manifest(slots: int, streams: tuple[str, ...] = SWEPT) -> Manifest:
    """What the connector does, with so many of the account's slots, and what it sweeps."""
    ensured = [
        Operation(
            kind=kind,
            safety=Safety.UPSERT,
            mapping=f"{kind} -> netsuite.{record.name}",
            concurrency=slots,
        )
        for kind, record in RECORDS.items()
    ]
    withdrawn = Operation(
        kind="order",
        action=WITHDRAW,
        safety=Safety.NATIVE_KEY,
        mapping="order -> netsuite.withdrawal",
        concurrency=slots,
        creates=False,
    )
    return Manifest(
        vendor="netsuite",
        api_version=API_VERSION,
        operations=(*ensured, withdrawn),
        reads=(*RECORDS, *(kind + HEADER for kind in RECORDS)),
        finds=("customer",),
        catalogues=tuple(CATALOGUES),
        scopes=("rest_webservices",),
        streams=streams,
        limits=Limits(slots=slots),
    )


class NetSuiteConnector:
    """One connection to one account."""

    def __init__(self, name: str, settings: NetSuiteSettings) -> None:
        self.name = name
        self.manifest = manifest(settings.slots, settings.streams)
        self._settings = settings
        self._zone = ZoneInfo(settings.time_zone)
        self.client = Client(settings)
        self._references = References(self.client, settings.catalogue_max_age_s)

    # --- writing ------------------------------------------------------------------------------------------------------

    async def send(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Outcome]:
        self._known(operation)
        send = self._withdraw if operation.action == WITHDRAW else self._ensure
        return await _each(send, calls)

    async def probe(self, operation: Operation, calls: Sequence[Call]) -> Sequence[Finding]:
        self._known(operation)
        probe = self._probe_withdrawn if operation.action == WITHDRAW else self._probe
        return await _each(probe, calls)

    def _known(self, operation: Operation) -> None:
        if (operation.kind, operation.action) not in {(o.kind, o.action) for o in self.manifest.operations}:
            raise ConfigurationError(f"NetSuite cannot {operation.action} {operation.kind!r}")

    async def _ensure(self, call: Call) -> Applied:
        record = record_type(call.key.kind)
        document = f"{record.label} {call.key.canonical_id}"
        try:
            body = await self._references.resolve(await self._complete(call))
            if call.external_id:
                return Applied(external_id=await self._update(record, call, body))
            written = await self.client.upsert(record.name, call.key.canonical_id, body, record.replace)
            return Applied(external_id=written)
        except AlreadyThere as error:
            raise await self._already_there(record, call, about(error, document)) from error
        except NotThere as error:
            raise _gone(document, call.external_id, error) from error
        except RejectedByVendor as error:
            raise about(error, document) from error

    async def _complete(self, call: Call) -> Wire:
        """A new customer without a subsidiary gets the connection's: a OneWorld account refuses it otherwise."""
        fallback = self._settings.subsidiary
        if call.key.kind != "customer" or call.external_id or not fallback or "subsidiary" in call.wire:
            return call.wire
        return {**call.wire, "subsidiary": {"refName": fallback}}

    async def _update(self, record: RecordType, call: Call, body: Wire) -> str:
        """Change a record that is known by internal id, and put our external id on it if it has none.

        A record has one external id: where another integration's stands, ours must not take its place.
        """
        standing = await self.client.get(record.name, call.external_id)
        if standing is None:
            raise NotThere(f"it no longer stands in NetSuite as {record.label} {call.external_id}")
        holder = standing.get("externalId")
        if holder and holder != call.key.canonical_id:
            raise RejectedByVendor(
                f"NetSuite's {record.label} {call.external_id} already carries the external id '{holder}' of another "
                "integration; remove it in NetSuite or link another record"
            )
        body = {**released(_with_known_addresses(body, standing), standing), "externalId": call.key.canonical_id}
        return await self.client.update(record.name, call.external_id, body, record.replace)

    async def _already_there(self, record: RecordType, call: Call, error: RejectedByVendor) -> TielineError:
        """An upsert meets its own key only in a race; else it is a name or number that must be unique."""
        standing = await self.client.get(record.name, eid(call.key.canonical_id), expand=False)
        ours = standing is not None and call.external_id in ("", str(standing.get("id")))
        if ours:
            return OutcomeUnknown(f"NetSuite says that {record.label} {call.key.canonical_id} is there already")
        return error

    async def _withdraw(self, call: Call) -> Applied:
        record = record_type(call.key.kind)
        try:
            await self.client.delete(record.name, call.key.canonical_id)
        except NotThere:
            pass  # gone already, which is what was wanted
        except RejectedByVendor as error:
            raise about(error, f"to delete {record.label} {call.key.canonical_id}") from error
        return Applied(external_id=call.external_id)

    # --- asking what became of a write --------------------------------------------------------------------------------

    async def _probe(self, call: Call) -> Finding:
        record = record_type(call.key.kind)
        found = await self.client.get(record.name, eid(call.key.canonical_id))
        if found is None:
            return Absent(external_id=await self._still_there(record, call.external_id))
        standing = str(found["id"])
        try:
            sent = await self._references.resolve(await self._complete(call))
        except UnknownName:
            # With a name that NetSuite does not know it cannot have been written; sending again says so.
            return Absent(external_id=standing)
        if (call.external_id and call.external_id != standing) or difference(sent, found):
            return Absent(external_id=standing)
        return Applied(external_id=standing, display=str(found.get(record.number) or ""), response=_essence(found))

    async def _still_there(self, record: RecordType, internal_id: str) -> str:
        if not internal_id:
            return ""
        found = await self.client.get(record.name, internal_id, expand=False)
        return internal_id if found is not None else ""

    async def _probe_withdrawn(self, call: Call) -> Finding:
        record = record_type(call.key.kind)
        found = await self.client.get(record.name, eid(call.key.canonical_id), expand=False)
        return Applied(external_id=call.external_id) if found is None else Absent(external_id=str(found["id"]))

    # --- reading ------------------------------------------------------------------------------------------------------

    async def fetch(self, kind: str, ids: Sequence[str]) -> Sequence[Wire | None]:
        """Whole records with their lines (`invoice`, one call each), or many headers a call (`invoice.header`: SuiteQL
        names, `lastmodified` in UTC).
        """
        record = record_type(kind.removesuffix(HEADER))
        if kind.endswith(HEADER):
            return await self._headers(record, ids)
        wanted = {one for one in ids if one.isascii() and one.isdigit()}
        found = dict(zip(wanted, await asyncio.gather(*(self.client.get(record.name, i) for i in wanted)), strict=True))
        return [found.get(one) for one in ids]

    async def _headers(self, record: RecordType, ids: Sequence[str]) -> list[Wire | None]:
        found: dict[str, Wire] = {}
        for some in chunks(ids):
            for row in await self.client.query_all(headers(record, some)):
                found[str(row["id"])] = {**row, "lastmodified": wall_to_utc(str(row["lastmodified"]), self._zone)}
        return [found.get(one) for one in ids]

    async def find(self, kind: str, document: Wire) -> list[Candidate]:
        if kind != "customer":
            return []
        name, numbers = str(document.get("name") or ""), tax_numbers(document)
        sql = customers_like(str(document.get("id") or ""), numbers, name_part(name))
        rows = [
            (row, matched_by)
            for row in await self.client.query_all(sql)
            if (matched_by := how_it_matches(row, document, numbers))
        ]
        order = ("external_id", "tax_number", "name")
        rows.sort(key=lambda pair: order.index(pair[1]))
        return await self._closer(rows[:MAX_CANDIDATES], document.get("billing_address") or {})

    async def _closer(self, rows: list[tuple[Wire, str]], wanted: Wire) -> list[Candidate]:
        """Candidates with their addresses; of those with the same name only, the ones whose address agrees."""
        records = await asyncio.gather(*(self.client.get("customer", str(row["id"])) for row, _ in rows))
        found = []
        for (row, matched_by), record in zip(rows, records, strict=True):
            lines = ((record or {}).get("addressBook") or {}).get("items") or []
            addresses = [line.get("addressBookAddress") or {} for line in lines]
            if matched_by != "name" or addresses_agree(wanted, addresses):
                found.append(candidate(row, "name_address" if matched_by == "name" else matched_by, addresses))
        return found

    async def catalogue(self, kind: str) -> list[Wire]:
        """item, subsidiary, currency, term, billingschedule as SuiteQL rows; accountingperiod without quarters and
        years, with name, start, end (`YYYY-MM-DD`) and closed: whether it takes no more postings of receivables.
        """
        rows = await self._references.rows(kind)
        return [_period(row) for row in rows if not _is_summary(row)] if kind == "accountingperiod" else rows

    async def describe(self, shape: str) -> Wire | None:
        """The JSON Schema of a record as this account has it, custom fields and all; None for a withdrawal."""
        record = next((one for one in RECORDS.values() if shape == f"netsuite.{one.name}"), None)
        return None if record is None else record_schema(await self.client.describe(record.name), record.label)

    async def changes(self, stream: str, cursor: str) -> Changes:
        record, position = record_type(stream), read_position(cursor)
        sql = changed(record, position.since, position.after)
        rows, more = await self.client.query(sql, limit=self._settings.page_size)
        stamps = [str(row["lastmodified"]) for row in rows]
        if more:
            high = position.high or await self._latest(record)
            position = Position(since=position.since, after=str(rows[-1]["id"]), high=high)
        else:
            position = next_window(position, stamps, self._settings.overlap_s, self._zone)
        pairs = [(str(row["id"]), wall_to_utc(stamp, self._zone)) for row, stamp in zip(rows, stamps, strict=True)]
        return Changes(kind=stream, changed=pairs, cursor=write_position(position), more=more)

    async def _latest(self, record: RecordType) -> str:
        rows, _ = await self.client.query(latest(record), limit=1)
        return str(rows[0].get("lastmodified") or "") if rows else ""

    # --- the rest -----------------------------------------------------------------------------------------------------

    async def notices(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[Notice]:
        raise InvalidMessage("NetSuite sends no webhooks: its changes are found by polling")

    def acknowledgement(self) -> tuple[int, str, bytes]:
        return 404, "text/plain", b""

    @property
    def recent(self) -> Recent:
        return self.client.recent

    def usage(self) -> Usage:
        """NetSuite governs calls in flight, not calls a day: what was sent is all there is to know."""
        return self.client.usage()

    async def check(self) -> str:
        subsidiaries = await self.catalogue("subsidiary")
        default = self._settings.subsidiary
        if default:
            await self._references.resolve({"subsidiary": {"refName": default}})
        names = ", ".join(str(row["name"]) for row in subsidiaries[:5])
        return f"NetSuite account at {self._settings.base_url}, {len(subsidiaries)} subsidiaries: {names}"

    async def close(self) -> None:
        await self.client.close()


async def _each(work: Callable[[Call], Awaitable[Finding]], calls: Sequence[Call]) -> list[Any]:
    """One answer per call, in order; an error that stopped every call before anything was done speaks for all."""
    answers = await each(work, calls)
    stopped = [one for one in answers if isinstance(one, TransientError | AuthorizationFailed | ConfigurationError)]
    if stopped and len(stopped) == len(answers):
        raise stopped[0]
    return answers


def open_connector(name: str, settings: NetSuiteSettings) -> NetSuiteConnector:
    """Connects on the first call."""
    return NetSuiteConnector(name, settings)


def _with_known_addresses(body: Wire, standing: Wire) -> Wire:
    """Without the addresses that stand there already: an address line that is sent again is added again."""
    if "addressBook" not in body:
        return body
    book = standing.get("addressBook")
    new = [line for line in body["addressBook"]["items"] if matching_address(line, book) is None]
    rest = {name: value for name, value in body.items() if name != "addressBook"}
    return {**rest, "addressBook": {"items": new}} if new else rest


def _gone(document: str, external_id: str, error: NotThere) -> RejectedByVendor:
    if not external_id:
        return about(error, document)
    return RejectedByVendor(
        f"{document} was deleted in NetSuite (it was {external_id}): restore it there, or unlink it to make it anew",
        vendor_code=error.vendor_code,
        request_id=error.request_id,
    )


def _essence(found: Wire) -> Wire:
    """What is worth keeping of a record that was found: numbers and amounts, not the lines."""
    names = ("id", "externalId", "tranId", "entityId", "total", "payment", "lastModifiedDate")
    return {name: found[name] for name in names if name in found}


def _is_summary(row: Wire) -> bool:
    return row.get("isquarter") == "T" or row.get("isyear") == "T"


def _period(row: Wire) -> Wire:
    shut = any(row.get(flag) == "T" for flag in ("closed", "alllocked", "arlocked"))
    return {**row, "name": row["periodname"], "start": row["startdate"], "end": row["enddate"], "closed": shut}
