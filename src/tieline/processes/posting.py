"""What billing issued is posted to the ERP: once, to the cent, in an open period, applied to the right documents."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from tieline.domain import Contract, CreditNote, Invoice, Money, Payment
from tieline.engine.cases import CANCEL, RETRY, Problem
from tieline.engine.process import Process, process
from tieline.engine.records import EffectKey
from tieline.engine.run import Run, to_builtins
from tieline.errors import InvalidMessage
from tieline.events import (
    CreditNoteIssued,
    CreditNotePosted,
    InvoiceIssued,
    InvoicePosted,
    PaymentPosted,
    PaymentReceived,
)


@process("post-invoice", on=InvoiceIssued, key=lambda issued: issued.invoice.id)
async def post_invoice(run: Run, issued: InvoiceIssued) -> None:
    """Post an invoice behind the sales order of its deal."""
    invoice = issued.invoice
    erp: str = await run.step(erp_of, run, invoice.contract)
    period = await open_period(run, erp, invoice.issued_on)
    document = msgspec.structs.replace(invoice, posting_period=period)
    stands = await run.ensure(erp, document, after=[EffectKey(erp, "order", invoice.contract)])
    if not stands.skipped:
        await run.publish(
            InvoicePosted(
                contract=invoice.contract,
                connection=erp,
                document=invoice.id,
                external_id=stands.external_id,
                amount=invoice.amount,
            )
        )


@process("post-credit-note", on=CreditNoteIssued, key=lambda issued: issued.credit_note.id)
async def post_credit_note(run: Run, issued: CreditNoteIssued) -> None:
    """Post a credit note, applied to its invoices, once those stand."""
    note: CreditNote = issued.credit_note
    erp: str = await run.step(erp_of, run, note.contract)
    period = await open_period(run, erp, note.issued_on)
    invoices = [EffectKey(erp, "invoice", application.invoice) for application in note.applications]
    stands = await run.ensure(erp, msgspec.structs.replace(note, posting_period=period), after=invoices)
    if not stands.skipped:
        await run.publish(
            CreditNotePosted(
                contract=note.contract,
                connection=erp,
                document=note.id,
                external_id=stands.external_id,
                amount=note.amount,
            )
        )


@process("post-payment", on=PaymentReceived, key=lambda received: received.payment.id)
async def post_payment(run: Run, received: PaymentReceived) -> None:
    """Post a payment, applied to its invoices, once those stand; each deal hears of its share."""
    payment: Payment = received.payment
    contract = received.contracts[0] if received.contracts else ""
    erp: str = await run.step(erp_of, run, contract)
    period = await open_period(run, erp, payment.received_on)
    invoices = [EffectKey(erp, "invoice", application.invoice) for application in payment.applications]
    stands = await run.ensure(erp, msgspec.structs.replace(payment, posting_period=period), after=invoices)
    if stands.skipped:
        return
    shares: dict[str, Money] = await run.step(share_by_deal, run, payment)
    for deal, share in shares.items():
        await run.publish(
            PaymentPosted(
                contract=deal, connection=erp, document=payment.id, external_id=stands.external_id, amount=share
            )
        )


async def erp_of(run: Run, contract_id: str) -> str:
    """The ERP that keeps the books of a deal, by the routing table."""
    contract = await run.entity("contract", contract_id, Contract)
    if contract is None:
        raise InvalidMessage(f"the document belongs to deal {contract_id or '(none)'}, which Tieline does not know")
    context = {"contract": to_builtins(contract)}
    name: str = run.resources.routes.route("erp", context, on=contract.won_on)
    return name


async def share_by_deal(run: Run, payment: Payment) -> dict[str, Money]:
    """How much of a payment settles invoices of which deal."""
    shares: dict[str, Money] = {}
    for application in payment.applications:
        invoice = await run.entity("invoice", application.invoice, Invoice)
        if invoice is not None:
            so_far = shares.get(invoice.contract, Money.zero(payment.currency))
            shares[invoice.contract] = so_far + application.amount
    return shares


async def open_period(run: Run, erp: str, day: date) -> str:
    """ "" when the period of the day is open, else the name of the next open one; none at all is a case."""
    period: str | None = await run.step(find_open_period, run, erp, day)
    while period is None:
        await run.case(
            Problem(
                case_class="no-open-period",
                cause=f"no-open-period:{erp}:{day:%Y-%m}",
                message=f"{erp} has no open posting period for {day} or later",
                actions=[RETRY, CANCEL],
            )
        )
        period = await run.step(find_open_period, run, erp, day)
    return period


async def find_open_period(run: Run, erp: str, day: date) -> str | None:
    """As open_period; None when no period is open."""
    periods = await run.resources.list_of(erp, "accountingperiod", fresh=True)
    months = sorted((p for p in periods if _is_month(p)), key=lambda p: _day(p["startdate"]))
    mine = [p for p in months if _day(p["startdate"]) <= day <= _day(p["enddate"])]
    if mine and not _closed(mine[0]):
        return ""
    later = [p for p in months if _day(p["startdate"]) > day and not _closed(p)]
    return str(later[0]["periodname"]) if later else None


def _is_month(period: dict[str, Any]) -> bool:
    return not any(period.get(flag) in (True, "T") for flag in ("isyear", "isquarter", "isadjust"))


def _closed(period: dict[str, Any]) -> bool:
    return period.get("closed") in (True, "T") or period.get("arlocked") in (True, "T")


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


PROCESSES: list[Process] = [post_invoice, post_credit_note, post_payment]
