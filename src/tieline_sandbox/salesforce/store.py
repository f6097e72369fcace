"""Records in memory, with the indexes that queries need, and units of work that can be rolled back.

A record is a flat dict of every stored field of its object. It is never changed in place: a write replaces it, so
the image before the write costs nothing to keep.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

from tieline_sandbox.salesforce.ids import mint
from tieline_sandbox.salesforce.schema import Schema, SObject

Record = dict[str, Any]
Change = tuple[SObject, Record | None, Record]


class Table:
    """The records of one object, deleted ones included (they stay in the recycle bin)."""

    def __init__(self, sobject: SObject) -> None:
        self.sobject = sobject
        self.records: dict[str, Record] = {}
        self.stamps: list[tuple[str, str]] = []
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in sobject.indexed}
        self._minted = 0
        self._numbered = 0

    def adopt(self, sobject: SObject) -> None:
        """The object has more fields now: records get their defaults, new indexes are built."""
        self.sobject = sobject
        records = [sobject.blank | record for record in self.records.values()]
        self.records.clear()
        self.stamps.clear()
        self._indexes = {name: {} for name in sobject.indexed}
        for record in records:
            self.put(record)

    def new_id(self) -> str:
        while True:
            self._minted += 1
            record_id = mint(self.sobject.prefix, self._minted)
            if record_id not in self.records:
                return record_id

    def new_number(self) -> int:
        """The next number of the object's auto-number field."""
        self._numbered += 1
        return self._numbered

    def indexed(self, field: str) -> bool:
        return field in self._indexes

    def ids_where(self, field: str, value: str) -> Iterable[str]:
        """The ids of records whose indexed field holds this value (letters of either case)."""
        return list(self._indexes[field].get(value.casefold(), ()))

    def between(self, low: str, high: str | None) -> list[tuple[str, str]]:
        """(SystemModstamp, Id) from `low` up to and including `high`, in order."""
        start = bisect_left(self.stamps, (low, ""))
        end = len(self.stamps) if high is None else bisect_left(self.stamps, (high, "~"))
        return self.stamps[start:end]

    def put(self, record: Record) -> None:
        record_id = record["Id"]
        before = self.records.get(record_id)
        if before is not None:
            self._forget(before)
        self.records[record_id] = record
        insort(self.stamps, (record["SystemModstamp"], record_id))
        for field, index in self._indexes.items():
            if value := record[field]:
                index.setdefault(value.casefold(), {})[record_id] = None

    def drop(self, record_id: str) -> None:
        self._forget(self.records.pop(record_id))

    def _forget(self, record: Record) -> None:
        record_id = record["Id"]
        del self.stamps[bisect_left(self.stamps, (record["SystemModstamp"], record_id))]
        for field, index in self._indexes.items():
            if value := record[field]:
                index[value.casefold()].pop(record_id, None)


class Store:
    """All tables, and the units of work open at the moment (a composite request holds one around others)."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.tables = {s.name: Table(s) for s in schema}
        self._units: list[dict[tuple[str, str], Record | None]] = []

    def define(self, sobject: SObject) -> None:
        """Make room for an object, or for more fields of one."""
        if sobject.name in self.tables:
            self.tables[sobject.name].adopt(sobject)
        else:
            self.tables[sobject.name] = Table(sobject)

    def get(self, sobject: str, record_id: str | None) -> Record | None:
        return self.tables[sobject].records.get(record_id) if record_id else None

    def put(self, sobject: str, record: Record) -> None:
        table = self.tables[sobject]
        if self._units:
            self._units[-1].setdefault((sobject, record["Id"]), table.records.get(record["Id"]))
        table.put(record)

    def begin(self) -> None:
        self._units.append({})

    def commit(self) -> list[Change]:
        """Keep what the unit wrote. The outermost unit returns each record changed, with its image before."""
        unit = self._units.pop()
        if self._units:
            for key, before in unit.items():
                self._units[-1].setdefault(key, before)
            return []
        return [
            (self.tables[name].sobject, before, self.tables[name].records[record_id])
            for (name, record_id), before in unit.items()
        ]

    def rollback(self) -> None:
        """Undo what the unit wrote."""
        for (name, record_id), before in self._units.pop().items():
            if before is None:
                self.tables[name].drop(record_id)
            else:
                self.tables[name].put(before)
