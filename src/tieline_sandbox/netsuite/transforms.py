"""What a transform proposes: an invoice or a fulfillment from an order, a credit memo or a payment from an invoice,
an application from a deposit.

The body of the request overrides what is proposed. Source: REST API browser 2026.1, `!transform`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tieline_sandbox.netsuite.errors import no_such_type, unreadable, user_error
from tieline_sandbox.netsuite.orders import left_to_bill, left_to_fulfill
from tieline_sandbox.netsuite.store import Entry, Record

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

TRANSFORMS = {
    "salesOrder": ("invoice", "itemFulfillment"),
    "invoice": ("creditMemo", "customerPayment"),
    "customerDeposit": ("depositApplication",),
}
_CARRIED = [
    "entity",
    "subsidiary",
    "currency",
    "terms",
    "memo",
    "otherRefNum",
    "class",
    "department",
    "location",
    "exchangeRate",
]
_LINE_CARRIED = ["item", "description", "rate", "taxCode", "class", "department", "location"]


def propose(account: Account, source: Entry, target: str, body: Any) -> Record:
    """The body of the document to create. Raises NetSuiteError when nothing is left to bill, credit or pay."""
    if target not in TRANSFORMS.get(source.kind, ()):
        raise no_such_type(f"{source.kind}/!transform/{target}")
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise unreadable("Invalid content in the request body. A JSON object is expected.")
    proposed = {name: source.doc[name] for name in _CARRIED if name in source.doc}
    proposed |= {name: value for name, value in source.doc.items() if name.startswith("custbody")}
    if target == "customerPayment":
        return _payment(source, proposed, body)
    if target == "depositApplication":
        return {"deposit": {"id": source.id}} | body
    lines = _LINES[target](account, source)
    given = body.get("item")
    proposed["item"] = {
        "items": _chosen(lines, given["items"]) if isinstance(given, dict) and "items" in given else lines
    }
    if not proposed["item"]["items"]:
        raise user_error("You must enter at least one line item for this transaction.")
    if target == "creditMemo":
        proposed["apply"] = {"items": [{"doc": {"id": source.id}, "apply": True}]}
    return proposed | {name: value for name, value in body.items() if name != "item"}


def _payment(source: Entry, proposed: Record, body: Record) -> Record:
    remaining = source.doc["amountRemaining"]
    if not remaining:
        raise user_error("The invoice has already been paid in full.")
    amount = body.get("payment", remaining)
    payment = {name: proposed[name] for name in ("subsidiary", "currency")} | {
        "customer": proposed["entity"],
        "payment": amount,
        "apply": {"items": [{"doc": {"id": source.id}, "apply": True, "amount": min(amount, remaining)}]},
    }
    return payment | body


def _open_lines(account: Account, order: Entry) -> list[Record]:
    return [
        _copied(line)
        | {"orderLine": line["line"], "amount": left}
        | {"quantity": line["quantity"] if left == line["amount"] else Decimal(1)}
        for line, left in left_to_bill(account, order)
    ]


def _copied_lines(_: Account, invoice: Entry) -> list[Record]:
    return [
        _copied(line) | {"amount": line["amount"], "quantity": line["quantity"]}
        for line in invoice.doc["item"]["items"]
    ]


def _copied(line: Record) -> Record:
    kept = {name: line[name] for name in _LINE_CARRIED if name in line}
    return kept | {name: value for name, value in line.items() if name.startswith("custcol")}


def _chosen(lines: list[Record], given: list[Record]) -> list[Record]:
    """Only the lines the body names by `orderLine`, with what it changes; an amount above what is open is refused."""
    by_line = {line.get("orderLine"): line for line in lines}
    chosen = []
    for line in given:
        offered = by_line.get(line.get("orderLine"))
        if offered is None:
            raise user_error("The line you are trying to bill does not exist or has nothing left to bill.")
        if "amount" in offered and line.get("amount", 0) > offered["amount"]:
            raise user_error(f"The amount of the line can not exceed what is left to bill ({offered['amount']}).")
        chosen.append(offered | line)
    return chosen


_LINES = {"invoice": _open_lines, "itemFulfillment": left_to_fulfill, "creditMemo": _copied_lines}
