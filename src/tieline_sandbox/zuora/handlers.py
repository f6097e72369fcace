"""One function a path: read the request, ask the model, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.zuora import (
    accounts,
    billing,
    changes,
    memos,
    orders,
    payments,
    ramps,
    subscriptions,
)
from tieline_sandbox.zuora.access import Answer, Call
from tieline_sandbox.zuora.errors import (
    INTERNAL,
    LOCKED,
    Category,
    Record,
    Refusal,
    Resource,
    invalid,
    missing,
    not_found,
)
from tieline_sandbox.zuora.model import Tenant, audit_v1

PAGE_SIZE, PAGE_SIZE_MAX = 20, 40


def body_of(call: Call) -> Record:
    """The JSON object of a request. Raises Refusal …20 for anything else."""
    if call.body is None:
        return {}
    if not isinstance(call.body, dict):
        raise invalid(Resource.UNKNOWN, "The request body should be a JSON object.")
    return call.body


def paged(
    call: Call, rows: list[Record], name: str, view: Callable[[Record], Record], default: int = PAGE_SIZE
) -> Record:
    """A page of `/v1`: `page` and `pageSize` (at most 40), and `nextPage` as a URL while there is more."""
    size = _whole(call.first("pageSize"), default, PAGE_SIZE_MAX)
    page = _whole(call.first("page"), 1, 1_000_000)
    shown = [view(r) for r in rows[(page - 1) * size : page * size]]
    answer: Record = {"success": True, name: shown}
    if len(rows) > page * size:
        answer["nextPage"] = f"{call.base_url}{call.path}?page={page + 1}&pageSize={size}"
    return answer


def _whole(text: str | None, default: int, largest: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= largest:
        raise Refusal(Resource.UNKNOWN, Category.INVALID_PARAMETER, f"'{text}' should be between 1 and {largest}")
    return int(text)


# Accounts


def create_account(t: Tenant, call: Call) -> Record:
    return accounts.create(t, body_of(call))


def get_account(t: Tenant, call: Call) -> Record:
    return accounts.view(t, call.params["key"])


def update_account(t: Tenant, call: Call) -> Record:
    return accounts.update(t, call.params["key"], body_of(call))


def delete_account(t: Tenant, call: Call) -> Record:
    return accounts.delete(t, call.params["key"])


def account_summary(t: Tenant, call: Call) -> Record:
    return accounts.summary(t, call.params["key"])


# Orders


def create_order(t: Tenant, call: Call) -> Record:
    return orders.create(t, body_of(call))


def get_order(t: Tenant, call: Call) -> Record:
    return {"success": True, "order": orders.view(t, t.orders.get(call.params["key"]))}


def list_orders(t: Tenant, call: Call) -> Record:
    rows = list(t.orders.rows.values())[::-1]
    return paged(call, rows, "orders", lambda o: orders.view(t, o))


def orders_of_subscription(t: Tenant, call: Call) -> Record:
    return paged(call, orders.by_subscription(t, call.params["key"]), "orders", lambda o: orders.view(t, o))


def activate_order(t: Tenant, call: Call) -> Record:
    return orders.activate(t, call.params["key"])


def cancel_order(t: Tenant, call: Call) -> Record:
    return orders.cancel(t, call.params["key"], body_of(call))


def trigger_dates(t: Tenant, call: Call) -> Record:
    return orders.update_trigger_dates(t, call.params["key"], body_of(call))


def delete_order(t: Tenant, call: Call) -> Record:
    return orders.delete(t, call.params["key"])


def create_order_async(faults: Faults) -> Callable[[Tenant, Call], Answer]:
    """POST /v1/async/orders: accepted at once; what is wrong with the order is told by the job."""

    def handler(t: Tenant, call: Call) -> Answer:
        body = body_of(call)
        job: Record = {"status": "Processing", "errors": None, "result": None}
        job_id = t.new_id()
        t.jobs[job_id] = job

        def work() -> None:
            if faults.strike("async_job_fails", method=call.method, path=call.path, body=call.raw):
                job.update(status="Failed", errors=f"[40000060]: {INTERNAL}")
                return
            if faults.strike("async_job_locked", method=call.method, path=call.path, body=call.raw):
                job.update(status="Failed", errors=f"[40000050]: {LOCKED}")
                return
            try:
                made = {k: v for k, v in orders.create(t, body).items() if k != "success"}
                job.update(status="Completed", result={**made, "jobType": "AsyncCreateOrder"})
            except Refusal as refusal:
                job.update(status="Failed", errors=f"[{refusal.code}]: {refusal.message}")

        asyncio.get_running_loop().call_later(t.settings.async_delay_s, work)
        return Answer({"success": True, "jobId": job_id}, 202)

    return handler


def get_job(t: Tenant, call: Call) -> Record:
    job = t.jobs.get(call.params["key"])
    if job is None:
        raise not_found(call.params["key"])
    return {"success": True, **job}


# Subscriptions


def get_subscription(t: Tenant, call: Call) -> Record:
    return {"success": True, **subscriptions.view(t, t.subscriptions.get(call.params["key"]))}


def subscriptions_of_account(t: Tenant, call: Call) -> Record:
    account = t.accounts.get(call.params["key"])
    rows = t.subscriptions.where("accountId", account["id"])
    return paged(call, rows, "subscriptions", lambda s: subscriptions.view(t, s))


def get_ramp(t: Tenant, call: Call) -> Record:
    return {"success": True, "ramp": ramps.view(t.ramps.get(call.params["key"]))}


def ramps_of_subscription(t: Tenant, call: Call) -> Record:
    subscription = t.subscriptions.get(call.params["key"])
    found = t.ramps.where("subscriptionNumber", subscription["name"])
    return {"success": True, "ramps": [ramps.view(r) for r in found]}


# What an order's own answer says and these calls leave out.
_ORDER_ALONE = {"orderId", "accountId", "subscriptionIds", "orderLineItems"}


def _order_for(t: Tenant, call: Call, action: Record) -> tuple[Record, Record]:
    """The older subscription calls make an order of their own."""
    subscription = t.subscriptions.get(call.params["key"])
    account = t.accounts.rows[subscription["accountId"]]
    answer = orders.create(
        t,
        {
            "orderDate": body_of(call).get("orderDate") or t.today().isoformat(),
            "existingAccountNumber": account["accountNumber"],
            "subscriptions": [{"subscriptionNumber": subscription["name"], "orderActions": [action]}],
            "processingOptions": {"runBilling": bool(body_of(call).get("runBilling"))},
        },
    )
    told = {k: v for k, v in answer.items() if k not in _ORDER_ALONE}
    return subscription, {**told, "subscriptionId": subscription["id"]}


def cancel_subscription(t: Tenant, call: Call) -> Record:
    body = body_of(call)
    if not body.get("cancellationPolicy"):
        raise missing(Resource.CANCEL, "cancellationPolicy")
    changes.cancellation_date(t, t.subscriptions.get(call.params["key"]), body)
    kept = {k: body[k] for k in ("cancellationPolicy", "cancellationEffectiveDate") if body.get(k)}
    subscription, answer = _order_for(t, call, {"type": "CancelSubscription", "cancelSubscription": kept})
    return {**answer, "cancelledDate": subscription["cancelledDate"]}


def renew_subscription(t: Tenant, call: Call) -> Record:
    subscription, answer = _order_for(t, call, {"type": "RenewSubscription", "renewSubscription": {}})
    term = {k: subscription[k] for k in ("termStartDate", "termEndDate") if subscription[k]}
    return {**answer, **term}


# Billing


def create_bill_run(t: Tenant, call: Call) -> Record:
    return billing.run(t, body_of(call))


def get_bill_run(t: Tenant, call: Call) -> Record:
    return billing.run_view(t.bill_runs.get(call.params["key"]))


def post_bill_run(t: Tenant, call: Call) -> Record:
    return billing.post_run(t, call.params["key"])


def get_invoice(t: Tenant, call: Call) -> Record:
    return billing.view(t.invoices.get(call.params["key"]))


def invoice_items(t: Tenant, call: Call) -> Record:
    invoice = t.invoices.get(call.params["key"])
    return paged(call, t.invoice_items.where("invoiceId", invoice["id"]), "invoiceItems", billing.item_view)


def invoice_parts(t: Tenant, call: Call) -> Record:
    invoice = t.invoices.get(call.params["key"])
    return paged(call, application_parts(t, "invoiceId", invoice), "applicationParts", lambda p: p)


def application_parts(t: Tenant, link: str, target: Record) -> list[Record]:
    """What payments and credit memos settle of an invoice or debit memo."""
    paid = t.payment_parts.where(link, target["id"])
    credited = t.credit_memo_parts.where(link, target["id"])
    return [
        *({"appliedAmount": p["amount"], "paymentId": p["paymentId"], **audit_v1(p)} for p in paid),
        *({"appliedAmount": p["amount"], "creditMemoId": p["creditMemoId"], **audit_v1(p)} for p in credited),
    ]


# Credit memos


def credit_memo_from_invoice(t: Tenant, call: Call) -> Record:
    return memos.from_invoice(t, call.params["key"], body_of(call))


def get_credit_memo(t: Tenant, call: Call) -> Record:
    return memos.view(t, t.credit_memos.get(call.params["key"]))


def list_credit_memos(t: Tenant, call: Call) -> Record:
    account = t.accounts.find(call.first("accountNumber") or call.first("accountId"))
    rows = t.credit_memos.where("accountId", account["id"]) if account else list(t.credit_memos.rows.values())
    return paged(call, rows, "creditmemos", lambda m: {k: v for k, v in memos.view(t, m).items() if k != "success"})


def credit_memo_items(t: Tenant, call: Call) -> Record:
    memo = t.credit_memos.get(call.params["key"])
    return paged(call, t.credit_memo_items.where("creditMemoId", memo["id"]), "items", memos.item_view)


def credit_memo_parts(t: Tenant, call: Call) -> Record:
    memo = t.credit_memos.get(call.params["key"])
    return paged(call, t.credit_memo_parts.where("creditMemoId", memo["id"]), "parts", memos.part_view)


def post_credit_memo(t: Tenant, call: Call) -> Record:
    return memos.post(t, call.params["key"])


def cancel_credit_memo(t: Tenant, call: Call) -> Record:
    return memos.cancel(t, call.params["key"])


def apply_credit_memo(t: Tenant, call: Call) -> Record:
    return memos.apply(t, call.params["key"], body_of(call))


def unapply_credit_memo(t: Tenant, call: Call) -> Record:
    return memos.unapply(t, call.params["key"], body_of(call))


# Payments


def create_payment(t: Tenant, call: Call) -> Record:
    return payments.create(t, body_of(call))


def get_payment(t: Tenant, call: Call) -> Record:
    return payments.view(t, t.payments.get(call.params["key"]))


def list_payments(t: Tenant, call: Call) -> Record:
    account = t.accounts.find(call.first("accountId"))
    rows = t.payments.where("accountId", account["id"]) if account else list(t.payments.rows.values())
    return paged(call, rows, "payments", lambda p: payments.view(t, p))


def payment_parts(t: Tenant, call: Call) -> Record:
    payment = t.payments.get(call.params["key"])
    return paged(call, t.payment_parts.where("paymentId", payment["id"]), "parts", payments.part_view)


def apply_payment(t: Tenant, call: Call) -> Record:
    return payments.apply(t, call.params["key"], body_of(call))


def unapply_payment(t: Tenant, call: Call) -> Record:
    return payments.unapply(t, call.params["key"], body_of(call))


def cancel_payment(t: Tenant, call: Call) -> Record:
    return payments.cancel(t, call.params["key"])
