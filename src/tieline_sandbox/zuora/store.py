"""Tables in memory with the look-ups that the paths need: by id, by number, by owner, and by time of update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tieline_sandbox.zuora.errors import Resource, not_found

Record = dict[str, Any]


class Table:
    """Records by id. `number` names the field that is a second key; `links` name fields looked up by equality."""

    def __init__(self, kind: str, number: str | None = None, links: Iterable[str] = ()) -> None:
        self.kind, self.number = kind, number
        self.rows: dict[str, Record] = {}
        self.by_number: dict[str, str] = {}
        self.links: dict[str, dict[Any, dict[str, None]]] = {field: {} for field in links}
        self.version = 0
        self._recent: dict[str, None] = {}

    def add(self, record: Record) -> Record:
        self.version += 1
        self.rows[record["id"]] = record
        if self.number and record.get(self.number):
            self.by_number[record[self.number]] = record["id"]
        for field, index in self.links.items():
            index.setdefault(record.get(field), {})[record["id"]] = None
        self._recent[record["id"]] = None
        return record

    def touch(self, record: Record, now: str, by: str) -> None:
        """Note a change: the record becomes the latest updated."""
        self.version += 1
        record["updatedDate"], record["updatedById"] = now, by
        self._recent.pop(record["id"], None)
        self._recent[record["id"]] = None

    def relink(self, record: Record, field: str, value: Any) -> None:
        """Change a field that records are looked up by."""
        index = self.links.get(field)
        if index is not None:
            index.get(record.get(field), {}).pop(record["id"], None)
            index.setdefault(value, {})[record["id"]] = None
        record[field] = value

    def put_back(self, record: Record, was: Record) -> None:
        """Undo changes of a record: its fields, what it is found by, and its place among the latest."""
        for field in self.links:
            self.relink(record, field, was.get(field))
        record.clear()
        record.update(was)
        if self.number and record.get(self.number):
            self.by_number[record[self.number]] = record["id"]
        self.version += 1
        self._recent = dict.fromkeys(sorted(self._recent, key=lambda i: self.rows[i]["updatedDate"]))

    def remove(self, record: Record) -> None:
        self.version += 1
        del self.rows[record["id"]]
        self._recent.pop(record["id"], None)
        if self.number:
            self.by_number.pop(record.get(self.number, ""), None)
        for field, index in self.links.items():
            index.get(record.get(field), {}).pop(record["id"], None)

    def find(self, key: Any) -> Record | None:
        """By id or number."""
        return self.rows.get(key) or self.rows.get(self.by_number.get(key, ""))

    def get(self, key: Any, resource: Resource = Resource.UNKNOWN) -> Record:
        """By id or number. Raises Refusal …40 in the vendor's words."""
        record = self.find(key)
        if record is None:
            raise not_found(key, resource)
        return record

    def where(self, field: str, value: Any) -> list[Record]:
        """Records whose link `field` is `value`, oldest first."""
        return [self.rows[i] for i in self.links[field].get(value, ())]

    def latest_first(self) -> Iterator[Record]:
        for record_id in reversed(self._recent):
            yield self.rows[record_id]
