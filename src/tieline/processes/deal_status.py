"""What account executives see of a deal in the CRM: computed from the ledger, written when it changed.

Many events lead here; runs of one deal wait until it rests and the newest wins, so a burst is one write.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tieline.domain import Contract, DealStatus
from tieline.engine.lanes import Priority
from tieline.engine.process import Process, process
from tieline.engine.records import CaseRow, Effect, EffectState
from tieline.engine.run import Run
from tieline.events import (
    CaseDecided,
    CaseOpened,
    CreditNotePosted,
    CustomerCreated,
    InvoicePosted,
    LoggedEvent,
    OpportunityWon,
    OrderPosted,
    PaymentFailed,
    PaymentPosted,
    PaymentReceived,
    ProjectOpened,
    SubscriptionActivated,
    SubscriptionCancelled,
    decode_event,
    event_name,
)

LATEST_AFTER_S = 5.0
"""So long the runs of a deal may keep its status waiting: what they are about to do shall be in it."""
LONGEST_DETAIL = 250


@process(
    "deal-status",
    on=(
        OpportunityWon,
        CustomerCreated,
        SubscriptionActivated,
        SubscriptionCancelled,
        OrderPosted,
        ProjectOpened,
        InvoicePosted,
        CreditNotePosted,
        PaymentReceived,
        PaymentPosted,
        PaymentFailed,
        CaseOpened,
        CaseDecided,
    ),
    key=lambda data: data.correlation(),
    latest_wins=True,
    priority=Priority.BACKGROUND,
    accepts=lambda data: bool(data.correlation()),
)
async def deal_status(run: Run, data: Any) -> None:
    """Write the status of the deal back to its CRM."""
    await run.pause(LATEST_AFTER_S)
    status: DealStatus | None = await run.step(status_now, run, data.correlation())
    if status is not None:
        crm: str = await run.step(crm_of, run, data.correlation())
        await run.ensure(crm, status)


def crm_of(run: Run, contract_id: str) -> str:
    """The connection a contract comes from: the system of record its id begins with."""
    return contract_id.rpartition("-")[0]


async def status_now(run: Run, contract_id: str) -> DealStatus | None:
    """The deal as the ledger and the log know it; None for a deal we never heard of."""
    contract = await run.entity("contract", contract_id, Contract)
    if contract is None:
        return None
    applied = _applied(await run.effects_of_deal(contract_id))
    events = await run.events_of_deal(contract_id)
    cases = await run.open_cases(contract_id)
    invoiced = _sum(events, InvoicePosted) - _sum(events, CreditNotePosted)
    paid = _sum(events, PaymentPosted)
    status, detail = _words(applied, events, cases, invoiced, paid)
    return DealStatus(
        id=contract_id,
        contract=contract_id,
        status=status,
        detail=detail[:LONGEST_DETAIL],
        billing_account=_external(applied, "customer", "zuora"),
        subscription=_display_of_order(applied),
        erp_order=_external(applied, "order"),
        project=_external(applied, "project"),
        invoiced=invoiced,
        paid=paid,
    )


def _words(
    applied: dict[tuple[str, str], Effect],
    events: list[LoggedEvent],
    cases: list[CaseRow],
    invoiced: Decimal,
    paid: Decimal,
) -> tuple[str, str]:
    """Status and detail, the most telling first."""
    names = [event_name(e.type) for e in events]
    kinds = {kind for _, kind in applied}
    if waiting := [c for c in cases if c.case_class == "approval"]:
        return "Waiting for approval", f"{waiting[0].message} [{waiting[0].id}]"
    if cases:
        return "Needs attention", f"{cases[0].message} [{cases[0].id}]"
    if "SubscriptionCancelled" in names:
        return "Cancelled", "The subscription was cancelled in billing"
    if invoiced and paid >= invoiced:
        return "Paid", ""  # nothing is open, whatever was declined on the way and however late we hear of it
    if (reason := _open_failure(events)) is not None:
        return "Payment failed", reason
    if invoiced:
        return "Invoiced", ""
    for kind, status in (("project", "Project opened"), ("order", "Order posted")):
        if kind in kinds:
            return status, ""
    if "SubscriptionActivated" in names:
        return "Subscription active", ""
    return ("Customer created", "") if "customer" in kinds else ("In progress", "")


def _open_failure(events: list[LoggedEvent]) -> str | None:
    """Why the last collection failed, unless money came in since: by billing's days, on one day in the log's order."""
    told = [e for e in events if event_name(e.type) in ("PaymentFailed", "PaymentReceived")]
    last = decode_event(max(told, key=lambda e: (_day(e), e.seq))) if told else None
    return f"Payment of {last.amount} declined: {last.reason}" if isinstance(last, PaymentFailed) else None


def _day(event: LoggedEvent) -> date:
    data = decode_event(event)
    if isinstance(data, PaymentReceived):
        return data.payment.received_on
    told: date | None = getattr(data, "declined_on", None)
    return told or event.time.date()  # the day was not kept once


def _applied(effects: list[Effect]) -> dict[tuple[str, str], Effect]:
    """(connection, kind) → the newest applied effect, deeds left out."""
    return {(e.connection, e.kind): e for e in effects if e.state is EffectState.APPLIED and e.action == "ensure"}


def _external(applied: dict[tuple[str, str], Effect], kind: str, connection: str = "") -> str | None:
    found = [e.external_id for (c, k), e in applied.items() if k == kind and connection in ("", c)]
    return found[0] if found else None


def _display_of_order(applied: dict[tuple[str, str], Effect]) -> str | None:
    orders = [e for (_, kind), e in applied.items() if kind == "subscription_order"]
    if not orders:
        return None
    number: str = msgspec.json.decode(orders[0].content)["subscription_number"]
    return number


def _sum(events: list[LoggedEvent], kind: type[InvoicePosted | CreditNotePosted | PaymentPosted]) -> Decimal:
    """Each document once, as last told: posting one again under another id is no second amount."""
    told = [decode_event(e) for e in events if event_name(e.type) == kind.__name__]
    amounts = {(a.connection, a.document): a.amount.amount for a in told if isinstance(a, kind)}
    return sum(amounts.values(), Decimal(0))


PROCESSES: list[Process] = [deal_status]
