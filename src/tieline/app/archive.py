"""Retention: runs that ended long ago leave the database for Parquet files, and answer as before.

The ledger, the log, references, canonical state and cases stay. Each group of runs is on disk and read back before one
commit records its files and takes its rows out of the tables: wherever that is cut short, every run is there once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import msgspec
import structlog

from tieline.app.settings import Settings
from tieline.engine.ports import Archived, Batch, Store
from tieline.engine.records import ArchiveFile, RunRow
from tieline.errors import TielineError
from tieline.storage.archive import Archive
from tieline.storage.sqlite import SqliteStore

RUNS_AT_ONCE = 2_000
"""How many runs move in one commit: the hub's own commits wait behind it for some hundredths of a second."""
LOOK_EVERY_S = 3_600.0

_log = structlog.get_logger("tieline.archive")


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was archived: runs, the entries of their journals, and the files they stand in now."""

    runs: int = 0
    entries: int = 0
    files: list[ArchiveFile] = []


async def archive_runs(
    store: Store,
    archive: Archive,
    before: datetime,
    moved: Callable[[int], None] = lambda _: None,
    go_on: Callable[[], bool] = lambda: True,
) -> Moved:
    """Move the runs that ended before; `moved` is told how many, group by group. Raises ConfigurationError."""
    files: list[ArchiveFile] = []
    with archive.alone():
        archive.tidy(await store.archive_files())
        while go_on() and (runs := await _of_one_month(store, before)):
            run_ids = [run.id for run in runs]
            written = archive.write(runs, *await store.kept_of(run_ids))
            await store.commit(Batch(archived=[Archived(files=written, run_ids=run_ids)]))
            files += written
            moved(len(runs))
        archive.note(await store.archive_files())
    return Moved(runs=_rows(files, "run"), entries=_rows(files, "journal"), files=files)


async def _of_one_month(store: Store, before: datetime) -> list[RunRow]:
    runs = await store.ended_runs(before, RUNS_AT_ONCE)
    return list(takewhile(lambda run: f"{run.ended_at:%Y-%m}" == f"{runs[0].ended_at:%Y-%m}", runs))


def _rows(files: list[ArchiveFile], holds: str) -> int:
    return sum(file.rows for file in files if file.holds == holds)


# --- by itself --------------------------------------------------------------------------------------------------------


async def archive_forever(settings: Settings) -> None:
    """Archive each month when all of it is older than `after_days`, until cancelled."""
    ending = threading.Event()
    try:
        while True:
            try:
                await asyncio.to_thread(_archive_old, settings, ending)
            except TielineError as error:
                _log.warning("archiving failed", reason=str(error))
            except Exception as error:  # noqa: BLE001 - retention that dies would be missed by nobody
                _log.error("archiving broke", exc_info=error)
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        ending.set()


def _archive_old(settings: Settings, ending: threading.Event) -> None:
    """On a thread and a connection of its own: reading thousands of rows must not hold up the worker's loop."""
    before = whole_months_before(datetime.now(UTC) - timedelta(days=settings.archive.after_days))

    async def work() -> Moved:
        store = SqliteStore(settings.database, archive=settings.archive_folder)
        try:
            if not await store.ended_runs(before, 1):
                return Moved()
            return await archive_runs(store, store.archive, before, go_on=lambda: not ending.is_set())
        finally:
            await store.close()

    done = asyncio.run(work())
    if done.runs:
        _log.info("runs archived", runs=done.runs, before=f"{before:%Y-%m-%d}", files=len(done.files))


def whole_months_before(moment: datetime) -> datetime:
    """The beginning of its month: what is archived by itself is whole months, so that files are few and large."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
