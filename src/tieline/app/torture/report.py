"""What a torture found, as one document for machines; page.py makes the same readable for people."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from tieline.app.torture.chaos import Suffering
from tieline.app.torture.every_boundary import Deaths
from tieline.app.torture.schedule import EPISODES, Schedule

Document = dict[str, Any]


def document(command: str, deaths: Deaths | None, schedule: Schedule | None, found: list[Suffering]) -> Document:
    """Everything that was done and seen. `lost`, `doubled`, `money_equal` and `survived` speak of Tieline alone."""
    ours = found[0] if found else None
    lost = sum(d.lost for d in deaths.deaths) if deaths else 0
    doubled = sum(d.doubled for d in deaths.deaths) if deaths else 0
    money_equal = all(d.money_equal for d in deaths.deaths) if deaths else True
    if ours is not None and ours.verdict is not None:
        v = ours.verdict
        lost, doubled = lost + len(v.lost), doubled + len(v.doubled)
        money_equal = money_equal and v.booked == v.billed == v.posted == v.paid
    survived = (deaths is None or deaths.survived) and (ours is None or ours.survived)
    return {
        "command": command,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("tieline"),
        "machine": machine(),
        "survived": survived,
        "lost": lost,
        "doubled": doubled,
        "money_equal": money_equal,
        "boundaries": _deaths(deaths) if deaths else None,
        "chaos": _chaos(schedule, found) if schedule else None,
    }


def _deaths(deaths: Deaths) -> Document:
    return {
        "seed": deaths.seed,
        "seconds": deaths.seconds,
        "known": deaths.known,
        "tried": len(deaths.deaths),
        "died": deaths.died,
        "not_reached": [str(b) for b in deaths.not_reached],
        "survived": deaths.survived,
        "deaths": [{**_plain(d), "boundary": str(d.boundary)} for d in deaths.deaths],
    }


def _chaos(schedule: Schedule, found: list[Suffering]) -> Document:
    return {
        "seed": schedule.seed,
        "seconds": schedule.seconds,
        "deals": schedule.deals,
        "lies_ordered": len(schedule.lies),
        "episodes": [EPISODES[b.name] for b in schedule.blows if b.name in EPISODES],
        "contenders": [{**_plain(s), "survived": s.survived, "money_equal": s.tally.money_equal} for s in found],
    }


def _plain(value: Any) -> Document:
    plain: Document = msgspec.to_builtins(value, builtin_types=(Decimal,))
    return plain


def machine() -> Document:
    """Where it ran."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
