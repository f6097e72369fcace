"""Traffic that was expected and did not come: silence is a failure that nobody reports.

What usually comes stands in the catalogue (`expects` of a process). The invariant: an alarm needs a log that reaches
back over the whole time asked about, so a project that began yesterday misses nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from tieline.engine.ports import Store
from tieline.engine.records import RunRow
from tieline.policy import WEEKDAYS, Catalogue, Expectation

SATURDAY = 5
_BEHIND_ALL = "\U0010ffff"
"""No id of a run is behind it."""


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """A process that began fewer runs since a time than the catalogue expects."""

    process: str
    owner: str
    expected: int
    came: int
    since: datetime
    last_at: datetime | None
    """When the last of them began."""


async def absent_traffic(store: Store, catalogue: Catalogue, now: datetime) -> list[Absence]:
    """Every expectation of the catalogue that is not met."""
    found = []
    for entry in catalogue.processes.values():
        if entry.expects is None:
            continue
        since = began(entry.expects, now)
        first = await first_event_since(store, since)
        if first is None or first.is_first:
            continue
        came = await _since(store, entry.name, first.seq, entry.expects.at_least)
        if len(came) < entry.expects.at_least:
            found.append(
                Absence(
                    process=entry.name,
                    owner=entry.owner,
                    expected=entry.expects.at_least,
                    came=len(came),
                    since=since,
                    last_at=came[-1].started_at if came else None,
                )
            )
    return found


async def _since(store: Store, process: str, seq: int, number: int) -> list[RunRow]:
    """The newest runs that events from this place on began; what is older is not even looked for in the archive."""
    return await store.runs(process=process, after=(seq - 1, _BEHIND_ALL), limit=number, newest=True)


def began(expected: Expectation, now: datetime) -> datetime:
    """Where the time began that is looked at now: so many hours back, without those that do not count."""
    left, at = timedelta(hours=expected.within_hours), now
    while expected.on == WEEKDAYS:
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight == at:
            midnight -= timedelta(days=1)
        if midnight.weekday() < SATURDAY:
            if at - midnight >= left:
                break
            left -= at - midnight
        at = midnight
    return at - left


class Place(msgspec.Struct, frozen=True):
    """A place in the log; whether nothing stands before it."""

    seq: int
    is_first: bool


async def first_event_since(store: Store, moment: datetime) -> Place | None:
    """The first event recorded at a time or later, by halving; None for an empty log."""
    first, last = await store.events_after(0, 1), await store.events(limit=1, newest=True)
    if not first or not last:
        return None
    low, high = first[0].seq, last[0].seq + 1
    if first[0].recorded_at >= moment:
        return Place(low, is_first=True)
    while low < high:
        middle = (low + high) // 2
        event = (await store.events_after(middle - 1, 1))[:1]
        if not event or event[0].recorded_at >= moment:
            high = middle
        else:
            low = event[0].seq + 1
    return Place(low, is_first=False)
