"""Order: runs of one process and key go one after another, in the order of the log.

The invariant: only the first of a line is ever ready; whoever ends lets the next one be. Replays that have not begun
wait aside, so that a thousand of them are not ahead of what happens now; one that holds up a fresh run is not kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice

from tieline.engine.records import RunRow, RunState
from tieline.engine.replays import first_run


class Lines:
    """One line for each process and key, and the runs that may start."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[RunRow]] = {}
        self.ready: deque[RunRow] = deque()
        self.replays: dict[str, RunRow] = {}

    def join(self, row: RunRow) -> bool:
        """Put a run behind the others of its key; the first of a key is ready. Returns whether it is the first."""
        line = self._lines.setdefault((row.process, row.key), deque())
        line.append(row)
        if line[0] is row or line[0].id in self.replays:
            self._first(line)
        return line[0] is row

    def leave(self, row: RunRow) -> None:
        """The first of a line has ended."""
        line = self._lines[row.process, row.key]
        line.popleft()
        if line:
            self._first(line)
        else:
            del self._lines[row.process, row.key]

    def _first(self, line: deque[RunRow]) -> None:
        """The first of a line may start: aside where nobody but replays stands in it, else at once."""
        self.replays.pop(line[0].id, None)
        if line[0].state is RunState.READY and all(first_run(row.id) for row in line):
            self.replays[line[0].id] = line[0]
        else:
            self.ready.append(line[0])

    def let_replays(self, number: int) -> list[str]:
        """So many of the replays that wait aside are ready now; returns their ids, those that wait longest first."""
        chosen = list(islice(self.replays, max(number, 0)))
        self.ready.extend(self.replays.pop(run_id) for run_id in chosen)
        return chosen

    def let_go(self, kept: RunRow) -> None:
        """A run that was withdrawn goes on as its row says: on its version, or not at all when it has ended."""
        line = self._lines.get((kept.process, kept.key)) or deque()
        row = next((row for row in line if row.id == kept.id), None)
        if row is None:
            return
        row.version = kept.version
        if row is line[0] and kept.state.ended:
            self.leave(row)
        elif row is line[0]:
            self.ready.append(row)

    def withdraw(self, run_ids: set[str]) -> None:
        """Of those that may start, these may not for now."""
        self.ready = deque(row for row in self.ready if row.id not in run_ids)
        self.replays = {run_id: row for run_id, row in self.replays.items() if run_id not in run_ids}

    def give_way(self, rows: Iterable[RunRow], latest_wins: Callable[[str], bool], now: datetime) -> list[RunRow]:
        """Of processes whose latest run wins, what waits behind the first of its line gives way to the newer.

        Marks them superseded, also among `rows`, which are about to join; returns those that stood in line.
        A replay is of an old event: nothing gives way to it.
        """
        gone: list[RunRow] = []
        fresh = [row for row in rows if not first_run(row.id)]
        for key, row in _newest(fresh, latest_wins, now).items():
            line = self._lines.get(key)
            for waiting in list(line)[1:] if line else []:
                waiting.state, waiting.ended_at = RunState.SUPERSEDED, row.started_at
                line.remove(waiting)  # type: ignore[union-attr]
                gone.append(waiting)
        return gone


def _newest(rows: Iterable[RunRow], latest_wins: Callable[[str], bool], now: datetime) -> dict[tuple[str, str], RunRow]:
    """The last of each key; the others are superseded before they ever stood in line."""
    newest: dict[tuple[str, str], RunRow] = {}
    for row in rows:
        if latest_wins(row.process):
            older = newest.get((row.process, row.key))
            if older is not None:
                older.state, older.ended_at = RunState.SUPERSEDED, now
            newest[row.process, row.key] = row
    return newest
