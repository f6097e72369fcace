"""The half of the store that writes: one thread, one transaction and one flush for all that waits at the same moment.

The invariant: `commit` returns only after the batch is on disk. When one batch of a group conflicts they are done one
by one, so that only the guilty one fails.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from tieline.engine.ports import Appended, AppendResult, Batch
from tieline.errors import ConfigurationError
from tieline.storage.mark import COMMITS, COUNT, Mark, MarkFile, last_of, lost
from tieline.storage.opening import connect, explained
from tieline.storage.rows import to_micros
from tieline.storage.writes import write_all

_Result = list[AppendResult] | BaseException
_Waiting = asyncio.Future[list[AppendResult]]


class Writer:
    """Takes batches until it is closed; none at all without a `reader`, which says how far the file was written."""

    def __init__(self, path: Path, reader: Any | None) -> None:
        self.path, self._mark = path, MarkFile(path)
        self.lost_seq = None if reader is None else self._lost(reader)
        self._queue: queue.SimpleQueue[tuple[Batch, _Waiting] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        if reader is not None:
            self._writer = threading.Thread(target=self._write_forever, name=f"writer {path.name}", daemon=True)
            self._writer.start()

    async def commit(self, batch: Batch) -> list[AppendResult]:
        if self._writer is None:
            raise ConfigurationError(f"{self.path} is closed, or was opened for reading only: nothing can be written")
        future: _Waiting = asyncio.get_running_loop().create_future()
        self._queue.put((batch, future))
        return await future

    async def close(self) -> None:
        """Write what is queued, then end."""
        writer, self._writer = self._writer, None  # first, so that nothing is queued behind the end
        if writer is not None:
            self._queue.put(None)
            await asyncio.to_thread(writer.join)

    def _lost(self, reader: Any) -> int | None:
        try:
            return lost(reader, self._mark.read())
        except sqlite.Error as error:
            raise explained(error, self.path) from error

    def _write_forever(self) -> None:
        connection = connect(self.path)
        try:
            self._reached = last_of(connection)
            while (first := self._queue.get()) is not None:
                group = [first]
                ending = self._drain(group)
                self._write_group(connection, group)
                if ending:
                    return
        finally:
            connection.close()
            self._mark.close()

    def _drain(self, group: list[tuple[Batch, _Waiting]]) -> bool:
        """Take all that waits; True when the end was among it."""
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return False
            if item is None:
                return True
            group.append(item)

    def _write_group(self, connection: Any, group: Sequence[tuple[Batch, _Waiting]]) -> None:
        try:
            results = self._transaction(connection, [batch for batch, _ in group])
        except Exception as error:  # noqa: BLE001 - whoever committed learns why, the writer goes on
            if len(group) > 1:
                for item in group:
                    self._write_group(connection, [item])
                return
            _tell([(group[0][1], explained(error, self.path))])
            return
        _tell([(future, result) for (_, future), result in zip(group, results, strict=True)])

    def _transaction(self, connection: Any, batches: Sequence[Batch]) -> list[list[AppendResult]]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = write_all(connection, batches)
            told = any(batch.log_from for batch in batches)
            at_least = self._mark.read().commits + 1 if told else 1
            commits = connection.execute(COUNT, (COMMITS, str(at_least), to_micros(datetime.now(UTC)))).fetchone()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.lost_seq = None if told else self.lost_seq
        self._remember(int(commits[0]), results)
        return results

    def _remember(self, commits: int, results: Sequence[Sequence[AppendResult]]) -> None:
        """Move the mark, unless the log is behind it and nobody has told it: then the mark is the proof."""
        events = [r.event for batch in results for r in batch if r.outcome is Appended.NEW]
        last = events[-1] if events else self._reached
        self._reached = Mark(commits, last.seq, last.hash)
        if self.lost_seq is None:
            self._mark.write(self._reached)


def _tell(results: Sequence[tuple[_Waiting, _Result]]) -> None:
    """Hand results over to the loops that wait for them: one wake-up for a whole group, not one a batch."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, _Result]]] = {}
    for future, result in results:
        by_loop.setdefault(future.get_loop(), []).append((future, result))
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop is gone, and who waited with it; the batch stands
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(results: Sequence[tuple[_Waiting, _Result]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
