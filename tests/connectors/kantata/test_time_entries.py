"""The stream of time entries tells every change and leaves none out, whatever shares a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.connectors.kantata.account import Served, settings_for, wire_for

from tieline.connectors.kantata.connector import KantataConnector
from tieline.connectors.kantata.timesheet import read_position
from tieline.errors import ConfigurationError

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TIME = {"date_performed": "2026-03-02", "time_in_minutes": 90, "rate_in_cents": 12_000}


def enter(served: Served, moment: datetime, count: int = 1) -> list[str]:
    served.account.world.set(moment)
    account = served.account
    projects = account.documents("workspaces")["workspaces"] or account.seed("workspaces", [wire_for()])
    given = TIME | {"workspace_id": int(projects[0]["id"])}
    return [str(entry["id"]) for entry in account.seed("time_entries", [given] * count)]


async def told(connector: KantataConnector, cursor: str = "") -> tuple[list[str], str]:
    found: list[str] = []
    while True:
        page = await connector.changes("time_entry", cursor)
        found += [native_id for native_id, _ in page.changed]
        cursor = page.cursor
        if not page.more:
            return found, cursor


def connected(served: Served, **changes: Any) -> KantataConnector:
    return KantataConnector("kantata", settings_for(served.url, page_size=4, overlap_s=60.0, **changes))


async def test_more_entries_of_one_second_than_a_page_holds_are_all_told(served: Served) -> None:
    entries = enter(served, START, 3) + enter(served, START + timedelta(seconds=1), 11)
    entries += enter(served, START + timedelta(seconds=2), 2)
    connector = connected(served)
    found, _ = await told(connector)
    await connector.close()
    assert set(found) == set(entries)


async def test_a_later_sweep_tells_what_changed_and_reads_the_overlap_again(served: Served) -> None:
    (early,) = enter(served, START)
    (last,) = enter(served, START + timedelta(minutes=5))
    connector = connected(served)
    _, cursor = await told(connector)
    served.account.world.set(START + timedelta(minutes=9))
    served.account.account.change_time(early, {"approved": False})
    found, cursor = await told(connector, cursor)
    assert found == [last, early]
    assert (await told(connector, cursor))[0] == [early]
    entry = (await connector.fetch("time_entry", [early, "1"]))[0]
    await connector.close()
    assert entry is not None
    assert (entry["approved"], entry["rate_in_cents"], entry["currency"]) == (False, 12_000, "EUR")


def test_time_is_swept_only_where_somebody_reads_it() -> None:
    """Each stream costs calls of the account's rate, and hints that nobody asked for fill the log."""
    assert KantataConnector("kantata", settings_for("http://127.0.0.1:1")).manifest.streams == ()
    with pytest.raises(ConfigurationError, match="there is time_entry"):
        settings_for("http://127.0.0.1:1", streams=("expense",))
    with pytest.raises(ConfigurationError, match="page_size"):
        settings_for("http://127.0.0.1:1", page_size=500)


def test_a_cursor_of_somebody_else_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        read_position("2026-03-02T09:00:00Z|5")
