"""The columns of SuiteQL's tables: how each is read from a stored record.

Column names after NetSuite's Records Catalog. Lines of sales orders and invoices carry negative quantity and amount, as
in NetSuite: a line is a posting, and sales are credits. Times are shown on the company's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tieline_sandbox.netsuite.field_sets import ITEM_TYPES
from tieline_sandbox.netsuite.store import Entry, Record, name_of

TYPES = {
    "salesOrder": "SalesOrd",
    "invoice": "CustInvc",
    "creditMemo": "CustCred",
    "customerPayment": "CustPymt",
    "customerDeposit": "CustDep",
    "depositApplication": "DepAppl",
    "customerRefund": "CustRfnd",
    "itemFulfillment": "ItemShip",
    "journalEntry": "Journal",
}
TYPE_LABELS = {
    "salesOrder": "Sales Order",
    "invoice": "Invoice",
    "creditMemo": "Credit Memo",
    "customerPayment": "Payment",
    "customerDeposit": "Customer Deposit",
    "depositApplication": "Deposit Application",
    "customerRefund": "Customer Refund",
    "itemFulfillment": "Item Fulfillment",
    "journalEntry": "Journal",
}
KIND_OF_TYPE = {value: kind for kind, value in TYPES.items()}
STATUS_CODES = {
    "Open": "A",
    "Paid In Full": "B",
    "Fully Applied": "B",
    "Not Deposited": "B",
    "Pending Approval": "A",
    "Pending Fulfillment": "B",
    "Cancelled": "C",
    "Pending Billing": "F",
    "Billed": "G",
    "Closed": "H",
    "Partially Fulfilled": "D",
    "Pending Billing/Partially Fulfilled": "E",
    "Shipped": "C",
}
_CENT = Decimal("0.01")
_CREDITS = frozenset({"salesOrder", "invoice"})


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` is number, text, date or time. `label` is what BUILTIN.DF shows instead of the stored value."""

    kind: str
    get: Callable[[Any], Any]
    label: Callable[[Any], Any] | None = None


class LineRow:
    """A line of a transaction; `line` is None for the main line, which stands for the document as a whole."""

    __slots__ = ("entry", "line", "number")

    def __init__(self, entry: Entry, line: Record | None, number: int) -> None:
        self.entry, self.line, self.number = entry, line, number


def lines_of(entry: Entry) -> Iterator[LineRow]:
    """The main line (id 0), then the item or journal lines by their number."""
    yield LineRow(entry, None, 0)
    held = entry.doc.get("item") or entry.doc.get("line")
    for number, line in enumerate(held["items"] if held else [], start=1):
        yield LineRow(entry, line, line.get("line", number))


def _text(name: str) -> Column:
    return Column("text", lambda entry: entry.doc.get(name))


def _number(name: str, default: Any = None) -> Column:
    return Column("number", lambda entry: entry.doc.get(name, default))


def _flag(name: str, *, default: bool = False) -> Column:
    return Column("text", lambda entry: "T" if entry.doc.get(name, default) else "F")


def _select(name: str) -> Column:
    def number(entry: Entry) -> int | str | None:
        held = entry.doc.get(name)
        if held is None:
            return None
        return int(held["id"]) if held["id"].isdigit() else str(held["id"])

    return Column("number", number, lambda entry: (entry.doc.get(name) or {}).get("refName"))


def _choice(name: str) -> Column:
    """A select whose value is a code rather than a record."""
    return Column(
        "text",
        lambda entry: (entry.doc.get(name) or {}).get("id"),
        lambda entry: (entry.doc.get(name) or {}).get("refName"),
    )


def _date(name: str) -> Column:
    def get(entry: Entry) -> datetime | None:
        held = entry.doc.get(name)
        return None if held is None else datetime.fromisoformat(held)

    return Column("date", get)


def entry_columns(zone: ZoneInfo) -> dict[str, Column]:
    return {
        "id": Column("number", lambda entry: entry.number),
        "externalid": _text("externalId"),
        "isinactive": _flag("isInactive"),
        "lastmodifieddate": Column("time", lambda entry: local(entry.modified_at, zone)),
        "recordtype": Column("text", lambda entry: entry.kind.lower()),
    }


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The company's wall clock, without a zone: what SuiteQL shows and compares with."""
    return moment.astimezone(zone).replace(tzinfo=None)


def transaction_columns(zone: ZoneInfo) -> dict[str, Column]:
    def party(entry: Entry) -> Record:
        return entry.doc.get("entity") or entry.doc.get("customer") or {}

    def amount(entry: Entry) -> Decimal | None:
        return entry.doc.get("total", entry.doc.get("payment", entry.doc.get("debitTotal")))

    return {
        "tranid": _text("tranId"),
        "type": Column("text", lambda entry: TYPES[entry.kind], lambda entry: TYPE_LABELS[entry.kind]),
        "entity": Column(
            "number",
            lambda entry: int(held["id"]) if (held := party(entry)) else None,
            lambda entry: party(entry).get("refName"),
        ),
        "trandate": _date("tranDate"),
        "duedate": _date("dueDate"),
        "startdate": _date("startDate"),
        "enddate": _date("endDate"),
        "createddate": Column("time", lambda entry: local(entry.created_at, zone)),
        "status": Column(
            "text",
            lambda entry: STATUS_CODES.get((entry.doc.get("status") or {}).get("id", "")),
            lambda entry: (
                f"{TYPE_LABELS[entry.kind]} : {entry.doc['status']['refName']}" if "status" in entry.doc else None
            ),
        ),
        "currency": _select("currency"),
        "exchangerate": _number("exchangeRate"),
        "foreigntotal": Column("number", amount),
        "total": Column("number", lambda entry: _base(entry, amount(entry))),
        "foreignamountpaid": Column("number", lambda entry: entry.doc.get("amountPaid")),
        "foreignamountunpaid": Column("number", lambda entry: entry.doc.get("amountRemaining")),
        "foreignpaymentamountunused": Column("number", lambda entry: entry.doc.get("unapplied")),
        "postingperiod": _select("postingPeriod"),
        "posting": Column("text", lambda entry: "F" if entry.kind == "salesOrder" else "T"),
        "voided": Column("text", lambda _: "F"),
        "memo": _text("memo"),
        "otherrefnum": _text("otherRefNum"),
        "terms": _select("terms"),
        "subsidiary": _select("subsidiary"),
        "createdfrom": _select("createdFrom"),
    }


def _base(entry: Entry, amount: Decimal | None) -> Decimal | None:
    if amount is None:
        return None
    return (amount * Decimal(entry.doc.get("exchangeRate", 1))).quantize(_CENT)


def _line_amount(row: LineRow) -> Decimal | None:
    doc = row.entry.doc
    if row.line is None:
        total: Decimal | None = doc.get("total", doc.get("payment"))
        return total if row.entry.kind in _CREDITS or total is None else -total
    if row.entry.kind == "journalEntry":
        return Decimal(row.line.get("debit", 0)) - Decimal(row.line.get("credit", 0))
    amount: Decimal | None = row.line.get("amount")
    if amount is None:
        return None
    return -amount if row.entry.kind in _CREDITS else amount


def _line_quantity(row: LineRow) -> Decimal | None:
    quantity: Decimal | None = row.line.get("quantity") if row.line else None
    if quantity is None:
        return None
    return -quantity if row.entry.kind in _CREDITS else quantity


def line_columns() -> dict[str, Column]:
    def cell(name: str) -> Callable[[LineRow], Any]:
        return lambda row: row.line.get(name) if row.line else None

    def select(name: str) -> Column:
        def held(row: LineRow) -> Record:
            return (row.line or {}).get(name) or row.entry.doc.get(name) or {}

        return Column(
            "number",
            lambda row: int(found["id"]) if (found := held(row)) else None,
            lambda row: held(row).get("refName"),
        )

    def item(row: LineRow) -> Record:
        return (row.line or {}).get("item") or {}

    return {
        "id": Column("number", lambda row: row.number),
        "uniquekey": Column("number", lambda row: row.entry.number * 1000 + row.number),
        "linesequencenumber": Column("number", lambda row: row.number),
        "transaction": Column("number", lambda row: row.entry.number),
        "mainline": Column("text", lambda row: "T" if row.line is None else "F"),
        "taxline": Column("text", lambda _: "F"),
        "item": Column(
            "number",
            lambda row: int(found["id"]) if (found := item(row)) else None,
            lambda row: item(row).get("refName"),
        ),
        "itemtype": Column("text", cell("itemType")),
        "quantity": Column("number", _line_quantity),
        "rate": Column("number", cell("rate")),
        "foreignamount": Column("number", _line_amount),
        "netamount": Column("number", lambda row: _base(row.entry, _line_amount(row))),
        "memo": Column("text", lambda row: (row.line or row.entry.doc).get("description" if row.line else "memo")),
        "account": select("account"),
        "entity": select("entity"),
        "subsidiary": Column(
            "number",
            lambda row: int(row.entry.doc["subsidiary"]["id"]),
            lambda row: row.entry.doc["subsidiary"]["refName"],
        ),
        "department": select("department"),
        "class": select("class"),
        "location": select("location"),
    }


def link_columns() -> dict[str, Column]:
    return {
        "previousdoc": Column("number", lambda row: int(row[0])),
        "nextdoc": Column("number", lambda row: int(row[1])),
        "linktype": Column("text", lambda _: "Payment"),
        "foreignamount": Column("number", lambda row: row[2]),
    }


def deleted_columns(zone: ZoneInfo) -> dict[str, Column]:
    return {
        "recordid": Column("number", lambda row: row["recordid"]),
        "type": Column("text", lambda row: row["type"].lower()),
        "name": Column("text", lambda row: row["name"]),
        "deleteddate": Column("time", lambda row: local(row["deleteddate"], zone)),
    }


def entity_columns() -> dict[str, Column]:
    return {
        "entityid": _text("entityId"),
        "altname": _text("altName"),
        "entitytitle": _text("entityId"),
        "email": _text("email"),
        "phone": _text("phone"),
        "parent": _select("parent"),
        "type": Column("text", lambda entry: {"customer": "CustJob", "job": "Job"}.get(entry.kind, "Contact")),
    }


def company_columns(zone: ZoneInfo) -> dict[str, Column]:
    names = "companyName firstName lastName url vatRegNumber comments accountNumber title defaultAddress fax"
    return {name.lower(): _text(name) for name in names.split()} | {
        "fullname": _text("entityId"),
        "subsidiary": _select("subsidiary"),
        "currency": _select("currency"),
        "terms": _select("terms"),
        "company": _select("company"),
        "isperson": _flag("isPerson"),
        "datecreated": Column("time", lambda entry: local(entry.created_at, zone)),
    }


def item_columns(zone: ZoneInfo) -> dict[str, Column]:
    return {
        "itemid": _text("itemId"),
        "fullname": _text("itemId"),
        "displayname": _text("displayName"),
        "description": _text("salesDescription"),
        "itemtype": Column("text", lambda entry: ITEM_TYPES[entry.kind]),
        "subtype": Column("text", lambda _: "Sale"),
        "createddate": Column("time", lambda entry: local(entry.created_at, zone)),
        "incomeaccount": _select("incomeAccount"),
    }


def setup_columns() -> dict[str, dict[str, Column]]:
    named = {"name": _text("name"), "fullname": Column("text", name_of), "parent": _select("parent")}
    segment = named | {"subsidiary": Column("text", lambda entry: str(entry.doc.get("subsidiary") or "") or None)}
    return {
        "subsidiary": named
        | {"currency": _select("currency"), "country": _choice("country"), "legalname": _text("legalName")}
        | {"iselimination": _flag("isElimination")},
        "currency": {
            "name": _text("name"),
            "symbol": _text("symbol"),
            "displaysymbol": _text("displaySymbol"),
            "exchangerate": _number("exchangeRate"),
            "isbasecurrency": _flag("isBaseCurrency"),
            "currencyprecision": _select("currencyPrecision"),
        },
        "term": {"name": _text("name"), "daysuntilnetdue": _number("daysUntilNetDue")},
        "accountingPeriod": {
            "periodname": _text("periodName"),
            "startdate": _date("startDate"),
            "enddate": _date("endDate"),
            "closedondate": _date("closedOnDate"),
            "parent": _select("parent"),
            "isposting": _flag("isPosting", default=True),
            **{name.lower(): _flag(name) for name in ["closed", "allLocked", "arLocked", "apLocked"]},
            **{name.lower(): _flag(name) for name in ["isAdjust", "isQuarter", "isYear", "allowNonGLChanges"]},
        },
        "billingSchedule": {
            "name": _text("name"),
            "frequency": _choice("frequency"),
            "scheduletype": _choice("scheduleType"),
            "inarrears": _flag("inArrears"),
        },
        "account": {
            "acctnumber": _text("acctNumber"),
            "fullname": _text("acctName"),
            "accountsearchdisplayname": _text("acctName"),
            "accttype": _choice("acctType"),
        },
        **dict.fromkeys(("department", "classification", "location"), segment),
    }
