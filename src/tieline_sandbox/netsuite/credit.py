"""Money of a customer's that we hold: deposits, their applications, and what is refunded of credit.

Invariant: what is applied and refunded of a deposit, credit memo or payment is never more than it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import invalid_value, missing, user_error
from tieline_sandbox.netsuite.field_sets import CREDIT_KINDS
from tieline_sandbox.netsuite.store import Entry, Record, customer_of
from tieline_sandbox.netsuite.transactions import NOT_DEPOSITED, post, settle_parties, unit_of
from tieline_sandbox.netsuite.values import target_kind

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

ZERO = Decimal(0)
SPENDING_KINDS = frozenset({"depositApplication", "customerRefund"})


def prepare_deposit(account: Account, draft: Draft) -> None:
    new = draft.new
    settle_parties(account, draft, "customer")
    post(account, draft)
    new["payment"] = new.get("payment", ZERO).quantize(unit_of(account, new), ROUND_HALF_UP)
    if new["payment"] <= 0:
        raise missing("Payment Amount")
    order = new.get("salesOrder")
    if order and account.store.get("salesOrder", order["id"])["entity"]["id"] != new["customer"]["id"]:
        raise invalid_value(order["id"], "salesorder", "salesOrder")
    used = spent(account, new)
    if used > new["payment"]:
        raise user_error(f"The deposit can not be less than what is applied of it ({used}).")
    new |= _standing("customerDeposit", new["payment"], used)


def prepare_deposit_application(account: Account, draft: Draft) -> None:
    """Settles invoices from a deposit; customer and currency are the deposit's."""
    new = draft.new
    if not new.get("deposit"):
        raise missing("Deposit")
    deposit = account.store.get("customerDeposit", new["deposit"]["id"])
    new |= {"customer": deposit["customer"], "currency": deposit["currency"], "depositDate": deposit["tranDate"]}
    settle_parties(account, draft, "customer")
    post(account, draft)
    left = deposit["payment"] - spent(account, deposit, besides=draft.id)
    applied = account.applications.settle(draft, left, unit_of(account, new))
    if not applied:
        raise user_error("You must apply the deposit to at least one transaction.")
    new |= {"total": applied, "applied": applied, "unapplied": ZERO}


def prepare_refund(account: Account, draft: Draft) -> None:
    """Gives back what credit memos, payments and deposits of the customer have open; its total is their sum."""
    new = draft.new
    settle_parties(account, draft, "customer")
    if not new.get("account"):
        raise missing("Account")
    post(account, draft)
    unit = unit_of(account, new)
    lines: dict[str, Record] = {}
    for index, given in enumerate(draft.lines("apply")):
        if given.get("apply") is not False:
            line = _refund_line(account, draft, given, unit, f"apply.items[{index}]")
            lines[line["doc"]["id"]] = line
    if not lines:
        raise user_error("You must apply the refund to at least one transaction.")
    numbered = [line | {"line": number} for number, line in enumerate(lines.values(), start=1)]
    new |= {"apply": {"items": numbered}, "total": sum((line["amount"] for line in numbered), ZERO)}


def restate_sources(account: Account, spending: Record) -> None:
    """Say of each deposit, memo and payment that an application or refund draws on what is left of it."""
    for source_id in set(_drawn(spending)):
        entry: Entry = account.store.family("customerDeposit").entries[source_id]
        entry.doc = entry.doc | _standing(entry.kind, held(entry.doc), spent(account, entry.doc))
        account.store.touch(entry, account.now())


def spent(account: Account, source: Record, *, besides: str | None = None) -> Decimal:
    """How much of a deposit, memo or payment is applied to invoices or refunded."""
    used: Decimal = account.applications.applied_by(source["id"])
    for entry in account.store.by_customer.get(customer_of(source) or "", {}).values():
        if entry.kind in SPENDING_KINDS and entry.id != besides:
            used += _drawn(entry.doc).get(source["id"], ZERO)
    return used


def refunded(account: Account, source: Record) -> Decimal:
    return spent(account, source) - account.applications.applied_by(source["id"])


def _drawn(spending: Record) -> dict[str, Decimal]:
    """Source id → amount."""
    if "deposit" in spending:
        return {spending["deposit"]["id"]: spending["total"]}
    return {line["doc"]["id"]: line["amount"] for line in _lines(spending)}


def _lines(refund: Record) -> Iterator[Record]:
    yield from (refund.get("apply") or {"items": []})["items"]


def _refund_line(account: Account, draft: Draft, line: Record, unit: Decimal, path: str) -> Record:
    reference = line.get("doc")
    if not reference:
        raise missing("Doc")
    kind = target_kind(account.store, CREDIT_KINDS, reference["id"])
    source = account.store.get(str(kind), reference["id"])
    if customer_of(source) != customer_of(draft.new) or source["currency"]["id"] != draft.new["currency"]["id"]:
        raise invalid_value(source["id"], "doc", f"{path}.doc")
    due = held(source) - spent(account, source, besides=draft.id)
    amount = line.get("amount", due).quantize(unit, ROUND_HALF_UP)
    if not 0 < amount <= due:
        raise user_error(f"The amount refunded ({amount}) can not exceed what is open ({due}) of {source['tranId']}.")
    shown = {"id": source["id"], "refName": source["tranId"]}
    return {
        "doc": shown,
        "apply": True,
        "amount": amount,
        "due": due,
        "total": held(source),
        "refNum": source["tranId"],
    }


def held(source: Record) -> Decimal:
    """What a deposit, memo or payment was made for."""
    amount: Decimal = source["total"] if "total" in source else source["payment"]
    return amount


def _standing(kind: str, amount: Decimal, used: Decimal) -> Record:
    left = amount - used
    standing: Record = {"applied": used, "unapplied": left}
    if kind == "creditMemo":
        status = "Open" if left else "Fully Applied"
        return standing | {"amountPaid": used, "amountRemaining": left, "status": {"id": status, "refName": status}}
    if kind == "customerDeposit":
        status = NOT_DEPOSITED if left else "Fully Applied"
        return standing | {"status": {"id": status, "refName": status}}
    return standing
