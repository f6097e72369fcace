"""Where a stream of changes stands, and the window it reads next.

A window holds everything changed at or after `since`, read page by page in the order of ids. The next window begins
`overlap_s` before the newest stamp known when this one began. So nothing is skipped: a record that changes while the
window is read carries a stamp of the next one, and paging needs no stamp to be exact or unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import msgspec

from tieline.connectors.sdk import wall_step_back
from tieline.errors import ConfigurationError


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """`since`: wall clock of the window's beginning; `after`: the last id read, "" at the beginning of a window;
    `high`: the newest stamp known, while a window of several pages is read.
    """

    since: str = ""
    after: str = ""
    high: str = ""


def read_position(cursor: str) -> Position:
    """Raises ConfigurationError for a cursor that is not one of ours."""
    if not cursor:
        return Position()
    try:
        return msgspec.json.decode(cursor, type=Position)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{cursor!r} is not a cursor of NetSuite: start the stream again without one"
        ) from error


def write_position(position: Position) -> str:
    return msgspec.json.encode(position).decode()


def next_window(position: Position, stamps: Sequence[str], overlap_s: float, zone: ZoneInfo) -> Position:
    """Behind the last page of a window; `stamps` are those of a window of one page."""
    high = position.high or max(stamps, default="")
    if not high:
        return Position(since=position.since)
    return Position(since=max(position.since, wall_step_back(high, overlap_s, zone)))
