"""Refunds: money back from what a payment or a credit memo holds unapplied, and never more than that."""

from __future__ import annotations

from typing import Any

from tieline_sandbox.zuora import accounts, targets
from tieline_sandbox.zuora.errors import Record, Resource, one_of, rule
from tieline_sandbox.zuora.model import Tenant, audit_v1

_REFUND_METHODS = (
    "ACH", "Cash", "Check", "CreditCard", "PayPal", "WireTransfer", "DebitCard", "CreditCardReferenceTransaction",
    "BankTransfer", "Other",
)  # fmt: skip


def of_payment(t: Tenant, key: str, body: Record) -> Record:
    """POST /v1/payments/{key}/refunds: only what is not applied can go back. Raises Refusal."""
    payment = t.payments.get(key)
    return _refund(t, payment, body, "payment", t.payments, "unappliedAmount")


def of_credit_memo(t: Tenant, key: str, body: Record) -> Record:
    """POST /v1/credit-memos/{key}/refund. Raises Refusal."""
    memo = t.credit_memos.get(key)
    if memo["status"] != "Posted":
        raise rule(Resource.REFUND, f"The credit memo {memo['memoNumber']} is not posted.")
    return _refund(t, memo, body, "credit memo", t.credit_memos, "balance")


def _refund(t: Tenant, source: Record, body: Record, what: str, table: Any, open_field: str) -> Record:
    _check(body)
    amount = targets.amount_of(body, Resource.REFUND, "totalAmount")
    if source["status"] not in ("Processed", "Posted") or amount > source[open_field]:
        raise rule(Resource.REFUND, f"The refund amount exceeds the unapplied amount of the {what}.")
    source[open_field] -= amount
    source["refundAmount"] += amount
    accounts.move_balance(t, source["accountId"], credit=-amount)
    t.touch(table, source)
    record = t.refunds.add(t.stamped(_record(t, source, body, what) | {"amount": amount}))
    part = {"refundId": record["id"], "amount": amount, "paymentId": None, "creditMemoId": None}
    part["paymentId" if what == "payment" else "creditMemoId"] = source["id"]
    t.refund_parts.add(t.stamped(part))
    t.announce(
        "PaymentRefundProcessed",
        {"RefundId": record["id"], "RefundNumber": record["refundNumber"], "AccountId": record["accountId"]},
    )
    return view(record)


def _check(body: Record) -> None:
    if body.get("type") not in ("External", "Electronic"):
        raise one_of(Resource.REFUND, "type", ("External", "Electronic"))
    if body["type"] == "External" and body.get("methodType") not in _REFUND_METHODS:
        raise one_of(Resource.REFUND, "methodType", _REFUND_METHODS)


def _record(t: Tenant, source: Record, body: Record, what: str) -> Record:
    of_payment = what == "payment"
    return {
        "refundNumber": t.number("R-"),
        "accountId": source["accountId"],
        "paymentId": source["id"] if of_payment else None,
        "paymentNumber": source["paymentNumber"] if of_payment else None,
        "creditMemoId": None if of_payment else source["id"],
        "associatedTransactionNumber": source["paymentNumber" if of_payment else "memoNumber"],
        "currency": source["currency"],
        "type": body["type"],
        "methodType": body.get("methodType") or "CreditCard",
        "status": "Processed",
        "refundDate": body.get("refundDate") or t.today().isoformat(),
        "reasonCode": body.get("reasonCode") or "Standard Refund",
        "comment": body.get("comment"),
        "referenceID": body.get("referenceId"),
        "sourceType": "Payment" if of_payment else "CreditMemo",
        "cancelledOn": None,
        "transferredToAccounting": "No",
    }


def cancel(t: Tenant, key: str) -> Record:
    """PUT /v1/refunds/{key}/cancel: an external refund that did not take place; its money is unapplied again."""
    record = t.refunds.get(key, Resource.REFUND)
    if record["type"] != "External" or record["status"] != "Processed":
        raise rule(Resource.REFUND, f"Only processed external refunds can be cancelled. It is {record['status']}.")
    table, field = (t.payments, "unappliedAmount") if record["paymentId"] else (t.credit_memos, "balance")
    source = table.rows[record["paymentId"] or record["creditMemoId"]]
    source[field] += record["amount"]
    source["refundAmount"] -= record["amount"]
    accounts.move_balance(t, source["accountId"], credit=record["amount"])
    t.touch(table, source)
    record |= {"status": "Canceled", "cancelledOn": t.now()}
    t.touch(t.refunds, record)
    return view(record)


def delete(t: Tenant, key: str) -> Record:
    """DELETE /v1/refunds/{key}: only a cancelled one."""
    record = t.refunds.get(key, Resource.REFUND)
    if record["status"] != "Canceled":
        raise rule(Resource.REFUND, "Only cancelled refunds can be deleted.")
    t.refunds.remove(record)
    return {"success": True}


def view(record: Record) -> Record:
    """GET /v1/refunds/{key}."""
    kept = (
        "id", "accountId", "amount", "paymentId", "paymentNumber", "creditMemoId", "type", "methodType", "status",
        "refundDate", "reasonCode", "comment", "cancelledOn",
    )  # fmt: skip
    fields = {k: record[k] for k in kept if record[k] is not None}
    numbers = {"number": record["refundNumber"], "referenceId": record["referenceID"]}
    return {"success": True, **fields, **numbers, **audit_v1(record)}


def part_view(part: Record) -> Record:
    links = {name: part[name] for name in ("paymentId", "creditMemoId") if part[name]}
    return {"id": part["id"], "amount": part["amount"], **links, **audit_v1(part)}
