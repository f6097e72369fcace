"""Events of the log, as CloudEvents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tieline.api.v1.operations import DealFilter, deal_of, reads
from tieline.api.v1.paging import CursorText, Limit, Page, page_of, place
from tieline.api.v1.problems import FieldError, Refusal
from tieline.app.chain import Verified
from tieline.app.desk import Desk
from tieline.app.views import listing
from tieline.app.views.reading import View
from tieline.app.views.resolve import NothingFound
from tieline.events import EVENTS, LoggedEvent
from tieline.mapping.problems import nearest_hint

TAG = "Events"
FARTHEST = 1 << 53
"""The highest place in the log that JSON readers tell apart."""
Place = Annotated[int, QueryParameter(ge=0, le=FARTHEST, description="Only those behind this place in the log.")]
TypeFilter = Annotated[
    str,
    QueryParameter(name="type", max_length=100, schema_extra={"enum": list(EVENTS)}, description="Only of this type."),
]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event (CloudEvents 1.0). `sequence` is its place in the log, `correlationid` the deal it belongs to."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    sequence: str
    datacontenttype: str
    data: dict[str, Any]
    correlationid: str = ""
    causationid: str = ""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log, and how far its chain was verified: null until the hub has gone through it once."""

    last_seq: int
    verified: Verified | None


@reads("/events", tag=TAG)
async def list_events(
    request: Request[Any, Any, Any],
    view: NamedDependency[View],
    event_type: TypeFilter = "",
    deal: DealFilter = "",
    after: Place = 0,
    limit: Limit = 50,
    cursor: CursorText = "",
) -> Response[Page[CloudEvent]]:
    """List events in the order of the log.

    To follow the log, ask again with `after` set to the `sequence` of the last event you have.
    """
    held = place("events", cursor, tuple[int])
    rows = await view.store.events(
        type=_known(event_type),
        correlation_id=await deal_of(view, deal),
        after_seq=max(after, held[0] if held else 0),
        limit=limit + 1,
    )
    return page_of(request, "events", rows, limit, lambda event: (event.seq,), cloud_event)


def _known(name: str) -> str | None:
    """Raises Refusal."""
    if name and name not in EVENTS:
        message = f"there is no such event{nearest_hint(name, EVENTS)}"
        raise Refusal("invalid-request", "", [FieldError(where="query.type", message=message)])
    return name or None


@reads("/events/{sequence:int}", tag=TAG, media_type="application/cloudevents+json")
async def get_event(view: NamedDependency[View], sequence: FromPath[int]) -> CloudEvent:
    """Get the event at a place in the log."""
    found = await view.store.events_after(sequence - 1, 1) if 0 < sequence <= FARTHEST else []
    if not found or found[0].seq != sequence:
        raise NothingFound(f"the log has no event at {sequence}")
    return cloud_event(found[0])


def cloud_event(event: LoggedEvent) -> CloudEvent:
    return msgspec.convert(listing.cloud_event(event), CloudEvent)


@reads("/audit/chain", tag=TAG)
async def get_chain(desk: NamedDependency[Desk], view: NamedDependency[View]) -> Chain:
    """Get how far the hash chain of the log was verified.

    Whoever keeps `hash` elsewhere can show later that the log up to `seq` was not written anew.
    """
    last = await view.store.events(limit=1, newest=True)
    return Chain(verified=desk.chain.state, last_seq=last[0].seq if last else 0)


HANDLERS = [list_events, get_event, get_chain]
