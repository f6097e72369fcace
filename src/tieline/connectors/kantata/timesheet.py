"""Where the stream of time entries stands.

A sweep reads entries in the order of their last change. It moves on by that stamp, one second back each time because
several entries share a second, and turns pages only inside a second that fills one. The next sweep begins `overlap_s`
before the newest stamp known, for entries that were committed late.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from tieline.connectors.sdk import moment_of, utc_text
from tieline.errors import ConfigurationError


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """`since`: entries changed after this moment are read next ("" for all); `high`: the newest stamp known."""

    since: str = ""
    page: int = 1
    high: str = ""

    @property
    def cursor(self) -> str:
        return msgspec.json.encode(self).decode()

    def behind(self, stamps: list[str], overlap_s: float, *, more: bool) -> Position:
        """The place behind a page with these stamps."""
        latest = max((utc_text(moment_of(stamp, "Kantata")) for stamp in stamps), default="")
        high = max(self.high, latest)
        if not more:
            return Position(since=max(self.since, _back(high, overlap_s)) if high else self.since, high=high)
        step = _back(latest, 1)
        if step > self.since:
            return Position(since=step, high=high)
        return Position(since=self.since, page=self.page + 1, high=high)


def read_position(cursor: str) -> Position:
    """Raises ConfigurationError for a cursor that is not one of ours."""
    if not cursor:
        return Position()
    try:
        return msgspec.json.decode(cursor, type=Position)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{cursor[:80]!r} is not a cursor of Kantata: start the stream again without one"
        ) from error


def _back(stamp: str, seconds: float) -> str:
    return utc_text(datetime.fromisoformat(stamp) - timedelta(seconds=seconds))
