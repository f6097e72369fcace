"""Where an incremental read stands: nothing is passed over, whatever the stamps and the clock do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.connectors.sdk import Watermark, moment_of, utc_text, wall_step_back, wall_to_utc
from tieline.errors import ConfigurationError, VendorUnavailable

START = datetime(2026, 1, 1, tzinfo=UTC)
OVERLAP_S = 60.0


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 50)), min_size=1, max_size=60), st.data())
def test_records_that_become_visible_late_by_less_than_the_overlap_are_told(
    changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Stamps are given before the commit: a sweep may see a younger record first."""
    stamped = [
        (f"r{place}", utc_text(START + timedelta(seconds=at)), at + late) for place, (at, late) in enumerate(changes)
    ]
    mark, told = Watermark(), set[str]()
    for now in [*sorted(data.draw(st.lists(st.integers(0, 700), max_size=6))), 700]:
        mark = Watermark.read(mark.cursor, "Acme")
        since = mark.since(OVERLAP_S)
        seen = [(name, stamp) for name, stamp, visible in stamped if visible <= now and stamp >= since]
        told |= {name for name, _ in seen}
        mark = mark.after(seen)
    assert told == {name for name, _, _ in stamped}


def test_a_cursor_never_goes_back() -> None:
    mark = Watermark("2026-01-01T10:00:00Z", "7")
    assert mark.after([("3", "2026-01-01T09:00:00Z")]) == mark
    assert mark.after([("8", "2026-01-01T10:00:00Z")]) == Watermark("2026-01-01T10:00:00Z", "8")
    assert mark.after([]) == mark


@pytest.mark.parametrize("cursor", ["nonsense", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00|7", "|", "x|y"])
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with pytest.raises(ConfigurationError, match="not a cursor of Acme"):
        Watermark.read(cursor, "Acme")


@pytest.mark.parametrize("stamp", ["2026-01-01T10:00:00", "yesterday", ""])
def test_a_stamp_that_would_have_to_be_guessed_is_not_believed(stamp: str) -> None:
    with pytest.raises(VendorUnavailable):
        moment_of(stamp, "Acme")


def test_a_stamp_without_an_offset_is_on_the_accounts_wall_clock() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert utc_text(moment_of("2026-07-01T10:00:00", "Acme", zone)) == "2026-07-01T08:00:00Z"
    assert wall_to_utc("2026-07-01 10:00:00", zone) == "2026-07-01T08:00:00Z"


def test_where_the_clock_is_put_back_the_window_reaches_back_the_doubled_hour() -> None:
    """02:30 happens twice that night: a change in the second one carries an earlier wall clock than the sweep."""
    assert wall_step_back("2026-10-25 02:30:00", 0.0, ZoneInfo("Europe/Berlin")) == "2026-10-25 01:30:00"
    assert wall_step_back("2026-10-26 02:30:00", 60.0, ZoneInfo("Europe/Berlin")) == "2026-10-26 02:29:00"
