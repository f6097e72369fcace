"""What changed, by polling object query on `updatedDate`.

The cursor is `stamp|id` of the latest record seen. A poll begins `overlap_s` behind the stamp, so that records which
share it or were committed late are told again rather than missed. While one pass is longer than a page, the cursor
also carries where the pass began and Zuora's own place in it: `stamp|id|since|place`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from tieline.connectors.sdk import follow, moment_of, utc_text
from tieline.connectors.zuora.client import ZuoraClient
from tieline.connectors.zuora.documents import LATEST, SPECS
from tieline.connectors.zuora.settings import STREAMS
from tieline.connectors.zuora.wire import Body
from tieline.engine.ports import Changes
from tieline.errors import ConfigurationError, VendorUnavailable

MOST = 500


class Place(NamedTuple):
    """A cursor, taken apart."""

    stamp: str = ""
    id: str = ""
    since: str = ""
    next: str = ""

    def __str__(self) -> str:
        parts = [self.stamp, self.id, self.since, self.next]
        return "|".join(parts if self.next else parts[:2]) if self.stamp else ""


async def changes(client: ZuoraClient, stream: str, cursor: str) -> Changes:
    """At most 500 changes behind a cursor, in the order of their stamps (UTC, whole seconds)."""
    kind = STREAMS[stream]
    spec = SPECS[kind]
    place = read_cursor(cursor)
    since = place.since if place.next else _behind(place.stamp, client.settings.overlap_s)
    filters = [*([f"updateddate.GE:{since}"] if since else []), *([LATEST] if kind == "subscription" else [])]
    latest, following, found = (place.stamp, place.id), place.next, dict[tuple[str, str], None]()

    async def read(cursor: str) -> tuple[list[Body], str | None]:
        nonlocal following
        records, following = await client.query(spec.path, filters, sort="updateddate.ASC", cursor=cursor)
        return records, following or None

    async for records in follow("Zuora", place.next, read):
        for record in records:
            stamp = utc(str(record["updatedDate"]))
            found[str(record.get(spec.number) or record["id"]), stamp] = None
            latest = max(latest, (stamp, str(record["id"])))
        if len(found) + client.settings.page_size > MOST:
            break
    reached = Place(*latest, since, following) if following else Place(*latest)
    return Changes(kind=kind, changed=list(found), cursor=str(reached), more=bool(following))


def read_cursor(cursor: str) -> Place:
    """Raises ConfigurationError for a text that no poll has made."""
    if not cursor:
        return Place()
    parts = cursor.split("|", 3)
    if len(parts) not in (2, 4):
        raise ConfigurationError(f"'{cursor[:80]}' is not a cursor of Zuora; start the stream again with an empty one")
    try:
        utc(parts[0])
    except VendorUnavailable as error:
        raise ConfigurationError(f"'{cursor[:80]}' is not a cursor of Zuora: it holds no moment") from error
    return Place(*parts)


def utc(stamp: str) -> str:
    """Zuora writes stamps with the tenant's offset: "2026-03-21T01:42:47-07:00" → "2026-03-21T08:42:47Z"."""
    return utc_text(moment_of(stamp, "Zuora"))


def _behind(stamp: str, seconds: int) -> str:
    if not stamp:
        return ""
    return utc((datetime.fromisoformat(stamp) - timedelta(seconds=seconds)).isoformat())
