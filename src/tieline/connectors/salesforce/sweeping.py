"""Sweeps: every record of one kind behind a place, oldest change first, the deleted and merged ones among them.

A sweep that would be long reads its ids from one bulk query job instead of many pages; the job and its locator stand
in the cursor, so that a sweep which is interrupted goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tieline.connectors.salesforce.bulk import BulkQuery, JobGone
from tieline.connectors.salesforce.client import SalesforceClient
from tieline.connectors.salesforce.polling import Place, literal
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.wire import SHAPES
from tieline.errors import VendorUnavailable

ROWS_A_PAGE = 2_000
JOB_PAUSE_S = 0.5
UNFINISHED = ".001Z"
MERGED = frozenset({"account", "contact"})
"""Kinds that Salesforce can merge; the loser names the winner in MasterRecordId."""


class Found(NamedTuple):
    """A page of a sweep: (id, stamp) pairs, what happened where it is more than a change, and the place behind it."""

    changed: list[tuple[str, str]]
    actions: dict[str, str]
    place: Place
    more: bool


class Sweep:
    """Reads one kind. `where` narrows it: only won deals, say."""

    def __init__(self, client: SalesforceClient, settings: SalesforceSettings, kind: str, where: str = "") -> None:
        self._client, self._settings, self._kind, self._where = client, settings, kind, where
        self._sobject = SHAPES[kind].sobject
        self._bulk: BulkQuery = client.bulk

    async def after(self, place: Place) -> Found:
        """What follows a place. Raises VendorUnavailable and what reads raise; then the place stands as it was."""
        if place.job:
            return await self._from_job(place)
        size = self._settings.page_size
        page = await self._page(place, size)
        if len(page) < size:
            return self._told(page, place.after_sweep(_stamps(page), self._settings.overlap_s), more=False)
        if not place.head:
            # the head must be seen before the page it is used for is read
            place = place._replace(head=await self._head())
            if await self._is_long(place):
                job = await self._bulk.start(
                    f"SELECT {self._columns()} FROM {self._sobject}{_condition(self._all(place))}"
                )
                return Found([], {}, place._replace(job=job), more=True)
            page = await self._page(place, size)
        return self._told(page, place.after_page(_stamps(page), place.head), more=True)

    async def _from_job(self, place: Place) -> Found:
        try:
            if not place.locator and not await self._bulk.ready(place.job):
                await asyncio.sleep(JOB_PAUSE_S)
                return Found([], {}, place, more=True)
            rows = await self._bulk.page(place.job, place.locator, ROWS_A_PAGE)
        except JobGone:
            # page by page then: what was told from the job is told again, nothing is left out
            return Found([], {}, place._replace(job="", locator=""), more=True)
        if rows.locator:
            return self._told(rows.records, place._replace(locator=rows.locator), more=True)
        ended = place._replace(id="", job="", locator="").after_sweep([], self._settings.overlap_s)
        return self._told(rows.records, ended, more=False)

    async def _is_long(self, place: Place) -> bool:
        above = self._settings.bulk_above
        return above > 0 and await self._client.count(self._sobject, self._all(place)) > above

    async def _page(self, place: Place, size: int) -> list[dict[str, Any]]:
        soql = (
            f"SELECT {self._columns()} FROM {self._sobject}{_condition(self._all(place))} "
            f"ORDER BY SystemModstamp, Id LIMIT {size}"
        )
        return await self._client.query(soql, deleted=True)

    async def _head(self) -> str:
        soql = (
            f"SELECT SystemModstamp FROM {self._sobject}{_condition(self._where)} ORDER BY SystemModstamp DESC LIMIT 1"
        )
        newest = await self._client.query(soql, deleted=True)
        if not newest:
            raise VendorUnavailable(f"the records of kind {self._kind} changed while Salesforce listed them")
        return literal(newest[0]["SystemModstamp"])

    def _columns(self) -> str:
        merged = ", MasterRecordId" if self._kind in MERGED else ""
        return f"Id, SystemModstamp, IsDeleted{merged}"

    def _all(self, place: Place) -> str:
        return " AND ".join(filter(None, (self._where, place.condition())))

    def _told(self, page: list[dict[str, Any]], place: Place, *, more: bool) -> Found:
        actions = {record["Id"]: action for record in page if (action := _action(record))}
        return Found([(native_id, self._hint(stamp)) for native_id, stamp in _stamps(page)], actions, place, more)

    def _hint(self, stamp: str) -> str:
        """The stamp a record is told with. While its second lasts it may change again under the same stamp, so it is
        told with another one: the next sweep, which reads the overlap again, is then not taken for an echo.
        """
        said_at = self._client.said_at
        if said_at is None or said_at - datetime.fromisoformat(stamp) > timedelta(seconds=1):
            return stamp
        return stamp.replace(".000Z", UNFINISHED)


def _condition(where: str) -> str:
    return f" WHERE {where}" if where else ""


def _stamps(page: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(record["Id"], literal(record["SystemModstamp"])) for record in page]


def _action(record: Mapping[str, Any]) -> str:
    """What happened when it is more than a change. A bulk row holds text where REST has true and null."""
    if record.get("IsDeleted") not in (True, "true"):
        return ""
    return "merged" if record.get("MasterRecordId") else "deleted"
