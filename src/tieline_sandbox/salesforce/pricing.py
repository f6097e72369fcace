"""The priced lines of deals, quotes and orders: which price they take, what they come to, and their parent's totals.

One invariant: a parent's totals are those of its standing lines whenever a line is saved or deleted.
Source: Object Reference, OpportunityLineItem, QuoteLineItem, OrderItem and PricebookEntry.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple, Protocol

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.store import Record, Store
from tieline_sandbox.salesforce.values import rounded

HUNDRED = Decimal(100)
NOTHING = Decimal(0)


class Lines(NamedTuple):
    """Lines of one kind of document: their object, the field that points to the document, and the document's object."""

    sobject: str
    parent_field: str
    parent: str
    word: str


KINDS = (
    Lines("OpportunityLineItem", "OpportunityId", "Opportunity", "opportunity"),
    Lines("QuoteLineItem", "QuoteId", "Quote", "quote"),
    Lines("OrderItem", "OrderId", "Order", "order"),
)
OF_LINE = {lines.sobject: lines for lines in KINDS}
OF_PARENT = {lines.parent: lines for lines in KINDS}


class Writer(Protocol):
    """What rules need of the org: its records, and a way to write one that a rule has changed."""

    store: Store

    def touch(self, sobject: str, record: Record) -> None: ...


def before_line(store: Store, lines: Lines, record: Record, given: Iterable[str], before: Record | None) -> None:
    """Price a line about to be saved. Raises ApiError when its price does not fit its document."""
    if before is None:
        _take_price(store, lines, record)
    line_totals(lines, record, given, before)
    line_names(store, lines, record)


def standing(store: Store, lines: Lines, parent_id: str) -> list[Record]:
    """The lines of a document that are not deleted."""
    table = store.tables[lines.sobject]
    found = (table.records[line_id] for line_id in table.ids_where(lines.parent_field, parent_id))
    return [line for line in found if not line["IsDeleted"]]


def line_names(store: Store, lines: Lines, record: Record) -> None:
    product = store.get("Product2", record["Product2Id"])
    parent = store.get(lines.parent, record[lines.parent_field])
    if product is not None and "ProductCode" in record:
        record["ProductCode"] = product["ProductCode"]
        record["Name"] = f"{parent['Name'] if parent else ''} {product['Name']}".strip()
    if parent is not None:
        record["CurrencyIsoCode"] = parent["CurrencyIsoCode"]


def line_totals(lines: Lines, record: Record, given: Iterable[str], before: Record | None = None) -> None:
    """What a line comes to: Quantity x UnitPrice x (1 - Discount/100), to the cent.

    Of a deal's line TotalPrice may be given directly and is kept then; elsewhere it is Salesforce's own.
    """
    quantity, share = record["Quantity"] or NOTHING, 1 - (record.get("Discount") or NOTHING) / HUNDRED
    own = lines.sobject == "OpportunityLineItem"
    if own and "TotalPrice" in given and record["TotalPrice"] is not None:
        if record["UnitPrice"] is None or ("UnitPrice" not in given and before is not None):
            per_unit = quantity * share
            record["UnitPrice"] = rounded(record["TotalPrice"] / per_unit) if per_unit else Decimal("0.00")
    elif record["UnitPrice"] is None:
        raise errors.required_missing(["UnitPrice"])
    elif before is None or not {"Quantity", "UnitPrice", "Discount"}.isdisjoint(given):
        record["TotalPrice"] = rounded(quantity * record["UnitPrice"] * share)
    if "Subtotal" in record:
        record["Subtotal"] = rounded(quantity * record["UnitPrice"])
    if "AvailableQuantity" in record:
        record["AvailableQuantity"] = record["Quantity"]


def retotal(org: Writer, lines: Lines, parent_id: str) -> None:
    """Bring a document's totals up to its lines; without lines a deal's last Amount stays."""
    parent = org.store.get(lines.parent, parent_id)
    if parent is None or parent["IsDeleted"]:
        return
    items = standing(org.store, lines, parent_id)
    total = rounded(sum((line["TotalPrice"] or NOTHING for line in items), NOTHING))
    if lines.parent == "Opportunity":
        amount = total if items else parent["Amount"]
        after = parent | {"Amount": amount, "HasOpportunityLineItem": bool(items)}
    elif lines.parent == "Order":
        after = parent | {"TotalAmount": total}
    else:
        after = parent | quote_totals(parent, items, total)
    if after != parent:
        org.touch(lines.parent, after)


def quote_totals(quote: Record, items: list[Record], total: Decimal) -> Record:
    """A quote's own sums; its discount is the one its lines come to together."""
    subtotal = rounded(sum((line["Subtotal"] or NOTHING for line in items), NOTHING))
    discount = rounded((subtotal - total) * HUNDRED / subtotal) if subtotal else Decimal("0.00")
    grand = rounded(total + (quote["Tax"] or NOTHING) + (quote["ShippingHandling"] or NOTHING))
    return {"Subtotal": subtotal, "TotalPrice": total, "Discount": discount, "GrandTotal": grand}


def adopt_price_book(org: Writer, lines: Lines, line: Record) -> None:
    """The first line decides the price book of a document that has none."""
    parent = org.store.get(lines.parent, line[lines.parent_field])
    entry = org.store.get("PricebookEntry", line["PricebookEntryId"])
    if parent and entry and parent["Pricebook2Id"] is None:
        org.touch(lines.parent, parent | {"Pricebook2Id": entry["Pricebook2Id"]})


def one_price(store: Store, record: Record) -> None:
    """A product has one price a price book and currency, and a standard price before any other. Raises ApiError."""
    table = store.tables["PricebookEntry"]
    book = store.get("Pricebook2", record["Pricebook2Id"]) or {}
    standard = bool(book.get("IsStandard"))
    for entry_id in table.ids_where("Product2Id", record["Product2Id"]):
        entry = table.records[entry_id]
        if entry["IsDeleted"] or entry["CurrencyIsoCode"] != record["CurrencyIsoCode"]:
            continue
        if entry["Pricebook2Id"] == record["Pricebook2Id"]:
            message = "This price definition already exists in this price book"
            raise errors.ApiError(400, "DUPLICATE_VALUE", message, ["Pricebook2Id", "Product2Id", "CurrencyIsoCode"])
        other = store.get("Pricebook2", entry["Pricebook2Id"]) or {}
        standard = standard or bool(other.get("IsStandard"))
    if not standard:
        message = "Before creating a custom price, create a standard price."
        raise errors.ApiError(400, "STANDARD_PRICE_NOT_DEFINED", message, [])


def _take_price(store: Store, lines: Lines, record: Record) -> None:
    parent = store.get(lines.parent, record[lines.parent_field]) or {}
    entry = store.get("PricebookEntry", record["PricebookEntryId"]) or _price_of_product(store, record, parent)
    if entry is None:
        raise errors.required_missing(["PricebookEntryId"])
    if not entry["IsActive"]:
        raise errors.integrity("pricebook entry has been inactivated", "PricebookEntryId")
    if parent.get("Pricebook2Id") not in (None, entry["Pricebook2Id"]):
        problem = f"pricebook entry is in a different pricebook than the one assigned to the {lines.word}"
        raise errors.integrity(problem, "PricebookEntryId")
    if entry["CurrencyIsoCode"] != parent.get("CurrencyIsoCode"):
        problem = f"The currency of the pricebook entry does not match the currency of the {lines.word}"
        raise errors.integrity(problem, "PricebookEntryId")
    record["PricebookEntryId"], record["Product2Id"] = entry["Id"], entry["Product2Id"]
    record["ListPrice"] = entry["UnitPrice"]


def _price_of_product(store: Store, record: Record, parent: Record) -> Record | None:
    """A line may name the product instead of its price; the document's price book and currency decide."""
    if record["Product2Id"] is None:
        return None
    table = store.tables["PricebookEntry"]
    for entry_id in table.ids_where("Product2Id", record["Product2Id"]):
        entry = table.records[entry_id]
        in_book = parent.get("Pricebook2Id") in (None, entry["Pricebook2Id"])
        if in_book and not entry["IsDeleted"] and entry["CurrencyIsoCode"] == parent.get("CurrencyIsoCode"):
            return entry
    raise errors.integrity("pricebook entry does not exist for this product", "PricebookEntryId")
