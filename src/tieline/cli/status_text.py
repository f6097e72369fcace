"""The status of the hub on a screen: trouble first, in colour; what is well stays quiet."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from tieline.app.views.status import CasesOfClass, EffectsOfKind, HubView
from tieline.app.views.words import kind_words, span
from tieline.engine.records import LaneStatus

_HUB = {"working": "green", "stopped": "red", "silent": "red"}
_WELL = ("open", "closed")
"""States of a lane that ask for nobody: open for calls, or closed because its hub stopped."""


def print_status(out: Console, status: HubView) -> None:
    out.print(status_of(status))


def status_of(status: HubView) -> RenderableType:
    """Everything as one block, which `--watch` draws again and again."""
    parts: list[RenderableType] = [*_head(status)]
    for title, table in (
        ("cases", _cases(status)),
        ("systems", _lanes(status)),
        ("runs", _runs(status)),
        ("effects", _effects(status)),
    ):
        if table is not None:
            parts += ["", f"[bold]{title}[/]", table]
        if title == "systems":
            parts += [f"{lane.connection}: {escape(lane.reason)}" for lane in status.lanes if lane.reason]
    if not status.cases:
        parts += ["", "[dim]no open cases[/]"]
    return Group(*parts)


def _head(status: HubView) -> list[str]:
    hub = status.hub
    heard = f", last heard {_ago(status.at, hub.heard_at)}" if hub.heard_at and hub.state != "working" else ""
    process = f" (process {hub.process})" if hub.process else ""
    lines = [f"hub [bold {_HUB[hub.state]}]{hub.state}[/]{process}{heard}"]
    if hub.state == "stopped":
        lines[0] += "  [dim]tieline up starts it; runs go on where they were[/]"
    if hub.behind > 0:
        lines.append(f"[yellow]{hub.behind} events in the log that the hub has not taken up[/]")
    if status.last_event is not None:
        last = status.last_event
        lines.append(f"last event #{last.seq}, {_ago(status.at, last.recorded_at)}: {escape(last.words)}")
    if status.oldest is not None:
        waits = f" for {status.oldest.waits_for}" if status.oldest.waits_for else ""
        since = span(status.at - status.oldest.started_at)
        lines.append(f"oldest open run {status.oldest.id}, {status.oldest.state.value} {since}{escape(waits)}")
    return lines


def _cases(status: HubView) -> Table | None:
    if not status.cases:
        return None
    table = _table("class", "owner", ">open", ">overdue", "oldest")
    for one in status.cases:
        table.add_row(*_case(status.at, one))
    return table


def _case(now: datetime, one: CasesOfClass) -> list[str]:
    overdue = f"[red]{one.overdue}[/]" if one.overdue else ""
    return [one.case_class, one.owner, str(one.open), overdue, _ago(now, one.oldest_at)]


def _lanes(status: HubView) -> Table | None:
    if not status.lanes:
        return None
    table = _table("system", "state", ">queued", ">in flight", ">calls", ">a call", ">failed", ">last 24 h")
    for lane in status.lanes:
        table.add_row(*_lane(status, lane))
    return table


def _lane(status: HubView, lane: LaneStatus) -> list[str]:
    colour = "green" if lane.state in _WELL else "red"
    each = f"{lane.items / lane.calls:.1f}" if lane.calls else ""
    failed = f"[yellow]{lane.failures:,}[/]" if lane.failures else ""
    return [
        lane.connection,
        f"[{colour}]{lane.state}[/] {span(status.at - lane.since)}",
        f"{lane.queued:,}" if lane.queued else "",
        f"{lane.in_flight} of {lane.slots}",
        f"{lane.calls:,}",
        each,
        failed,
        _used(lane),
    ]


def _used(lane: LaneStatus) -> str:
    """Calls of the last 24 hours against the daily quota, where there is one."""
    if not lane.per_day:
        return f"{lane.used_today:,}"
    share = f"{lane.used_today:,} of {lane.per_day:,}"
    return f"[red]{share}[/]" if lane.used_today >= lane.per_day else share


def _runs(status: HubView) -> Table | None:
    if not status.runs:
        return None
    states = list(dict.fromkeys(state for counts in status.runs.values() for state in counts))
    table = _table("process", *(f">{state}" for state in states))
    for process, counts in status.runs.items():
        table.add_row(process, *(f"{counts[state]:,}" if state in counts else "" for state in states))
    return table


def _effects(status: HubView) -> Table | None:
    if not status.effects:
        return None
    table = _table("system", "document", ">applied", ">not settled", ">in doubt", ">rejected")
    for one in status.effects:
        table.add_row(*_effect(one))
    return table


def _effect(one: EffectsOfKind) -> list[str]:
    numbers = ((one.intended, "yellow"), (one.in_doubt, "red"), (one.rejected, "red"))
    rest = [f"[{colour}]{number:,}[/]" if number else "" for number, colour in numbers]
    return [one.connection, kind_words(one.kind), f"{one.applied:,}", *rest]


def _table(*columns: str) -> Table:
    """Columns named with a leading `>` are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def _ago(now: datetime, then: datetime) -> str:
    return f"{span(now - then)} ago"
