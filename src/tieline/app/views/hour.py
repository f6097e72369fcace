"""The last hour as lines: what comes and goes, calls and answering times by system. The same numbers as everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.engine.measures import SystemMeasures

P95 = 0.95


class HourLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; None where nothing was measured in a minute."""

    name: str
    values: Sequence[float | None]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines over the same minutes. `unit` is what the numbers are."""

    name: str
    title: str
    unit: str
    lines: Sequence[HourLine]


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes of the last hour that are over, as seconds since 1970, and what was measured in each."""

    minutes: Sequence[int]
    charts: Sequence[Chart]


def last_hour(systems: Mapping[str, SystemMeasures], now: datetime) -> Hour:
    """Everything that is drawn."""
    at = now.timestamp()
    end = now.replace(second=0, microsecond=0)
    came = [system.events.by_minute(at)[:-1] for system in systems.values()]
    went = [system.documents.by_minute(at)[:-1] for system in systems.values()]
    lines = [HourLine(name="events in", values=_together(came)), HourLine(name="documents out", values=_together(went))]
    calls = [HourLine(name=n, values=s.calls.by_minute(at)[:-1]) for n, s in systems.items()]
    took = [HourLine(name=n, values=_in_ms(s.vendor.by_minute(at, P95)[:-1])) for n, s in systems.items()]
    return Hour(
        minutes=[int((end - timedelta(minutes=back)).timestamp()) for back in range(59, 0, -1)],
        charts=[
            Chart(name="flow", title="Events in, documents out", unit="a minute", lines=lines),
            Chart(name="calls", title="Calls to each system", unit="a minute", lines=calls),
            Chart(name="vendor", title="How long calls took: 95 % were faster", unit="ms", lines=took),
        ],
    )


def _together(rows: Sequence[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _in_ms(seconds: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value * 1000, 1) for value in seconds]
