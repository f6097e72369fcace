"""Credit memos: from an invoice, or from a cancellation; posted, applied to invoices, never above what is open."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.zuora import accounts, lines, targets
from tieline_sandbox.zuora.dates import decimal
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, rule
from tieline_sandbox.zuora.model import Tenant, audit_v1, custom_fields
from tieline_sandbox.zuora.rating import Due

_ZERO = Decimal("0.00")


def from_invoice(t: Tenant, invoice_key: str, body: Record) -> Record:
    """POST /v1/credit-memos/invoice/{key}. Raises Refusal when a line asks for more than the invoice's line holds."""
    invoice = t.invoices.get(invoice_key)
    if invoice["status"] != "Posted":
        raise rule(Resource.CREDIT_MEMO, f"The invoice {invoice['invoiceNumber']} is not posted.")
    if not body.get("items"):
        raise missing(Resource.CREDIT_MEMO, "items")
    listed = [_line(t, invoice, item) for item in body["items"]]
    wanted: dict[str, Decimal] = {}
    for source, amount, _ in listed:
        wanted[source["id"]] = wanted.get(source["id"], _ZERO) + amount
        credited = source.get("creditedAmount", _ZERO)
        if wanted[source["id"]] + credited > source["chargeAmount"]:
            raise rule(
                Resource.CREDIT_MEMO,
                "The credit memo amount exceeds the amount of the invoice item available to credit.",
            )
    memo = _memo(t, t.accounts.rows[invoice["accountId"]], sum((a for _, a, _ in listed), _ZERO), body)
    memo |= {"invoiceId": invoice["id"], "source": "API", "sourceType": "Invoice", "sourceId": invoice["id"]}
    t.credit_memos.add(memo)
    for source, amount, item in listed:
        source["creditedAmount"] = source.get("creditedAmount", _ZERO) + amount
        _item(t, memo, source, amount, item)
    if body.get("autoPost"):
        post(t, memo["id"])
    return view(t, memo)


def from_charge(t: Tenant, body: Record) -> Record:
    """POST /v1/credit-memos: of charges of the catalogue, beside any invoice. Raises Refusal."""
    account = t.accounts.get(body.get("accountId") or body.get("accountNumber"), Resource.CREDIT_MEMO)
    listed = lines.of_charges(t, body, Resource.CREDIT_MEMO)
    memo = _memo(t, account, sum((a for _, a, _ in listed), _ZERO), body)
    memo |= {"source": "API", "sourceType": "Standalone"}
    t.credit_memos.add(memo)
    for source, amount, item in listed:
        _item(t, memo, source, amount, item)
    if body.get("autoPost"):
        post(t, memo["id"])
    return view(t, memo)


def write_off(t: Tenant, invoice_key: str, body: Record) -> Record:
    """PUT /v1/invoices/{key}/write-off: a credit memo over all that is open, posted and applied at once."""
    invoice = t.invoices.get(invoice_key)
    if invoice["status"] != "Posted" or invoice["balance"] <= 0:
        raise rule(Resource.INVOICE, f"The invoice {invoice['invoiceNumber']} has no balance that can be written off.")
    why = {"reasonCode": body.get("reasonCode") or "Write-off", "effectiveDate": body.get("memoDate")}
    memo = _memo(t, t.accounts.rows[invoice["accountId"]], invoice["balance"], {**body, **why})
    memo |= {"invoiceId": invoice["id"], "source": "API", "sourceType": "Invoice", "sourceId": invoice["id"]}
    t.credit_memos.add(memo)
    for item in t.invoice_items.where("invoiceId", invoice["id"]):
        if item["balance"] > 0:
            item["creditedAmount"] = item.get("creditedAmount", _ZERO) + item["balance"]
            _item(t, memo, item, item["balance"], {})
    _post(t, memo)
    apply_to(t, memo, invoice, memo["balance"])
    return {"success": True, "creditMemo": {"id": memo["id"]}}


def delete(t: Tenant, key: str) -> Record:
    """DELETE /v1/credit-memos/{key}: only a cancelled one."""
    memo = t.credit_memos.get(key)
    if memo["status"] != "Canceled":
        raise rule(Resource.CREDIT_MEMO, f"Only cancelled credit memos can be deleted. It is {memo['status']}.")
    t.credit_memos.remove(memo)
    return {"success": True}


def _line(t: Tenant, invoice: Record, item: Record) -> tuple[Record, Decimal, Record]:
    if not item.get("invoiceItemId"):
        raise missing(Resource.CREDIT_MEMO, "invoiceItemId")
    source = t.invoice_items.get(item["invoiceItemId"], Resource.CREDIT_MEMO)
    if source["invoiceId"] != invoice["id"]:
        raise invalid(
            Resource.CREDIT_MEMO, f"The invoice item {source['id']} does not belong to {invoice['invoiceNumber']}."
        )
    return source, targets.amount_of(item, Resource.CREDIT_MEMO), item


def from_cancellation(t: Tenant, account: Record, items: list[Due], on: date, *, post: bool) -> Record:
    """What was billed beyond the end of a charge, given back; stays unapplied until someone applies it."""
    memo = _memo(t, account, -sum((i.amount for i in items), _ZERO), {})
    source = t.invoice_items.find(items[0].corrects.item_id) if items[0].corrects else None
    memo |= {
        "invoiceId": source["invoiceId"] if source else None,
        "source": "BillRun",
        "sourceType": "Subscription",
        "memoDate": on.isoformat(),
    }
    t.credit_memos.add(memo)
    for due in items:
        billed = t.invoice_items.find(due.corrects.item_id) if due.corrects else None
        dates = {"serviceStartDate": due.start.isoformat(), "serviceEndDate": (due.end - timedelta(days=1)).isoformat()}
        if billed:
            _item(t, memo, billed, -due.amount, dates)
            billed["creditedAmount"] = billed.get("creditedAmount", _ZERO) - due.amount
    if post:
        _post(t, memo)
    return memo


def _memo(t: Tenant, account: Record, amount: Decimal, body: Record) -> Record:
    return t.stamped(
        {
            "memoNumber": t.number("CM"),
            "accountId": account["id"],
            "accountNumber": account["accountNumber"],
            "currency": account["currency"],
            "totalAmount": amount,
            "totalAmountWithoutTax": amount,
            "taxAmount": _ZERO,
            "balance": amount,
            "appliedAmount": _ZERO,
            "refundAmount": _ZERO,
            "memoDate": body.get("effectiveDate") or t.today().isoformat(),
            "status": "Draft",
            "reasonCode": body.get("reasonCode") or "Correcting invoice error",
            "comments": body.get("comment"),
            "autoApplyUponPosting": bool(body.get("autoApplyToInvoiceUponPosting", False)),
            "invoiceId": None,
            "sourceId": None,
            "postedOn": None,
            "cancelledOn": None,
            "transferredToAccounting": "No",
            "billToContactId": account["billToId"],
            **custom_fields(body),
        }
    )


def _item(t: Tenant, memo: Record, source: Record, amount: Decimal, body: Record) -> None:
    t.credit_memo_items.add(
        t.stamped(
            {
                "creditMemoId": memo["id"],
                "amount": amount,
                "amountWithoutTax": amount,
                "unappliedAmount": amount,
                "taxAmount": _ZERO,
                "invoiceItemId": source["id"],
                "creditFromItemId": source["id"],
                "creditFromItemSource": "InvoiceDetail",
                "description": body.get("description") or source["description"],
                "comment": body.get("comment"),
                "sku": source["sKU"],
                "skuName": body.get("skuName") or source["chargeName"],
                "chargeName": source["chargeName"],
                "chargeNumber": source["chargeNumber"],
                "ratePlanChargeId": source["ratePlanChargeId"],
                "productRatePlanChargeId": source["productRatePlanChargeId"],
                "quantity": decimal(body["quantity"]) if body.get("quantity") is not None else source["quantity"],
                "unitOfMeasure": source["uOM"],
                "unitPrice": source["unitPrice"],
                "serviceStartDate": body.get("serviceStartDate") or source["serviceStartDate"],
                "serviceEndDate": body.get("serviceEndDate") or source["serviceEndDate"],
                "subscriptionId": source["subscriptionId"],
                "subscriptionNumber": source["subscriptionNumber"],
            }
        )
    )


def post(t: Tenant, key: str) -> Record:
    """PUT /v1/credit-memos/{key}/post."""
    memo = t.credit_memos.get(key)
    if memo["status"] != "Draft":
        raise rule(
            Resource.CREDIT_MEMO, f"Only draft credit memos can be posted. {memo['memoNumber']} is {memo['status']}."
        )
    _post(t, memo)
    return view(t, memo)


def _post(t: Tenant, memo: Record) -> None:
    memo |= {"status": "Posted", "postedOn": t.now()}
    t.touch(t.credit_memos, memo)
    accounts.move_balance(t, memo["accountId"], credit=memo["balance"])
    t.announce(
        "CreditMemoPosted",
        {
            "CreditMemoId": memo["id"],
            "CreditMemoNumber": memo["memoNumber"],
            "AccountId": memo["accountId"],
            "AccountNumber": memo["accountNumber"],
        },
    )
    invoice = t.invoices.find(memo["invoiceId"])
    if memo["autoApplyUponPosting"] and invoice and invoice["balance"] > 0:
        apply_to(t, memo, invoice, min(memo["balance"], invoice["balance"]))


def cancel(t: Tenant, key: str) -> Record:
    memo = t.credit_memos.get(key)
    if memo["status"] != "Draft":
        raise rule(
            Resource.CREDIT_MEMO, f"Only draft credit memos can be cancelled. {memo['memoNumber']} is {memo['status']}."
        )
    memo |= {"status": "Canceled", "cancelledOn": t.now()}
    for item in t.credit_memo_items.where("creditMemoId", memo["id"]):
        if source := t.invoice_items.find(item["invoiceItemId"]):
            source["creditedAmount"] = source.get("creditedAmount", _ZERO) - item["amount"]
    t.touch(t.credit_memos, memo)
    return view(t, memo)


def apply(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/credit-memos/{key}/apply: all of it, or nothing."""
    memo = t.credit_memos.get(key)
    if memo["status"] != "Posted":
        raise rule(
            Resource.CREDIT_MEMO, f"Only posted credit memos can be applied. {memo['memoNumber']} is {memo['status']}."
        )
    steps = targets.named(t, body, Resource.CREDIT_MEMO)
    if not steps:
        raise missing(Resource.CREDIT_MEMO, "invoices")
    account = t.accounts.rows[memo["accountId"]]
    targets.check(account, steps, memo["balance"], Resource.CREDIT_MEMO, "credit memo")
    for target, amount in steps:
        apply_to(t, memo, target, amount)
    return view(t, memo)


def unapply(t: Tenant, key: str, body: Record) -> Record:
    """PUT /v1/credit-memos/{key}/unapply: never more than was applied to that invoice or debit memo."""
    memo = t.credit_memos.get(key)
    steps = targets.named(t, body, Resource.CREDIT_MEMO)
    for target, amount in steps:
        part = targets.part_of(_parts(t, memo), target)
        if part is None or amount > part["amount"]:
            raise rule(Resource.CREDIT_MEMO, "The amount to unapply exceeds the applied amount.")
    for target, amount in steps:
        apply_to(t, memo, target, -amount)
    return view(t, memo)


def apply_to(t: Tenant, memo: Record, target: Record, amount: Decimal) -> None:
    """Move an amount that was checked (back, when it is negative)."""
    targets.settle(t, target, amount, "creditMemoAmount")
    memo["balance"] -= amount
    memo["appliedAmount"] += amount
    accounts.move_balance(t, memo["accountId"], credit=-amount)
    part = targets.part_of(_parts(t, memo), target)
    if part is None:
        body = {"creditMemoId": memo["id"], **targets.part_links(target), "amount": _ZERO}
        part = t.credit_memo_parts.add(t.stamped(body))
    part["amount"] += amount
    if part["amount"] == 0:
        t.credit_memo_parts.remove(part)
    t.touch(t.credit_memos, memo)


def _parts(t: Tenant, memo: Record) -> list[Record]:
    return t.credit_memo_parts.where("creditMemoId", memo["id"])


def view(t: Tenant, memo: Record) -> Record:
    """GET /v1/credit-memos/{key}: `number` and `amount`, where object query says `memoNumber` and `totalAmount`."""
    return {
        "success": True,
        **{k: memo[k] for k in ("id", "accountId", "accountNumber", "currency", "status", "reasonCode", "taxAmount")},
        "number": memo["memoNumber"],
        "amount": memo["totalAmount"],
        "unappliedAmount": memo["balance"],
        "appliedAmount": memo["appliedAmount"],
        "refundAmount": memo["refundAmount"],
        "creditMemoDate": memo["memoDate"],
        "comment": memo["comments"],
        "referredInvoiceId": memo["invoiceId"],
        "autoApplyUponPosting": memo["autoApplyUponPosting"],
        "source": memo["source"],
        "sourceType": memo["sourceType"],
        "sourceId": memo["sourceId"],
        "postedOn": memo["postedOn"],
        "transferredToAccounting": memo["transferredToAccounting"],
        **audit_v1(memo),
        **custom_fields(memo),
    }


def item_view(item: Record) -> Record:
    kept = (
        "id", "amount", "amountWithoutTax", "unappliedAmount", "description", "comment", "sku", "skuName", "quantity",
        "unitOfMeasure", "unitPrice", "serviceStartDate", "serviceEndDate", "subscriptionId", "creditFromItemId",
        "creditFromItemSource",
    )  # fmt: skip
    return {**{k: item[k] for k in kept}, "sourceItemId": item["invoiceItemId"], **audit_v1(item)}


def part_view(part: Record) -> Record:
    links = {name: part[name] for name in ("invoiceId", "debitMemoId") if part[name]}
    return {"id": part["id"], "amount": part["amount"], **links, **audit_v1(part)}
