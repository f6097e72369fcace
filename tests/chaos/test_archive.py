"""Cut archiving short at every point where it touches the disk; then nothing is lost and nothing is there twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.rows import entry, run_row

from tieline.app.archive import archive_runs
from tieline.app.export import check_folder
from tieline.engine.ports import AppendResult, Batch
from tieline.engine.records import JournalEntry, RunRow, RunState, Wait
from tieline.errors import ConfigurationError
from tieline.storage.archive import Archive
from tieline.storage.sqlite import SqliteStore

ENDED = datetime(2026, 1, 30, tzinfo=UTC)
BEFORE = datetime(2026, 3, 1, tzinfo=UTC)
RUNS = [run_row(n, RunState.DONE, ended_at=ENDED + timedelta(days=n)) for n in range(1, 5)]
OPEN = run_row(9)
ENTRIES = [entry(run, position) for run in (1, 2, 3, 4, 9) for position in range(3)]


class PowerCut(BaseException):
    """Nothing of this life happens any more."""


class Fuse:
    """Blows at the `blows_at`-th touch of the disk (0: never)."""

    def __init__(self, blows_at: int) -> None:
        self.blows_at, self.touches = blows_at, 0

    def touch(self) -> None:
        self.touches += 1
        if self.touches == self.blows_at:
            raise PowerCut

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The call with a point before it; the point after it is the one before the next."""

        def fused(*arguments: Any, **named: Any) -> Any:
            self.touch()
            return function(*arguments, **named)

        return fused


class FusedStore(SqliteStore):
    """A store whose commits have a point before and one after."""

    fuse = Fuse(0)

    async def commit(self, batch: Batch) -> list[AppendResult]:
        self.fuse.touch()
        results = await super().commit(batch)
        self.fuse.touch()
        return results


async def _filled(path: Path) -> None:
    store = SqliteStore(path)
    waits = [Wait(run_id="p:2", position=1, topic="t"), Wait(run_id="p:9", position=1, topic="t")]
    await store.commit(Batch(runs=[*RUNS, OPEN], journal=ENTRIES, waits=waits))
    await store.close()


async def _archived(path: Path, fuse: Fuse) -> bool:
    """One life: True when it came to its end."""
    store = FusedStore(path)
    store.fuse = fuse
    patch = pytest.MonkeyPatch()
    try:
        patch.setattr(os, "fsync", fuse.before(os.fsync))
        patch.setattr(Path, "replace", fuse.before(Path.replace))
        await archive_runs(store, store.archive, BEFORE)
    except PowerCut:
        return False
    finally:
        patch.undo()
        await store.close()
    return True


async def _everything(path: Path) -> tuple[list[RunRow], list[JournalEntry], list[Wait]]:
    store = SqliteStore(path, read_only=True)
    runs = await store.runs()
    journal = [kept for entries in (await store.journals([run.id for run in runs])).values() for kept in entries]
    waits = await store.waits(["t"])
    await store.close()
    return runs, journal, waits


async def test_a_power_cut_at_any_point_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """At every flush, every rename, before and after every commit. What was cut short is finished by the next life."""
    await _filled(tmp_path / "tieline.db")
    filled = (tmp_path / "tieline.db").read_bytes()
    whole, blows_at = False, 0
    while not whole:
        blows_at += 1
        path = tmp_path / str(blows_at) / "tieline.db"
        path.parent.mkdir()
        path.write_bytes(filled)
        whole = await _archived(path, Fuse(blows_at))
        assert (await _everything(path))[:2] == ([*RUNS, OPEN], ENTRIES), f"cut at point {blows_at}"
        assert await _archived(path, Fuse(0))
        runs, journal, waits = await _everything(path)
        assert (runs, journal, [w.run_id for w in waits]) == ([*RUNS, OPEN], ENTRIES, ["p:9"]), f"after {blows_at}"
        await _is_in_order(path.parent / "archive", path)
    assert blows_at > 20


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}


async def _is_in_order(folder: Path, database: Path) -> None:
    """Each row stands in one file, the manifest and the store know every file, and there are no others."""
    check = check_folder(folder)
    assert (check.problems, check.rows) == ([], 4 + 12 + 1)
    store = SqliteStore(database, read_only=True)
    recorded = {file.name for file in await store.archive_files()}
    await store.close()
    assert _files(folder) == recorded


async def test_what_a_newer_database_archived_is_left_alone(tmp_path: Path) -> None:
    """A backup from before the archiving is restored: its runs are archived once more, the other files stay."""
    path = tmp_path / "tieline.db"
    await _filled(path)
    backup = path.read_bytes()
    assert await _archived(path, Fuse(0))
    first = _files(tmp_path / "archive")
    for part in ("", "-wal", "-shm"):
        (tmp_path / f"tieline.db{part}").unlink(missing_ok=True)
    path.write_bytes(backup)
    store = SqliteStore(path)
    late = run_row(5, RunState.DONE, ended_at=ENDED)
    await store.commit(Batch(runs=[late]))
    await store.close()
    assert await _archived(path, Fuse(0))
    assert first < _files(tmp_path / "archive")
    assert (await _everything(path))[0] == [*RUNS, late, OPEN]
    assert check_folder(tmp_path / "archive").ok


async def test_one_process_archives_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "tieline.db"
    await _filled(path)
    with Archive(tmp_path / "archive").alone(), pytest.raises(ConfigurationError, match="another process archives"):
        await _archived(path, Fuse(0))
    assert (await _everything(path))[0] == [*RUNS, OPEN]


async def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """Half an answer would pass for all of it."""
    path = tmp_path / "tieline.db"
    await _filled(path)
    assert await _archived(path, Fuse(0))
    lost = next(name for name in _files(tmp_path / "archive") if "run-" in name)
    (tmp_path / "archive" / lost).unlink()
    with pytest.raises(ConfigurationError, match=f"{lost} is not there: put the file back"):
        await _everything(path)
    assert not check_folder(tmp_path / "archive").ok
