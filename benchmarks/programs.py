"""Programs that a benchmark starts: in a process group of their own, so that a group is measured and ended as one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
OURS = Path(sys.executable)
_TICKS = os.sysconf("SC_CLK_TCK")


def peers_missing() -> str:
    """What to do where the peers are not installed, "" where they are."""
    return "" if PEERS.exists() else "the peers are not installed; run `make peers` first"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment with the project's root importable."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **(extra or {})}


@contextmanager
def group(command: Sequence[str], log: Path, extra: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program in its own session; the whole group is ended with the block."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            list(command),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env=environment(extra),
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Ask the group to stop, wait, and insist."""
    for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    if process.stdout is not None:
        process.stdout.close()


def cpu_seconds(root: int) -> float:
    """Processor time so far of a process and its descendants, dead ones that were waited for too."""
    parents = _parents()
    wanted = {root}
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in wanted} - wanted
        wanted |= children
        grown = bool(children)
    return sum(_ticks(pid) for pid in wanted) / _TICKS


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                found[int(entry.name)] = int(fields[1])
    return found


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(int(fields[n]) for n in (11, 12, 13, 14)) if fields else 0


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat behind the name: state, parent, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def rest(seconds: float) -> None:
    """Let the machine come to rest between two programs."""
    time.sleep(seconds)
