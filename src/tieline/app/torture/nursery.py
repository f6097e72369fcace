"""`python -m tieline.app.torture.nursery PROJECT`: hubs by fork, from a process that has everything loaded.

Each line on standard input orders a hub: `{"seam": "module:function", "arguments": {…}}`; the function makes the Seam
the hub runs with. Standard output tells `{"pid": …}` at its birth, `{"pid": …, "url": …}` when it serves, and
`{"pid": …, "status": …}` when it is gone. The invariant: no loop, thread or database is alive here when a hub is
forked, so that a hub is what `tieline up` makes of the project, only sooner.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar

from tieline.app.hub import running
from tieline.app.logs import configure_logs
from tieline.app.project import Project, load_project
from tieline.app.settings import load_settings
from tieline.app.wiring import Seam
from tieline.errors import TielineError

BROKEN = 2


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A hub to be started. `fresh` reads the project's folder anew: it has changed since."""

    seam: str = "tieline.app.wiring:Seam"
    arguments: dict[str, Any] = {}
    fresh: bool = False


def main(folder: Path) -> None:
    project = load_project(load_settings(folder))
    uvicorn.Config(Litestar([]), lifespan="off").load()  # imported once, not in every life
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    orders, alive = b"", set[int]()
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _bury(alive)
        if 0 in ready:
            read = os.read(0, 65_536)
            if not read:  # whoever ordered them is gone: no hub stays behind
                for pid in alive:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, orders = (orders + read).split(b"\n")
            for line in lines:
                alive.add(_fork(project, folder, msgspec.json.decode(line, type=Order)))


def _bury(alive: set[int]) -> None:
    while True:
        try:
            pid, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        alive.discard(pid)
        _say(pid=pid, status=os.waitstatus_to_exitcode(how))


def _fork(project: Project, folder: Path, order: Order) -> int:
    pid = os.fork()
    if pid:
        _say(pid=pid)
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 0
    try:
        status = _live(load_project(load_settings(folder)) if order.fresh else project, order)
    finally:
        os._exit(status)


def _live(project: Project, order: Order) -> int:
    configure_logs()
    try:
        import uvloop

        loops = uvloop.new_event_loop
    except ImportError:
        loops = None
    try:
        with asyncio.Runner(loop_factory=loops) as runner:
            return runner.run(_serve(project, make_seam(order)))
    except TielineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - as the command does
        return BROKEN


def make_seam(order: Order) -> Seam:
    """What an order names, called with what it gives."""
    module, _, name = order.seam.partition(":")
    made: Seam = getattr(importlib.import_module(module), name)(**order.arguments)
    return made


async def _serve(project: Project, seam: Seam) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(project, seam=seam) as (desk, url):
        _say(pid=os.getpid(), url=url)
        while not stop.is_set() and desk.worker.failure is None:
            try:
                await asyncio.wait_for(stop.wait(), 0.2)
            except TimeoutError:
                continue
        return BROKEN if desk.worker.failure is not None else 0


def _say(**told: Any) -> None:
    os.write(1, msgspec.json.encode(told) + b"\n")  # one write: the lines of several hubs never mix


if __name__ == "__main__":
    main(Path(sys.argv[1]))
