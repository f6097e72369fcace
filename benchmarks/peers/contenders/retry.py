"""Contender: a retry loop over a durable inbox, the whole process again from its start until it went through.

`--window SECONDS` drops a deal that was accepted within that time before, as message brokers do; 0 remembers nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import time

from benchmarks.peers.contenders.service import Contender, Given, serve
from benchmarks.peers.deal import QuoteToCash
from benchmarks.peers.order import FIRST_RETRY_S, LONGEST_RETRY_S, carry
from benchmarks.peers.vendors import Refused, Trouble

SCHEMA = "CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, deal TEXT, accepted REAL, state TEXT)"


class RetryLoop(Contender):
    def __init__(self, given: Given, process: QuoteToCash) -> None:
        self._process, self._window_s = process, float(given.options.window)
        self._inbox = sqlite3.connect(given.folder / "inbox.db", isolation_level=None)
        self._inbox.execute("PRAGMA synchronous=FULL")
        self._inbox.execute(SCHEMA)
        self._tasks: set[asyncio.Task[None]] = set()

    def take_up(self) -> None:
        """Begin again with what an earlier life left."""
        for ident, deal in self._inbox.execute("SELECT id, deal FROM inbox WHERE state = 'open'").fetchall():
            self._start(ident, deal)

    async def accept(self, opportunity_id: str) -> None:
        since = time.time() - self._window_s
        known = self._inbox.execute("SELECT 1 FROM inbox WHERE deal = ? AND accepted > ?", (opportunity_id, since))
        if self._window_s and known.fetchone():
            return
        row = self._inbox.execute("INSERT INTO inbox VALUES (NULL, ?, ?, 'open')", (opportunity_id, time.time()))
        self._start(int(row.lastrowid or 0), opportunity_id)

    async def pending(self) -> int:
        return int(self._inbox.execute("SELECT count(*) FROM inbox WHERE state = 'open'").fetchone()[0])

    def _start(self, ident: int, opportunity_id: str) -> None:
        task = asyncio.create_task(self._until_done(ident, opportunity_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_done(self, ident: int, opportunity_id: str) -> None:
        pause, state = FIRST_RETRY_S, "open"
        while state == "open":
            try:
                await carry(lambda name, *given: getattr(self._process, name)(*given), opportunity_id)
                state = "done"
            except Refused:
                state = "given up"
            except Trouble:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)
        self._inbox.execute("UPDATE inbox SET state = ? WHERE id = ?", (state, ident))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--window", type=float, default=0.0, help="seconds in which a deal told again is dropped")
    given = Given(parser)
    process, vendors = given.process()
    loop = RetryLoop(given, process)
    loop.take_up()
    await serve(given, loop)
    await vendors.close()


if __name__ == "__main__":
    asyncio.run(main())
