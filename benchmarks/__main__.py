"""Every benchmark in one go: `python -m benchmarks [name…]`; n8n alone has a target of its own (`make bench-n8n`)."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable

from benchmarks import control_room, durable, growth, parts, quote_to_cash, report, sandbox

BENCHMARKS: dict[str, Callable[[], None]] = {
    "durable": durable.main,
    "quote_to_cash": lambda: quote_to_cash.main(quote_to_cash.CONTENDERS),
    "growth": lambda: asyncio.run(growth.main()),
    "control_room": lambda: asyncio.run(control_room.main()),
    "parts": lambda: asyncio.run(parts.main()),
    "sandbox": lambda: asyncio.run(sandbox.main()),
}


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"there is no benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the blocks are left, and what was started is ended
    told = report.machine()
    print(f"{told['processor']}, {told['cores']} cores, {told['memory_gb']} GB, Python {told['python']}")
    print(f"load average {told['load_average'][0]} at the start: figures are worth most on a quiet machine")
    started = time.monotonic()
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()
    print(f"\n{time.monotonic() - started:.0f} s; kept in {report.RESULTS.relative_to(report.RESULTS.parents[1])}/")


if __name__ == "__main__":
    main(sys.argv[1:])
