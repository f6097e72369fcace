"""From the names people know to NetSuite's internal ids: items, subsidiaries, currencies, terms, schedules, periods.

A list is read once and kept; a name that is missing has it read again before the document is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from rapidfuzz import process

from tieline.connectors.netsuite.client import Client
from tieline.connectors.netsuite.records import CATALOGUES, REFERENCE_FIELDS
from tieline.engine.ports import Wire
from tieline.errors import ConfigurationError, RejectedByVendor

AGAIN_AFTER_S = 10.0
"""A list is not read again sooner: a thousand documents with one wrong name must not read it a thousand times."""


class UnknownName(RejectedByVendor):
    """A name that NetSuite's list does not hold, holds twice, or holds inactive. Nothing was sent."""


class _NotRead(Exception):
    """A list has to be read before the document can be resolved."""

    def __init__(self, list_name: str) -> None:
        super().__init__(list_name)
        self.list_name = list_name


class _List(msgspec.Struct, frozen=True):
    """One reference list: rows, and normalised name → ids."""

    rows: list[Wire]
    ids: dict[str, list[str]]
    inactive: frozenset[str]
    read_at: float


class References:
    """The reference lists of one account."""

    def __init__(self, client: Client, max_age_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._max_age_s, self._clock = client, max_age_s, clock
        self._lists: dict[str, _List] = {}
        self._reading: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def rows(self, name: str) -> list[Wire]:
        """The list as it stands now. Raises ConfigurationError for a list that is not kept."""
        if name not in CATALOGUES:
            raise ConfigurationError(f"NetSuite has no list {name!r} for us; it has {', '.join(CATALOGUES)}")
        return (await self._read(name, at_most_old_s=0.0)).rows

    async def resolve(self, document: Wire) -> Wire:
        """The document with an id in place of every `{"refName": …}` of a field that REFERENCE_FIELDS knows.

        Raises UnknownName.
        """
        read: set[str] = set()
        while True:
            try:
                return {name: self._resolve(value, name, name, read) for name, value in document.items()}
            except _NotRead as wanted:
                await self._read(wanted.list_name, at_most_old_s=AGAIN_AFTER_S)
                read.add(wanted.list_name)

    def _resolve(self, value: Any, field: str, path: str, read: set[str]) -> Any:
        if isinstance(value, list):
            return [self._resolve(one, field, f"{path}[{i}]", read) for i, one in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if field in REFERENCE_FIELDS and "refName" in value and not value.keys() & {"id", "externalId"}:
            return {"id": self._find_id(REFERENCE_FIELDS[field], str(value["refName"]), path, read)}
        return {name: self._resolve(one, name, f"{path}.{name}", read) for name, one in value.items()}

    def _find_id(self, name: str, text: str, path: str, read: set[str]) -> str:
        """Raises _NotRead when the list must be read first, or again because the name is not in it."""
        known = self._lists.get(name)
        if known is None or (name not in read and known.read_at < self._clock() - self._max_age_s):
            raise _NotRead(name)
        ids = known.ids.get(_key(text), [])
        active = [one for one in ids if one not in known.inactive]
        if len(active) == 1:
            return active[0]
        if name not in read:
            raise _NotRead(name)
        raise UnknownName(f"{path}: {_why(name, text, known, ids, active)}")

    async def _read(self, name: str, *, at_most_old_s: float) -> _List:
        asked_at = self._clock()
        async with self._reading[name]:
            held = self._lists.get(name)
            # A list which somebody else read while we waited for the lock is as new as one we read ourselves.
            if held is None or held.read_at < asked_at - at_most_old_s:
                read_at = self._clock()
                held = _index(name, await self._client.query_all(CATALOGUES[name][0]), read_at)
                self._lists[name] = held
            return held


def _index(name: str, rows: list[Wire], read_at: float) -> _List:
    ids: dict[str, list[str]] = {}
    for column in CATALOGUES[name][1]:
        at_column: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.get(column):
                at_column[_key(str(row[column]))].append(str(row["id"]))
        # The first column names best: a currency's symbol beats another currency that is called so.
        ids = {**at_column, **ids}
    inactive = frozenset(str(row["id"]) for row in rows if row.get("isinactive") == "T")
    return _List(rows, ids, inactive, read_at)


def _why(name: str, text: str, known: _List, ids: list[str], active: list[str]) -> str:
    label = "accounting period" if name == "accountingperiod" else name.replace("billingschedule", "billing schedule")
    if len(active) > 1:
        return f"NetSuite has {len(active)} entries called '{text}' ({label}): give them different names"
    if ids:
        return f"the {label} '{text}' is inactive in NetSuite"
    column = CATALOGUES[name][1][0]
    names = [str(row[column]) for row in known.rows if row.get(column) and str(row["id"]) not in known.inactive]
    near = process.extractOne(text, names, processor=_key, score_cutoff=50)
    hint = f"; nearest: '{near[0]}'" if near else ""
    return f"NetSuite has no {label} '{text}'{hint}"


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
