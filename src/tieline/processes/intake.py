"""From a vendor's hint to a business event: look at the present state, translate it, keep it, and tell what changed.

An echo of our own write changes nothing canonical, so it tells nothing: no loop can form here.
"""

from __future__ import annotations

from datetime import date
from typing import Any, TypeVar

import msgspec

from tieline.domain import (
    Contract,
    CreditNote,
    Customer,
    DealOwner,
    Invoice,
    Money,
    Payment,
    Subscription,
    SubscriptionStatus,
)
from tieline.engine.process import Process, process
from tieline.engine.run import Run
from tieline.errors import InvalidMessage, TransientError
from tieline.events import (
    CreditNoteIssued,
    InvoiceIssued,
    OpportunityWon,
    PaymentFailed,
    PaymentReceived,
    SubscriptionActivated,
    SubscriptionCancelled,
    VendorNotified,
)

MOST_ANCESTORS = 12
SETTLES_WITHIN_S = 600.0
"""How long billing may be ahead of our books: an order in doubt, a system that is down, a restored hub."""
T = TypeVar("T")


def _of_kind(kind: str) -> Any:
    return lambda hint: hint.kind == kind


def _record(hint: VendorNotified) -> str:
    return hint.subject()


@process("read-opportunity", on=VendorNotified, key=_record, latest_wins=True, accepts=_of_kind("opportunity"))
async def read_opportunity(run: Run, hint: VendorNotified) -> None:
    """A deal may have been won: read it with its lines, the buyer and the buyer's parents."""
    won: OpportunityWon | None = await run.step(look_at_opportunity, run, hint)
    if won is not None:
        await run.record(won.contract, lambda: won)


@process("read-subscription", on=VendorNotified, key=_record, latest_wins=True, accepts=_of_kind("subscription"))
async def read_subscription(run: Run, hint: VendorNotified) -> None:
    """A subscription changed: tell when it became active or was cancelled."""
    seen: SubscriptionActivated | None = await run.step(look_at_subscription, run, hint)
    if seen is None:
        return
    if seen.subscription.status is SubscriptionStatus.CANCELLED:
        news: SubscriptionActivated = SubscriptionCancelled(subscription=seen.subscription, contract=seen.contract)
    elif seen.subscription.status is SubscriptionStatus.ACTIVE:
        news = seen
    else:
        return
    await run.record(seen.subscription, lambda: news)


@process("read-invoice", on=VendorNotified, key=_record, latest_wins=True, accepts=_of_kind("invoice"))
async def read_invoice(run: Run, hint: VendorNotified) -> None:
    """An invoice was posted in billing."""
    invoice: Invoice | None = await run.step(look_at_invoice, run, hint)
    if invoice is not None:
        await run.record(invoice, lambda: InvoiceIssued(invoice=invoice))


@process("read-credit-note", on=VendorNotified, key=_record, latest_wins=True, accepts=_of_kind("credit_memo"))
async def read_credit_note(run: Run, hint: VendorNotified) -> None:
    """A credit memo was posted in billing."""
    note: CreditNote | None = await run.step(look_at_credit_note, run, hint)
    if note is not None:
        await run.record(note, lambda: CreditNoteIssued(credit_note=note))


@process("read-payment", on=VendorNotified, key=_record, latest_wins=True, accepts=_of_kind("payment"))
async def read_payment(run: Run, hint: VendorNotified) -> None:
    """A payment was processed or declined."""
    seen: PaymentSeen | PaymentSeenFailed | None = await run.step(look_at_payment, run, hint)
    if isinstance(seen, PaymentSeen):
        received = PaymentReceived(payment=seen.payment, contracts=seen.contracts)
        await run.record(seen.payment, lambda: received)
    elif seen is not None:
        await run.publish(
            PaymentFailed(
                payment=seen.payment,
                contracts=seen.contracts,
                amount=seen.amount,
                reason=seen.reason,
                declined_on=seen.declined_on,
            )
        )


class PaymentSeenFailed(msgspec.Struct, frozen=True, tag="failed"):
    """A declined collection, as read."""

    payment: str
    contracts: list[str]
    amount: Money
    reason: str
    declined_on: date | None = None


class PaymentSeen(msgspec.Struct, frozen=True, tag="received"):
    """A payment, as read."""

    payment: Payment
    contracts: list[str]


async def look_at_opportunity(run: Run, hint: VendorNotified) -> OpportunityWon | None:
    """The deal as it stands, with the buyer and its parents; None when it is gone or not won."""
    wire = await run.fetch(hint.connection, "opportunity", hint.native_id)
    if wire is None or not wire.get("IsWon"):
        return None
    contract = _canonical(run, hint, "opportunity", "contract", wire, Contract)
    customers = await _family(run, hint, wire.get("AccountId"))
    owner = _canonical(run, hint, "opportunity", "deal_owner", wire, DealOwner) if wire.get("Owner") else None
    return OpportunityWon(contract=contract, customers=customers, owner=owner)


async def look_at_subscription(run: Run, hint: VendorNotified) -> SubscriptionActivated | None:
    """The subscription as it stands; None when it is gone."""
    wire = await run.fetch(hint.connection, "subscription", hint.native_id)
    if wire is None:
        return None
    seen = _canonical(run, hint, "subscription", "subscription", wire, Subscription)
    contract = await _contract_of(run, hint, seen.number)
    return SubscriptionActivated(subscription=seen, contract=contract)


async def look_at_invoice(run: Run, hint: VendorNotified) -> Invoice | None:
    """The invoice as it stands, with its deal; None when it is gone or not posted."""
    wire = await run.fetch(hint.connection, "invoice", hint.native_id)
    if wire is None or wire.get("status") != "Posted":
        return None
    invoice = _canonical(run, hint, "invoice", "invoice", wire, Invoice)
    return msgspec.structs.replace(
        invoice,
        contract=await _contract_of(run, hint, invoice.subscription),
        customer=await _customer_of(run, hint, invoice.customer),
    )


async def look_at_credit_note(run: Run, hint: VendorNotified) -> CreditNote | None:
    """The credit memo as it stands, with its deal; None when it is gone or not posted.

    The deal is that of its subscription; a memo that names none belongs to the deal of the invoice it settles.
    """
    wire = await run.fetch(hint.connection, "credit_memo", hint.native_id)
    if wire is None or wire.get("status") != "Posted":
        return None
    note = _canonical(run, hint, "credit_memo", "credit_note", wire, CreditNote)
    if note.subscription:
        contract = await _contract_of(run, hint, note.subscription)
    else:
        contract = next(iter(await _deals_of(run, [a.invoice for a in note.applications])), "")
    return msgspec.structs.replace(note, contract=contract, customer=await _customer_of(run, hint, note.customer))


async def look_at_payment(run: Run, hint: VendorNotified) -> PaymentSeen | PaymentSeenFailed | None:
    """The payment as it stands: received, declined, or None when it is neither yet."""
    wire = await run.fetch(hint.connection, "payment", hint.native_id)
    if wire is None or wire.get("status") not in ("Processed", "Error"):
        return None
    payment = _canonical(run, hint, "payment", "payment", wire, Payment)
    payment = msgspec.structs.replace(payment, customer=await _customer_of(run, hint, payment.customer))
    invoices = [application.invoice for application in payment.applications]
    if wire["status"] == "Processed":
        return PaymentSeen(payment=payment, contracts=await _deals_of(run, invoices))
    reason = str(wire.get("gatewayResponse") or "declined by the payment gateway")
    deals = await _deals_of(run, [f"{hint.connection}-{n}" for n in wire.get("intendedInvoices", [])] or invoices)
    return PaymentSeenFailed(
        payment=payment.id,
        contracts=deals,
        amount=payment.amount,
        reason=reason,
        declined_on=payment.received_on,
    )


async def _family(run: Run, hint: VendorNotified, account_id: Any) -> list[Customer]:
    """The buyer last, its parents before it. Raises InvalidMessage for a circle or an account that is gone."""
    family: list[Customer] = []
    while account_id:
        if len(family) > MOST_ANCESTORS:
            raise InvalidMessage(
                f"the parents of account {family[0].id} lead in a circle, or higher than {MOST_ANCESTORS}"
            )
        wire = await run.fetch(hint.connection, "account", str(account_id))
        if wire is None:
            raise InvalidMessage(f"account {account_id} of deal {hint.native_id} is not in {hint.connection} any more")
        family.append(_canonical(run, hint, "account", "customer", wire, Customer))
        account_id = wire.get("ParentId")
    if not family:
        raise InvalidMessage(f"deal {hint.native_id} names no account: nobody can be billed")
    return family[::-1]


def _canonical(run: Run, hint: VendorNotified, wire_kind: str, kind: str, wire: Any, as_type: type[T]) -> T:
    made = run.resources.to_canonical(hint.connection, wire_kind, kind, wire)
    try:
        return msgspec.convert(made, as_type, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidMessage(f"{wire_kind} {hint.native_id} of {hint.connection} makes no {kind}: {error}") from error


async def _contract_of(run: Run, hint: VendorNotified, subscription_number: str) -> str:
    """The deal behind a subscription number. Billing may speak before our own order is settled: then try again."""
    contract = await run.canonical_id(hint.connection, "subscription_order", subscription_number)
    if contract is None:
        raise TransientError(
            f"subscription {subscription_number or '(none)'} in {hint.connection} belongs to no deal we ordered",
            retry_after_s=0.3,
            patience_s=SETTLES_WITHIN_S,
        )
    return contract


async def _customer_of(run: Run, hint: VendorNotified, account_number: str) -> str:
    return await run.canonical_id(hint.connection, "customer", account_number) or account_number


async def _deals_of(run: Run, invoices: list[str]) -> list[str]:
    """The deals of these invoices, each once. An invoice that was not read yet is worth another try."""
    deals: list[str] = []
    for invoice_id in invoices:
        invoice = await run.entity("invoice", invoice_id, Invoice)
        if invoice is None:
            raise TransientError(
                f"invoice {invoice_id} has not been read yet", retry_after_s=0.3, patience_s=SETTLES_WITHIN_S
            )
        deals.append(invoice.contract)
    return list(dict.fromkeys(deals))


PROCESSES: list[Process] = [read_opportunity, read_subscription, read_invoice, read_credit_note, read_payment]
