"""What Salesforce works out by itself when a record is saved: stages, names, dates, activation of contracts and orders.

`before_save` may change the record in hand; `after_save` may write other records (a document's totals follow its
lines). Source: Object Reference, Opportunity, Contract, Order, Quote and PricebookEntry.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.salesforce import errors, pricing
from tieline_sandbox.salesforce.objects import STAGES
from tieline_sandbox.salesforce.pricing import OF_LINE, OF_PARENT, Writer
from tieline_sandbox.salesforce.store import Record, Store

ACTIVATED = "Activated"


def before_save(store: Store, sobject: str, record: Record, given: Iterable[str], before: Record | None) -> None:
    """Derive fields of a record about to be saved. Raises ApiError when a rule of the object is broken."""
    if sobject in OF_LINE:
        pricing.before_line(store, OF_LINE[sobject], record, given, before)
        if sobject == "OrderItem":
            _order_is_open(store, record)
    elif sobject == "Opportunity":
        stage_fields(record, given)
        if before is not None and before["HasOpportunityLineItem"]:
            # "If the opportunity has products, any attempt to update Amount is ignored; the call is not rejected."
            record["Amount"] = before["Amount"]
    elif sobject == "Contact":
        contact_name(record)
    elif sobject == "PricebookEntry":
        entry_names(store, record)
        if before is None:
            pricing.one_price(store, record)
    elif sobject == "Quote":
        quote_fields(store, record)
    elif sobject in ("Contract", "Order"):
        activation(store, sobject, record, before)


def after_save(org: Writer, sobject: str, record: Record) -> None:
    lines = OF_LINE.get(sobject)
    if lines is not None:
        pricing.retotal(org, lines, record[lines.parent_field])


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


def quote_fields(store: Store, record: Record) -> None:
    """A quote is in the currency and for the account of its opportunity."""
    deal = store.get("Opportunity", record["OpportunityId"])
    if deal is not None:
        record["CurrencyIsoCode"], record["AccountId"] = deal["CurrencyIsoCode"], deal["AccountId"]
    items = pricing.standing(store, OF_PARENT["Quote"], record["Id"])
    total = sum((line["TotalPrice"] for line in items), pricing.NOTHING)
    record |= pricing.quote_totals(record, items, total)


def status_fields(sobject: str, record: Record) -> None:
    """The category of a status, and the last day of a contract: its term is in months."""
    record["StatusCode"] = {"In Approval Process": "InApproval"}.get(record["Status"], record["Status"])
    if sobject == "Contract" and record["StartDate"] and record["ContractTerm"]:
        first = date.fromisoformat(record["StartDate"])
        record["EndDate"] = (_months_later(first, int(record["ContractTerm"])) - timedelta(days=1)).isoformat()


def activation(store: Store, sobject: str, record: Record, before: Record | None) -> None:
    """Contracts and orders begin as drafts; activation is a step of its own. Raises ApiError."""
    if before is None and record["Status"] == ACTIVATED:
        message = "Choose a valid contract status and save your changes. Ask your admin for details."
        if sobject == "Order":
            message = "The status you chose isn't valid for a new order. Choose a status in the Draft category."
        raise errors.ApiError(400, "FAILED_ACTIVATION", message, ["Status"])
    if before is not None and before["Status"] == ACTIVATED and sobject == "Contract" and record["Status"] != ACTIVATED:
        message = "An activated contract cannot return to another status."
        raise errors.ApiError(400, "INVALID_STATUS", message, ["Status"])
    status_fields(sobject, record)
    if record["Status"] != ACTIVATED:
        record["ActivatedDate"] = record["ActivatedById"] = None
    elif before is not None and before["Status"] != ACTIVATED:
        if sobject == "Order" and not pricing.standing(store, OF_PARENT["Order"], record["Id"]):
            message = "An order must have at least one product."
            raise errors.ApiError(400, "FAILED_ACTIVATION", message, [])
        record["ActivatedDate"], record["ActivatedById"] = record["SystemModstamp"], record["LastModifiedById"]


def _order_is_open(store: Store, line: Record) -> None:
    order = store.get("Order", line["OrderId"])
    if order is not None and order["Status"] == ACTIVATED:
        message = "You can't add, change or remove products of an activated order."
        raise errors.ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, [])


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
