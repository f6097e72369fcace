"""Events, documents and spans of time in the words of people who run a business."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tieline.errors import InvalidMessage
from tieline.events import (
    AlertSent,
    CaseAssigned,
    CaseCommented,
    CaseDecided,
    CaseOpened,
    ConnectionHeld,
    ConnectionReleased,
    CorrectionsExported,
    CreditNoteIssued,
    CreditNotePosted,
    CustomerCreated,
    EventData,
    InvoiceIssued,
    InvoicePosted,
    LoggedEvent,
    MoveRefused,
    MoveRequested,
    OpportunityWon,
    OrderPosted,
    PaymentFailed,
    PaymentPosted,
    PaymentReceived,
    ProjectOpened,
    RunMoved,
    SignedIn,
    SignedOut,
    SignInRefused,
    StoreRestored,
    SubscriptionActivated,
    SubscriptionCancelled,
    TokenIssued,
    TokenRevoked,
    UserChanged,
    ValueMapCorrected,
    VendorNotified,
    decode_event,
    event_name,
)

APPROVAL = "approval"
"""The class of the cases in which a rule asks for a yes."""
SWEEP = "poll/"
"""How the ids of events begin that a sweep found and no webhook told."""


def event_words(event: LoggedEvent) -> str:
    """What an event says, in one sentence without a full stop."""
    try:
        data = decode_event(event)
    except InvalidMessage as error:
        return f"{event_name(event.type)} cannot be read: {error}"
    words = _WORDS.get(type(data))
    said = words(data) if words else f"{type(data).__name__} {data.subject()}"
    return f"{said} (found by a sweep)" if isinstance(data, VendorNotified) and event.id.startswith(SWEEP) else said


def system_of(event: LoggedEvent) -> str:
    """The system an event is about, "" where it is about none in particular."""
    try:
        data = decode_event(event)
    except InvalidMessage:
        return event.source
    if isinstance(data, CaseDecided | CaseCommented | CaseAssigned):
        return data.by
    known = getattr(data, "connection", "")
    return known or (data.subject().partition("-")[0] if isinstance(data, _FROM_SYSTEMS) else "")


def kind_words(kind: str, action: str = "ensure") -> str:
    """`credit_note` → `credit note`; a deed is named with what it is done to."""
    plain = kind.replace("_", " ")
    return plain if action == "ensure" else f"{action} {plain}"


def span(length: timedelta) -> str:
    """A length of time to the precision that matters: 57 ms, 3.2 s, 4 min 10 s, 2 h 05 min, 3 d 4 h."""
    seconds = length.total_seconds()
    if abs(seconds) < 1:
        return f"{round(seconds * 1000)} ms"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def counted(number: int, what: str) -> str:
    """`1 case`, `1,200 cases`, `2 entries`"""
    more = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else more}"


def figure(value: Decimal) -> str:
    """12,345.60: at least two places, all of them where there are more."""
    places = max(2, -int(value.normalize().as_tuple().exponent))
    return f"{value:,.{places}f}"


def _told(data: AlertSent) -> str:
    over = f"{'; ' if data.told else ''}over: {', '.join(data.over)}" if data.over else ""
    return f"{data.recipient} was told ({data.channel}): {', '.join(data.told)}{over}"


def _won(data: OpportunityWon) -> str:
    contract = data.contract
    lines = "1 line" if len(contract.lines) == 1 else f"{len(contract.lines)} lines"
    return f"Deal won: {contract.name}, {_money(contract.value)}, {lines}"


def _stands(what: str) -> Callable[[Any], str]:
    return lambda data: f"{what} stands there as {data.external_id}"


def _posted(what: str) -> Callable[[Any], str]:
    return lambda data: f"{what} {_number(data.document)} is posted as {data.external_id}: {_money(data.amount)}"


def _decided(data: CaseDecided) -> str:
    reason = f': "{data.reason}"' if data.reason else ""
    arguments = ", ".join(f"{name} = {value}" for name, value in data.arguments.items())
    return f"{data.by} decided {data.case}: {data.action}{f' ({arguments})' if arguments else ''}{reason}"


def _assigned(data: CaseAssigned) -> str:
    reason = f': "{data.reason}"' if data.reason else ""
    return f"{data.by} gave {data.case} to {data.owner}{reason}"


def _corrected(data: ValueMapCorrected) -> str:
    cells = ", ".join(f"{column} = {value}" for column, value in data.value.items())
    return f"{data.by} corrected the map {data.value_map}: {data.key} → {cells or 'taken out'}"


def _exported(data: CorrectionsExported) -> str:
    return f"{data.by} wrote corrections of the map {data.value_map} to its file: {', '.join(data.keys)}"


def _restored(data: StoreRestored) -> str:
    reason = f': "{data.reason}"' if data.reason else ""
    return f"{data.by} restored the database, which reached event {data.lost_seq}, to event {data.backup_seq}{reason}"


def _asked_to_move(data: MoveRequested) -> str:
    reason = f': "{data.reason}"' if data.reason else ""
    return f"{data.by} asked to move {data.run} to version {data.to_version}{reason}"


def _held(data: ConnectionHeld) -> str:
    how = ", once what is queued is done" if data.drain else ""
    return f'{data.by} stopped {data.connection}{how}: "{data.reason}"'


def _released(data: ConnectionReleased) -> str:
    return f"{data.by} let {data.connection} work again" + (f': "{data.reason}"' if data.reason else "")


def _number(canonical_id: str) -> str:
    return canonical_id.partition("-")[2] or canonical_id


def _money(money: Any) -> str:
    return f"{figure(money.amount)} {money.currency}"


_FROM_SYSTEMS = (
    OpportunityWon,
    SubscriptionActivated,
    SubscriptionCancelled,
    InvoiceIssued,
    CreditNoteIssued,
    PaymentReceived,
    PaymentFailed,
)
_WORDS: dict[type[EventData], Callable[[Any], str]] = {
    VendorNotified: lambda d: f"{kind_words(d.kind)} {d.native_id} {d.action}",
    OpportunityWon: _won,
    CustomerCreated: _stands("Customer"),
    OrderPosted: _stands("Sales order"),
    ProjectOpened: _stands("Project"),
    SubscriptionActivated: lambda d: f"Subscription {d.subscription.number} is active",
    SubscriptionCancelled: lambda d: f"Subscription {d.subscription.number} was cancelled",
    InvoiceIssued: lambda d: f"Invoice {d.invoice.number} issued: {_money(d.invoice.amount)}, due {d.invoice.due_on}",
    CreditNoteIssued: lambda d: f"Credit note {d.credit_note.number} issued: {_money(d.credit_note.amount)}",
    PaymentReceived: lambda d: f"Payment {d.payment.number} received: {_money(d.payment.amount)}",
    PaymentFailed: lambda d: f"Payment {_number(d.payment)} of {_money(d.amount)} declined: {d.reason}",
    InvoicePosted: _posted("Invoice"),
    CreditNotePosted: _posted("Credit note"),
    PaymentPosted: _posted("Payment"),
    CaseOpened: lambda d: f"Case {d.case} ({d.case_class}): {d.message}",
    CaseDecided: _decided,
    CaseCommented: lambda d: f'{d.by} on {d.case}: "{d.text}"',
    CaseAssigned: _assigned,
    ValueMapCorrected: _corrected,
    CorrectionsExported: _exported,
    AlertSent: _told,
    StoreRestored: _restored,
    MoveRequested: _asked_to_move,
    ConnectionHeld: _held,
    ConnectionReleased: _released,
    UserChanged: lambda d: f"User {d.user}: {d.change} by {d.by}, now {', '.join(sorted(d.roles)) or 'no role'}",
    SignedIn: lambda d: f"{d.user} signed in by {d.how}",
    SignInRefused: lambda d: f"{d.user or 'Somebody unknown'} was not let in: {d.why}",
    SignedOut: lambda d: f"{d.user} ended a session: {d.which}",
    TokenIssued: lambda d: f'{d.by} made the token "{d.label}" for {d.user}: {", ".join(sorted(d.scopes))}',
    TokenRevoked: lambda d: f'{d.by} revoked the token "{d.label}" of {d.user}',
    RunMoved: lambda d: f"{d.run} goes on with version {d.to_version}, no longer {d.from_version}",
    MoveRefused: lambda d: f"{d.run} stays on its version, {d.to_version} does not do: {d.reason}",
}
