"""The disk and the clock of a hub that is tortured: full when told so, wrong by as much as told.

SIGUSR1 fills the disk: from then on SQLite may not take one page more, and says SQLITE_FULL itself.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tieline.app.project import Project
from tieline.app.wiring import Seam
from tieline.engine.clock import SystemClock
from tieline.engine.ports import AppendResult, Batch, Store
from tieline.storage.sqlite import SqliteStore

FILL = signal.SIGUSR1


class LimitedStore(SqliteStore):
    """A store on a disk that can become full."""

    full = False

    def _transaction(self, connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
        if self.full:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
            self.full = False
        return super()._transaction(connection, batches)


class WrongClock(SystemClock):
    """Our clock, wrong by a constant."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead = timedelta(seconds=ahead_s)

    def now(self) -> datetime:
        return super().now() + self._ahead


def tortured(clock_ahead_s: float = 0.0) -> Seam:
    """A hub whose disk can be filled and whose clock is wrong."""

    def store(project: Project) -> Store:
        made = LimitedStore(project.settings.database, archive=project.settings.archive_folder)
        signal.signal(FILL, lambda *_: setattr(made, "full", True))
        return made

    return Seam(store=store, clock=lambda: WrongClock(clock_ahead_s))
