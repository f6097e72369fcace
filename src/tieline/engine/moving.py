"""Moving runs in flight to another version of their process, as people ask for it in the log.

The invariant: a run's new version, the event that tells of it and the place reached among the requests are one
commit, made while the run holds still; so a crash leaves it on one version, and no request is carried out by halves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import structlog

from tieline.engine.fitting import Fit, Fitting
from tieline.engine.ports import Batch
from tieline.engine.records import Cursor, RunRow, RunState
from tieline.engine.versions import VersionLost, Versions
from tieline.events import (
    Event,
    EventData,
    LoggedEvent,
    MoveRefused,
    MoveRequested,
    RunMoved,
    decode_event,
    make_event,
)

if TYPE_CHECKING:
    from tieline.engine.worker import Worker

PLACE = "moves"
AT_ONCE = 200

_log = structlog.get_logger("tieline.worker")


class Mover:
    """Carries out requests to move, in the order of the log."""

    def __init__(self, worker: Worker, versions: Versions) -> None:
        self._worker, self._versions = worker, versions
        self._asked = asyncio.Event()
        self._place = 0
        self.idle = False

    def asked(self) -> None:
        """A request is in the log."""
        self.idle = False
        self._asked.set()

    async def take_up(self) -> None:
        """Carry out what was asked for before this life began; no run of it has begun yet."""
        held = await self._worker.store.cursor(PLACE)
        self._place = int(held.value) if held else 0
        await self._catch_up()

    async def follow(self) -> None:
        """Carry out what is asked for."""
        while True:
            self._asked.clear()
            await self._catch_up()
            self.idle = not self._asked.is_set()
            await self._asked.wait()

    async def _catch_up(self) -> None:
        name, store = MoveRequested.__name__, self._worker.store
        while requests := await store.events(type=name, after_seq=self._place, limit=AT_ONCE):
            await self._carry_out(requests)
            self._place = requests[-1].seq

    async def _carry_out(self, requests: Sequence[LoggedEvent]) -> None:
        worker, asked = self._worker, [(request, _read(request)) for request in requests]
        ids = {data.run for _, data in asked}
        at_work = await worker.hold_still(ids)
        rows = {run: row for run in ids if (row := await worker.store.run(run)) is not None}
        fitting = await Fitting.look(worker.store, worker.resources)
        batch = Batch(cursors=[Cursor(name=PLACE, value=str(requests[-1].seq), updated_at=worker.clock.now())])
        for request, data in asked:
            fit = await self._fit(fitting, rows.get(data.run), data, at_work)
            outcome = _refused(data, fit) if fit.reason else _moved(data, fit, rows, batch)
            batch.events.append(self._told(request, outcome))
        await worker.store.commit(batch)
        worker.events_arrived()
        worker.let_go(rows.values())

    async def _fit(self, fitting: Fitting, row: RunRow | None, asked: MoveRequested, at_work: set[str]) -> Fit:
        if row is None or row.state.ended:
            return Fit(reason="it has ended" if row else f"there is no run {asked.run}")
        if row.version == asked.to_version:
            return Fit(reason="it is on that version already")
        if row.id in at_work:
            return Fit(reason="a call of it is under way; what becomes of that must be known first")
        try:
            return await fitting.check(row, await self._versions.get(row.process, asked.to_version))
        except VersionLost as lost:
            return Fit(reason=str(lost))

    def _told(self, request: LoggedEvent, outcome: EventData) -> Event:
        return make_event(
            outcome, source="tieline", id=f"{request.id}/done", time=self._worker.clock.now(), causation_id=request.id
        )


def _read(request: LoggedEvent) -> MoveRequested:
    return cast("MoveRequested", decode_event(request))


def _moved(asked: MoveRequested, fit: Fit, rows: dict[str, RunRow], batch: Batch) -> EventData:
    """Put the move into the batch. The run is ready again, because what it waited for may not be waited for now."""
    row = rows[asked.run]
    moved = msgspec.structs.replace(row, version=asked.to_version, state=RunState.READY, waits_for="")
    rows[asked.run] = moved
    batch.runs.append(moved)
    batch.waits_over.extend((wait.run_id, wait.position) for wait in fit.stale)
    _log.info("run moved", run=row.id, from_version=row.version, to_version=moved.version)
    return RunMoved(
        process=row.process,
        run=row.id,
        contract=row.correlation_id,
        from_version=row.version,
        to_version=moved.version,
        by=asked.by,
    )


def _refused(asked: MoveRequested, fit: Fit) -> EventData:
    reason = f"position {fit.position}: {fit.reason}" if fit.position >= 0 else fit.reason
    _log.warning("run stays on its version", run=asked.run, reason=reason)
    return MoveRefused(
        process=asked.process, run=asked.run, contract=asked.contract, to_version=asked.to_version, reason=reason
    )
