"""Retention: what moves, when the hub does it by itself, and where the settings say."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.company import eventually
from tests.support.rows import entry, run_row

from tieline.app import archive
from tieline.app.settings import Settings, load_settings
from tieline.engine.lanes import cancel
from tieline.engine.ports import Batch
from tieline.engine.records import RunRow, RunState
from tieline.errors import ConfigurationError
from tieline.storage.sqlite import SqliteStore


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "tieline.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, environ={})


def ended(number: int, at: datetime) -> RunRow:
    return run_row(number, RunState.DONE, started_at=at - timedelta(hours=1), ended_at=at)


async def test_a_group_is_of_one_month_and_large_months_take_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RUNS_AT_ONCE", 3)
    store = SqliteStore(tmp_path / "tieline.db")
    january, february = datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    rows = [ended(n, january + timedelta(minutes=n)) for n in range(5)] + [ended(9, february)]
    await store.commit(Batch(runs=rows, journal=[entry(n, 0) for n in range(5)]))
    told: list[int] = []
    moved = await archive.archive_runs(store, store.archive, february + timedelta(days=9), told.append)
    assert (told, moved.runs, moved.entries) == ([3, 2, 1], 6, 5)
    assert [(f.month, f.rows) for f in moved.files if f.holds == "run"] == [
        ("2026-01", 3),
        ("2026-01", 2),
        ("2026-02", 1),
    ]
    assert await store.runs() == rows
    await store.close()


async def test_the_hub_archives_whole_months_by_itself(tmp_path: Path) -> None:
    """A month goes when all of it is older; another connection, which works on the database, sees it happen."""
    settings = settings_of(tmp_path, "[archive]\nafter_days = 30\n")
    store = SqliteStore(settings.database)
    now = datetime.now(UTC)
    month = archive.whole_months_before(now - timedelta(days=30))
    await store.commit(Batch(runs=[ended(1, month - timedelta(seconds=1)), ended(2, month), run_row(3)]))
    task = asyncio.create_task(archive.archive_forever(settings))

    async def moved() -> bool:
        return bool(await store.archive_files())

    await eventually(moved)
    await cancel(task)
    assert [row.id for row in await store.ended_runs(now)] == ["p:2"]
    assert [row.id for row in await store.runs()] == ["p:1", "p:2", "p:3"]
    await store.close()


def test_where_the_archive_is(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[project]\ndatabase = "data/t.db"\n')
    assert (settings.archive_folder, settings.archive.after_days) == (tmp_path / "data" / "archive", 0)
    assert settings_of(tmp_path, '[archive]\nfolder = "kept"\n').archive_folder == tmp_path / "kept"
    for wrong, words in (
        ("after_days = -1", r"tieline.toml:1: \[archive\] after_days must be 0 or more"),
        ("days = 9", "tieline.toml:2: unknown setting 'archive.days'; did you mean 'after_days'|known: folder"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            settings_of(tmp_path, f"[archive]\n{wrong}\n")
