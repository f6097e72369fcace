"""What is to be told, to whom: what stands now against what they were told before. Pure.

The invariant: a recipient is told of a concern once, again only when its number has doubled, and once that it is over;
what came close together is one message, and messages to one recipient keep their distance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.app.alerts.concerns import Concern

SETTLES_IN = timedelta(seconds=20)
"""So long a concern stands before it is told: three hundred cases of one fault are opened in a moment, not at once."""
APART = timedelta(minutes=5)
"""The shortest time between two messages to one recipient; what comes in between is told together."""
AGAIN_AT = 2
"""How many times as large a concern must be to be told again."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipient was told last of a concern. `first_seen_at` tells it from one of the same name later on."""

    recipient: str
    key: str
    title: str
    path: str
    number: int
    first_seen_at: datetime
    told_at: datetime


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept between two looks: since when each concern stands, what was told, and when each was written to."""

    seen: dict[str, datetime] = {}
    told: tuple[Told, ...] = ()
    written: dict[str, datetime] = {}

    def of(self, recipient: str) -> dict[str, Told]:
        """What they know to stand, by key."""
        return {told.key: told for told in self.told if told.recipient == recipient}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient is told at once: concerns that are new or have grown, and those that are over."""

    recipient: str
    at: datetime
    concerns: tuple[Concern, ...] = ()
    over: tuple[Told, ...] = ()
    id: str = "test"
    """The same when it is sent again, so that a receiver can drop the second one."""

    @property
    def is_test(self) -> bool:
        return not self.concerns and not self.over


NameOf = Callable[[str], str]
"""Owner of the catalogue → the recipient who stands for them, "" for nobody."""


def looked(memory: Memory, standing: Iterable[Concern], now: datetime) -> Memory:
    """The memory after a look at what stands."""
    seen = {concern.key: memory.seen.get(concern.key, now) for concern in standing}
    return msgspec.structs.replace(memory, seen=seen)


def due(memory: Memory, standing: Sequence[Concern], name_of: NameOf, now: datetime) -> list[Message]:
    """The messages to be sent now; `memory` has looked already."""
    recipients = {told.recipient for told in memory.told} | {name for c in standing for name in _names(c, name_of)}
    messages = [_message(memory, standing, recipient, name_of, now) for recipient in sorted(recipients - {""})]
    return [message for message in messages if message is not None]


def noted(memory: Memory, message: Message) -> Memory:
    """The memory after a message was taken by a channel."""
    names, over = {c.key for c in message.concerns}, {told.key for told in message.over}
    rest = [t for t in memory.told if t.recipient != message.recipient or t.key not in names | over]
    new = [_told(memory, message, concern) for concern in message.concerns]
    written = {name: at for name, at in memory.written.items() if message.at - at < APART}
    return msgspec.structs.replace(memory, told=(*rest, *new), written={**written, message.recipient: message.at})


def _message(
    memory: Memory, standing: Sequence[Concern], recipient: str, name_of: NameOf, now: datetime
) -> Message | None:
    last = memory.written.get(recipient)
    if last is not None and now - last < APART:
        return None
    known = memory.of(recipient)
    news = tuple(c for c in standing if recipient in _names(c, name_of) and _is_news(memory, c, known, now))
    over = tuple(told for told in known.values() if told.key not in memory.seen)
    if not news and not over:
        return None
    parts = [f"{c.key} {c.number} {memory.seen[c.key]}" for c in news] + [f"{t.key} {t.told_at}" for t in over]
    ident = hashlib.sha256("\n".join([recipient, *parts]).encode()).hexdigest()[:32]
    return Message(recipient=recipient, at=now, concerns=news, over=over, id=ident)


def _is_news(memory: Memory, concern: Concern, known: dict[str, Told], now: datetime) -> bool:
    told, since = known.get(concern.key), memory.seen[concern.key]
    if told is None or told.first_seen_at != since:
        return now - since >= SETTLES_IN
    return concern.number >= AGAIN_AT * told.number


def _told(memory: Memory, message: Message, concern: Concern) -> Told:
    return Told(
        recipient=message.recipient,
        key=concern.key,
        title=concern.title,
        path=concern.path,
        number=concern.number,
        first_seen_at=memory.seen[concern.key],
        told_at=message.at,
    )


def _names(concern: Concern, name_of: NameOf) -> set[str]:
    return {name_of(person) for person in concern.people}
