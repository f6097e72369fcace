"""What Salesforce works out by itself when a record is saved: stages, totals, names, price book rules.

`before_save` may change the record in hand; `after_save` may write other records (an opportunity's Amount follows
its lines). Source: Object Reference, Opportunity, OpportunityLineItem and PricebookEntry.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from tieline_sandbox.salesforce import errors
from tieline_sandbox.salesforce.schema import STAGES
from tieline_sandbox.salesforce.store import Record, Store
from tieline_sandbox.salesforce.values import rounded

HUNDRED = Decimal(100)


class Writer(Protocol):
    """What rules need of the org: its records, and a way to write one that a rule has changed."""

    store: Store

    def touch(self, sobject: str, record: Record) -> None: ...


def before_save(store: Store, sobject: str, record: Record, given: Iterable[str], before: Record | None) -> None:
    """Derive fields of a record about to be saved. Raises ApiError when a rule of the object is broken."""
    if sobject == "Opportunity":
        stage_fields(record, given)
        if before is not None and before["HasOpportunityLineItem"]:
            # "If the opportunity has products, any attempt to update Amount is ignored; the call is not rejected."
            record["Amount"] = before["Amount"]
    elif sobject == "OpportunityLineItem":
        if before is None:
            _price_book_entry(store, record)
        line_totals(record, given, before)
        line_names(store, record)
    elif sobject == "Contact":
        contact_name(record)
    elif sobject == "PricebookEntry":
        entry_names(store, record)
        if before is None:
            _one_price(store, record)


def after_save(org: Writer, sobject: str, record: Record) -> None:
    if sobject == "OpportunityLineItem":
        retotal(org, record["OpportunityId"])


def stage_fields(record: Record, given: Iterable[str] = ()) -> None:
    probability, closed, won, forecast = STAGES.get(record["StageName"], (0, False, False, "Pipeline"))
    if record["Probability"] is None or ("StageName" in given and "Probability" not in given):
        record["Probability"] = Decimal(probability)
    record["IsClosed"], record["IsWon"], record["ForecastCategory"] = closed, won, forecast


def contact_name(record: Record) -> None:
    record["Name"] = " ".join(part for part in (record["FirstName"], record["LastName"]) if part)


def entry_names(store: Store, record: Record) -> None:
    product = store.get("Product2", record["Product2Id"])
    if product is not None:
        record["Name"], record["ProductCode"] = product["Name"], product["ProductCode"]


def line_names(store: Store, record: Record) -> None:
    product = store.get("Product2", record["Product2Id"])
    opportunity = store.get("Opportunity", record["OpportunityId"])
    if product is not None:
        record["ProductCode"] = product["ProductCode"]
        record["Name"] = f"{opportunity['Name'] if opportunity else ''} {product['Name']}".strip()
    if opportunity is not None:
        record["CurrencyIsoCode"] = opportunity["CurrencyIsoCode"]


def line_totals(record: Record, given: Iterable[str], before: Record | None = None) -> None:
    """TotalPrice given directly is kept; otherwise it is Quantity x UnitPrice x (1 - Discount/100), to the cent."""
    quantity, share = record["Quantity"] or Decimal(0), 1 - (record["Discount"] or Decimal(0)) / HUNDRED
    if "TotalPrice" in given and record["TotalPrice"] is not None:
        if record["UnitPrice"] is None or ("UnitPrice" not in given and before is not None):
            per_unit = quantity * share
            record["UnitPrice"] = rounded(record["TotalPrice"] / per_unit) if per_unit else Decimal("0.00")
    elif record["UnitPrice"] is None:
        raise errors.required_missing(["UnitPrice"])
    elif before is None or not {"Quantity", "UnitPrice", "Discount"}.isdisjoint(given):
        record["TotalPrice"] = rounded(quantity * record["UnitPrice"] * share)


def retotal(org: Writer, opportunity_id: str) -> None:
    """Set an opportunity's Amount to the sum of its lines; without lines the last Amount stays."""
    opportunity = org.store.get("Opportunity", opportunity_id)
    if opportunity is None or opportunity["IsDeleted"]:
        return
    lines = org.store.tables["OpportunityLineItem"]
    totals = [
        lines.records[line_id]["TotalPrice"] or Decimal(0)
        for line_id in lines.ids_where("OpportunityId", opportunity_id)
        if not lines.records[line_id]["IsDeleted"]
    ]
    amount = rounded(sum(totals, Decimal(0))) if totals else opportunity["Amount"]
    if (amount, bool(totals)) != (opportunity["Amount"], opportunity["HasOpportunityLineItem"]):
        org.touch("Opportunity", opportunity | {"Amount": amount, "HasOpportunityLineItem": bool(totals)})


def _price_book_entry(store: Store, record: Record) -> None:
    opportunity = store.get("Opportunity", record["OpportunityId"]) or {}
    entry = store.get("PricebookEntry", record["PricebookEntryId"]) or _entry_of_product(store, record, opportunity)
    if entry is None:
        raise errors.required_missing(["PricebookEntryId"])
    if not entry["IsActive"]:
        raise errors.integrity("pricebook entry has been inactivated", "PricebookEntryId")
    if opportunity.get("Pricebook2Id") not in (None, entry["Pricebook2Id"]):
        problem = "pricebook entry is in a different pricebook than the one assigned to the opportunity"
        raise errors.integrity(problem, "PricebookEntryId")
    if entry["CurrencyIsoCode"] != opportunity.get("CurrencyIsoCode"):
        problem = "The currency of the pricebook entry does not match the currency of the opportunity"
        raise errors.integrity(problem, "PricebookEntryId")
    record["PricebookEntryId"], record["Product2Id"] = entry["Id"], entry["Product2Id"]
    record["ListPrice"] = entry["UnitPrice"]


def _entry_of_product(store: Store, record: Record, opportunity: Record) -> Record | None:
    """A line may name the product instead of its price; the opportunity's price book and currency decide."""
    if record["Product2Id"] is None:
        return None
    table = store.tables["PricebookEntry"]
    for entry_id in table.ids_where("Product2Id", record["Product2Id"]):
        entry = table.records[entry_id]
        in_book = opportunity.get("Pricebook2Id") in (None, entry["Pricebook2Id"])
        if in_book and not entry["IsDeleted"] and entry["CurrencyIsoCode"] == opportunity.get("CurrencyIsoCode"):
            return entry
    raise errors.integrity("pricebook entry does not exist for this product", "PricebookEntryId")


def _one_price(store: Store, record: Record) -> None:
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
