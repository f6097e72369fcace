"""The systems of a project: how each does, what it was asked lately, and stopping it and letting it work again.

A stop is an event; the hub reads it from the log and holds the lane. The invariant: who stopped a system and why
stands in the log, so a stop needs a person with the right to operate, and a reason.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from tieline.app.connectors import Checked, check_connections
from tieline.app.principal import PEOPLE, Permission, Principal
from tieline.app.project import Project
from tieline.app.views.words import SWEEP
from tieline.connectors.sdk import KeepsCalls, Recent, TokenAge
from tieline.engine.connection import Connection
from tieline.engine.holds import hold_of, last_word
from tieline.engine.ports import Batch, Store
from tieline.engine.records import Cursor, Effect, EffectState, Hold, LaneStatus
from tieline.errors import ConcurrencyConflict, ConfigurationError
from tieline.events import ConnectionHeld, ConnectionReleased, EventData, LoggedEvent, VendorNotified, make_event

LOOK_BACK = 1_000
"""How many of the newest notifications are searched for a system's last webhook."""
MOST_SHOWN = 100
FRESH = timedelta(seconds=5)
"""A worker writes how its lanes do about once a second; a word of before is of a hub that stopped."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream was read. `moved_at` is when its cursor moved last, None before the first sweep."""

    stream: str
    cursor: str
    moved_at: datetime | None


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as people ask about it. `state` is working, throttled, parked, paused, draining, drained, stopped.

    `lane` is None where no hub has worked yet; `answered_at` and `token` are of the running hub, None elsewhere.
    """

    name: str
    vendor: str
    state: str
    reason: str
    since: datetime | None
    hold: Hold | None
    lane: LaneStatus | None
    effects: dict[str, int]
    sweeps: list[Sweep]
    webhook_at: datetime | None
    answered_at: datetime | None = None
    token: TokenAge | None = None

    @property
    def open_effects(self) -> int:
        """How many writes have no outcome yet."""
        return self.effects.get("intended", 0) + self.effects.get("in_doubt", 0)


class WouldWait(msgspec.Struct, frozen=True, kw_only=True):
    """What a stop means now: the writes without an outcome, the lane's line, and the runs that either is of.

    `more`: there are other writes than those that were looked at for their runs.
    """

    effects: int
    runs: int
    queued: int
    in_flight: int
    more: bool


# --- looking ----------------------------------------------------------------------------------------------------------


async def list_systems(
    project: Project, store: Store, live: Mapping[str, Connection], now: datetime, names: tuple[str, ...] = ()
) -> list[System]:
    """Every connection of the project, or those named; `live` are those of the hub that runs here, if one does."""
    lanes = {lane.connection: lane for lane in await store.lanes()}
    effects = _by_connection(await store.count_effects())
    webhooks = await _last_webhooks(store)
    found = []
    for connection in project.settings.connections.values():
        if names and connection.name not in names:
            continue
        name, lane = connection.name, lanes.get(connection.name)
        if name in live:
            lane = live[name].lane.status()
        hold = hold_of(await last_word(store, name))
        state, reason, since = _health(lane, hold, now)
        recent = recent_of(live.get(name))
        found.append(
            System(
                name=name,
                vendor=connection.connector,
                state=state,
                reason=reason,
                since=since,
                hold=hold,
                lane=lane,
                effects=effects.get(name, {}),
                sweeps=await _sweeps(project, store, name, connection.connector),
                webhook_at=webhooks.get(name),
                answered_at=recent.answered_at if recent else None,
                token=recent.token() if recent else None,
            )
        )
    return found


async def get_system(
    project: Project, store: Store, live: Mapping[str, Connection], name: str, now: datetime
) -> System:
    """Raises ConfigurationError for a connection the project does not have."""
    known_system(project, name)
    (found,) = await list_systems(project, store, live, now, (name,))
    return found


def recent_of(connection: Connection | None) -> Recent | None:
    """The latest calls of a connection that works here, where its connector keeps them."""
    connector = connection.connector if connection else None
    return connector.recent if isinstance(connector, KeepsCalls) else None


async def open_effects(store: Store, name: str) -> list[Effect]:
    """The writes to a system without an outcome, in doubt before intended, oldest first."""
    states = (EffectState.IN_DOUBT, EffectState.INTENDED)
    found = [await store.effects(connection=name, state=state, limit=MOST_SHOWN) for state in states]
    return [effect for effects in found for effect in effects][:MOST_SHOWN]


async def webhooks_of(store: Store, name: str, most: int = 20) -> list[LoggedEvent]:
    """The newest messages of a system, among the latest of all systems; newest first."""
    told = await store.events(type=VendorNotified.__name__, limit=LOOK_BACK, newest=True)
    return [event for event in reversed(told) if event.source == name and not event.id.startswith(SWEEP)][:most]


async def would_wait(store: Store, system: System, live: Connection | None = None) -> WouldWait:
    """What a stop would make wait, as of now. `live` is the connection of the hub that runs here, if one does."""
    in_line = live.lane.runs() if live else set()
    looked_at = await open_effects(store, system.name)
    return WouldWait(
        effects=system.open_effects,
        runs=len(in_line | {effect.run_id for effect in looked_at}),
        queued=system.lane.queued if system.lane else 0,
        in_flight=system.lane.in_flight if system.lane else 0,
        more=system.open_effects > len(looked_at),
    )


# --- doing ------------------------------------------------------------------------------------------------------------


async def hold(
    project: Project, store: Store, name: str, *, drain: bool, reason: str, by: Principal, now: datetime
) -> Hold:
    """Stop a system: at once, or (`drain`) behind what is queued there. The hub, if one runs, hears of it at once.

    Raises NotAllowed, ConcurrencyConflict where it is stopped like this already, ConfigurationError.
    """
    by.require(Permission.OPERATE)
    known_system(project, name)
    if not reason.strip():
        raise ConfigurationError(f"say why {name} is to be stopped: whoever finds it stopped must be able to judge")
    held = hold_of(await last_word(store, name))
    if held is not None and held.drain == drain:
        raise ConcurrencyConflict(f"{name} is {held.words()}; `resume` lets it work again")
    await _tell(store, ConnectionHeld(connection=name, drain=drain, by=by.name, reason=reason.strip()), now)
    return Hold(drain=drain, by=by.name, reason=reason.strip(), at=now)


async def release(project: Project, store: Store, name: str, *, reason: str = "", by: Principal, now: datetime) -> Hold:
    """Let a system work again; returns the stop that ends. Raises NotAllowed, ConcurrencyConflict where none stands."""
    by.require(Permission.OPERATE)
    known_system(project, name)
    held = hold_of(await last_word(store, name))
    if held is None:
        raise ConcurrencyConflict(f"nobody stopped {name}: there is nothing to resume")
    await _tell(store, ConnectionReleased(connection=name, by=by.name, reason=reason.strip()), now)
    return held


async def check_now(project: Project, name: str, *, by: Principal) -> Checked:
    """Ask a system who we are there, beside its lane: also while it is stopped. Raises NotAllowed."""
    by.require(Permission.OPERATE)
    (found,) = await check_connections(project, [name])
    return found


def known_system(project: Project, name: str) -> None:
    """Raises ConfigurationError naming those there are."""
    if name not in project.settings.connections:
        known = ", ".join(project.settings.connections)
        raise ConfigurationError(f"there is no connection {name!r} in this project; connections: {known}")


# --- inside -----------------------------------------------------------------------------------------------------------


async def _tell(store: Store, data: EventData, now: datetime) -> None:
    name = f"{type(data).__name__}/{data.subject()}/{uuid.uuid4()}"
    await store.commit(Batch(events=[make_event(data, source=PEOPLE, id=name, time=now)]))


def _health(lane: LaneStatus | None, hold: Hold | None, now: datetime) -> tuple[str, str, datetime | None]:
    """State, reason, since: the lane's own word where a hub is at work, else what the log says of it."""
    works = lane is not None and lane.state != "closed" and now - lane.updated_at < FRESH
    if hold is not None and (lane is None or not works or not lane.is_held):
        return ("draining" if hold.drain else "paused"), hold.words(), hold.at
    if lane is None or not works:
        return "stopped", "no hub works on this project", lane.updated_at if lane else None
    return ("working" if lane.state == "open" else lane.state), lane.reason, lane.since


def _by_connection(counts: dict[tuple[str, str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for (connection, _, state), number in counts.items():
        found.setdefault(connection, Counter())[state] += number
    return {connection: dict(states) for connection, states in found.items()}


async def _last_webhooks(store: Store) -> dict[str, datetime]:
    told = await store.events(type=VendorNotified.__name__, limit=LOOK_BACK, newest=True)
    return {event.source: event.recorded_at for event in told if not event.id.startswith(SWEEP)}


async def _sweeps(project: Project, store: Store, name: str, vendor: str) -> list[Sweep]:
    streams = project.connectors[vendor].manifest.streams
    held: list[Cursor | None] = [await store.cursor(f"poll/{name}/{stream}") for stream in streams]
    return [
        Sweep(stream=stream, cursor=cursor.value if cursor else "", moved_at=cursor.updated_at if cursor else None)
        for stream, cursor in zip(streams, held, strict=True)
    ]
