"""What money is applied to: invoices and debit memos, named by id or by number in the body of a request."""

from __future__ import annotations

from decimal import Decimal

from tieline_sandbox.zuora import accounts
from tieline_sandbox.zuora.dates import decimal
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, rule
from tieline_sandbox.zuora.model import Tenant

ZERO = Decimal("0.00")
Step = tuple[Record, Decimal]


def amount_of(body: Record, resource: Resource, field: str = "amount") -> Decimal:
    """A positive amount. Raises Refusal."""
    if body.get(field) is None:
        raise missing(resource, field)
    try:
        amount = decimal(body[field])
    except ValueError as error:
        raise invalid(resource, f"'{field}' should be a number") from error
    if amount <= 0:
        raise invalid(resource, f"'{field}' should be greater than 0")
    return amount


def named(t: Tenant, body: Record, resource: Resource) -> list[Step]:
    """The `invoices` and `debitMemos` of a request with their amounts. Raises Refusal."""
    asked = [("invoice", entry) for entry in body.get("invoices") or []]
    asked += [("debitMemo", entry) for entry in body.get("debitMemos") or []]
    return [(_found(t, entry, name, resource), amount_of(entry, resource)) for name, entry in asked]


def _found(t: Tenant, entry: Record, name: str, resource: Resource) -> Record:
    key = entry.get(f"{name}Id") or entry.get(f"{name}Number")
    found = (t.invoices if name == "invoice" else t.debit_memos).find(key)
    if found is None:
        raise not_found(key, resource)
    return found


def check(account: Record, steps: list[Step], available: Decimal, resource: Resource, what: str) -> None:
    """Every target is the account's, posted and open far enough, and all of them together fit. Raises Refusal."""
    left: dict[str, Decimal] = {target["id"]: target["balance"] for target, _ in steps}
    for target, amount in steps:
        title = title_of(target)
        if target["accountId"] != account["id"]:
            raise rule(resource, f"The {title} does not belong to the account {account['accountNumber']}.")
        if target["status"] != "Posted":
            raise rule(resource, f"The {title} is not posted.")
        left[target["id"]] -= amount
        if left[target["id"]] < 0:
            raise rule(resource, f"The amount to apply exceeds the balance of the {title}.")
    if sum((a for _, a in steps), ZERO) > available:
        raise rule(resource, f"The amount to apply exceeds the unapplied amount of the {what}.")


def is_invoice(target: Record) -> bool:
    return "invoiceNumber" in target


def link_of(target: Record) -> str:
    """The field of an application that names this target."""
    return "invoiceId" if is_invoice(target) else "debitMemoId"


def title_of(target: Record) -> str:
    return f"invoice {target['invoiceNumber']}" if is_invoice(target) else f"debit memo {target['memoNumber']}"


def part_of(parts: list[Record], target: Record) -> Record | None:
    """The one of a document's applications that goes to this target."""
    return next((p for p in parts if p[link_of(target)] == target["id"]), None)


def part_links(target: Record) -> Record:
    return {"invoiceId": None, "debitMemoId": None, link_of(target): target["id"]}


def settle(t: Tenant, target: Record, amount: Decimal, by: str) -> None:
    """Pay off (or, when negative, re-open) part of a target; `by` is the total that grows. Never below zero."""
    target["balance"] -= amount
    target[by] += amount
    left = amount
    whole = "chargeAmount" if is_invoice(target) else "amount"
    table = t.invoice_items if is_invoice(target) else t.debit_memo_items
    for item in table.where(link_of(target), target["id"]):
        # Oldest line first, as the vendor's default application does.
        step = min(left, item["balance"]) if amount > 0 else max(left, item["balance"] - item[whole])
        item["balance"] -= step
        left -= step
    t.touch(t.invoices if is_invoice(target) else t.debit_memos, target)
    accounts.move_balance(t, target["accountId"], invoices=-amount)
