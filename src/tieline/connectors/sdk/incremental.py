"""Where an incremental read stands: a cursor of (timestamp, id), an overlap, and the account's wall clock.

The one assumption: when a record stamped T is visible, every record stamped at or before T - overlap is visible too.
So a sweep reads again from T - overlap, tells some changes twice (the engine drops what it has seen) and misses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tieline.errors import ConfigurationError, VendorUnavailable

WALL = "%Y-%m-%d %H:%M:%S"


class Watermark(NamedTuple):
    """The latest change seen: its stamp in UTC (`2026-01-15T10:00:00Z`, so that text order is time order) and its id.

    The id makes the place exact where several records share a stamp.
    """

    stamp: str = ""
    id: str = ""

    @classmethod
    def read(cls, cursor: str, system: str) -> Watermark:
        """The place a cursor names, "" for the beginning. Raises ConfigurationError for one that is not ours."""
        if not cursor:
            return cls()
        stamp, bar, native_id = cursor.partition("|")
        try:
            if bar and datetime.fromisoformat(stamp).tzinfo is not None:
                return cls(stamp, native_id)
        except ValueError:
            pass
        raise ConfigurationError(f"{cursor[:80]!r} is not a cursor of {system}: start the stream again without one")

    @property
    def cursor(self) -> str:
        return f"{self.stamp}|{self.id}" if self.stamp else ""

    def after(self, changed: Iterable[tuple[str, str]]) -> Watermark:
        """The place behind these (id, stamp) pairs; never behind where it was."""
        return max([self, *(Watermark(stamp, native_id) for native_id, stamp in changed)])

    def since(self, overlap_s: float) -> str:
        """The stamp from which the next sweep reads, "" for everything."""
        if not self.stamp:
            return ""
        return utc_text(datetime.fromisoformat(self.stamp) - timedelta(seconds=overlap_s))


def utc_text(moment: datetime) -> str:
    """An aware moment as text of fixed width in whole seconds, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment_of(stamp: str, system: str, zone: ZoneInfo | None = None) -> datetime:
    """A vendor's stamp as an aware moment. One without an offset is on the wall clock of `zone`, or not believed.

    Raises VendorUnavailable: a stamp that is guessed would move the cursor to where nobody was.
    """
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise VendorUnavailable(f"{system} gave the stamp {stamp[:40]!r}, which is no time") from error
    if moment.tzinfo is None and zone is None:
        raise VendorUnavailable(f"{system} gave the stamp {stamp[:40]!r} without an offset from UTC")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def wall_to_utc(stamp: str, zone: ZoneInfo) -> str:
    """`2026-11-23 06:05:00` of a wall clock → `2026-11-23T14:05:00Z`. An hour that is told twice is its first."""
    return utc_text(datetime.strptime(stamp, WALL).replace(tzinfo=zone))


def wall_step_back(stamp: str, seconds: float, zone: ZoneInfo) -> str:
    """The wall-clock stamp from which a window reads again.

    Where the clock is put back, a later change can carry an earlier stamp: inside and just after the hour that is told
    twice, the window begins that hour earlier.
    """
    wall = datetime.strptime(stamp, WALL) - timedelta(seconds=seconds)  # noqa: DTZ007 - the account's wall clock
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return f"{wall - max(first - second, timedelta()):{WALL}}"
