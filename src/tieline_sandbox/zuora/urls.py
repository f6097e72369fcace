"""Which path is answered by which handler, and in which style of failure."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from tieline_sandbox.kernel.faults import Faults
from tieline_sandbox.zuora import bulk, settling
from tieline_sandbox.zuora import handlers as h
from tieline_sandbox.zuora import lookups as look
from tieline_sandbox.zuora.access import Door, Handler
from tieline_sandbox.zuora.callouts import Callouts

Entry = tuple[str, str, Handler]


def routes(door: Door, faults: Faults, callouts: Callouts) -> list[BaseRoute]:
    """All paths, the busiest first: Starlette tries them in order."""
    v1: list[Entry] = [
        *_BUSY,
        ("POST", "/v1/async/orders", h.create_order_async(faults)),
        ("GET", "/v1/async-jobs/{key}", h.get_job),
        *_ACCOUNTS_AND_ORDERS,
        *_DOCUMENTS,
        *settling.PATHS,
        *_CATALOGUE,
        ("GET", "/v1/files/{key}", bulk.get_file),
        ("GET", "/v1/notification-history/callout", look.callout_history),
    ]
    found: list[BaseRoute] = [Route("/oauth/token", door.token, methods=["POST"])]
    found += _guarded(door, v1, "v1")
    queries: list[Entry] = [
        ("GET", "/object-query/{kind}", look.object_query(faults, single=False)),
        ("GET", "/object-query/{kind}/{key}", look.object_query(faults, single=True)),
    ]
    found += _guarded(door, queries, "query")
    zoql: list[Entry] = [
        ("POST", "/v1/action/query", look.query_zoql(faults)),
        ("POST", "/v1/action/queryMore", look.query_more),
    ]
    found += _guarded(
        door,
        zoql,
        "action",
    )
    found += _guarded(door, bulk.ACTIONS, "action")
    found += _guarded(door, [*bulk.FILES, *_OBJECTS], "crud")
    found += _guarded(door, bulk.QUERIES, "query")
    resend: Entry = ("POST", "/notifications/callout-histories/resend", look.resend_callouts(callouts))
    found += _guarded(door, [*_NOTIFICATIONS, resend], "notifications")
    return found


def _guarded(door: Door, entries: list[Entry], style: str) -> list[BaseRoute]:
    return [
        Route(path, door.guard(handler, style, high_volume=(method, path) in _HIGH_VOLUME), methods=[method])
        for method, path, handler in entries
    ]


# These have a concurrency limit of their own, of 200.
_HIGH_VOLUME = {
    ("POST", "/v1/accounts"),
    ("POST", "/v1/orders"),
    ("PUT", "/v1/subscriptions/{key}/cancel"),
    ("PUT", "/v1/subscriptions/{key}/renew"),
}

_BUSY: list[Entry] = [
    ("POST", "/v1/orders", h.create_order),
    ("POST", "/v1/accounts", h.create_account),
    ("GET", "/v1/invoices/{key}", h.get_invoice),
    ("GET", "/v1/invoices/{key}/items", h.invoice_items),
    ("GET", "/v1/accounts/{key}", h.get_account),
    ("GET", "/v1/subscriptions/{key}", h.get_subscription),
    ("GET", "/v1/payments/{key}", h.get_payment),
    ("GET", "/v1/payments/{key}/parts", h.payment_parts),
    ("GET", "/v1/orders/{key}", h.get_order),
]

_ACCOUNTS_AND_ORDERS: list[Entry] = [
    ("PUT", "/v1/accounts/{key}", h.update_account),
    ("DELETE", "/v1/accounts/{key}", h.delete_account),
    ("GET", "/v1/accounts/{key}/summary", h.account_summary),
    ("GET", "/v1/orders", h.list_orders),
    ("DELETE", "/v1/orders/{key}", h.delete_order),
    ("PUT", "/v1/orders/{key}/activate", h.activate_order),
    ("PUT", "/v1/orders/{key}/cancel", h.cancel_order),
    ("PUT", "/v1/orders/{key}/triggerDates", h.trigger_dates),
    ("GET", "/v1/orders/subscription/{key}", h.orders_of_subscription),
    ("GET", "/v1/subscriptions/accounts/{key}", h.subscriptions_of_account),
    ("PUT", "/v1/subscriptions/{key}/cancel", h.cancel_subscription),
    ("PUT", "/v1/subscriptions/{key}/renew", h.renew_subscription),
    ("GET", "/v1/subscriptions/{key}/ramps", h.ramps_of_subscription),
    ("GET", "/v1/ramps/{key}", h.get_ramp),
]

_DOCUMENTS: list[Entry] = [
    ("POST", "/v1/bill-runs", h.create_bill_run),
    ("GET", "/v1/bill-runs/{key}", h.get_bill_run),
    ("PUT", "/v1/bill-runs/{key}/post", h.post_bill_run),
    ("GET", "/v1/invoices/{key}/application-parts", h.invoice_parts),
    ("POST", "/v1/credit-memos/invoice/{key}", h.credit_memo_from_invoice),
    ("GET", "/v1/credit-memos", h.list_credit_memos),
    ("GET", "/v1/credit-memos/{key}", h.get_credit_memo),
    ("GET", "/v1/credit-memos/{key}/items", h.credit_memo_items),
    ("GET", "/v1/credit-memos/{key}/parts", h.credit_memo_parts),
    ("PUT", "/v1/credit-memos/{key}/post", h.post_credit_memo),
    ("PUT", "/v1/credit-memos/{key}/cancel", h.cancel_credit_memo),
    ("PUT", "/v1/credit-memos/{key}/apply", h.apply_credit_memo),
    ("PUT", "/v1/credit-memos/{key}/unapply", h.unapply_credit_memo),
    ("POST", "/v1/payments", h.create_payment),
    ("GET", "/v1/payments", h.list_payments),
    ("PUT", "/v1/payments/{key}/apply", h.apply_payment),
    ("PUT", "/v1/payments/{key}/unapply", h.unapply_payment),
    ("PUT", "/v1/payments/{key}/cancel", h.cancel_payment),
    ("POST", "/v1/usage", look.upload_usage),
    ("GET", "/v1/usage/{key}/status", look.usage_import),
    ("GET", "/v1/usage/accounts/{key}", look.usage_of_account),
]

_CATALOGUE: list[Entry] = [
    ("GET", "/v1/catalog/products", look.list_products),
    ("GET", "/v1/catalog/product/{key}", look.get_product),
    ("GET", "/v1/rateplan/{key}/productRatePlan", look.rate_plans_of_product),
    ("GET", "/v1/product-rate-plans/external-id/{key}", look.rate_plans_by_external_id),
    ("GET", "/v1/product-rate-plans/{key}", look.get_rate_plan),
]

_OBJECTS: list[Entry] = [
    ("POST", "/v1/object/{kind}", look.create_object),
    ("GET", "/v1/object/{kind}/{key}", look.get_object),
    ("PUT", "/v1/object/{kind}/{key}", look.update_object),
    ("DELETE", "/v1/object/{kind}/{key}", look.delete_object),
]

_NOTIFICATIONS: list[Entry] = [
    ("POST", "/notifications/notification-definitions", look.create_definition),
    ("GET", "/notifications/notification-definitions", look.list_definitions),
    ("GET", "/notifications/notification-definitions/{key}", look.get_definition),
    ("PUT", "/notifications/notification-definitions/{key}", look.update_definition),
    ("DELETE", "/notifications/notification-definitions/{key}", look.delete_definition),
]
