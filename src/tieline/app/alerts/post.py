"""The post: each recipient's channels in their order, the first that takes a message; one that fails rests.

The invariant: a message was delivered only when a channel took it; whoever asked is told when none did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from tieline.app.alerts.channels import Channel, Sender, Undelivered, open_channel
from tieline.app.alerts.memory import Message
from tieline.app.outbound import AlertSettings

FIRST_REST_S = 15.0
LONGEST_REST_S = 900.0
DEFAULT = "default"
"""The person who hears of what belongs to owners that the settings do not name."""

_log = structlog.get_logger("tieline.alerts")


class Post:
    """Sends to the people of the settings."""

    def __init__(
        self,
        people: Mapping[str, Sequence[Channel]],
        sender: Sender,
        now: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self._people, self._sender, self._now = people, sender, now
        self._failures: dict[Channel, int] = {}
        self._rests_until: dict[Channel, float] = {}

    async def deliver(self, message: Message) -> str:
        """The name of the channel that took it, "" when none did."""
        for channel in self._people.get(message.recipient, ()):
            if self._now() < self._rests_until.get(channel, 0.0):
                continue
            try:
                answer = await channel.send(message, self._sender)
            except Exception as error:  # noqa: BLE001 - a fault of one channel must not silence the others
                self._failed(channel, message, error)
                continue
            self._failures.pop(channel, None)
            _log.info("alert sent", recipient=message.recipient, channel=channel.name, answer=answer)
            return channel.name
        return ""

    def _failed(self, channel: Channel, message: Message, error: Exception) -> None:
        retry_after_s = error.retry_after_s if isinstance(error, Undelivered) else 0.0
        failures = self._failures[channel] = self._failures.get(channel, 0) + 1
        rest = min(max(FIRST_REST_S * 2 ** min(failures - 1, 10), retry_after_s), LONGEST_REST_S)
        self._rests_until[channel] = self._now() + rest
        _log.warning(
            "alert not taken",
            recipient=message.recipient,
            channel=channel.name,
            reason=str(error) if isinstance(error, Undelivered) else repr(error),
            tried_again_in_s=rest,
        )


def open_people(settings: AlertSettings) -> dict[str, list[Channel]]:
    """Every person of the settings with their channels."""
    return {name: [open_channel(text, settings) for text in ways] for name, ways in settings.people.items()}


def recipient_of(settings: AlertSettings, owner: str) -> str:
    """Who of the settings stands for an owner of the catalogue; "" for nobody."""
    return owner if owner in settings.people else DEFAULT if DEFAULT in settings.people else ""
