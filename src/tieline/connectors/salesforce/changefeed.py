"""Change Data Capture as a stream of hints: what the Pub/Sub API tells, and a sweep wherever it cannot have told all.

A place is a replay id and how far everything is told. Without a replay id (a new connection, or one that slept for
longer than the 72 hours that Salesforce keeps events) a subscription is opened at the tip, and once Salesforce has
answered on it, a sweep from that place is begun: what happened before the sweep is swept, what happened after the tip
is heard, so nothing falls between. While the API cannot be reached, sweeps go on alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from tieline.connectors.salesforce.client import SalesforceClient
from tieline.connectors.salesforce.polling import Place, literal
from tieline.connectors.salesforce.pubsub import Bus, Happened, ReplayExpired, Subscription
from tieline.connectors.salesforce.settings import SalesforceSettings
from tieline.connectors.salesforce.sweeping import Sweep
from tieline.connectors.salesforce.wire import SHAPES
from tieline.engine.ports import Changes
from tieline.errors import AuthorizationFailed, ConfigurationError, TransientError, VendorUnavailable

LONGEST_SILENCE_S = 300.0
"""Salesforce answers at least every 270 seconds, be it to say that nothing happened."""
LONGEST_PAUSE_S = 3600.0
"""Of a stream that nobody read for longer, events may have expired unseen: opened anew, Salesforce says so."""
DELETES = ("DELETE", "GAP_DELETE")


class Seat(NamedTuple):
    """Where the stream stands: behind which event, and up to which stamp everything is told in any case."""

    replay: str
    place: Place

    @classmethod
    def of(cls, cursor: str, since: str) -> Seat:
        """Read a cursor; "" begins at `since`. Raises ConfigurationError for one that is not ours."""
        replay, tilde, place = cursor.partition("~")
        try:
            bytes.fromhex(replay)
        except ValueError:
            tilde = ""
        if cursor and not tilde:
            raise ConfigurationError(f"salesforce: {cursor[:80]!r} is not a cursor of a stream of change events")
        return cls(replay, Place.of(place, since))

    @property
    def cursor(self) -> str:
        return f"{self.replay}~{self.place.cursor}"


class ChangeFeed:
    """The change events of one kind."""

    def __init__(
        self, client: SalesforceClient, settings: SalesforceSettings, kind: str, bus: Callable[[], Bus]
    ) -> None:
        self._client, self._settings, self._kind, self._bus = client, settings, kind, bus
        self._sweep = Sweep(client, settings, kind)
        self._subscription: Subscription | None = None
        self._heard_first = False

    async def after(self, cursor: str) -> Changes:
        """What happened behind a cursor; waits for it while the subscription stands.

        Raises ConfigurationError when the object has no change events, and what sweeps raise.
        """
        seat = Seat.of(cursor, self._settings.since)
        try:
            subscription = await self._subscribed(seat.replay)
            if seat.replay:
                return await self._listen(seat, subscription)
        except ReplayExpired:
            await self.close()
            return self._changes([], {}, Seat("", seat.place), more=True)
        except AuthorizationFailed:
            self._client.renew_session()
            return await self._sweep_alone(seat)
        except TransientError:
            return await self._sweep_alone(seat)
        return await self._catch_up(seat, subscription)

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        self._heard_first = False
        if subscription is not None:
            await subscription.close()

    async def _listen(self, seat: Seat, subscription: Subscription) -> Changes:
        events = await subscription.take(self._settings.listen_s)
        if not events and subscription.silent_s() > LONGEST_SILENCE_S:
            raise VendorUnavailable(f"Salesforce said nothing on {subscription.topic} for {LONGEST_SILENCE_S:.0f} s")
        if any(event.body is None for event in events):
            # an event that cannot be read says that something changed: the sweep finds what
            await self.close()
            return self._changes([], {}, Seat("", seat.place), more=True)
        changed, actions = _told(events)
        place = seat.place.heard(changed[-1][1], self._settings.overlap_s) if changed else seat.place
        return self._changes(changed, actions, Seat(subscription.taken.hex(), place), more=True)

    async def _catch_up(self, seat: Seat, subscription: Subscription) -> Changes:
        """Sweep behind a subscription at the tip; where Salesforce had answered before the sweep began, it is whole."""
        if not (seat.place.id or seat.place.job):
            if not subscription.spoken:
                await subscription.wait(self._settings.listen_s)
            self._heard_first = subscription.spoken
        found = await self._sweep.after(seat.place)
        if not found.more and self._heard_first:
            with contextlib.suppress(TransientError, AuthorizationFailed, ReplayExpired):
                events = await subscription.take(0)
                if all(event.body is not None for event in events):
                    changed, actions = _told(events)
                    told, gone = found.changed + changed, found.actions | actions
                    return self._changes(told, gone, Seat(subscription.taken.hex(), found.place), more=True)
            await self.close()
        return self._changes(found.changed, found.actions, Seat("", found.place), more=found.more)

    async def _sweep_alone(self, seat: Seat) -> Changes:
        """What the API did not say is swept; REST says for itself whether it is out of order too."""
        await self.close()
        found = await self._sweep.after(seat.place)
        return self._changes(found.changed, found.actions, Seat(seat.replay, found.place), more=found.more)

    async def _subscribed(self, replay: str) -> Subscription:
        """The subscription that stands where this place is, opened anew when it stands elsewhere."""
        known = self._subscription
        if known is not None and replay in ("", known.taken.hex()) and known.untaken_s() < LONGEST_PAUSE_S:
            if not replay:
                known.check()
            return known
        await self.close()
        topic = f"/data/{SHAPES[self._kind].sobject}ChangeEvent"
        metadata = await self._client.pubsub_metadata()
        self._subscription = Subscription(self._bus(), topic, metadata, bytes.fromhex(replay))
        return self._subscription

    def _changes(self, changed: list[tuple[str, str]], actions: dict[str, str], seat: Seat, *, more: bool) -> Changes:
        return Changes(kind=self._kind, changed=changed, actions=actions, cursor=seat.cursor, more=more)


def _told(events: Iterable[Happened]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The records that events name, each with the time of its commit, and which of them were deleted last."""
    changed: list[tuple[str, str]] = []
    actions: dict[str, str] = {}
    for event in events:
        header = (event.body or {}).get("ChangeEventHeader")
        if header is None:
            continue
        stamp = literal(datetime.fromtimestamp(header["commitTimestamp"] / 1000, UTC))
        for record_id in header["recordIds"]:
            changed.append((record_id, stamp))
            actions.pop(record_id, None)
            if header["changeType"] in DELETES:
                actions[record_id] = "deleted"
    return changed, actions
