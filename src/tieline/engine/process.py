"""What a process is: an async function, the event that triggers it, and the business key its runs go by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tieline.engine.lanes import Priority
from tieline.engine.source import Source, source_of
from tieline.errors import ConfigurationError
from tieline.events import EVENTS, EventData

ProcessFunction = Callable[[Any, Any], Awaitable[None]]
Accepts = Callable[[Any], bool]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process definition. Runs of one key go one after another; with `latest_wins` only the newest waiting one stays.

    `accepts` may decline an event of the right type (another connection's, another kind's).
    """

    name: str
    triggers: tuple[type[EventData], ...]
    key: Callable[[Any], str]
    function: ProcessFunction
    source: Source
    latest_wins: bool = False
    priority: Priority = Priority.POSTING
    accepts: Accepts = lambda _: True

    @property
    def version(self) -> str:
        return self.source.version

    def triggered_by(self, data: EventData) -> bool:
        return isinstance(data, self.triggers) and self.accepts(data)


def process(
    name: str,
    *,
    on: type[EventData] | tuple[type[EventData], ...],
    key: Callable[[Any], str],
    latest_wins: bool = False,
    priority: Priority = Priority.POSTING,
    accepts: Accepts = lambda _: True,
) -> Callable[[ProcessFunction], Process]:
    """Make a process of an async function `(run, event data)`. Its version is that of its module."""

    def decorate(function: ProcessFunction) -> Process:
        return Process(
            name=name,
            triggers=on if isinstance(on, tuple) else (on,),
            key=key,
            function=function,
            source=source_of(function),
            latest_wins=latest_wins,
            priority=priority,
            accepts=accepts,
        )

    return decorate


def registry(processes: list[Process]) -> dict[str, Process]:
    """Processes by name. Raises ConfigurationError for two of one name or a trigger outside the catalogue."""
    found: dict[str, Process] = {}
    for definition in processes:
        if definition.name in found:
            raise ConfigurationError(f"two processes are named {definition.name!r}")
        for trigger in definition.triggers:
            if EVENTS.get(trigger.__name__) is not trigger:
                raise ConfigurationError(
                    f"process {definition.name!r} is triggered by {trigger.__name__}, which is not in the catalogue"
                )
        found[definition.name] = definition
    return found
