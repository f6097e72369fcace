"""Rules of sales orders, invoices, credit memos, payments and journal entries, and what all transactions share.

Amounts are Decimals in major units of the document's currency, rounded half up to its precision. The `amount` of a line
is the truth; quantity times rate only fills it in.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from tieline_sandbox.netsuite.applications import ZERO, invoice_standing
from tieline_sandbox.netsuite.drafts import Draft
from tieline_sandbox.netsuite.errors import invalid_key, invalid_value, missing, user_error
from tieline_sandbox.netsuite.field_sets import ITEM_KINDS, ITEM_TYPES
from tieline_sandbox.netsuite.periods import settle_period
from tieline_sandbox.netsuite.store import Record
from tieline_sandbox.netsuite.taxes import settle_tax
from tieline_sandbox.netsuite.values import reference_to, target_kind

if TYPE_CHECKING:
    from tieline_sandbox.netsuite.model import Account

NO_LINES = "You must enter at least one line item for this transaction."
NOT_DEPOSITED = "Not Deposited"
ORDER_STATUSES = {
    "A": "Pending Approval",
    "B": "Pending Fulfillment",
    "C": "Cancelled",
    "D": "Partially Fulfilled",
    "E": "Pending Billing/Partially Fulfilled",
    "F": "Pending Billing",
    "G": "Billed",
    "H": "Closed",
}


def prepare_sales_order(account: Account, draft: Draft) -> None:
    _settle_sale(account, draft)
    new = draft.new
    status = (new.get("orderStatus") or {}).get("id") or account.first_status(new["item"]["items"])
    if status not in ORDER_STATUSES:
        raise invalid_value(status, "orderstatus", "orderStatus")
    new["orderStatus"] = {"id": status, "refName": ORDER_STATUSES[status]}
    new["status"] = {"id": ORDER_STATUSES[status], "refName": ORDER_STATUSES[status]}


def prepare_invoice(account: Account, draft: Draft) -> None:
    new = draft.new
    _settle_sale(account, draft)
    _settle_due_date(account, draft)
    post(account, draft)
    new.update(invoice_standing(new["total"], account.applications.paid(draft.id)))


def prepare_credit_memo(account: Account, draft: Draft) -> None:
    new = draft.new
    _settle_sale(account, draft)
    post(account, draft)
    if new.get("autoApply") and "apply" not in draft.changed:
        account.applications.propose(draft, new["total"])
    refunded = account.refunded(draft)
    settled = account.applications.settle(draft, new["total"] - refunded, unit_of(account, new))
    applied, left = settled + refunded, new["total"] - settled - refunded
    status = "Open" if left else "Fully Applied"
    new |= {"applied": applied, "unapplied": left, "amountPaid": applied, "amountRemaining": left}
    new["status"] = {"id": status, "refName": status}


def prepare_payment(account: Account, draft: Draft) -> None:
    new = draft.new
    settle_parties(account, draft, "customer")
    unit = unit_of(account, new)
    post(account, draft)
    payment = new.get("payment")
    if payment is not None:
        new["payment"] = payment = payment.quantize(unit, ROUND_HALF_UP)
        if payment < 0:
            raise invalid_value(payment, "payment", "payment")
    if new.get("autoApply") and payment and "apply" not in draft.changed:
        account.applications.propose(draft, payment)
    refunded = account.refunded(draft)
    available = None if payment is None else payment - refunded
    applied = account.applications.settle(draft, available, unit) + refunded
    new["payment"] = payment = applied if payment is None else payment
    if not payment:
        raise missing("Payment Amount")
    new |= {"total": payment, "applied": applied, "unapplied": payment - applied}
    new["status"] = {"id": NOT_DEPOSITED, "refName": NOT_DEPOSITED}


def prepare_journal(account: Account, draft: Draft) -> None:
    """Every line has an account and either a debit or a credit; the two sides are equal."""
    new = draft.new
    if not new.get("subsidiary"):
        raise missing("Subsidiary")
    subsidiary = account.store.get("subsidiary", new["subsidiary"]["id"])
    new.setdefault("currency", subsidiary["currency"])
    _settle_currency_names(account, new)
    _settle_dates(account, draft)
    unit = unit_of(account, new)
    lines, sums = draft.lines("line"), {"debit": ZERO, "credit": ZERO}
    for line in lines:
        if not line.get("account"):
            raise missing("Account")
        for side in sums:
            if line.get(side):
                line[side] = line[side].quantize(unit, ROUND_HALF_UP)
                sums[side] += line[side]
        if bool(line.get("debit")) == bool(line.get("credit")):
            raise user_error("A journal line must have either a debit or a credit amount.")
    if len(lines) < 2:
        raise user_error(NO_LINES)
    if sums["debit"] != sums["credit"]:
        raise user_error("The amounts in a journal entry must balance.")
    post(account, draft)
    new |= {"line": {"items": lines}, "debitTotal": sums["debit"], "creditTotal": sums["credit"]}
    new.setdefault("approved", True)


def precision_of(currency: Record) -> Decimal:
    """The smallest amount of a currency: 0.01 for USD, 1 for JPY."""
    digits = (currency.get("currencyPrecision") or {}).get("id", "2")
    return Decimal(1).scaleb(-int(digits))


def unit_of(account: Account, new: Record) -> Decimal:
    return precision_of(account.store.get("currency", new["currency"]["id"]))


def _settle_sale(account: Account, draft: Draft) -> None:
    new = draft.new
    settle_parties(account, draft, "entity")
    if "terms" not in new:
        customer = _customer(account, new["entity"]["id"])
        if customer.get("terms"):
            new["terms"] = customer["terms"]
    lines = draft.lines("item")
    if not lines:
        raise user_error(NO_LINES)
    unit = unit_of(account, new)
    for index, line in enumerate(lines):
        _settle_line(account, line, unit, f"item.items[{index}]")
    net = sum((line["amount"] for line in lines), ZERO)
    tax = settle_tax(account.store, draft, lines, unit)
    if net + tax < 0:
        raise user_error("The total can not be negative.")
    new |= {"item": {"items": lines}, "subTotal": net, "taxTotal": tax, "total": net + tax}


def _settle_line(account: Account, line: Record, unit: Decimal, path: str) -> None:
    reference = line.get("item")
    if not reference:
        raise missing("Item")
    kind = target_kind(account.store, ITEM_KINDS, reference["id"])
    item = account.store.get(kind, reference["id"]) if kind else None
    if kind is None or item is None or item.get("isInactive"):
        raise invalid_value(reference["id"], "item", f"{path}.item")
    line["item"] = {"id": item["id"], "refName": item["itemId"]}
    line["itemType"] = ITEM_TYPES[kind]
    line.setdefault("quantity", Decimal(1))
    if "rate" not in line and "amount" not in line and "rate" in item:
        line["rate"] = item["rate"]
    if "amount" not in line:
        if "rate" not in line:
            raise user_error("Please enter a value for amount.")
        line["amount"] = line["quantity"] * line["rate"]
    line["amount"] = line["amount"].quantize(unit, ROUND_HALF_UP)
    if kind == "discountItem":
        line["amount"] = -abs(line["amount"])


def settle_parties(account: Account, draft: Draft, field: str) -> None:
    """Customer, subsidiary and currency of a transaction; the last two default to the customer's."""
    new = draft.new
    if not new.get(field):
        raise missing("Customer")
    customer = _customer(account, new[field]["id"])
    if customer.get("isInactive"):
        raise invalid_value(customer["id"], field, field)
    new.setdefault("subsidiary", customer["subsidiary"])
    if new["subsidiary"]["id"] != customer["subsidiary"]["id"]:
        wrong = new["subsidiary"]["id"]
        raise invalid_key(f"Invalid subsidiary reference key {wrong} for entity {customer['id']}.", "subsidiary")
    new.setdefault("currency", customer["currency"])
    _refuse_foreign_currency(account, customer, new["currency"]["id"])
    _refuse_changes_once_applied(account, draft, field)
    _settle_currency_names(account, new)
    _settle_dates(account, draft)


def _customer(account: Account, entity_id: str) -> Record:
    entry = account.store.find("customer", entity_id) or account.store.kinds["job"][entity_id]
    return entry.doc


def _refuse_foreign_currency(account: Account, customer: Record, currency_id: str) -> None:
    currency = account.store.get("currency", currency_id)
    own = {customer["currency"]["id"]}
    own |= {line["currency"]["id"] for line in (customer.get("currencyList") or {"items": []})["items"]}
    if currency.get("isInactive") or (account.settings.customer_currencies != "any" and currency_id not in own):
        raise invalid_key(f"Invalid currency reference key {currency_id} for entity {customer['id']}.", "currency")


def _refuse_changes_once_applied(account: Account, draft: Draft, field: str) -> None:
    old, new = draft.old, draft.new
    if old is None or not (account.applications.paid(draft.id) or account.refunded(draft)):
        return
    for name in (field, "currency"):
        if old[name]["id"] != new[name]["id"]:
            raise user_error(f"You cannot change the {name} of a transaction that has payments applied to it.")


def _settle_currency_names(account: Account, new: Record) -> None:
    currency = account.store.get("currency", new["currency"]["id"])
    new["currency"] = reference_to(account.store, "currency", currency["id"])
    new["currencyName"], new["currencysymbol"] = currency["name"], currency["symbol"]
    new.setdefault("exchangeRate", currency.get("exchangeRate", Decimal(1)))


def _settle_dates(account: Account, draft: Draft) -> None:
    new = draft.new
    new.setdefault("tranDate", account.today())
    if not new.get("tranId"):
        new["tranId"] = account.number(draft.kind)


def _settle_due_date(account: Account, draft: Draft) -> None:
    new = draft.new
    terms_moved = draft.old is not None and draft.changed & {"terms", "tranDate"} and "dueDate" not in draft.changed
    if new.get("dueDate") and not terms_moved:
        return
    days = 0
    if new.get("terms"):
        days = account.store.get("term", new["terms"]["id"]).get("daysUntilNetDue", 0)
    new["dueDate"] = (date.fromisoformat(new["tranDate"]) + timedelta(days=days)).isoformat()


def post(account: Account, draft: Draft) -> None:
    settle_period(draft, account.store, account.calendar, strict_dates=account.settings.strict_period_dates)
