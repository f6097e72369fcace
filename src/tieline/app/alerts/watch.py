"""The watch: looks at what stands, has the post tell people, and keeps what they were told.

The invariant: what a channel took is committed at once, with an event that says so; a crash between the two sends one
message once more under the same id, and loses none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter

import msgspec
import structlog

from tieline.app.alerts.channels import Sender
from tieline.app.alerts.concerns import Concern, standing
from tieline.app.alerts.memory import Memory, Message, due, looked, noted
from tieline.app.alerts.post import Post, open_people, recipient_of
from tieline.app.project import Project
from tieline.app.wiring import open_reader
from tieline.engine.ports import Batch, Clock, Store
from tieline.engine.records import Cursor
from tieline.errors import TielineError
from tieline.events import AlertSent, Event, make_event

LOOK_EVERY_S = 10.0
SHARE = 20
"""A look that takes long is followed by a pause so many times as long."""
CURSOR = "alerts"
SOURCE = "tieline"

_log = structlog.get_logger("tieline.alerts")


class Watch:
    """Over one project, for the hub that runs it."""

    def __init__(self, project: Project, store: Store, clock: Clock, sender: Sender) -> None:
        self._project, self._store, self._clock = project, store, clock
        self._settings = project.settings.alerts
        self._post = Post(open_people(self._settings), sender)
        self._look_took_s = 0.0

    async def forever(self) -> None:
        """Look again and again, until cancelled. What goes wrong with one look does not end the watch."""
        while True:
            try:
                await self.look()
            except TielineError as error:
                _log.warning("no alerts could be sent", reason=str(error))
            except Exception as error:  # noqa: BLE001 - a watch that dies would be missed by nobody
                _log.error("alerts broke", exc_info=error)
            await asyncio.sleep(max(LOOK_EVERY_S, SHARE * self._look_took_s))

    async def look(self) -> None:
        """Tell what is to be told now; returns when each channel has answered."""
        now, begun = self._clock.now(), perf_counter()
        concerns = await asyncio.to_thread(_look_apart, self._project, now)
        self._look_took_s = perf_counter() - begun
        before = await remembered(self._store)
        memory = looked(before, concerns, now)
        if memory != before:
            await self._keep(memory)
        messages = due(memory, concerns, lambda owner: recipient_of(self._settings, owner), now)
        for delivered in asyncio.as_completed([self._deliver(message) for message in messages]):
            message, channel = await delivered
            if channel:
                memory = noted(memory, message)
                await self._keep(memory, [_sent(message, channel)])

    async def _deliver(self, message: Message) -> tuple[Message, str]:
        return message, await self._post.deliver(message)

    async def _keep(self, memory: Memory, events: Sequence[Event] = ()) -> None:
        cursor = Cursor(name=CURSOR, value=msgspec.json.encode(memory).decode(), updated_at=self._clock.now())
        await self._store.commit(Batch(events=list(events), cursors=[cursor]))


async def remembered(store: Store) -> Memory:
    """What was told up to now."""
    cursor = await store.cursor(CURSOR)
    return msgspec.json.decode(cursor.value, type=Memory) if cursor else Memory()


async def standing_now(project: Project, store: Store, now: datetime) -> list[Concern]:
    """What stands, as the store says."""
    return await standing(project.catalogue, store, now, timedelta(minutes=project.settings.alerts.parked_minutes))


def _look_apart(project: Project, now: datetime) -> list[Concern]:
    """On a thread and a connection of its own: reading every open case must not hold up the worker's loop."""

    async def work() -> list[Concern]:
        store = open_reader(project.settings)
        try:
            return await standing_now(project, store, now)
        finally:
            await store.close()

    return asyncio.run(work())


def _sent(message: Message, channel: str) -> Event:
    data = AlertSent(
        recipient=message.recipient,
        channel=channel,
        told=[concern.title for concern in message.concerns],
        over=[told.title for told in message.over],
    )
    return make_event(data, source=SOURCE, id=f"alert/{message.id}", time=message.at)
