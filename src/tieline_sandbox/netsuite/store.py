"""Where the records stand, and the indexes that keep every request from scanning them.

A document is a plain dict in the vendor's shape. It is replaced on a write, never changed field by field by a caller,
so that a refused write leaves nothing behind.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from tieline_sandbox.netsuite.fields import SPECS

Record = dict[str, Any]
Reference = tuple[str, str]  # family and internal id


class Entry:
    """A stored document with what NetSuite keeps beside it. Times are aware UTC, in whole seconds."""

    __slots__ = ("created_at", "doc", "id", "kind", "modified_at", "number", "references")

    def __init__(self, kind: str, doc: Record, created_at: datetime) -> None:
        self.kind, self.doc = kind, doc
        self.id: str = doc["id"]
        self.number = int(self.id)
        self.created_at = self.modified_at = created_at
        self.references: tuple[Reference, ...] = ()


class Family:
    """Records that share a sequence of internal ids: all transactions, all entities, all items…"""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.numbers: list[int] = []
        self.latest_last: dict[str, Entry] = {}
        self._next = 1

    def mint(self) -> str:
        minted, self._next = self._next, self._next + 1
        return str(minted)

    def add(self, entry: Entry) -> None:
        self.entries[entry.id] = self.latest_last[entry.id] = entry
        if not self.numbers or entry.number > self.numbers[-1]:
            self.numbers.append(entry.number)
        else:
            insort(self.numbers, entry.number)
        self._next = max(self._next, entry.number + 1)

    def touch(self, entry: Entry) -> None:
        del self.latest_last[entry.id]
        self.latest_last[entry.id] = entry

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.id], self.latest_last[entry.id]
        del self.numbers[bisect_right(self.numbers, entry.number) - 1]

    def above(self, number: int, *, inclusive: bool = False) -> Iterator[Entry]:
        """Entries with an id greater than `number`, in the order of their ids."""
        start = bisect_right(self.numbers, number - 1 if inclusive else number)
        for found in self.numbers[start:]:
            yield self.entries[str(found)]

    def modified_since(self, moment: datetime) -> list[Entry]:
        found = []
        for entry in reversed(self.latest_last.values()):
            if entry.modified_at < moment:
                break
            found.append(entry)
        return found


class Store:
    """Every record of the account, by family, kind, external id, name and customer."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = defaultdict(Family)
        self.kinds: dict[str, dict[str, Entry]] = {kind: {} for kind in SPECS}
        self.externals: dict[str, dict[str, str]] = {kind: {} for kind in SPECS}
        self.names: dict[str, dict[str, str]] = {kind: {} for kind in SPECS}
        self.by_customer: dict[str, dict[str, Entry]] = defaultdict(dict)
        self.uses: Counter[Reference] = Counter()
        self.deleted: list[Record] = []

    def family(self, kind: str) -> Family:
        return self.families[SPECS[kind].family]

    def find(self, kind: str, record_id: str) -> Entry | None:
        return self.kinds[kind].get(record_id)

    def find_external(self, kind: str, external_id: str) -> Entry | None:
        record_id = self.externals[kind].get(external_id)
        return None if record_id is None else self.kinds[kind][record_id]

    def find_named(self, kind: str, name: str) -> Entry | None:
        record_id = self.names[kind].get(name)
        return None if record_id is None else self.kinds[kind].get(record_id)

    def get(self, kind: str, record_id: str) -> Record:
        return self.kinds[kind][record_id].doc

    def put(self, kind: str, doc: Record, now: datetime) -> Entry:
        """Store a new document, or replace the one with its id."""
        entry = self.kinds[kind].get(doc["id"])
        if entry is None:
            entry = Entry(kind, doc, now)
            self.kinds[kind][entry.id] = entry
            self.family(kind).add(entry)
        else:
            self._forget_names(entry)
            entry.doc = doc
            self.touch(entry, now)
        self._learn_names(entry)
        self._count_references(entry)
        return entry

    def touch(self, entry: Entry, now: datetime) -> None:
        entry.modified_at = now
        self.family(entry.kind).touch(entry)

    def remove(self, entry: Entry, now: datetime) -> None:
        self._forget_names(entry)
        self.uses.subtract(entry.references)
        del self.kinds[entry.kind][entry.id]
        self.family(entry.kind).remove(entry)
        self.deleted.append({"recordid": entry.number, "type": entry.kind, "name": name_of(entry), "deleteddate": now})

    def is_used(self, entry: Entry) -> bool:
        return self.uses[SPECS[entry.kind].family, entry.id] > 0

    def _learn_names(self, entry: Entry) -> None:
        doc, names = entry.doc, self.names[entry.kind]
        if "externalId" in doc:
            self.externals[entry.kind][doc["externalId"]] = entry.id
        name = name_of(entry)
        if name:
            names.setdefault(name, entry.id)
        if entry.kind == "currency":
            names.setdefault(doc["symbol"], entry.id)
        customer = customer_of(doc)
        if customer is not None and SPECS[entry.kind].family == "transaction":
            self.by_customer[customer][entry.id] = entry

    def _forget_names(self, entry: Entry) -> None:
        doc = entry.doc
        if "externalId" in doc:
            self.externals[entry.kind].pop(doc["externalId"], None)
        names = self.names[entry.kind]
        if (customer := customer_of(doc)) is not None:
            self.by_customer[customer].pop(entry.id, None)
        for name in (name_of(entry), doc.get("symbol")):
            if name and names.get(name) == entry.id:
                del names[name]

    def _count_references(self, entry: Entry) -> None:
        self.uses.subtract(entry.references)
        entry.references = tuple(_references(entry))
        self.uses.update(entry.references)


def name_of(entry: Entry) -> str:
    """What a reference to the record shows as refName, without the adornments of transactions."""
    return str(entry.doc.get(SPECS[entry.kind].name_field, ""))


def customer_of(doc: Record) -> str | None:
    reference = doc.get("entity") or doc.get("customer")
    return reference["id"] if isinstance(reference, dict) else None


def _references(entry: Entry) -> Iterable[Reference]:
    spec = SPECS[entry.kind]
    for name, value in entry.doc.items():
        if type(value) is not dict:
            continue
        if (field := spec.fields.get(name)) is not None:
            if field.targets and "id" in value:
                yield SPECS[field.targets[0]].family, value["id"]
        elif name in spec.sublists:
            fields = spec.sublists[name].fields
            for line in value["items"]:
                for column, cell in line.items():
                    if type(cell) is dict and (target := fields.get(column)) and target.targets:
                        yield SPECS[target.targets[0]].family, cell["id"]
