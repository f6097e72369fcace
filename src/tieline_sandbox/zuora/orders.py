"""Orders: every action in turn, each on what the ones before it made, or none at all."""

from __future__ import annotations

from datetime import date
from typing import Any

from tieline_sandbox.zuora import accounts, actions, billing, creation, ramps
from tieline_sandbox.zuora.dates import day, v1_stamp
from tieline_sandbox.zuora.errors import Record, Refusal, Resource, invalid, missing, not_found, one_of, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields
from tieline_sandbox.zuora.savepoint import Savepoint

_ORDER_LIMIT_SUBSCRIPTIONS = 300


def create(t: Tenant, body: Record) -> Record:
    """POST /v1/orders. Raises Refusal, having changed nothing."""
    _check(t, body)
    if body.get("status") == "Draft":
        draft = _store(t, body, _account(t, body), "Draft")
        t.draft_bodies[draft["id"]] = body
        return _answer(t, draft, [])
    fresh = not body.get("existingAccountNumber")
    order: Record | None = None
    try:
        order = _store(t, body, _account(t, body), "Completed")
        return _carry_out(t, order, body)
    except Refusal:
        # The order is refused as a whole: its number is free again, and its new account goes with it.
        if order is not None:
            _forget(t, order)
        if fresh and body.get("existingAccountNumber"):
            t.accounts.remove(t.accounts.get(body["existingAccountNumber"]))
            del body["existingAccountNumber"]
        raise


def activate(t: Tenant, number: str) -> Record:
    """PUT /v1/orders/{number}/activate: a draft order is carried out as it stands."""
    order = t.orders.get(number, Resource.ORDER)
    if order["status"] != "Draft":
        raise rule(
            Resource.ORDER,
            f"Only draft orders can be activated. The order {order['orderNumber']} is {order['status']}.",
        )
    answer = _carry_out(t, order, t.draft_bodies[order["id"]])
    del t.draft_bodies[order["id"]]
    return answer


def cancel(t: Tenant, number: str, body: Record) -> Record:
    """PUT /v1/orders/{number}/cancel: only before the order is completed."""
    order = t.orders.get(number, Resource.ORDER)
    if order["status"] not in ("Draft", "Scheduled"):
        raise rule(Resource.ORDER, f"The order {order['orderNumber']} is {order['status']} and cannot be cancelled.")
    order["status"], order["cancelReason"] = "Cancelled", body.get("cancelReason")
    t.draft_bodies.pop(order["id"], None)
    t.touch(t.orders, order)
    account = t.accounts.rows[order["accountId"]]
    return {
        "success": True,
        "orderNumber": order["orderNumber"],
        "accountNumber": account["accountNumber"],
        "status": "Cancelled",
        "cancelReason": order["cancelReason"],
    }


def update_trigger_dates(t: Tenant, number: str, body: Record) -> Record:
    """PUT /v1/orders/{number}/triggerDates: what a pending subscription waits for."""
    order = t.orders.get(number, Resource.ORDER)
    for entry in body.get("subscriptions") or []:
        subscription = t.subscriptions.get(entry.get("subscriptionNumber"), Resource.ORDER)
        given = [x for action in entry.get("orderActions") or [] for x in action.get("triggerDates") or []]
        actions.supply_dates(t, subscription, given)
    waiting = [s for s in _subscriptions_of(t, order) if s["status"] not in ("Active", "Cancelled", "Expired")]
    order["status"] = "Pending" if waiting else "Completed"
    t.touch(t.orders, order)
    return _answer(t, order, _subscriptions_of(t, order))


def delete(t: Tenant, number: str) -> Record:
    order = t.orders.get(number, Resource.ORDER)
    if order["status"] not in ("Draft", "Cancelled"):
        raise rule(Resource.ORDER, "Only draft or cancelled orders can be deleted.")
    t.orders.remove(order)
    t.draft_bodies.pop(order["id"], None)
    return {"success": True}


def view(t: Tenant, order: Record) -> Record:
    """The order as `/v1` shows it: what was asked, with what became of it."""
    account = t.accounts.rows[order["accountId"]]
    body = t.order_bodies[order["id"]]
    return {
        "orderNumber": order["orderNumber"],
        "orderDate": order["orderDate"],
        "existingAccountNumber": account["accountNumber"],
        "status": order["status"],
        "category": order["category"],
        "description": order["description"],
        "currency": account["currency"],
        "createdBy": order["createdById"],
        "createdDate": v1_stamp(order["createdDate"]),
        "updatedBy": order["updatedById"],
        "updatedDate": v1_stamp(order["updatedDate"]),
        "orderLineItems": [],
        "customFields": custom_fields(order),
        "subscriptions": body["subscriptions"],
    }


def by_subscription(t: Tenant, key: str) -> list[Record]:
    subscription = t.subscriptions.get(key)
    return [t.orders.rows[i] for i in subscription["orderIds"]]


def _check(t: Tenant, body: Record) -> None:
    if not body.get("orderDate"):
        raise missing(Resource.ORDER, "orderDate")
    _date(body, "orderDate")
    if body.get("status") not in (None, "Draft", "Completed"):
        raise one_of(Resource.ORDER, "status", ("Draft", "Completed"))
    number = body.get("orderNumber")
    if number and t.orders.find(number):
        raise rule(Resource.ORDER, f"The order number {number} already exists.")
    if number and len(number) > 100:
        raise invalid(Resource.ORDER, "'orderNumber' should be 100 characters or less")
    if body.get("orderLineItems"):
        raise rule(Resource.ORDER, "Order Line Items is not enabled for this tenant.")
    if not body.get("subscriptions"):
        raise missing(Resource.ORDER, "subscriptions")
    if len(body["subscriptions"]) > _ORDER_LIMIT_SUBSCRIPTIONS:
        raise rule(
            Resource.ORDER, f"The number of subscriptions in an order exceeds the limit {_ORDER_LIMIT_SUBSCRIPTIONS}."
        )
    if not body.get("existingAccountNumber") and not body.get("newAccount"):
        raise missing(Resource.ORDER, "existingAccountNumber")
    if body.get("existingAccountNumber"):
        _account(t, body)


def _account(t: Tenant, body: Record) -> Record:
    if not body.get("existingAccountNumber"):
        created = accounts.create(t, body["newAccount"])
        body["existingAccountNumber"] = created["accountNumber"]
    account = t.accounts.find(body["existingAccountNumber"])
    if account is None:
        raise not_found(body["existingAccountNumber"], Resource.ORDER)
    if account["status"] != "Active":
        raise rule(Resource.ORDER, f"The account {account['accountNumber']} is not active.")
    return account


def _store(t: Tenant, body: Record, account: Record, status: str) -> Record:
    number = body.get("orderNumber")
    while number is None or (body.get("orderNumber") is None and t.orders.find(number)):
        number = t.number("O-")
    order = t.orders.add(
        t.stamped(
            {
                "orderNumber": number,
                "orderDate": body["orderDate"],
                "accountId": account["id"],
                "status": status,
                "category": body.get("category") or "NewSales",
                "description": body.get("description"),
                "cancelReason": None,
                **custom_fields(body.get("customFields") or {}),
            }
        )
    )
    t.order_bodies[order["id"]] = {"subscriptions": _numbered(t, body["subscriptions"])}
    return order


def _numbered(t: Tenant, entries: list[Record]) -> list[Record]:
    """What was asked, with sequence numbers, and with ids where the catalogue was named by number."""
    return [
        {
            **entry,
            "sequence": n,
            "orderActions": [{**_with_ids(t, a), "sequence": m} for m, a in enumerate(entry.get("orderActions") or [])],
        }
        for n, entry in enumerate(entries)
    ]


def _with_ids(t: Tenant, action: Record) -> Record:
    made = action.get("createSubscription")
    if not made or not made.get("subscribeToRatePlans"):
        return action
    plans = [_plan_with_ids(t, plan) for plan in made["subscribeToRatePlans"]]
    return {**action, "createSubscription": {**made, "subscribeToRatePlans": plans}}


def _plan_with_ids(t: Tenant, plan: Record) -> Record:
    found = t.rate_plans_catalog.find(plan.get("productRatePlanId") or plan.get("productRatePlanNumber"))
    overrides = []
    for override in plan.get("chargeOverrides") or []:
        charge = t.charges_catalog.find(
            override.get("productRatePlanChargeId") or override.get("productRatePlanChargeNumber")
        )
        # The vendor reads `productRatePlanChargeId` and answers `productRateplanChargeId`.
        ids = dict.fromkeys(("productRatePlanChargeId", "productRateplanChargeId"), charge["id"] if charge else None)
        overrides.append({**override, **ids})
    return {**plan, "productRatePlanId": found["id"] if found else None, "chargeOverrides": overrides}


def _carry_out(t: Tenant, order: Record, body: Record) -> Record:
    """Every action in turn, each on what the ones before it made; a refusal undoes them all."""
    touched: dict[str, Record] = {}
    ramps_made: list[Record] = []
    with Savepoint(t) as savepoint:
        tokens: creation.Tokens = {}
        for entry, kept in zip(body["subscriptions"], t.order_bodies[order["id"]]["subscriptions"], strict=True):
            subscription = _act(t, savepoint, order, body, entry, tokens)
            touched[subscription["id"]] = subscription
            kept["subscriptionNumber"] = subscription["name"]
            if entry.get("ramp") and (ramp := ramps.define(t, subscription, entry["ramp"], tokens)):
                ramps_made.append(ramp)
    order["status"] = "Completed" if all(s["status"] not in _WAITING for s in touched.values()) else "Pending"
    t.touch(t.orders, order)
    answer = _answer(t, order, list(touched.values()))
    if ramps_made:
        answer["ramps"] = [
            {"rampNumber": r["number"], "subscriptionNumber": r["subscriptionNumber"]} for r in ramps_made
        ]
    options = body.get("processingOptions") or {}
    if options.get("runBilling"):
        answer |= _run_billing(t, list(touched.values()), options)
    return answer


def _act(
    t: Tenant, savepoint: Savepoint, order: Record, body: Record, entry: Record, tokens: creation.Tokens
) -> Record:
    """The actions of one subscription. Raises Refusal."""
    account = t.accounts.rows[order["accountId"]]
    if not entry.get("orderActions"):
        raise missing(Resource.ORDER, "orderActions")
    savepoint.keep(entry.get("subscriptionNumber"))
    subscription: Record = {}
    for action in entry["orderActions"]:
        named = {**entry, "subscriptionNumber": subscription["name"]} if subscription else entry
        subscription = actions.prepare(t, account, body, named, action, tokens)(order)
        savepoint.made(subscription["name"])
    return subscription


def _forget(t: Tenant, order: Record) -> None:
    t.orders.remove(order)
    del t.order_bodies[order["id"]]


_WAITING = ("Draft", "Pending Activation", "Pending Acceptance")


def _run_billing(t: Tenant, subscriptions: list[Record], options: Record) -> Record:
    target = (options.get("billingOptions") or {}).get("targetDate")
    until = day(target) if target else t.today()
    documents = billing.bill_subscriptions(t, subscriptions, until, t.today())
    answer: dict[str, Any] = {
        "invoiceIds": [d["id"] for d in documents if "invoiceNumber" in d],
        "invoiceNumbers": [d["invoiceNumber"] for d in documents if "invoiceNumber" in d],
        "creditMemoIds": [d["id"] for d in documents if "memoNumber" in d],
        "creditMemoNumbers": [d["memoNumber"] for d in documents if "memoNumber" in d],
    }
    return {k: v for k, v in answer.items() if v}


def _answer(t: Tenant, order: Record, subscriptions: list[Record]) -> Record:
    account = t.accounts.rows[order["accountId"]]
    return {
        "success": True,
        "orderId": order["id"],
        "orderNumber": order["orderNumber"],
        "accountId": account["id"],
        "accountNumber": account["accountNumber"],
        "status": order["status"],
        "subscriptionIds": [s["id"] for s in subscriptions],
        "subscriptionNumbers": [s["name"] for s in subscriptions],
        "subscriptions": [
            {
                "subscriptionId": s["id"],
                "subscriptionNumber": s["name"],
                "status": s["status"],
                "subscriptionOwnerId": account["id"],
                "subscriptionOwnerNumber": account["accountNumber"],
            }
            for s in subscriptions
        ],
        "orderLineItems": [],
    }


def _subscriptions_of(t: Tenant, order: Record) -> list[Record]:
    numbers = [e.get("subscriptionNumber") for e in t.order_bodies[order["id"]]["subscriptions"]]
    return [s for n in numbers if (s := t.subscriptions.find(n))]


def _date(body: Record, field: str) -> date:
    try:
        return day(body[field])
    except ValueError as error:
        raise invalid(Resource.ORDER, f"'{field}' should be a date in the format yyyy-MM-dd") from error
