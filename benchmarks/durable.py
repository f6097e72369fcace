"""Durable processes of five steps: Tieline beside DBOS, Restate and Temporal, on one machine, rounds interleaved.

Each engine runs with the durability it ships with and in a process of its own; every figure is the median of the
rounds. The ratio is to the best peer at the same number of runs in flight.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import report
from benchmarks.programs import OURS, PEERS, group, peers_missing, rest

LEVELS = (1, 32, 256)
ROUNDS = 3
SECONDS, LONGEST_S = 3.0, 240.0
BAR = 20


class Engine(NamedTuple):
    """One contender: its program and what its durability is."""

    name: str
    program: str
    store: str
    durability: str
    ours: bool = False


ENGINES = (
    Engine("Tieline, five steps", "engine", "steps", "SQLite WAL, synchronous=FULL, group commit", ours=True),
    Engine("Tieline, five effects", "engine", "effects", "the same; intent and settlement of each effect", ours=True),
    Engine("DBOS on SQLite", "peers/steps_dbos", "sqlite", "SQLite rollback journal, synchronous=FULL (its default)"),
    Engine("DBOS on PostgreSQL", "peers/steps_dbos", "postgres", "fsync and synchronous_commit on"),
    Engine("Restate", "peers/steps_restate", "", "RocksDB log with fsync (its default)"),
    Engine("Temporal dev server", "peers/steps_temporal", "", "SQLite file with fsync (--db-filename)"),
)


def main() -> None:
    if missing := peers_missing():
        raise SystemExit(missing)
    report.heading(f"Durable processes of five steps, {ROUNDS} rounds interleaved")
    figures: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for engine in ENGINES[number % len(ENGINES) :] + ENGINES[: number % len(ENGINES)]:
                for level, rate in measure(engine, Path(folder) / "state").items():
                    figures.setdefault((engine.name, level), []).append(rate)
                rest(0.3)
    tell(figures)


def measure(engine: Engine, folder: Path) -> dict[int, float]:
    """Runs a second by level. Raises SystemExit with the program's last words when it fails."""
    python = OURS if engine.ours else PEERS
    command = [str(python), f"benchmarks/{engine.program}.py", "--folder", str(folder), "--store", engine.store]
    command += ["--seconds", str(SECONDS), "--in-flight", *map(str, LEVELS)]
    log = folder.with_suffix(".log")
    with group(command, log) as process:
        out, _ = process.communicate(timeout=LONGEST_S)
    if process.returncode:
        raise SystemExit(f"{engine.name} failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {row["in_flight"]: row["runs_per_s"] for row in told}


def tell(figures: dict[tuple[str, int], list[float]]) -> None:
    """Print, keep and draw."""
    middle = {key: median(rates) for key, rates in figures.items()}
    rows = [
        {"engine": e.name, **{f"{n} in flight": middle[e.name, n] for n in LEVELS}, "durability": e.durability}
        for e in ENGINES
    ]
    print("processes of five a second (median):")
    report.table(rows)
    ratios = []
    for ours in (e for e in ENGINES if e.ours):
        for level in LEVELS:
            best = max((e for e in ENGINES if not e.ours), key=lambda e: middle[e.name, level])
            ratio = round(middle[ours.name, level] / middle[best.name, level], 1)
            ratios.append({"engine": ours.name, "in_flight": level, "best_peer": best.name, "ratio": ratio})
    print(f"\nratio to the best peer (bar: {BAR}):")
    report.table(ratios)
    spread = [{"engine": name, "in_flight": level, "rounds": rates} for (name, level), rates in figures.items()]
    report.keep("durable", {"unit": "processes of five a second", "rows": rows, "ratios": ratios, "rounds": spread})
    bars = [(e.name, middle[e.name, LEVELS[-1]]) for e in ENGINES]
    report.draw("durable", f"Durable processes of five, {LEVELS[-1]} in flight", "/s", bars)


if __name__ == "__main__":
    main()
