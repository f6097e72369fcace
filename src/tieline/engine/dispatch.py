"""Following the log: which runs an event triggers.

The invariant: the new runs and the place reached are committed together, so an event is dispatched once and never lost.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from tieline.engine import cases
from tieline.engine.casebook import CaseBook
from tieline.engine.cases import case_id
from tieline.engine.lines import Lines
from tieline.engine.ports import Batch, Clock, Store
from tieline.engine.process import Process
from tieline.engine.records import Cursor, RunRow, RunState
from tieline.engine.replays import replay_id
from tieline.engine.versions import Versions
from tieline.events import EventData, LoggedEvent, ReplayRequested, decode_event, event_name

PLACE = "worker"
DISPATCH_AT_ONCE = 500

_log = structlog.get_logger("tieline.worker")


class Dispatcher:
    """Makes runs of events. `place` is how far the log is dispatched."""

    def __init__(
        self,
        store: Store,
        processes: Mapping[str, Process],
        versions: Versions,
        lines: Lines,
        book: CaseBook,
        clock: Clock,
    ) -> None:
        self._store, self._processes, self._versions = store, processes, versions
        self._lines, self._book, self._clock = lines, book, clock
        self.place = 0

    async def take_up(self) -> None:
        """Begin where the last life stopped."""
        place = await self._store.cursor(PLACE)
        self.place = int(place.value) if place else 0

    async def news(self) -> list[LoggedEvent]:
        """The next events to be dispatched."""
        return await self._store.events_after(self.place, DISPATCH_AT_ONCE)

    async def dispatch(self, events: list[LoggedEvent]) -> tuple[list[RunRow], list[RunRow]]:
        """Make the runs of these events, durably. Returns the new runs and those that gave way to them."""
        batch = Batch()
        rows = [row for event in events for row in (*self._runs_for(event, batch), *await self._replays(event))]
        gone = self._lines.give_way(rows, self._latest_wins, self._clock.now())
        batch.runs = [*gone, *rows]
        batch.versions = self._versions.to_keep(rows, self._clock.now()) if rows else []
        place = events[-1].seq
        batch.cursors.append(Cursor(name=PLACE, value=str(place), updated_at=self._clock.now()))
        await self._store.commit(batch)
        self.place = place
        return [row for row in rows if row.state is not RunState.SUPERSEDED], gone

    def _runs_for(self, event: LoggedEvent, batch: Batch) -> list[RunRow]:
        """The runs an event triggers. One that cannot be read becomes a case in `batch`: it must not stop the log."""
        name = event_name(event.type)
        rows: list[RunRow] = []
        for definition in self._processes.values():
            if not any(trigger.__name__ == name for trigger in definition.triggers):
                continue
            try:
                data = decode_event(event)
                if definition.triggered_by(data):
                    rows.append(self._row(definition, event, data))
            except Exception as error:  # noqa: BLE001 - a process of the project may fail in any way
                ident = case_id(f"{definition.name}:{event.seq}", -2, 0)
                self._book.add(batch, ident, cases.unreadable(event, definition.name, error), event)
        return rows

    async def _replays(self, request: LoggedEvent) -> list[RunRow]:
        """The run that a request asks for: on the original event, under an id of its own."""
        asked = decode_event(request) if event_name(request.type) == ReplayRequested.__name__ else None
        if not isinstance(asked, ReplayRequested):
            return []
        found = await self._store.events_after(asked.event_seq - 1, 1)
        definition = self._processes.get(asked.process)
        if definition is None or not found:
            _log.warning("replay of what is not there", request=request.id)
            return []
        row = self._row(definition, found[0], decode_event(found[0]))
        row.id = replay_id(definition.name, found[0].seq, request.seq)
        return [row]

    def _row(self, definition: Process, event: LoggedEvent, data: EventData) -> RunRow:
        return RunRow(
            id=f"{definition.name}:{event.seq}",
            process=definition.name,
            version=definition.version,
            key=definition.key(data),
            state=RunState.READY,
            event_seq=event.seq,
            event_id=event.id,
            correlation_id=event.correlation_id or data.correlation(),
            started_at=self._clock.now(),
        )

    def _latest_wins(self, process: str) -> bool:
        return self._processes[process].latest_wins
