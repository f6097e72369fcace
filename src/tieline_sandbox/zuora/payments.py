"""Payments: money in, applied to invoices and debit memos; the gateway that collects on the due day."""

from __future__ import annotations

import heapq
from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.zuora import accounts, targets
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, one_of, rule
from tieline_sandbox.zuora.model import Tenant, audit_v1, custom_fields

_ZERO = Decimal("0.00")


def create(t: Tenant, body: Record) -> Record:
    """POST /v1/payments, external or electronic. Raises Refusal, having changed nothing."""
    for field in ("type", "amount", "currency"):
        if body.get(field) is None:
            raise missing(Resource.PAYMENT, field)
    if body["type"] not in ("External", "Electronic"):
        raise one_of(Resource.PAYMENT, "type", ("External", "Electronic"))
    account = _account(t, body)
    if body["currency"] != account["currency"]:
        raise invalid(Resource.PAYMENT, "The currency of the payment should be the currency of the account.")
    if (number := body.get("number")) and t.payments.find(number):
        raise rule(Resource.PAYMENT, f"The payment number {number} already exists.")
    amount = targets.amount_of(body, Resource.PAYMENT)
    steps = targets.named(t, body, Resource.PAYMENT)
    targets.check(account, steps, amount, Resource.PAYMENT, "payment")
    if body["type"] == "Electronic" and not account["defaultPaymentMethodId"]:
        raise missing(Resource.PAYMENT, "paymentMethodId")
    declined = body["type"] == "Electronic" and _declines(account)
    payment = _payment(t, account, amount, body["type"], "Error" if declined else "Processed", body)
    if declined:
        _announce(t, "PaymentDeclined", payment)
        return _declined_view(t, payment)
    _receive(t, payment, steps)
    return view(t, payment)


def _account(t: Tenant, body: Record) -> Record:
    key = body.get("accountId") or body.get("accountNumber")
    if not key and (steps := targets.named(t, body, Resource.PAYMENT)):
        key = steps[0][0]["accountId"]
    if not key:
        raise missing(Resource.PAYMENT, "accountId")
    return t.accounts.get(key, Resource.PAYMENT)


def _payment(t: Tenant, account: Record, amount: Decimal, kind: str, status: str, body: Record) -> Record:
    electronic = kind == "Electronic"
    return t.payments.add(
        t.stamped(
            {
                "paymentNumber": body.get("number") or t.number("P-"),
                "accountId": account["id"],
                "accountNumber": account["accountNumber"],
                "amount": amount,
                "currency": account["currency"],
                "appliedAmount": _ZERO,
                "unappliedAmount": _ZERO if status == "Error" else amount,
                "refundAmount": _ZERO,
                "effectiveDate": body.get("effectiveDate") or t.today().isoformat(),
                "type": kind,
                "status": status,
                "comment": body.get("comment"),
                "referenceId": body.get("referenceId"),
                "paymentMethodId": account["defaultPaymentMethodId"] if electronic else body.get("paymentMethodId"),
                "gatewayState": ("FailedToSettle" if status == "Error" else "MarkedForSubmission")
                if electronic
                else "NotSubmitted",
                "gatewayResponse": ("Your card was declined." if status == "Error" else "Approved")
                if electronic
                else None,
                "gatewayResponseCode": ("card_declined" if status == "Error" else "1000") if electronic else None,
                "cancelledOn": None,
                "transferredToAccounting": "No",
                "source": "API" if body else "PaymentRun",
                **custom_fields(body),
            }
        )
    )


def _receive(t: Tenant, payment: Record, steps: list[tuple[Record, Decimal]]) -> None:
    accounts.move_balance(t, payment["accountId"], credit=payment["amount"])
    for invoice, amount in steps:
        _apply(t, payment, invoice, amount)
    _announce(t, "PaymentProcessed", payment)


def _announce(t: Tenant, event: str, payment: Record) -> None:
    ids = {
        "PaymentId": payment["id"],
        "PaymentNumber": payment["paymentNumber"],
        "AccountId": payment["accountId"],
        "AccountNumber": payment["accountNumber"],
    }
    t.announce(event, ids)


def apply(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/payments/{key}/apply: all of it, or nothing."""
    payment = t.payments.get(key)
    steps = targets.named(t, body, Resource.PAYMENT)
    if not steps:
        raise missing(Resource.PAYMENT, "invoices")
    account = t.accounts.rows[payment["accountId"]]
    targets.check(account, steps, payment["unappliedAmount"], Resource.PAYMENT, "payment")
    for target, amount in steps:
        _apply(t, payment, target, amount)
    return view(t, payment)


def unapply(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/payments/{key}/unapply: never more than was applied to that invoice or debit memo."""
    payment = t.payments.get(key)
    steps = targets.named(t, body, Resource.PAYMENT)
    for target, amount in steps:
        part = targets.part_of(t.payment_parts.where("paymentId", payment["id"]), target)
        if part is None or amount > part["amount"]:
            raise rule(Resource.PAYMENT, "The amount to unapply exceeds the applied amount.")
    for target, amount in steps:
        _apply(t, payment, target, -amount)
    return view(t, payment)


def cancel(t: Tenant, key: str) -> Record:
    payment = t.payments.get(key)
    if payment["appliedAmount"] or payment["type"] != "External" or payment["status"] != "Processed":
        raise rule(Resource.PAYMENT, "Only unapplied external payments can be cancelled.")
    accounts.move_balance(t, payment["accountId"], credit=-payment["unappliedAmount"])
    payment |= {"status": "Canceled", "cancelledOn": t.now(), "unappliedAmount": _ZERO}
    t.touch(t.payments, payment)
    return view(t, payment)


def _apply(t: Tenant, payment: Record, target: Record, amount: Decimal) -> None:
    targets.settle(t, target, amount, "paymentAmount")
    payment["unappliedAmount"] -= amount
    payment["appliedAmount"] += amount
    accounts.move_balance(t, payment["accountId"], credit=-amount)
    part = targets.part_of(t.payment_parts.where("paymentId", payment["id"]), target)
    if part is None:
        body = {"paymentId": payment["id"], **targets.part_links(target), "amount": _ZERO}
        part = t.payment_parts.add(t.stamped(body))
    part["amount"] += amount
    if part["amount"] == 0:
        t.payment_parts.remove(part)
    t.touch(t.payments, payment)


def _declines(account: Record) -> bool:
    """`PaymentFails__c` counts the attempts that the customer's bank will still decline."""
    left = int(account.get("PaymentFails__c") or 0)
    if left <= 0:
        return False
    account["PaymentFails__c"] = left - 1
    return True


def collect(t: Tenant, today: date) -> None:
    """Charge what is due on auto-pay accounts; a decline is tried again tomorrow."""
    while t.due_invoices and t.due_invoices[0][0] <= today:
        _, invoice_id = heapq.heappop(t.due_invoices)
        invoice = t.invoices.rows.get(invoice_id)
        if invoice and invoice["status"] == "Posted" and invoice["balance"] > 0:
            _collect(t, invoice, today)


def _collect(t: Tenant, invoice: Record, today: date) -> None:
    account = t.accounts.rows[invoice["accountId"]]
    if not account["autoPay"]:
        return
    declined = _declines(account)
    payment = _payment(t, account, invoice["balance"], "Electronic", "Error" if declined else "Processed", {})
    if declined:
        heapq.heappush(t.due_invoices, (today + timedelta(days=1), invoice["id"]))
        _announce(t, "PaymentDeclined", payment)
    else:
        _receive(t, payment, [(invoice, invoice["balance"])])


def view(t: Tenant, payment: Record) -> Record:
    """GET /v1/payments/{key}."""
    kept = (
        "id", "accountId", "accountNumber", "amount", "currency", "appliedAmount", "unappliedAmount", "refundAmount",
        "effectiveDate", "type", "status", "comment", "referenceId", "paymentMethodId", "gatewayState",
        "gatewayResponse", "gatewayResponseCode", "cancelledOn",
    )  # fmt: skip
    fields = {**{k: payment[k] for k in kept}, "number": payment["paymentNumber"], "creditBalanceAmount": _ZERO}
    return {"success": True, **fields, **audit_v1(payment), **custom_fields(payment)}


def _declined_view(t: Tenant, payment: Record) -> Record:
    reason = {
        "code": Resource.PAYMENT * 100 + 99,
        "message": "Transaction declined. card_declined - Your card was declined.",
    }
    return {"success": False, "paymentId": payment["id"], "reasons": [reason]}


def part_view(part: Record) -> Record:
    links = {name: part[name] for name in ("invoiceId", "debitMemoId") if part[name]}
    return {"id": part["id"], "amount": part["amount"], **links, **audit_v1(part)}
