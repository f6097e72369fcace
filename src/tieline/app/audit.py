"""The audit trail: what people and systems did, from the event log; filtered, page by page, and exported.

The invariant: a page does a bounded amount of work however long the log is. What no index finds is searched for in
steps: a page that found little says how far it looked, and the next one goes on there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tieline.app.principal import PEOPLE
from tieline.app.views.listing import cloud_event
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound, resolve, runs_of_event
from tieline.app.views.traffic import first_event_since
from tieline.app.views.words import event_words
from tieline.engine.ports import Store
from tieline.engine.records import Effect, RunRow
from tieline.errors import ConfigurationError, InvalidMessage
from tieline.events import EVENTS, LoggedEvent, decode_event, event_name
from tieline.mapping.problems import nearest_hint

PERSONAL = tuple(name for name, data in EVENTS.items() if "by" in data.__struct_fields__)
"""Events that say who did it: few among a million, and found by their type."""
AT_ONCE = 500
MOST_LOOKED_AT = 2_500
"""So many events one page looks through; an export goes on to the end."""
NEARBY = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of an event. `who` is a person, a system, `tieline`, or `people` for everybody.

    `since` and `until` (not included) are about when it was recorded; `text` is part of its subject or id; `deal` is
    any id of a deal.
    """

    who: str = ""
    type: str = ""
    deal: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first. `before` is the cursor of the next page, 0 at the end; `looked_at` how many were read."""

    events: list[LoggedEvent]
    before: int
    looked_at: int


class Consequences(msgspec.Struct, frozen=True, kw_only=True):
    """What an event led to: runs, what they wrote, and the events that name it as their cause."""

    runs: list[RunRow]
    effects: list[Effect]
    events: list[LoggedEvent]


def whose(event: LoggedEvent) -> str:
    """Who did it: the person where one did, else the system that told, else Tieline."""
    if event_name(event.type) in PERSONAL:
        try:
            return str(getattr(decode_event(event), "by", "")) or event.source
        except InvalidMessage:
            return event.source
    return event.source


async def audit_page(view: View, wanted: AuditFilter, *, before: int = 0, limit: int = 50) -> AuditPage:
    """The newest events that match, before a place in the log. Raises NothingFound, ConfigurationError."""
    search = await _search(view, wanted, before)
    found: list[LoggedEvent] = []
    looked_at = 0
    async for chunk, rest in search.chunks(view.store):
        looked_at += len(chunk)
        for event in chunk:
            if search.matches(event):
                found.append(event)
                if len(found) == limit:
                    before = event.seq if event.seq > search.first else 0
                    return AuditPage(events=found, before=before, looked_at=looked_at)
        if looked_at >= MOST_LOOKED_AT and rest > search.first:
            return AuditPage(events=found, before=rest, looked_at=looked_at)
    return AuditPage(events=found, before=0, looked_at=looked_at)


async def audit_rows(view: View, wanted: AuditFilter) -> AsyncIterator[list[LoggedEvent]]:
    """All events that match, newest first, in pages. Raises NothingFound, ConfigurationError."""
    search = await _search(view, wanted, 0)
    async for chunk, _ in search.chunks(view.store):
        yield [event for event in chunk if search.matches(event)]


async def as_jsonl(pages: AsyncIterator[list[LoggedEvent]]) -> AsyncIterator[bytes]:
    """CloudEvents, one a line, each with its place, the time it was recorded and its link of the chain."""
    async for page in pages:
        yield b"".join(msgspec.json.encode(audit_row(event)) + b"\n" for event in page)


async def as_csv(pages: AsyncIterator[list[LoggedEvent]]) -> AsyncIterator[bytes]:
    """A table for spreadsheets; what one would take for a formula is quoted."""
    yield _csv([_COLUMNS])
    async for page in pages:
        yield _csv([_cells(event) for event in page])


def audit_row(event: LoggedEvent) -> dict[str, Any]:
    """An event with all that its hash was made of."""
    chain = {"recordedat": event.recorded_at.isoformat(), "prevhash": event.prev_hash, "hash": event.hash}
    return {**cloud_event(event), **chain}


async def get_event(store: Store, seq: int) -> LoggedEvent:
    """The event at a place. Raises NothingFound."""
    found = await store.events_after(seq - 1, 1) if seq > 0 else []
    if not found or found[0].seq != seq:
        raise NothingFound(f"the log has no event #{seq}")
    return found[0]


async def neighbours(store: Store, seq: int) -> tuple[int, int]:
    """The places before and behind, 0 where there is none."""
    before = await store.events(before_seq=seq, limit=1, newest=True)
    behind = await store.events_after(seq, 1)
    return (before[0].seq if before else 0), (behind[0].seq if behind else 0)


async def consequences(store: Store, event: LoggedEvent) -> Consequences:
    """What an event led to, as far as its deal, or else the events that follow it, tell."""
    runs = await runs_of_event(store, event.seq)
    deals = {event.correlation_id, *(run.correlation_id for run in runs)} - {""}
    near = await store.events_after(event.seq, NEARBY)
    effects: list[Effect] = []
    for deal in sorted(deals)[:3]:
        near += await store.events(correlation_id=deal, after_seq=event.seq, limit=NEARBY)
        effects += await store.effects(correlation_id=deal, limit=NEARBY)
    told = {e.seq: e for e in near if e.causation_id == event.id}
    ids = {run.id for run in runs}
    return Consequences(
        runs=runs,
        effects=[effect for effect in effects if effect.run_id in ids],
        events=[told[seq] for seq in sorted(told)],
    )


# --- searching --------------------------------------------------------------------------------------------------------


class _Search(msgspec.Struct, frozen=True, kw_only=True):
    """A filter as the store understands it: types to go by (None: all), deal, places; the rest is matched here."""

    types: tuple[str | None, ...]
    deal: str | None
    first: int
    last: int
    source: str
    person: str
    text: str

    async def chunks(self, store: Store) -> AsyncIterator[tuple[list[LoggedEvent], int]]:
        """Events backwards, in chunks, each with the place before which the next one begins."""
        before = self.last
        while before > self.first:
            pages = [
                await store.events(
                    type=name,
                    correlation_id=self.deal,
                    after_seq=self.first - 1,
                    before_seq=before,
                    limit=AT_ONCE,
                    newest=True,
                )
                for name in self.types
            ]
            # behind the oldest row of a full page, another of its type may follow: only what is newer is complete
            whole = max((page[0].seq for page in pages if len(page) == AT_ONCE), default=self.first)
            chunk = [event for page in pages for event in page if event.seq >= whole]
            before = whole
            yield sorted(chunk, key=lambda event: -event.seq), before

    def matches(self, event: LoggedEvent) -> bool:
        if self.source and event.source != self.source:
            return False
        if self.person and whose(event).casefold() != self.person:
            return False
        return not self.text or self.text in f"{event.subject}\n{event.id}".casefold()


async def _search(view: View, wanted: AuditFilter, before: int) -> _Search:
    if wanted.type and wanted.type not in EVENTS:
        raise ConfigurationError(f"there is no event {wanted.type!r}{nearest_hint(wanted.type, EVENTS)}")
    store, who = view.store, wanted.who.strip()
    source = who if who in (*view.vendors, "tieline", PEOPLE) else ""
    person = "" if source else who.casefold()
    types: Sequence[str | None] = [wanted.type or None]
    if person or source == PEOPLE:
        types = [name for name in PERSONAL if wanted.type in ("", name)]
    last = await _place_at(store, wanted.until) if wanted.until else await _end(store)
    return _Search(
        types=tuple(types),
        deal=(await resolve(view, wanted.deal)).deal or "-" if wanted.deal else None,
        first=await _place_at(store, wanted.since) if wanted.since else 1,
        last=min(last, before) if before else last,
        source=source,
        person=person,
        text=wanted.text.strip().casefold(),
    )


async def _end(store: Store) -> int:
    """The place behind the last event."""
    last = await store.events(limit=1, newest=True)
    return last[0].seq + 1 if last else 1


async def _place_at(store: Store, moment: datetime) -> int:
    place = await first_event_since(store, moment)
    return place.seq if place else 1


# --- rows -------------------------------------------------------------------------------------------------------------

_COLUMNS = ["seq", "recorded_at", "time", "type", "who", "subject", "deal", "words", "id", "cause", "data", "hash"]


def _cells(event: LoggedEvent) -> list[str]:
    return [
        str(event.seq),
        event.recorded_at.isoformat(),
        event.time.isoformat(),
        event.type,
        *(_plain(text) for text in (whose(event), event.subject, event.correlation_id, event_words(event), event.id)),
        _plain(event.causation_id),
        event.data.decode(errors="replace"),
        event.hash,
    ]


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
