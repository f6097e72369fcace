"""The event catalogue: every event by its name, and how its data is written and read in each of its versions.

A version is never edited once released: an incompatible change is a new version with an upcaster from the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from tieline.errors import InvalidMessage
from tieline.events import business, operation
from tieline.events.envelope import Event, EventData, event_name

EVENTS: dict[str, type[EventData]] = {
    data.__name__: data
    for data in (
        business.VendorNotified,
        business.OpportunityWon,
        business.CustomerCreated,
        business.SubscriptionActivated,
        business.SubscriptionCancelled,
        business.OrderPosted,
        business.ProjectOpened,
        business.InvoiceIssued,
        business.InvoicePosted,
        business.CreditNoteIssued,
        business.CreditNotePosted,
        business.PaymentReceived,
        business.PaymentPosted,
        business.PaymentFailed,
        operation.CaseOpened,
        operation.CaseDecided,
        operation.CaseCommented,
        operation.CaseAssigned,
        operation.ValueMapCorrected,
        operation.CorrectionsExported,
        operation.ReplayRequested,
        operation.MoveRequested,
        operation.RunMoved,
        operation.MoveRefused,
        operation.ConnectionHeld,
        operation.ConnectionReleased,
        operation.UserChanged,
        operation.SignedIn,
        operation.SignInRefused,
        operation.SignedOut,
        operation.TokenIssued,
        operation.TokenRevoked,
        operation.AlertSent,
        operation.StoreRestored,
    )
}
"""Every event by name."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(name, version) → what turns that version's data into the next version's."""

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_decoders: dict[str, msgspec.json.Decoder[Any]] = {}


def type_name(data: EventData | type[EventData]) -> str:
    """`tieline.InvoiceIssued.v1`."""
    kind = data if isinstance(data, type) else type(data)
    return f"tieline.{kind.__name__}.v{kind.version}"


def type_names(name: str) -> list[str]:
    """The types that events of a name have had in the log: `tieline.InvoiceIssued.v1` and so on."""
    newest = EVENTS[name].version if name in EVENTS else 1
    return [f"tieline.{name}.v{version}" for version in range(1, newest + 1)]


def make_event(data: EventData, *, source: str, id: str, time: datetime, causation_id: str = "") -> Event:  # noqa: A002
    """Wrap event data in its envelope."""
    return Event(
        source=source,
        id=id,
        type=type_name(data),
        subject=data.subject(),
        time=time,
        data=_encoder.encode(data),
        correlation_id=data.correlation(),
        causation_id=causation_id,
    )


def decode_event(event: Event) -> EventData:
    """The data of an event in its current version. Raises InvalidMessage saying which field is wrong."""
    name, digits = event_name(event.type), event.type.rpartition(".v")[2]
    kind = EVENTS.get(name)
    if kind is None or not digits.isdecimal():
        raise InvalidMessage(f"event {event.id} has the unknown type {event.type!r}")
    version = int(digits)
    try:
        if version == kind.version:
            decoder = _decoders.get(name) or _decoders.setdefault(name, msgspec.json.Decoder(kind))
            return decoder.decode(event.data)  # type: ignore[no-any-return]
        return msgspec.convert(upcast(name, version, msgspec.json.decode(event.data)), kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidMessage(f"event {event.id} ({event.type}) breaks its contract: {error}") from error


def upcast(name: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Lift data from `version` to the current one, step by step. Raises InvalidMessage where none is known."""
    if version > EVENTS[name].version:
        raise InvalidMessage(
            f"{name} v{version} was written by a newer Tieline; this one reads v{EVENTS[name].version}"
        )
    while version < EVENTS[name].version:
        step = UPCASTERS.get((name, version))
        if step is None:
            raise InvalidMessage(f"{name} v{version} cannot be read any more: no upcaster to v{version + 1}")
        data, version = step(data), version + 1
    return data
