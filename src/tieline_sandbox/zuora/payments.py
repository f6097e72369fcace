"""Payments and refunds: money in, applied to invoices; the gateway that collects on the due day."""

from __future__ import annotations

import heapq
from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.zuora import accounts, billing
from tieline_sandbox.zuora.dates import decimal
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, one_of, rule
from tieline_sandbox.zuora.model import Tenant, audit_v1, custom_fields

_ZERO = Decimal("0.00")
_REFUND_METHODS = (
    "ACH", "Cash", "Check", "CreditCard", "PayPal", "WireTransfer", "DebitCard", "CreditCardReferenceTransaction",
    "BankTransfer", "Other",
)  # fmt: skip


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
    amount = _amount(body)
    steps = _applications(t, account, body.get("invoices") or [], amount)
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
    for application in body.get("invoices") or []:
        if not key and (invoice := t.invoices.find(application.get("invoiceId") or application.get("invoiceNumber"))):
            key = invoice["accountId"]
    if not key:
        raise missing(Resource.PAYMENT, "accountId")
    return t.accounts.get(key, Resource.PAYMENT)


def _amount(body: Record, field: str = "amount") -> Decimal:
    if body.get(field) is None:
        raise missing(Resource.PAYMENT, field)
    try:
        amount = decimal(body[field])
    except ValueError as error:
        raise invalid(Resource.PAYMENT, f"'{field}' should be a number") from error
    if amount <= 0:
        raise invalid(Resource.PAYMENT, f"'{field}' should be greater than 0")
    return amount


def _applications(t: Tenant, account: Record, listed: list[Record], available: Decimal) -> list[tuple[Record, Decimal]]:
    steps: list[tuple[Record, Decimal]] = []
    open_amounts: dict[str, Decimal] = {}
    for entry in listed:
        key = entry.get("invoiceId") or entry.get("invoiceNumber")
        invoice = t.invoices.find(key)
        if invoice is None:
            raise not_found(key, Resource.PAYMENT)
        amount = _amount(entry)
        number = invoice["invoiceNumber"]
        if invoice["accountId"] != account["id"]:
            raise rule(
                Resource.PAYMENT, f"The invoice {number} does not belong to the account {account['accountNumber']}."
            )
        if invoice["status"] != "Posted":
            raise rule(Resource.PAYMENT, f"The invoice {number} is not posted.")
        balance: Decimal = invoice["balance"]
        left = open_amounts.get(invoice["id"], balance) - amount
        if left < 0:
            raise rule(Resource.PAYMENT, f"The amount to apply exceeds the balance of the invoice {number}.")
        open_amounts[invoice["id"]] = left
        steps.append((invoice, amount))
    if sum((a for _, a in steps), _ZERO) > available:
        raise rule(Resource.PAYMENT, "The amount to apply exceeds the unapplied amount of the payment.")
    return steps


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
    if not body.get("invoices"):
        raise missing(Resource.PAYMENT, "invoices")
    account = t.accounts.rows[payment["accountId"]]
    for invoice, amount in _applications(t, account, body["invoices"], payment["unappliedAmount"]):
        _apply(t, payment, invoice, amount)
    return view(t, payment)


def unapply(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/payments/{key}/unapply: never more than was applied to that invoice."""
    payment = t.payments.get(key)
    steps: list[tuple[Record, Decimal]] = []
    for entry in body.get("invoices") or []:
        invoice = t.invoices.get(entry.get("invoiceId") or entry.get("invoiceNumber"), Resource.PAYMENT)
        part = _part(t, payment, invoice)
        amount = _amount(entry)
        if part is None or amount > part["amount"]:
            raise rule(Resource.PAYMENT, "The amount to unapply exceeds the applied amount.")
        steps.append((invoice, amount))
    for invoice, amount in steps:
        _apply(t, payment, invoice, -amount)
    return view(t, payment)


def cancel(t: Tenant, key: str) -> Record:
    payment = t.payments.get(key)
    if payment["appliedAmount"] or payment["type"] != "External" or payment["status"] != "Processed":
        raise rule(Resource.PAYMENT, "Only unapplied external payments can be cancelled.")
    accounts.move_balance(t, payment["accountId"], credit=-payment["unappliedAmount"])
    payment |= {"status": "Canceled", "cancelledOn": t.now(), "unappliedAmount": _ZERO}
    t.touch(t.payments, payment)
    return view(t, payment)


def refund(t: Tenant, key: str, body: Record) -> Record:
    """POST /v1/payments/{key}/refunds: only what is not applied to an invoice can go back."""
    payment = t.payments.get(key)
    if body.get("type") not in ("External", "Electronic"):
        raise one_of(Resource.REFUND, "type", ("External", "Electronic"))
    if body["type"] == "External" and body.get("methodType") not in _REFUND_METHODS:
        raise one_of(Resource.REFUND, "methodType", _REFUND_METHODS)
    amount = _amount(body, "totalAmount")
    if payment["status"] != "Processed" or amount > payment["unappliedAmount"]:
        raise rule(Resource.REFUND, "The refund amount exceeds the unapplied amount of the payment.")
    payment["unappliedAmount"] -= amount
    payment["refundAmount"] += amount
    accounts.move_balance(t, payment["accountId"], credit=-amount)
    t.touch(t.payments, payment)
    record = t.refunds.add(
        t.stamped(
            {
                "refundNumber": t.number("R-"),
                "accountId": payment["accountId"],
                "paymentId": payment["id"],
                "paymentNumber": payment["paymentNumber"],
                "amount": amount,
                "currency": payment["currency"],
                "type": body["type"],
                "methodType": body.get("methodType") or "CreditCard",
                "status": "Processed",
                "refundDate": body.get("refundDate") or t.today().isoformat(),
                "reasonCode": body.get("reasonCode") or "Standard Refund",
                "comment": body.get("comment"),
                "referenceID": body.get("referenceId"),
            }
        )
    )
    return refund_view(record)


def _apply(t: Tenant, payment: Record, invoice: Record, amount: Decimal) -> None:
    billing.settle(t, invoice, amount, "paymentAmount")
    payment["unappliedAmount"] -= amount
    payment["appliedAmount"] += amount
    accounts.move_balance(t, payment["accountId"], credit=-amount)
    part = _part(t, payment, invoice)
    if part is None:
        body = {"paymentId": payment["id"], "invoiceId": invoice["id"], "amount": _ZERO}
        part = t.payment_parts.add(t.stamped(body))
    part["amount"] += amount
    if part["amount"] == 0:
        t.payment_parts.remove(part)
    t.touch(t.payments, payment)


def _part(t: Tenant, payment: Record, invoice: Record) -> Record | None:
    parts = t.payment_parts.where("paymentId", payment["id"])
    return next((p for p in parts if p["invoiceId"] == invoice["id"]), None)


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
    return {"id": part["id"], "amount": part["amount"], "invoiceId": part["invoiceId"], **audit_v1(part)}


def refund_view(record: Record) -> Record:
    kept = (
        "id", "accountId", "amount", "paymentId", "paymentNumber", "type", "methodType", "status", "refundDate",
        "reasonCode", "comment",
    )  # fmt: skip
    fields = {**{k: record[k] for k in kept}, "number": record["refundNumber"], "referenceId": record["referenceID"]}
    return {"success": True, **fields, **audit_v1(record)}
