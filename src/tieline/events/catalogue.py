"""The event catalogue: every business event with its data, version and meaning.

A version is never edited once released: an incompatible change is a new version with an upcaster from the old one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from tieline.domain import Contract, CreditNote, Customer, DealOwner, Invoice, Money, Payment, Subscription
from tieline.errors import InvalidMessage
from tieline.events.envelope import Event, event_name


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What a business event says. Subclasses name their subject (what it is about) and correlation (which deal)."""

    version: ClassVar[int] = 1

    @abstractmethod
    def subject(self) -> str:
        """What the event is about: the address at which runs wait for it."""

    def correlation(self) -> str:
        """The deal's contract id; "" where the event belongs to no deal."""
        return ""


Data = TypeVar("Data", bound=EventData)


class VendorNotified(EventData, frozen=True, kw_only=True):
    """A system says that something happened to one of its records: a hint, to be followed by a look."""

    connection: str
    kind: str
    native_id: str
    action: str = "changed"
    stamp: str = ""
    raw: dict[str, Any] = {}

    def subject(self) -> str:
        return f"{self.connection}/{self.kind}/{self.native_id}"


class OpportunityWon(EventData, frozen=True, kw_only=True):
    """Sales closed a deal. `customers` holds the buyer last, its parents before it.

    `owner` is whose deal it was when it was won; None where the CRM does not say, and in events of before it was kept.
    """

    contract: Contract
    customers: list[Customer]
    owner: DealOwner | None = None

    def subject(self) -> str:
        return self.contract.id

    def correlation(self) -> str:
        return self.contract.id


class DocumentStands(EventData, frozen=True, kw_only=True):
    """A document stands in a system for the first time."""

    contract: str
    connection: str
    document: str
    external_id: str

    def subject(self) -> str:
        return self.document

    def correlation(self) -> str:
        return self.contract


class CustomerCreated(DocumentStands, frozen=True, kw_only=True):
    """The customer stands in a system."""


class OrderPosted(DocumentStands, frozen=True, kw_only=True):
    """The sales order stands in the ERP."""


class ProjectOpened(DocumentStands, frozen=True, kw_only=True):
    """The project stands in the PSA."""


class InvoicePosted(DocumentStands, frozen=True, kw_only=True):
    """An invoice stands in the ERP."""

    amount: Money


class CreditNotePosted(DocumentStands, frozen=True, kw_only=True):
    """A credit note stands in the ERP."""

    amount: Money


class PaymentPosted(DocumentStands, frozen=True, kw_only=True):
    """A payment stands in the ERP, applied to its invoices."""

    amount: Money


class SubscriptionActivated(EventData, frozen=True, kw_only=True):
    """Billing says the subscription is active."""

    subscription: Subscription
    contract: str

    def subject(self) -> str:
        return self.subscription.id

    def correlation(self) -> str:
        return self.contract


class SubscriptionCancelled(SubscriptionActivated, frozen=True, kw_only=True):
    """Billing says the subscription was cancelled."""


class InvoiceIssued(EventData, frozen=True, kw_only=True):
    """Billing issued an invoice."""

    invoice: Invoice

    def subject(self) -> str:
        return self.invoice.id

    def correlation(self) -> str:
        return self.invoice.contract


class CreditNoteIssued(EventData, frozen=True, kw_only=True):
    """Billing issued a credit note."""

    credit_note: CreditNote

    def subject(self) -> str:
        return self.credit_note.id

    def correlation(self) -> str:
        return self.credit_note.contract


class PaymentReceived(EventData, frozen=True, kw_only=True):
    """Money came in and was applied to invoices of these deals."""

    payment: Payment
    contracts: list[str]

    def subject(self) -> str:
        return self.payment.id

    def correlation(self) -> str:
        return self.contracts[0] if self.contracts else ""


class PaymentFailed(EventData, frozen=True, kw_only=True):
    """A collection was declined. `declined_on` is billing's own day; None in events from before it was kept."""

    payment: str
    contracts: list[str]
    amount: Money
    reason: str
    declined_on: date | None = None

    def subject(self) -> str:
        return self.payment

    def correlation(self) -> str:
        return self.contracts[0] if self.contracts else ""


class CaseOpened(EventData, frozen=True, kw_only=True):
    """Something needs a person."""

    case: str
    case_class: str
    contract: str
    message: str

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class CaseDecided(EventData, frozen=True, kw_only=True):
    """A person decided a case or an approval. `arguments` depends on the action; see the how-to on cases."""

    case: str
    contract: str
    action: str
    by: str
    reason: str = ""
    arguments: dict[str, Any] = {}
    decided_at: datetime

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class CaseCommented(EventData, frozen=True, kw_only=True):
    """A person said something about a case; it decides nothing."""

    case: str
    contract: str
    by: str
    text: str

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class CaseAssigned(EventData, frozen=True, kw_only=True):
    """A case was given to somebody: a person by name, or a team."""

    case: str
    contract: str
    owner: str
    before: str
    by: str
    reason: str = ""

    def subject(self) -> str:
        return self.case

    def correlation(self) -> str:
        return self.contract


class ValueMapCorrected(EventData, frozen=True, kw_only=True):
    """A person added or changed an entry of a value map; with an empty `value` it was taken out.

    `former` is the entry before, {} for none; None in events from before it was kept.
    """

    value_map: str
    key: str
    value: dict[str, str]
    former: dict[str, str] | None = None
    by: str
    reason: str = ""

    def subject(self) -> str:
        return f"{self.value_map}/{self.key}"


class CorrectionsExported(EventData, frozen=True, kw_only=True):
    """Corrected entries of a value map were written to its file, as they stood at the place `up_to` of the log."""

    value_map: str
    keys: list[str]
    up_to: int
    by: str

    def subject(self) -> str:
        return self.value_map


class ReplayRequested(EventData, frozen=True, kw_only=True):
    """A person asked that a process runs once more on the event at `event_seq`."""

    process: str
    event_seq: int
    contract: str
    by: str
    reason: str = ""

    def subject(self) -> str:
        return f"{self.process}:{self.event_seq}"

    def correlation(self) -> str:
        return self.contract


class RunEvent(EventData, frozen=True, kw_only=True):
    """Something about one run of a process."""

    process: str
    run: str
    contract: str

    def subject(self) -> str:
        return self.run

    def correlation(self) -> str:
        return self.contract


class MoveRequested(RunEvent, frozen=True, kw_only=True):
    """A person asked that a run in flight goes on with another version of its process."""

    to_version: str
    by: str
    reason: str = ""


class RunMoved(RunEvent, frozen=True, kw_only=True):
    """A run goes on with another version of its process, which fits all that it has done."""

    from_version: str
    to_version: str
    by: str


class MoveRefused(RunEvent, frozen=True, kw_only=True):
    """A run stays on its version, and why."""

    to_version: str
    reason: str


class ConnectionHeld(EventData, frozen=True, kw_only=True):
    """A person stopped a connection. With `drain` what is queued there is finished first; else nothing more is sent."""

    connection: str
    drain: bool = False
    by: str
    reason: str

    def subject(self) -> str:
        return self.connection


class ConnectionReleased(EventData, frozen=True, kw_only=True):
    """A person lets a connection work again."""

    connection: str
    by: str
    reason: str = ""

    def subject(self) -> str:
        return self.connection


class UserEvent(EventData, frozen=True, kw_only=True):
    """Something about one user of the hub."""

    user: str

    def subject(self) -> str:
        return self.user or "unknown"


class UserChanged(UserEvent, frozen=True, kw_only=True):
    """A user was added, disabled or enabled, was given a one-time link, chose a password, or has these roles now."""

    change: str
    roles: list[str]
    by: str


class SignedIn(UserEvent, frozen=True, kw_only=True):
    """Somebody came in: by password, one-time link or identity provider."""

    how: str
    address: str = ""


class SignInRefused(UserEvent, frozen=True, kw_only=True):
    """Somebody was not let in. `user` is "" where there is none of the name that was typed, which is not kept."""

    why: str
    address: str = ""


class SignedOut(UserEvent, frozen=True, kw_only=True):
    """A user ended a session of theirs."""

    which: str


class TokenIssued(UserEvent, frozen=True, kw_only=True):
    """An API token that speaks for `user` was made; its secret is nowhere but with whoever it was shown to."""

    token: str
    label: str
    scopes: list[str]
    expires_at: datetime
    by: str


class TokenRevoked(UserEvent, frozen=True, kw_only=True):
    """An API token works no more."""

    token: str
    label: str
    by: str


class AlertSent(EventData, frozen=True, kw_only=True):
    """Somebody was told of what stood and needed them, and of what was over. `channel` holds no address."""

    recipient: str
    channel: str
    told: list[str]
    over: list[str] = []

    def subject(self) -> str:
        return self.recipient


class StoreRestored(EventData, frozen=True, kw_only=True):
    """The database was put back from a backup: what happened between `backup_seq` and `lost_seq` is not in this log.

    `by` is who restored it, or the hub where it found an older file than the one it had worked on. The log goes on
    behind `lost_seq`, so that no place in it means two things.
    """

    backup_seq: int
    lost_seq: int
    by: str
    reason: str = ""
    restored_at: datetime

    def subject(self) -> str:
        return str(self.backup_seq)


EVENTS: dict[str, type[EventData]] = {
    data.__name__: data
    for data in (
        VendorNotified,
        OpportunityWon,
        CustomerCreated,
        SubscriptionActivated,
        SubscriptionCancelled,
        OrderPosted,
        ProjectOpened,
        InvoiceIssued,
        InvoicePosted,
        CreditNoteIssued,
        CreditNotePosted,
        PaymentReceived,
        PaymentPosted,
        PaymentFailed,
        CaseOpened,
        CaseDecided,
        CaseCommented,
        CaseAssigned,
        ValueMapCorrected,
        CorrectionsExported,
        ReplayRequested,
        MoveRequested,
        RunMoved,
        MoveRefused,
        ConnectionHeld,
        ConnectionReleased,
        UserChanged,
        SignedIn,
        SignInRefused,
        SignedOut,
        TokenIssued,
        TokenRevoked,
        AlertSent,
        StoreRestored,
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
