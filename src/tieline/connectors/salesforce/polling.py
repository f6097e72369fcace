"""Where a sweep stands: the cursor, and the rule by which it moves.

The one assumption: when a record with stamp T is visible, every record stamped at or before T - overlap is visible
too (stamps are whole seconds and given before the commit). So a sweep that has seen `head` may forget everything up
to head - overlap and nothing younger: the next sweep reads that window again, and the engine drops what it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tieline.connectors.salesforce.client import is_id
from tieline.errors import ConfigurationError


class Place(NamedTuple):
    """How far polling has come. `id` is set inside a sweep of several pages: what follows (stamp, id) is next.

    Without `id` a sweep begins at `stamp`, inclusive. `head` is the youngest stamp seen before the sweep was read.
    `job` is the bulk query that lists the rest of the sweep, `locator` its next page.
    """

    stamp: str = ""
    id: str = ""
    head: str = ""
    job: str = ""
    locator: str = ""

    @classmethod
    def of(cls, cursor: str, since: str) -> Place:
        """Read a cursor; "" begins at `since`. Raises ConfigurationError for one that is not ours."""
        parts = cursor.split("|") if cursor else [since, "", ""]
        if len(parts) not in (3, 5) or not all(part == "" or is_id(part) for part in (parts[1], *parts[3:4])):
            raise ConfigurationError(f"salesforce: {cursor!r} is not a cursor of a sweep")
        stamp, native_id, head, *bulk = parts
        return cls(literal(stamp) if stamp else "", native_id, literal(head) if head else "", *bulk)

    @property
    def cursor(self) -> str:
        return "|".join(self if self.job else self[:3])

    def condition(self) -> str:
        """The SOQL condition for what comes next, "" for everything."""
        if not self.stamp:
            return ""
        if not self.id:
            return f"SystemModstamp >= {self.stamp}"
        return f"(SystemModstamp > {self.stamp} OR (SystemModstamp = {self.stamp} AND Id > '{self.id}'))"

    def after_page(self, page: Sequence[tuple[str, str]], head: str) -> Place:
        """The place behind a full page of (id, stamp as `literal` gives it): the sweep goes on."""
        last_id, last_stamp = page[-1]
        return Place(last_stamp, last_id, head)

    def after_sweep(self, page: Sequence[tuple[str, str]], overlap_s: float) -> Place:
        """The place behind the last page: back by the overlap from the head, never behind where the sweep began."""
        head = self.head or (page[-1][1] if page else "")
        if not head:
            return self
        back = literal(_moment(head) - timedelta(seconds=overlap_s))
        begun_at = "" if self.id else self.stamp
        return Place(max(back, begun_at))

    def heard(self, stamp: str, overlap_s: float) -> Place:
        """The place once every commit up to a moment was told: back by the overlap, never behind where it was.

        Commits are told to the millisecond, stamps of records are whole seconds and given before the commit.
        """
        back = literal(_moment(stamp) - timedelta(seconds=overlap_s))
        return Place(max(back, self.stamp))


def literal(stamp: str | datetime) -> str:
    """A time as a SOQL literal in UTC, of fixed width so that text order is time order. Raises ConfigurationError."""
    moment = (_moment(stamp) if isinstance(stamp, str) else stamp).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"salesforce: {text!r} is not a time in ISO 8601") from error
    if moment.tzinfo is None:
        raise ConfigurationError(f"salesforce: {text!r} names no offset from UTC")
    return moment
