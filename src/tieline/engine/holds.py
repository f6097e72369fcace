"""Holds: which connections a person stopped, as the log says.

The invariant: what holds at a lane is the newest word of the log about its connection, after a restart as before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tieline.engine.connection import Connection
from tieline.engine.ports import Store
from tieline.engine.records import Hold
from tieline.events import ConnectionHeld, ConnectionReleased, LoggedEvent, decode_event, event_name

TOLD_BY = (ConnectionHeld.__name__, ConnectionReleased.__name__)


class Holds:
    """Carries what people say about connections to their lanes."""

    def __init__(self, store: Store, connections: Mapping[str, Connection]) -> None:
        self._store, self._connections = store, connections
        self._heard: dict[str, int] = {}

    async def take_up(self) -> None:
        """Hold what an earlier life held, and what was asked for since."""
        for name in self._connections:
            if (last := await last_word(self._store, name)) is not None:
                self._carry_out(last)

    def observe(self, event: LoggedEvent) -> None:
        """An event of the log, in its order."""
        if event_name(event.type) in TOLD_BY and event.subject in self._connections:
            self._carry_out(event)

    def _carry_out(self, event: LoggedEvent) -> None:
        if event.seq <= self._heard.get(event.subject, 0):
            return  # taken up at the start, from the end of the log
        self._heard[event.subject] = event.seq
        lane, held = self._connections[event.subject].lane, hold_of(event)
        lane.release() if held is None else lane.hold(held)


async def last_word(store: Store, connection: str) -> LoggedEvent | None:
    """The newest event that holds or releases a connection."""
    told = [await store.events(type=name, subject=connection, limit=1, newest=True) for name in TOLD_BY]
    return max((event for events in told for event in events), key=lambda event: event.seq, default=None)


def hold_of(event: LoggedEvent | None) -> Hold | None:
    """How an event of these holds its connection; None for one that releases it."""
    data = decode_event(event) if event is not None else None
    if event is None or not isinstance(data, ConnectionHeld):
        return None
    return Hold(drain=data.drain, by=data.by, reason=data.reason, at=event.time)
