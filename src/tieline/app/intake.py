"""Intake: what vendors send and what polling finds becomes durable events. Acknowledge only what is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial

import structlog

from tieline.engine.cases import nobody_reads
from tieline.engine.lanes import Caller, Priority, asked_by
from tieline.engine.ports import Changes, Notice
from tieline.engine.records import Cursor
from tieline.engine.worker import Worker
from tieline.errors import ConfigurationError, InvalidMessage, PermanentError, TielineError, VendorUnavailable
from tieline.events import Event, VendorNotified, make_event

_log = structlog.get_logger("tieline.intake")


class UnknownConnection(ConfigurationError):
    """A message for a connection that the project does not have."""


class Intake:
    """Webhooks of every connection."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def receive(
        self, connection: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        """Verify, append, then answer what the vendor wants to hear.

        Raises InvalidMessage for what is unreadable or unsigned, UnknownConnection.
        """
        try:
            connector = self._worker.connection(connection).connector
        except ConfigurationError as error:
            # whoever asks is a stranger: what connections there are is not said
            raise UnknownConnection(f"no connection is named {connection!r}") from error
        try:
            notices = await connector.notices(headers, body, query)
        except InvalidMessage as error:
            _log.warning("message refused", connection=connection, reason=str(error))
            raise
        events = [self._event(connection, notice) for notice in notices]
        await self._worker.append(events)
        known = connector.manifest.notices
        await self._worker.report(
            (f"{connection} tells about {notice.kind}", nobody_reads(connection, notice.kind, known), event)
            for notice, event in zip(notices, events, strict=True)
            if notice.kind not in known
        )
        return connector.acknowledgement()

    def _event(self, connection: str, notice: Notice) -> Event:
        data = VendorNotified(
            connection=connection,
            kind=notice.kind,
            native_id=notice.native_id,
            action=notice.action,
            stamp=notice.stamp,
            raw=notice.raw,
        )
        # A vendor that sends only the latest state tells more under the same id when it tries again (Salesforce does):
        # that is another hint, not a contradiction.
        told = f"{notice.id}@{notice.stamp}" if notice.stamp else notice.id
        return make_event(data, source=connection, id=told, time=self._worker.clock.now())


async def poll_forever(worker: Worker, connection: str, stream: str, every_s: float) -> None:
    """Sweep a stream for what webhooks missed; a system that cannot be asked is asked again later."""
    while True:
        try:
            missed = await poll_once(worker, connection, stream)
            if missed:
                _log.info(
                    "sweep found records no webhook told of", connection=connection, stream=stream, records=missed
                )
        except TielineError as error:
            level = _log.error if isinstance(error, PermanentError) else _log.warning
            level("sweep failed", connection=connection, stream=stream, reason=str(error))
        except Exception as error:  # noqa: BLE001 - a sweep that dies would be missed by nobody
            _log.error("sweep broke", connection=connection, stream=stream, exc_info=error)
        await asyncio.sleep(every_s)


async def poll_once(worker: Worker, connection: str, stream: str) -> int:
    """Read a stream up to its end; events and cursor are committed page by page.

    Returns how many records nobody had told of before: what the webhooks missed.
    """
    link, name = worker.connection(connection), f"poll/{connection}/{stream}"
    known = await worker.store.cursor(name)
    at, missed = known.value if known else "", 0
    while True:
        with asked_by(Caller("sweep", priority=Priority.BACKGROUND)):
            page: Changes = await link.read(f"poll {stream}", partial(link.connector.changes, stream, at))
        events = [
            _swept(connection, page.kind, native_id, stamp, page.actions.get(native_id, ""), worker.clock.now())
            for native_id, stamp in page.changed
        ]
        if page.more and page.cursor == at:
            raise VendorUnavailable(f"{connection} says that there is more of {stream}, and its cursor stands still")
        at = page.cursor
        moved = Cursor(name=name, value=at, updated_at=worker.clock.now())
        told = await worker.store.first_events([event.topic for event in events])
        missed += sum(event.topic not in told for event in events)
        await worker.append(events, cursors=[moved] if at != (known.value if known else "") else [])
        if not page.more:
            return missed


def _swept(connection: str, kind: str, native_id: str, stamp: str, action: str, now: datetime) -> Event:
    """What a stream tells of a record; a deletion is told apart from a change of the same second."""
    told = f"poll/{kind}/{native_id}@{stamp}" + (f"/{action}" if action else "")
    hint = VendorNotified(
        connection=connection, kind=kind, native_id=native_id, action=action or "changed", stamp=stamp
    )
    return make_event(hint, source=connection, id=told, time=now)
