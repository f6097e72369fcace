"""Debit memos: what a customer owes beside invoices; posted, then paid or credited like an invoice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tieline_sandbox.zuora import accounts, lines
from tieline_sandbox.zuora.dates import day, decimal
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, rule
from tieline_sandbox.zuora.lines import Line
from tieline_sandbox.zuora.model import Tenant, audit_v1, custom_fields
from tieline_sandbox.zuora.targets import ZERO, amount_of

_RESOURCE = Resource.DEBIT_MEMO


def from_charge(t: Tenant, body: Record) -> Record:
    """POST /v1/debit-memos: of charges of the catalogue. Raises Refusal."""
    account = t.accounts.get(body.get("accountId") or body.get("accountNumber"), _RESOURCE)
    return _make(t, account, lines.of_charges(t, body, _RESOURCE), body, None)


def from_invoice(t: Tenant, invoice_key: str, body: Record) -> Record:
    """POST /v1/debit-memos/invoice/{key}: more is owed for lines of a posted invoice. Raises Refusal."""
    invoice = t.invoices.get(invoice_key)
    if invoice["status"] != "Posted":
        raise rule(_RESOURCE, f"The invoice {invoice['invoiceNumber']} is not posted.")
    if not body.get("items"):
        raise missing(_RESOURCE, "items")
    listed = [_invoice_line(t, invoice, item) for item in body["items"]]
    return _make(t, t.accounts.rows[invoice["accountId"]], listed, body, invoice)


def _invoice_line(t: Tenant, invoice: Record, item: Record) -> Line:
    if not item.get("invoiceItemId"):
        raise missing(_RESOURCE, "invoiceItemId")
    source = t.invoice_items.get(item["invoiceItemId"], _RESOURCE)
    if source["invoiceId"] != invoice["id"]:
        raise invalid(_RESOURCE, f"The invoice item {source['id']} does not belong to {invoice['invoiceNumber']}.")
    return source, amount_of(item, _RESOURCE), item


def _make(t: Tenant, account: Record, listed: list[Line], body: Record, invoice: Record | None) -> Record:
    amount = sum((a for _, a, _ in listed), ZERO)
    memo = t.debit_memos.add(t.stamped(_record(t, account, amount, body, invoice)))
    for source, part, item in listed:
        t.debit_memo_items.add(t.stamped(_item(memo, source, part, item)))
    if body.get("autoPost"):
        post(t, memo["id"])
    return view(memo)


def _record(t: Tenant, account: Record, amount: Decimal, body: Record, invoice: Record | None) -> Record:
    on = body.get("effectiveDate") or t.today().isoformat()
    due = body.get("dueDate") or _due(t, account, on)
    return {
        "memoNumber": body.get("number") or t.number("DM"),
        "accountId": account["id"],
        "accountNumber": account["accountNumber"],
        "currency": account["currency"],
        "totalAmount": amount,
        "totalAmountWithoutTax": amount,
        "taxAmount": ZERO,
        "balance": amount,
        "paymentAmount": ZERO,
        "creditMemoAmount": ZERO,
        "memoDate": on,
        "dueDate": due,
        "targetDate": None,
        "paymentTerm": account["paymentTerm"],
        "status": "Draft",
        "reasonCode": body.get("reasonCode") or "Correcting invoice error",
        "comments": body.get("comment"),
        "invoiceId": invoice["id"] if invoice else None,
        "source": "API",
        "sourceType": "Invoice" if invoice else "Standalone",
        "sourceId": invoice["id"] if invoice else None,
        "postedOn": None,
        "cancelledOn": None,
        "transferredToAccounting": "No",
        "billToContactId": account["billToId"],
        **custom_fields(body),
    }


def _due(t: Tenant, account: Record, on: str) -> str:
    return (day(on) + timedelta(days=t.settings.payment_terms[account["paymentTerm"]])).isoformat()


def _item(memo: Record, source: Record, amount: Decimal, body: Record) -> Record:
    same = (
        "chargeName", "chargeNumber", "ratePlanChargeId", "productRatePlanChargeId", "unitPrice", "subscriptionId",
        "subscriptionNumber",
    )  # fmt: skip
    return {
        **{name: source[name] for name in same},
        "debitMemoId": memo["id"],
        "amount": amount,
        "amountWithoutTax": amount,
        "balance": amount,
        "taxAmount": ZERO,
        "invoiceItemId": source["id"],
        "description": body.get("description") or source["description"],
        "comment": body.get("comment"),
        "sku": source["sKU"],
        "skuName": body.get("skuName") or source["chargeName"],
        "quantity": decimal(body["quantity"]) if body.get("quantity") is not None else source["quantity"],
        "unitOfMeasure": source["uOM"],
        "serviceStartDate": body.get("serviceStartDate") or source["serviceStartDate"],
        "serviceEndDate": body.get("serviceEndDate") or source["serviceEndDate"],
    }


def post(t: Tenant, key: str) -> Record:
    """PUT /v1/debit-memos/{key}/post: from now on it is owed."""
    memo = _draft(t, key, "posted")
    memo |= {"status": "Posted", "postedOn": t.now()}
    t.touch(t.debit_memos, memo)
    accounts.move_balance(t, memo["accountId"], invoices=memo["balance"])
    ids = {"DebitMemoId": memo["id"], "DebitMemoNumber": memo["memoNumber"]}
    t.announce("DebitMemoPosted", ids | {"AccountId": memo["accountId"], "AccountNumber": memo["accountNumber"]})
    return view(memo)


def unpost(t: Tenant, key: str) -> Record:
    """PUT /v1/debit-memos/{key}/unpost: a draft again, while nothing is applied to it."""
    memo = t.debit_memos.get(key)
    if memo["status"] != "Posted" or memo["balance"] != memo["totalAmount"]:
        raise rule(_RESOURCE, f"The debit memo {memo['memoNumber']} cannot be unposted.")
    accounts.move_balance(t, memo["accountId"], invoices=-memo["balance"])
    memo |= {"status": "Draft", "postedOn": None}
    t.touch(t.debit_memos, memo)
    return view(memo)


def cancel(t: Tenant, key: str) -> Record:
    """PUT /v1/debit-memos/{key}/cancel: only a draft."""
    memo = _draft(t, key, "cancelled")
    memo |= {"status": "Canceled", "cancelledOn": t.now()}
    t.touch(t.debit_memos, memo)
    return view(memo)


def delete(t: Tenant, key: str) -> Record:
    """DELETE /v1/debit-memos/{key}: only a cancelled one."""
    memo = t.debit_memos.get(key)
    if memo["status"] != "Canceled":
        raise rule(_RESOURCE, f"Only cancelled debit memos can be deleted. {memo['memoNumber']} is {memo['status']}.")
    t.debit_memos.remove(memo)
    return {"success": True}


def _draft(t: Tenant, key: str, deed: str) -> Record:
    memo = t.debit_memos.get(key)
    if memo["status"] != "Draft":
        raise rule(_RESOURCE, f"Only draft debit memos can be {deed}. {memo['memoNumber']} is {memo['status']}.")
    return memo


def view(memo: Record) -> Record:
    """GET /v1/debit-memos/{key}: `number` and `amount`, where object query says `memoNumber` and `totalAmount`."""
    same = (
        "id", "accountId", "accountNumber", "currency", "status", "reasonCode", "taxAmount", "balance", "dueDate",
        "sourceType", "postedOn", "cancelledOn", "transferredToAccounting", "paymentTerm",
    )  # fmt: skip
    applied = memo["totalAmount"] - memo["balance"]
    return {
        "success": True,
        **{k: memo[k] for k in same if memo[k] is not None},
        "number": memo["memoNumber"],
        "amount": memo["totalAmount"],
        "beAppliedAmount": applied,
        "debitMemoDate": memo["memoDate"],
        "comment": memo["comments"],
        "referredInvoiceId": memo["invoiceId"],
        **audit_v1(memo),
        **custom_fields(memo),
    }


def item_view(item: Record) -> Record:
    kept = (
        "id", "amount", "amountWithoutTax", "balance", "description", "comment", "sku", "skuName", "quantity",
        "unitOfMeasure", "unitPrice", "serviceStartDate", "serviceEndDate", "subscriptionId",
    )  # fmt: skip
    return {**{k: item[k] for k in kept}, "sourceItemId": item["invoiceItemId"], **audit_v1(item)}
