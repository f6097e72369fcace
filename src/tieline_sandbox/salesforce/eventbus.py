"""The event bus: change events of the objects selected for Change Data Capture, and platform events, for 72 hours.

Events of one transaction share its key and are numbered in it; equal changes of several records become one event with
several ids. Replay ids grow with gaps and are opaque to whoever receives them.
Source: Change Data Capture Developer Guide, "Change Event Header Fields", "Change Event Storage and Delivery".
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, NamedTuple
from uuid import UUID

from tieline_sandbox.salesforce.model import Org
from tieline_sandbox.salesforce.schema import SObject
from tieline_sandbox.salesforce.store import Change, Record
from tieline_sandbox.salesforce.usage import Usage

RETENTION = timedelta(hours=72)
ALL_CHANGES = "/data/ChangeEvents"
SELECTED = ("Account", "Contact", "Opportunity", "Contract", "Order")
"""Five objects, as many as an org may select without an add-on."""

ChangeType = Literal[
    "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW",
]  # fmt: skip
_UNSEEN = frozenset({"Id", "IsDeleted", "SystemModstamp"})
"""Fields that change events do not carry."""


class Happening(NamedTuple):
    """One event as it is kept: the payload is made when it is delivered.

    `fields` are those the event carries, `before` is the record's image before an update. A platform event has no
    `change`.
    """

    number: int
    at: datetime
    uuid: str
    sobject: SObject
    change: ChangeType | None
    record_ids: tuple[str, ...]
    fields: tuple[str, ...]
    record: Record
    transaction: str
    sequence: int
    commit: int

    @property
    def topics(self) -> tuple[str, ...]:
        if self.change is None:
            return (f"/event/{self.sobject.name}",)
        return (f"/data/{entity_event(self.sobject.name)}", ALL_CHANGES)


class EventBus:
    """Keeps events and hands them out; read by the threads of Pub/Sub, written by the event loop."""

    def __init__(self, org: Org, usage: Usage) -> None:
        self._org, self._usage = org, usage
        self.selected: tuple[str, ...] = SELECTED
        self.moved = threading.Condition()
        self.closed = False
        self._events: list[Happening] = []
        self._tip, self._tip_at = 1000, org.world.now()
        self._issued: dict[int, datetime] = {}
        self._commits = 0

    # writing

    def changed(self, changes: list[Change]) -> None:
        """Announce what one transaction did."""
        self._commits += 1
        transaction = self._uuid()
        with self.moved:
            for sequence, happening in enumerate(_merged(self._of(changes)), start=1):
                self._keep(happening._replace(transaction=transaction, sequence=sequence, commit=self._commits))
            self.moved.notify_all()

    def gap(self, sobject: SObject, record_ids: Iterable[str], change: ChangeType = "GAP_UPDATE") -> None:
        """Announce that records changed without saying how, as after an overflow or an internal error."""
        event = self._new(sobject, change, (), {"Id": ""})
        with self.moved:
            self._keep(event._replace(record_ids=tuple(record_ids), transaction=self._uuid(), sequence=1))
            self.moved.notify_all()

    def close(self) -> None:
        """The org is gone: whoever waits is sent away."""
        with self.moved:
            self.closed = True
            self.moved.notify_all()

    # reading

    def exists(self, topic: str) -> bool:
        return topic == ALL_CHANGES or self.sobject_of(topic) is not None

    def sobject_of(self, topic: str) -> SObject | None:
        """The object whose events a topic carries; None for one that does not exist or is not selected."""
        for sobject in self._org.schema:
            if sobject.event and topic == f"/event/{sobject.name}":
                return sobject
            if sobject.name in self.selected and topic == f"/data/{entity_event(sobject.name)}":
                return sobject
        return None

    def announced(self) -> list[SObject]:
        """The objects that have events."""
        return [sobject for sobject in self._org.schema if sobject.event or sobject.name in self.selected]

    def after(self, topic: str, number: int, limit: int) -> list[Happening]:
        """The events of a topic behind a place, oldest first, those past retention left out."""
        oldest = self._oldest()
        begin = bisect_right(self._events, number, key=lambda event: event.number)
        found = (e for e in islice(self._events, begin, None) if e.at >= oldest and topic in e.topics)
        return [event for event, _ in zip(found, range(limit), strict=False)]

    def holds(self, number: int) -> bool:
        """Whether a place is one that was given out and lies within retention."""
        at = self._issued.get(number)
        return at is not None and at >= self._oldest()

    def tip(self) -> int:
        """The present end of the stream, as a place that may be resumed from."""
        if self._tip not in self._issued or self._org.world.now() - self._tip_at > timedelta(minutes=1):
            self._issue()
        return self._tip

    def delivered(self, count: int) -> None:
        self._usage.delivered_events += count

    # inside

    def _of(self, changes: list[Change]) -> Iterator[Happening]:
        for sobject, before, after in changes:
            if sobject.event:
                yield self._new(sobject, None, _carried(sobject), after)
                self._usage.published_events += 1
            elif sobject.name in self.selected and (change := _change(before, after)) is not None:
                yield self._new(sobject, change, _fields(sobject, change, before, after), after)

    def _new(self, sobject: SObject, change: ChangeType | None, fields: tuple[str, ...], record: Record) -> Happening:
        uuid = record.get("EventUuid") or self._uuid()
        return Happening(0, self._org.world.now(), uuid, sobject, change, (record["Id"],), fields, record, "", 0, 0)

    def _keep(self, happening: Happening) -> None:
        self._events.append(happening._replace(number=self._issue()))
        oldest = self._oldest()
        if self._events[0].at < oldest:
            self._events = [event for event in self._events if event.at >= oldest]
            self._issued = {number: at for number, at in self._issued.items() if at >= oldest}

    def _issue(self) -> int:
        self._tip += self._org.world.random.randint(1, 40)
        self._tip_at = self._issued[self._tip] = self._org.world.now()
        return self._tip

    def _oldest(self) -> datetime:
        return self._org.world.now() - RETENTION

    def _uuid(self) -> str:
        return str(UUID(int=self._org.world.random.getrandbits(128), version=4))


def entity_event(sobject: str) -> str:
    """AccountChangeEvent, Usage__ChangeEvent."""
    return f"{sobject.removesuffix('c')}ChangeEvent" if sobject.endswith("__c") else f"{sobject}ChangeEvent"


def replay_id(number: int) -> bytes:
    return number.to_bytes(8, "big") + b"\x00\x00"


def number_of(replay: bytes) -> int:
    """The place a replay id means; -1 for bytes that were never given out."""
    return int.from_bytes(replay[:8], "big") if len(replay) == 10 and replay.endswith(b"\x00\x00") else -1


def _change(before: Record | None, after: Record) -> ChangeType | None:
    was, gone = before is not None and not before["IsDeleted"], after["IsDeleted"]
    if before is None:
        return None if gone else "CREATE"
    if gone:
        return "DELETE" if was else None
    return "UPDATE" if was else "UNDELETE"


def _fields(sobject: SObject, change: ChangeType, before: Record | None, after: Record) -> tuple[str, ...]:
    carried = _carried(sobject)
    if change == "DELETE":
        return ()
    if change == "UPDATE" and before is not None:
        return tuple(name for name in carried if before.get(name) != after[name] or name == "LastModifiedDate")
    return tuple(name for name in carried if after[name] is not None)


def _carried(sobject: SObject) -> tuple[str, ...]:
    return tuple(field.name for field in sobject.stored if field.name not in _UNSEEN)


def _merged(events: Iterable[Happening]) -> Iterator[Happening]:
    """Neighbours that say the same of different records, as one event."""
    held: Happening | None = None
    for event in events:
        if held is not None and _same(held, event):
            held = held._replace(record_ids=held.record_ids + event.record_ids)
            continue
        if held is not None:
            yield held
        held = event
    if held is not None:
        yield held


def _same(one: Happening, other: Happening) -> bool:
    values: list[Any] = [[event.record.get(name) for name in event.fields] for event in (one, other)]
    alike = (one.sobject.name, one.change, one.fields) == (other.sobject.name, other.change, other.fields)
    return alike and one.change not in (None, "CREATE") and values[0] == values[1]
