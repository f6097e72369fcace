"""How far a sales order has come: what of it is fulfilled, what is billed, and what that makes of its status.

A line of goods is billed as far as it has left the house; a line of services when the order stands.
Source: Oracle help "Sales Order Statuses"; REST API browser 2026.1, `!transform`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import user_error
from tieline_sandbox.netsuite.field_sets import ITEM_KINDS, SHIPPED_KINDS
from tieline_sandbox.netsuite.store import Entry, Record, Store
from tieline_sandbox.netsuite.transactions import NO_LINES, ORDER_STATUSES, post, settle_parties, unit_of
from tieline_sandbox.netsuite.values import target_kind

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

ZERO = Decimal(0)


def prepare_fulfillment(account: Account, draft: Draft) -> None:
    """Goods of an order that leave the house. It is made from its order, never from nothing."""
    new = draft.new
    source = new.get("createdFrom")
    if not source:
        raise user_error("An item fulfillment is made from its order: transform the sales order.")
    settle_parties(account, draft, "entity")
    post(account, draft)
    order = account.store.kinds["salesOrder"][source["id"]]
    ordered = {line["line"]: line["quantity"] for line in order.doc["item"]["items"]}
    before = fulfilled(account, order, besides=draft.id)
    lines = [line for line in draft.lines("item") if line.get("quantity")]
    if not lines:
        raise user_error(NO_LINES)
    for line in lines:
        number = line.get("orderLine", 0)
        left = ordered.get(number, ZERO) - before.get(number, ZERO)
        if not 0 < line["quantity"] <= left:
            raise user_error(f"The quantity to fulfill can not exceed what is left of the order's line ({left}).")
    new["item"] = {"items": lines}
    new.setdefault("shipStatus", {"id": "C", "refName": "Shipped"})
    new["status"] = {"id": new["shipStatus"]["refName"], "refName": new["shipStatus"]["refName"]}


def left_to_fulfill(account: Account, order: Entry) -> list[Record]:
    done = fulfilled(account, order)
    return [
        {"item": line["item"], "orderLine": line["line"], "quantity": left}
        for line in order.doc["item"]["items"]
        if ships(account.store, line) and (left := line["quantity"] - done.get(line["line"], ZERO)) > 0
    ]


def left_to_bill(account: Account, order: Entry) -> list[tuple[Record, Decimal]]:
    """The lines of the order of which something may be billed now, and the amount."""
    done, gone = billed(account, order), fulfilled(account, order)
    unit = unit_of(account, order.doc)
    open_lines = []
    for line in order.doc["item"]["items"]:
        due = line["amount"]
        if ships(account.store, line) and gone.get(line["line"], ZERO) != line["quantity"]:
            due = (due * gone.get(line["line"], ZERO) / line["quantity"]).quantize(unit, ROUND_HALF_UP)
        left = due - done.get(line["line"], ZERO)
        if left > 0:
            open_lines.append((line, left))
    return open_lines


def restate(account: Account, order_id: str) -> None:
    """Say again how much of an order is fulfilled and billed, after something was made from it or deleted."""
    entry = account.store.find("salesOrder", order_id)
    if entry is None:
        return
    done, gone = billed(account, entry), fulfilled(account, entry)
    lines = [
        line
        | {"quantityBilled": done.get(line["line"], ZERO)}
        | ({"quantityFulfilled": gone.get(line["line"], ZERO)} if ships(account.store, line) else {})
        for line in entry.doc["item"]["items"]
    ]
    code = _status(account, entry, done, gone)
    status = {"id": code, "refName": ORDER_STATUSES[code]}
    shown = {"id": status["refName"], "refName": status["refName"]}
    entry.doc = entry.doc | {"item": {"items": lines}, "orderStatus": status, "status": shown}
    account.store.touch(entry, account.now())


def first_status(store: Store, lines: list[Record]) -> str:
    """Of an order for which no status was given."""
    return "B" if any(ships(store, line) for line in lines) else "F"


def ships(store: Store, line: Record) -> bool:
    kind = target_kind(store, ITEM_KINDS, line["item"]["id"])
    return kind is not None and bool(store.get(kind, line["item"]["id"]).get("isFulfillable", kind in SHIPPED_KINDS))


def billed(account: Account, order: Entry) -> dict[int, Decimal]:
    """Amount billed so far, by line of the order."""
    return _sums(_made(account, order, "invoice"), lambda line: line["amount"])


def fulfilled(account: Account, order: Entry, *, besides: str | None = None) -> dict[int, Decimal]:
    """Quantity fulfilled so far, by line of the order."""
    made = (entry for entry in _made(account, order, "itemFulfillment") if entry.id != besides)
    return _sums(made, lambda line: line["quantity"])


def _made(account: Account, order: Entry, kind: str) -> Iterator[Entry]:
    for entry in account.store.by_customer.get(order.doc["entity"]["id"], {}).values():
        if entry.kind == kind and entry.doc.get("createdFrom", {}).get("id") == order.id:
            yield entry


def _sums(entries: Iterator[Entry], amount: Callable[[Record], Decimal]) -> dict[int, Decimal]:
    sums: dict[int, Decimal] = {}
    for entry in entries:
        for line in entry.doc["item"]["items"]:
            if (number := line.get("orderLine")) is not None:
                sums[number] = sums.get(number, ZERO) + amount(line)
    return sums


def _status(account: Account, order: Entry, done: dict[int, Decimal], gone: dict[int, Decimal]) -> str:
    lines = order.doc["item"]["items"]
    if all(done.get(line["line"], ZERO) >= line["amount"] for line in lines):
        return "G"
    goods = [line for line in lines if ships(account.store, line)]
    if all(gone.get(line["line"], ZERO) >= line["quantity"] for line in goods):
        return "F"
    if not gone:
        return "B"
    return "E" if left_to_bill(account, order) else "D"
