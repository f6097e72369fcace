"""The envelope of every event: CloudEvents 1.0 with correlation and causation. Pure.

An event is unique by (source, id). Its id is made from what it says, so the same fact told twice is the same event.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

SPEC_VERSION = "1.0"
GENESIS = "0" * 64


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What a business event says. Subclasses name their subject (what it is about) and correlation (which deal)."""

    version: ClassVar[int] = 1

    @abstractmethod
    def subject(self) -> str:
        """What the event is about: the address at which runs wait for it."""

    def correlation(self) -> str:
        """The deal's contract id; "" where the event belongs to no deal."""
        return ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `data` is canonical JSON; `time` is when the fact happened, aware UTC.

    `correlation_id` is the deal (contract id) all its events share; `causation_id` the id of the event behind it.
    """

    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: bytes
    correlation_id: str = ""
    causation_id: str = ""

    def content_hash(self) -> str:
        """What makes a redelivery the same: type, subject and data; not the time it was told."""
        return hashlib.sha256(b"\0".join((self.type.encode(), self.subject.encode(), self.data))).hexdigest()

    @property
    def topic(self) -> str:
        """What a run waits for: the event's name without version, and its subject."""
        return topic(event_name(self.type), self.subject)


class LoggedEvent(Event, frozen=True, kw_only=True):
    """An event in the log: its place, when it was recorded, and its link of the hash chain."""

    seq: int
    recorded_at: datetime
    prev_hash: str
    hash: str


def topic(name: str, subject: str) -> str:
    """The address at which runs wait for an event."""
    return f"{name}:{subject}"


@lru_cache(maxsize=1024)  # views ask it of every event of a deal
def event_name(event_type: str) -> str:
    """`tieline.InvoiceIssued.v1` → `InvoiceIssued`."""
    return event_type.split(".")[1] if event_type.count(".") >= 2 else event_type


def chain_hash(prev_hash: str, event: Event, recorded_at: datetime) -> str:
    """The link that follows `prev_hash`: changing, removing or reordering any row breaks every later one."""
    digest = hashlib.sha256(prev_hash.encode())
    for part in (
        event.source,
        event.id,
        event.type,
        event.subject,
        event.time.isoformat(),
        event.correlation_id,
        event.causation_id,
        recorded_at.isoformat(),
    ):
        digest.update(part.encode())
        digest.update(b"\0")
    digest.update(event.data)
    return digest.hexdigest()


def to_cloudevent(event: Event) -> dict[str, Any]:
    """The event in CloudEvents 1.0 JSON form; extension names are lower case as the specification asks."""
    extensions = {"correlationid": event.correlation_id, "causationid": event.causation_id}
    return {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": f"/{event.source}",
        "type": event.type,
        "subject": event.subject,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **{name: value for name, value in extensions.items() if value},
        "data": msgspec.json.decode(event.data),
    }
