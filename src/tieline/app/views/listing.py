"""Lists of events, effects and runs, and the check of the log's hash chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tieline.app.views.reading import View
from tieline.app.views.resolve import resolve
from tieline.app.views.words import event_words, system_of
from tieline.engine.records import Effect, EffectState, RunRow, RunState
from tieline.errors import ConfigurationError
from tieline.events import EVENTS, GENESIS, LoggedEvent, StoreRestored, chain_hash, event_name, to_cloudevent
from tieline.mapping.problems import nearest_hint

PAGE = 5_000
LOOK_EVERY_S = 0.3


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a list shows it; `words` is what it says."""

    seq: int
    recorded_at: datetime
    type: str
    system: str
    subject: str
    words: str
    deal: str
    id: str
    causation_id: str


class EffectLine(msgspec.Struct, frozen=True, kw_only=True):
    """An effect without its documents."""

    connection: str
    kind: str
    canonical_id: str
    action: str
    revision: int
    state: EffectState
    external_id: str
    attempts: int
    settled_by: str
    error: str
    mapping: str
    run_id: str
    deal: str
    intended_at: datetime
    settled_at: datetime | None


class ChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every row of the log follows from the one before. `broken_at` is the first that does not, 0 for none."""

    events: int
    ok: bool
    last_hash: str
    broken_at: int = 0
    reason: str = ""


async def list_events(
    view: View,
    *,
    event_type: str = "",
    deal: str = "",
    after: int = 0,
    limit: int = 50,
) -> list[LoggedEvent]:
    """The newest events, or, behind a place in the log, the next ones. Raises ConfigurationError, NothingFound."""
    return await view.store.events(
        type=_known(event_type) or None,
        correlation_id=await _deal(view, deal),
        after_seq=after,
        limit=limit,
        newest=after == 0,
    )


async def follow_events(
    view: View,
    *,
    event_type: str = "",
    deal: str = "",
    after: int = 0,
) -> AsyncIterator[LoggedEvent]:
    """Events as they come, without end."""
    name, correlation_id = _known(event_type) or None, await _deal(view, deal)
    while True:
        page = await view.store.events(type=name, correlation_id=correlation_id, after_seq=after, limit=PAGE)
        for event in page:
            after = event.seq
            yield event
        if not page:
            await asyncio.sleep(LOOK_EVERY_S)


def event_line(event: LoggedEvent) -> EventLine:
    return EventLine(
        seq=event.seq,
        recorded_at=event.recorded_at,
        type=event_name(event.type),
        system=system_of(event),
        subject=event.subject,
        words=event_words(event),
        deal=event.correlation_id,
        id=event.id,
        causation_id=event.causation_id,
    )


def cloud_event(event: LoggedEvent) -> dict[str, Any]:
    """The event as CloudEvents 1.0 JSON, with its place in the log as `sequence` (CloudEvents Sequence extension)."""
    return {**to_cloudevent(event), "sequence": str(event.seq)}


class ChainWalk:
    """Follows the log, from its beginning or from behind the event at `seq`, whose hash is `last_hash`."""

    def __init__(self, seq: int = 0, last_hash: str = GENESIS) -> None:
        self.seq, self._last_hash, self._events = seq, last_hash, 0

    def take(self, events: Sequence[LoggedEvent]) -> ChainCheck | None:
        """Go on over these events; what is said of the first that does not follow, None when all do."""
        for event in events:
            if reason := _break(event, self._last_hash, self.seq + 1):
                return msgspec.structs.replace(self.end(), ok=False, broken_at=event.seq, reason=reason)
            self.seq, self._last_hash, self._events = event.seq, event.hash, self._events + 1
        return None

    def end(self) -> ChainCheck:
        """What is to be said when nothing broke."""
        return ChainCheck(events=self._events, ok=True, last_hash=self._last_hash)


async def verify_chain(view: View) -> ChainCheck:
    """Walk the whole log: a changed, removed, inserted or moved row breaks the chain at its place."""
    walk = ChainWalk()
    while page := await view.store.events_after(walk.seq, PAGE):
        if broken := walk.take(page):
            return broken
    return walk.end()


def _break(event: LoggedEvent, previous: str, place: int) -> str:
    # behind a restore the log leaves out the places that were lost with the database it replaced
    skips = event.seq > place and event_name(event.type) == StoreRestored.__name__
    if event.seq != place and not skips:
        return f"event {place} is missing"
    if event.prev_hash != previous:
        return f"event {event.seq} does not follow from the one before: a row was removed, inserted or changed there"
    try:
        same = event.hash == chain_hash(previous, event, event.recorded_at)
    except (TypeError, AttributeError):
        same = False  # a column was overwritten with a value of another type
    return "" if same else f"event {event.seq} ({event.id}) is not what was recorded: it was changed"


async def list_effects(
    view: View, *, connection: str = "", kind: str = "", state: str = "", deal: str = "", limit: int = 50
) -> list[EffectLine]:
    """The newest effects that match. Raises ConfigurationError for a connection or state there is not."""
    if connection and connection not in view.vendors:
        raise ConfigurationError(f"there is no connection {connection!r}; there are: {', '.join(view.vendors)}")
    found = await view.store.effects(
        connection=connection or None,
        kind=kind or None,
        state=_state(EffectState, state),
        correlation_id=await _deal(view, deal),
        limit=limit,
        newest=True,
    )
    return [effect_line(effect) for effect in found]


def effect_line(effect: Effect) -> EffectLine:
    shared = {name: getattr(effect, name) for name in EffectLine.__struct_fields__ if name != "deal"}
    return EffectLine(**shared, deal=effect.correlation_id)


async def list_runs(view: View, *, process: str = "", state: str = "", deal: str = "", limit: int = 50) -> list[RunRow]:
    """The newest runs that match; without a state those that gave way to a newer one are left out."""
    wanted = _state(RunState, state)
    states = [wanted] if wanted else [s for s in RunState if s is not RunState.SUPERSEDED]
    return await view.store.runs(
        states=states,
        process=process or None,
        correlation_id=await _deal(view, deal),
        limit=limit,
        newest=True,
    )


async def _deal(view: View, ident: str) -> str | None:
    """Any id of the deal will do."""
    return (await resolve(view, ident)).deal if ident else None


def _known(name: str) -> str:
    if name and name not in EVENTS:
        raise ConfigurationError(f"there is no event {name!r}{nearest_hint(name, EVENTS)}; known: {', '.join(EVENTS)}")
    return name


def _state(states: Any, name: str) -> Any:
    if not name:
        return None
    try:
        return states(name.replace("-", "_"))
    except ValueError:
        known = ", ".join(state.value for state in states)
        raise ConfigurationError(f"there is no state {name!r}; known: {known}") from None
