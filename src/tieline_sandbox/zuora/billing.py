"""Bill runs and invoices: one invoice per subscription (or per account), negative sums become credit memos."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.zuora import accounts, memos, rating, subscriptions
from tieline_sandbox.zuora.dates import day, v1_stamp
from tieline_sandbox.zuora.errors import Record, Resource, invalid, rule
from tieline_sandbox.zuora.model import Billed, Tenant, audit_v1, custom_fields
from tieline_sandbox.zuora.rating import Due

_ZERO = Decimal("0.00")


def nightly(t: Tenant, today: date) -> list[Record]:
    """Bill, and post, what has fallen due since the last night."""
    charges: dict[str, None] = {}
    while t.due_charges and t.due_charges[0][0] <= today:
        charges[heapq.heappop(t.due_charges)[1]] = None
    return _bill(t, (t.charges.rows[i] for i in charges if i in t.charges.rows), today, today, post=True)


def bill_subscriptions(
    t: Tenant, which: Iterable[Record], target: date, on: date, *, post: bool = True
) -> list[Record]:
    """Bill these subscriptions up to `target`, whatever is queued."""
    charges = [c for s in which for c in t.charges.where("subscriptionId", s["id"])]
    return _bill(t, charges, target, on, post=post)


def _bill(t: Tenant, charges: Iterable[Record], target: date, on: date, *, post: bool) -> list[Record]:
    groups: dict[tuple[str, str], list[Due]] = {}
    for charge in charges:
        subscription = t.subscriptions.rows[charge["subscriptionId"]]
        items = rating.due(t, charge, subscription, target)
        subscriptions.queue(t, charge, subscription)
        if items:
            t.touch(t.charges, charge)
            own = subscription["id"] if subscription["isInvoiceSeparate"] else ""
            groups.setdefault((subscription["invoiceOwnerId"], own), []).extend(items)
    documents = []
    for (account_id, _), items in groups.items():
        documents += _documents(t, t.accounts.rows[account_id], items, target, on, post=post)
    return documents


def _documents(t: Tenant, account: Record, items: list[Due], target: date, on: date, *, post: bool) -> list[Record]:
    owed = [i for i in items if i.amount >= 0]
    credited = [i for i in items if i.amount < 0]
    documents = []
    if owed:
        documents.append(_invoice(t, account, owed, target, on, post=post))
    if credited:
        documents.append(memos.from_cancellation(t, account, credited, on, post=post))
    return documents


def _invoice(t: Tenant, account: Record, items: list[Due], target: date, on: date, *, post: bool) -> Record:
    amount = sum((i.amount for i in items), _ZERO)
    types = {i.charge["chargeType"] for i in items}
    subscription = t.subscriptions.rows[items[0].charge["subscriptionId"]]
    terms = subscription["paymentTerm"] or account["paymentTerm"]
    invoice = t.stamped(
        {
            "invoiceNumber": t.number("INV"),
            "accountId": account["id"],
            "accountNumber": account["accountNumber"],
            "currency": account["currency"],
            "amount": amount,
            "amountWithoutTax": amount,
            "taxAmount": _ZERO,
            "balance": amount,
            "adjustmentAmount": _ZERO,
            "paymentAmount": _ZERO,
            "creditMemoAmount": _ZERO,
            "refundAmount": _ZERO,
            "discount": _ZERO,
            "autoPay": account["autoPay"],
            "invoiceDate": on.isoformat(),
            "dueDate": (on + timedelta(days=t.settings.payment_terms[terms])).isoformat(),
            "targetDate": target.isoformat(),
            "paymentTerm": terms,
            "status": "Draft",
            "source": "BillRun",
            "sourceId": None,
            "sourceType": "Subscription",
            "postedBy": None,
            "postedDate": None,
            "includesOneTime": "OneTime" in types,
            "includesRecurring": "Recurring" in types,
            "includesUsage": "Usage" in types,
            "transferredToAccounting": "No",
            "billToContactId": account["billToId"],
            "soldToContactId": account["soldToId"],
            "comments": None,
        }
    )
    t.invoices.add(invoice)
    for item in items:
        _item(t, invoice, item)
    if post:
        post_invoice(t, invoice)
    return invoice


def _item(t: Tenant, invoice: Record, due: Due) -> None:
    charge = due.charge
    subscription = t.subscriptions.rows[charge["subscriptionId"]]
    product = t.products.rows[t.rate_plans.rows[charge["ratePlanId"]]["productId"]]
    item = t.stamped(
        {
            "invoiceId": invoice["id"],
            "ratePlanChargeId": charge["id"],
            "productRatePlanChargeId": charge["productRatePlanChargeId"],
            "chargeAmount": due.amount,
            "balance": due.amount,
            "taxAmount": _ZERO,
            "chargeDate": t.now(),
            "chargeName": charge["name"],
            "chargeNumber": charge["chargeNumber"],
            "chargeType": charge["chargeType"],
            "description": charge["description"],
            "processingType": "Charge",
            "quantity": due.quantity,
            "unitPrice": due.unit_price,
            "uOM": charge["uOM"],
            "sKU": product["sKU"],
            "productId": product["id"],
            "productName": product["name"],
            "serviceStartDate": due.start.isoformat(),
            "serviceEndDate": (due.end - timedelta(days=1)).isoformat(),
            "subscriptionId": subscription["id"],
            "subscriptionNumber": subscription["name"],
            "sourceItemType": "SubscriptionComponent",
        }
    )
    t.invoice_items.add(item)
    if charge["chargeType"] == "Recurring":
        billed = Billed(due.start, due.end, due.amount, due.quantity, item["id"])
        t.billed.setdefault(charge["id"], []).append(billed)


def post_invoice(t: Tenant, invoice: Record) -> None:
    """From now on the invoice counts. Raises Refusal …30 when it is not a draft."""
    if invoice["status"] != "Draft":
        raise rule(
            Resource.INVOICE, f"The invoice {invoice['invoiceNumber']} is {invoice['status']} and cannot be posted."
        )
    invoice |= {"status": "Posted", "postedDate": t.now(), "postedBy": invoice["createdById"]}
    t.touch(t.invoices, invoice)
    account = t.accounts.rows[invoice["accountId"]]
    account["lastInvoiceDate"] = invoice["invoiceDate"]
    accounts.move_balance(t, account["id"], invoices=invoice["balance"])
    if account["autoPay"]:
        heapq.heappush(t.due_invoices, (day(invoice["dueDate"]), invoice["id"]))
    t.announce(
        "InvoicePosted",
        {
            "InvoiceId": invoice["id"],
            "InvoiceNumber": invoice["invoiceNumber"],
            "AccountId": account["id"],
            "AccountNumber": account["accountNumber"],
        },
    )


def run(t: Tenant, body: Record) -> Record:
    """POST /v1/bill-runs: done at once, so its status is already Completed (or Posted)."""
    try:
        target = day(body["targetDate"]) if body.get("targetDate") else t.today()
        on = day(body["invoiceDate"]) if body.get("invoiceDate") else t.today()
    except ValueError as error:
        raise invalid(Resource.BILL_RUN, "'targetDate' should be a date in the format yyyy-MM-dd") from error
    post = bool(body.get("autoPost", False))
    documents = bill_subscriptions(t, _selected(t, body), target, on, post=post)
    record = t.bill_runs.add(
        t.stamped(
            {
                "billRunNumber": t.number("BR-"),
                "name": body.get("name"),
                "status": "Posted" if post else "Completed",
                "billRunFilters": body.get("billRunFilters") or [],
                "autoPost": post,
                "autoEmail": bool(body.get("autoEmail", False)),
                "autoRenewal": bool(body.get("autoRenewal", False)),
                "invoiceDate": on.isoformat(),
                "targetDate": target.isoformat(),
            }
        )
    )
    for document in documents:
        document["sourceId"], document["billRunId"] = record["billRunNumber"], record["id"]
    return run_view(record)


def _selected(t: Tenant, body: Record) -> list[Record]:
    filters = body.get("billRunFilters") or []
    if not filters:
        return list(t.subscriptions.rows.values())
    chosen: dict[str, Record] = {}
    for f in filters:
        if f.get("subscriptionId"):
            found = [t.subscriptions.get(f["subscriptionId"], Resource.BILL_RUN)]
        else:
            account = t.accounts.get(f.get("accountId"), Resource.BILL_RUN)
            found = t.subscriptions.where("accountId", account["id"])
        chosen |= {s["id"]: s for s in found}
    return list(chosen.values())


def post_run(t: Tenant, key: str) -> Record:
    """PUT /v1/bill-runs/{id}/post."""
    record = t.bill_runs.get(key, Resource.BILL_RUN)
    if record["status"] != "Completed":
        raise rule(Resource.BILL_RUN, f"Only completed bill runs can be posted. The bill run is {record['status']}.")
    for invoice in [
        i for i in t.invoices.rows.values() if i.get("billRunId") == record["id"] and i["status"] == "Draft"
    ]:
        post_invoice(t, invoice)
    for memo in [
        m for m in t.credit_memos.rows.values() if m.get("billRunId") == record["id"] and m["status"] == "Draft"
    ]:
        memos.post(t, memo["id"])
    record["status"] = "Posted"
    t.touch(t.bill_runs, record)
    return run_view(record)


def run_view(record: Record) -> Record:
    kept = {k: v for k, v in record.items() if not k.endswith(("ById", "Date")) or k in ("invoiceDate", "targetDate")}
    return {"success": True, **kept, **audit_v1(record)}


def view(invoice: Record) -> Record:
    """GET /v1/invoices/{key}."""
    posted = invoice["postedDate"]
    kept = {k: v for k, v in invoice.items() if v is not None and k != "accountNumber"}
    return {"success": True, **kept, **({"postedDate": posted[:10]} if posted else {}), **audit_v1(invoice)}


def item_view(item: Record) -> Record:
    """One of GET /v1/invoices/{key}/items: amounts come as text here."""
    return {
        "id": item["id"],
        "subscriptionId": item["subscriptionId"],
        "subscriptionName": item["subscriptionNumber"],
        "serviceStartDate": item["serviceStartDate"],
        "serviceEndDate": item["serviceEndDate"],
        "chargeAmount": str(item["chargeAmount"]),
        "balance": str(item["balance"]),
        "taxAmount": str(item["taxAmount"]),
        "availableToCreditAmount": item["balance"],
        "chargeDate": v1_stamp(item["chargeDate"]),
        "chargeId": item["ratePlanChargeId"],
        "chargeName": item["chargeName"],
        "chargeType": item["chargeType"],
        "processingType": item["processingType"],
        "productName": item["productName"],
        "productRatePlanChargeId": item["productRatePlanChargeId"],
        "quantity": item["quantity"],
        "unitPrice": item["unitPrice"],
        "sku": item["sKU"],
        "sourceItemType": item["sourceItemType"],
        **({"unitOfMeasure": item["uOM"]} if item["uOM"] else {}),
        **({"description": item["description"]} if item["description"] else {}),
        **custom_fields(item),
    }
