"""Five steps on DBOS, in process, on SQLite or PostgreSQL (`--store`), each with the durability DBOS ships with."""

from __future__ import annotations

import asyncio
import contextlib

from dbos import DBOS, DBOSConfig

from benchmarks.peers.pace import Options, tell
from benchmarks.peers.servers import fresh, postgres


@DBOS.step()
async def look(number: int) -> int:
    """A step that does nothing but be recorded."""
    return number


@DBOS.workflow()
async def five_steps(run: int) -> None:
    for number in range(5):
        await look(number)


def main() -> None:
    options = Options()
    folder = fresh(options.folder)
    with contextlib.ExitStack() as stack:
        if options.store == "postgres":
            url = stack.enter_context(postgres(folder / "pg")).replace("postgresql://", "postgresql+psycopg://")
        else:
            url = f"sqlite:///{folder / 'dbos.db'}"
        config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
        DBOS(config=config)
        DBOS.launch()
        try:
            asyncio.run(tell(options, five_steps))
        finally:
            DBOS.destroy()


if __name__ == "__main__":
    main()
