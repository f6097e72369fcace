"""Remember a world and bring it back: `POST /_sandbox/snapshot`, `POST /_sandbox/restore`.

Either is done when `GET /_sandbox/health` tells of another `branch`; connections kept alive are gone then.

A snapshot is the process itself: it forks, the child goes on serving on the same sockets, the parent keeps the world
as it was and forks again when it is to be brought back. So a vendor needs no code for it, and nothing is forgotten.
Snapshots stand in line, each the parent of the next: to bring one back ends those that were taken after it.
The invariant: between two servings no event loop and no thread is alive, so that a fork copies state and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import socket

from tieline_sandbox.kernel.server import serving_on
from tieline_sandbox.kernel.vendor import Vendor
from tieline_sandbox.kernel.world import Turn, World

RESTORED = 86
"""This exit status plus n: by it a branch asks for the snapshot with the number n, its parent or one further up."""
MOST_SNAPSHOTS = 100

Ready = Callable[[Mapping[str, str]], None]
LoopFactory = Callable[[], asyncio.AbstractEventLoop] | None


def serve_branches(
    world: World,
    vendors: Sequence[Vendor],
    sockets: Mapping[str, socket],
    ready: Ready,
    loops: LoopFactory,
    certificate: Path | None = None,
) -> int:
    """Serve until told to stop; `ready` hears the addresses once. Returns the exit status."""
    while True:
        with asyncio.Runner(loop_factory=loops) as runner:
            snapshot = runner.run(_serve(world, vendors, sockets, ready, certificate))
        ready = _silent
        if snapshot is None:
            return 0
        world.snapshots.append(snapshot)
        status = _keep(world)
        if status is not None:
            return status


def _keep(world: World) -> int | None:
    """Stay behind as the snapshot, while branches serve. None in a branch; the exit status where it ends for good."""
    asked_for = RESTORED + len(world.snapshots) - 1
    while True:
        branch = os.fork()
        if branch == 0:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            world.branch = os.getpid()
            return None
        _pass_on(branch)
        _, how = os.waitpid(branch, 0)
        status = os.waitstatus_to_exitcode(how)
        if status != asked_for:
            return max(status, 0)


def _pass_on(branch: int) -> None:
    """Who stops the process means the branch that serves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(branch, number))


async def _serve(
    world: World, vendors: Sequence[Vendor], sockets: Mapping[str, socket], ready: Ready, certificate: Path | None
) -> str | None:
    """Serve to the next turn. The name of the snapshot to be; None when it is the end."""
    turns: list[tuple[Turn, str]] = []
    over = asyncio.Event()

    def turn(asked: Turn, name: str) -> None:
        _check(world, asked, name)
        turns.append((asked, name))
        asyncio.get_running_loop().call_later(0.01, over.set)  # the answer to whoever asked goes out first

    world.turn = turn
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, turn, Turn.STOP, "")
    duplicates = {name: each.dup() for name, each in sockets.items()}
    async with serving_on(vendors, duplicates, certificate) as urls:
        ready(urls)
        await over.wait()
        if any(asked is Turn.STOP for asked, _ in turns):
            return None
        asked, name = turns[0]
        if asked is Turn.RESTORE:
            os._exit(RESTORED + world.snapshots.index(name))  # nothing of this branch is wanted any more
        return name


def _check(world: World, asked: Turn, name: str) -> None:
    known = ", ".join(world.snapshots) or "none"
    if asked is Turn.RESTORE and name not in world.snapshots:
        raise ValueError(f"there is no snapshot {name!r}; there are: {known}")
    if asked is Turn.SNAPSHOT and name in world.snapshots:
        raise ValueError(f"there is a snapshot {name!r} already; choose another name")
    if asked is Turn.SNAPSHOT and len(world.snapshots) == MOST_SNAPSHOTS:
        raise ValueError(f"{MOST_SNAPSHOTS} snapshots are kept at most; restore an early one to end the later ones")


def _silent(_: Mapping[str, str]) -> None:
    """Whoever waits for the addresses has them."""
