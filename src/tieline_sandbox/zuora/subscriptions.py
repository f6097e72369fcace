"""Subscriptions: how they come to be, how their status follows their dates, and how `/v1` shows them."""

from __future__ import annotations

import heapq
from datetime import date
from decimal import Decimal

from tieline_sandbox.zuora.dates import PERIOD_MONTHS, add_term, day, round_money, v1_stamp
from tieline_sandbox.zuora.model import Tenant, custom_fields
from tieline_sandbox.zuora.pricing import fixed_price
from tieline_sandbox.zuora.rating import FAR, first_due
from tieline_sandbox.zuora.store import Record


def status_of(t: Tenant, dates: dict[str, date | None], listed: set[str]) -> str:
    """A trigger date that was announced without a date, or that the tenant requires, keeps the subscription waiting."""
    if dates.get("ContractEffective") is None:
        return "Draft"
    for name, required, waiting in (
        ("ServiceActivation", t.settings.require_service_activation, "Pending Activation"),
        ("CustomerAcceptance", t.settings.require_customer_acceptance, "Pending Acceptance"),
    ):
        if dates.get(name) is None and (required or name in listed):
            return waiting
    return "Active"


def set_status(t: Tenant, subscription: Record, status: str) -> None:
    t.subscriptions.relink(subscription, "status", status)
    t.touch(t.subscriptions, subscription)


def add_plan(t: Tenant, subscription: Record, catalog_plan: Record, charges: list[Record], extra: Record) -> Record:
    """Store a rate plan with its charges, and queue the charges for billing."""
    plan = t.rate_plans.add(
        t.stamped(
            {
                "subscriptionId": subscription["id"],
                "name": extra.get("ratePlanName") or catalog_plan["name"],
                "productRatePlanId": catalog_plan["id"],
                "productId": catalog_plan["productId"],
                "subscriptionRatePlanNumber": extra.get("subscriptionRatePlanNumber") or t.number("SRP-"),
                **custom_fields(extra.get("customFields") or {}),
            }
        )
    )
    for charge in charges:
        add_charge(t, subscription, plan, charge)
    return plan


def add_charge(t: Tenant, subscription: Record, plan: Record, charge: Record) -> Record:
    stored = t.stamped({**charge, "ratePlanId": plan["id"], "subscriptionId": subscription["id"]})
    stored["originalId"] = stored["id"]
    stored["mRR"], stored["tCV"] = metrics(stored, subscription)
    t.charges.add(stored)
    queue(t, stored, subscription)
    return stored


def queue(t: Tenant, charge: Record, subscription: Record) -> None:
    on = first_due(charge, subscription)
    if on is not None:
        t.wait_for_charge(on, charge["id"])


def metrics(charge: Record, subscription: Record) -> tuple[Decimal, Decimal]:
    """Monthly recurring revenue and total contract value, rounded."""
    currency = subscription["currency"]
    if charge["chargeType"] == "Usage":
        return Decimal(0), Decimal(0)
    whole = fixed_price(charge)
    if charge["chargeType"] == "OneTime":
        return Decimal(0), round_money(whole, currency)
    if not (charge["effectiveStartDate"] and charge["effectiveEndDate"]):
        return Decimal(0), Decimal(0)
    start, end = day(charge["effectiveStartDate"]), day(charge["effectiveEndDate"])
    months = PERIOD_MONTHS.get(charge["billingPeriod"]) or max(round((end - start).days / 30), 1)
    monthly = whole / months
    length = (end.year - start.year) * 12 + end.month - start.month
    exact = monthly * length if start.day == end.day else monthly * 12 * (end - start).days / 365
    return round_money(monthly, currency), round_money(exact, currency)


def refresh_total(t: Tenant, subscription: Record) -> None:
    charges = t.charges.where("subscriptionId", subscription["id"])
    subscription["totalContractedValue"] = sum((c["tCV"] for c in charges), Decimal(0))
    live = subscription["status"] in ("Active", "Pending Activation", "Pending Acceptance")
    subscription["cMRR"] = sum((c["mRR"] for c in charges if c["isLastSegment"]), Decimal(0)) if live else Decimal(0)


def queue_term(t: Tenant, subscription: Record) -> None:
    if subscription["termEndDate"]:
        heapq.heappush(t.due_terms, (day(subscription["termEndDate"]), subscription["id"]))


def end_terms(t: Tenant, today: date) -> None:
    """Terms that end today: renewed when auto-renewing, else expired."""
    while t.due_terms and t.due_terms[0][0] <= today:
        end, subscription_id = heapq.heappop(t.due_terms)
        subscription = t.subscriptions.rows.get(subscription_id)
        if not subscription or subscription["status"] != "Active" or subscription["termEndDate"] != end.isoformat():
            continue
        if subscription["autoRenew"]:
            renew(t, subscription)
        else:
            set_status(t, subscription, "Expired")


def renew(t: Tenant, subscription: Record) -> None:
    """Begin the next term where the current one ends; charges that ran to the end of the term run on."""
    old_end = subscription["termEndDate"]
    if subscription["renewalSetting"] == "RENEW_TO_EVERGREEN":
        subscription |= {
            "termType": "EVERGREEN",
            "termStartDate": old_end,
            "termEndDate": None,
            "subscriptionEndDate": None,
        }
    else:
        length, unit = subscription["renewalTerm"] or subscription["initialTerm"], subscription["renewalTermPeriodType"]
        new_end = add_term(day(old_end), length, unit).isoformat()
        subscription |= {"termStartDate": old_end, "termEndDate": new_end, "subscriptionEndDate": new_end}
        subscription |= {"currentTerm": length, "currentTermPeriodType": unit}
    _follow_term(t, subscription, old_end)
    subscription["version"] += 1
    t.touch(t.subscriptions, subscription)


def set_term(t: Tenant, subscription: Record, term: Record) -> None:
    """Give the running term other dates; charges that run to its end move with it."""
    old_end = subscription["termEndDate"]
    subscription.update(term)
    _follow_term(t, subscription, old_end)


def _follow_term(t: Tenant, subscription: Record, old_end: str | None) -> None:
    new_end = subscription["termEndDate"]
    for charge in t.charges.where("subscriptionId", subscription["id"]):
        if charge["endDateCondition"] != "Subscription_End" or charge["effectiveEndDate"] != old_end:
            continue
        if new_end and old_end and new_end < old_end:
            end_charge(t, charge, subscription, day(new_end))
            continue
        charge["effectiveEndDate"] = new_end
        charge["mRR"], charge["tCV"] = metrics(charge, subscription)
        t.touch(t.charges, charge)
        queue(t, charge, subscription)
    refresh_total(t, subscription)
    queue_term(t, subscription)


def cancel(t: Tenant, subscription: Record, effective: date) -> None:
    """End the subscription and its charges on `effective` (exclusive); a bill run credits what was billed beyond."""
    for charge in t.charges.where("subscriptionId", subscription["id"]):
        end_charge(t, charge, subscription, effective)
    subscription["cancelledDate"] = effective.isoformat()
    subscription["subscriptionEndDate"] = effective.isoformat()
    if subscription["termEndDate"]:
        subscription["termEndDate"] = min(subscription["termEndDate"], effective.isoformat())
    subscription["version"] += 1
    set_status(t, subscription, "Cancelled")
    refresh_total(t, subscription)


def end_charge(t: Tenant, charge: Record, subscription: Record, effective: date) -> None:
    start = day(charge["effectiveStartDate"]) if charge["effectiveStartDate"] else FAR
    if charge["chargeType"] == "OneTime" and (charge["chargedThroughDate"] or start < effective):
        return
    end = max(effective, start)
    if charge["effectiveEndDate"] and day(charge["effectiveEndDate"]) <= end:
        return
    charge["effectiveEndDate"] = end.isoformat()
    if charge["chargeType"] == "OneTime":
        # A one-time charge whose day never came is not billed any more.
        charge["chargedThroughDate"] = charge["effectiveStartDate"]
    charge["mRR"], charge["tCV"] = metrics(charge, subscription)
    t.touch(t.charges, charge)
    t.wait_for_charge(min(end, t.today()), charge["id"])


def view(t: Tenant, subscription: Record) -> Record:
    """GET /v1/subscriptions/{key}, without the CommonResponse around it."""
    s = subscription
    account = t.accounts.rows[s["accountId"]]
    payer = t.accounts.rows[s["invoiceOwnerId"]]
    owner = {"accountId": account["id"], "accountName": account["name"], "accountNumber": account["accountNumber"]}
    return {
        "id": s["id"],
        "subscriptionNumber": s["name"],
        **owner,
        "invoiceOwnerAccountId": payer["id"],
        "invoiceOwnerAccountName": payer["name"],
        "invoiceOwnerAccountNumber": payer["accountNumber"],
        **{k: s[k] for k in _SAME if s[k] is not None},
        "customerAcceptanceDate": s["contractAcceptanceDate"],
        "invoiceSeparately": s["isInvoiceSeparate"],
        "contractedMrr": s["cMRR"],
        "createTime": v1_stamp(s["createdDate"]),
        "updateTime": v1_stamp(s["updatedDate"]),
        "orderNumber": t.orders.rows[s["orderId"]]["orderNumber"],
        "ratePlans": [_plan_view(t, p) for p in t.rate_plans.where("subscriptionId", s["id"])],
        **custom_fields(s),
    }


_SAME = (
    "autoRenew", "contractEffectiveDate", "currentTerm", "currentTermPeriodType", "currency", "initialTerm",
    "initialTermPeriodType", "isLatestVersion", "notes", "renewalSetting", "renewalTerm", "renewalTermPeriodType",
    "serviceActivationDate", "status", "subscriptionStartDate", "subscriptionEndDate", "termEndDate", "termStartDate",
    "termType", "totalContractedValue", "version", "paymentTerm",
)  # fmt: skip


def _plan_view(t: Tenant, plan: Record) -> Record:
    product = t.products.rows[plan["productId"]]
    catalog = t.rate_plans_catalog.rows[plan["productRatePlanId"]]
    return {
        "id": plan["id"],
        "subscriptionRatePlanNumber": plan["subscriptionRatePlanNumber"],
        "productId": product["id"],
        "productName": product["name"],
        "productSku": product["sKU"],
        "productRatePlanId": catalog["id"],
        "productRatePlanNumber": catalog["productRatePlanNumber"],
        "ratePlanName": plan["name"],
        "lastChangeType": "Add",
        "ratePlanCharges": [_charge_view(c) for c in t.charges.where("ratePlanId", plan["id"])],
        **custom_fields(plan),
    }


def _charge_view(c: Record) -> Record:
    tiers = [{**tier, "priceFormat": tier["priceFormat"]} for tier in c["tiers"] or []]
    view = {
        **{k: c[k] for k in _CHARGE_SAME},
        "number": c["chargeNumber"],
        "type": c["chargeType"],
        "model": c["chargeModel"],
        "uom": c["uOM"],
        "mrr": c["mRR"],
        "tcv": c["tCV"],
        "done": c["effectiveEndDate"] is not None and c["chargedThroughDate"] == c["effectiveEndDate"],
        "tiers": tiers or None,
        "originalChargeId": c["originalId"],
        **custom_fields(c),
    }
    return {k: v for k, v in view.items() if v is not None}


_CHARGE_SAME = (
    "id", "name", "productRatePlanChargeId", "productRatePlanChargeNumber", "billingPeriod", "billingTiming",
    "specificBillingPeriod", "description", "quantity", "price", "includedUnits", "overagePrice", "listPriceBase",
    "effectiveStartDate", "effectiveEndDate", "endDateCondition", "chargedThroughDate", "processedThroughDate",
    "triggerEvent", "triggerDate", "segment", "version", "isLastSegment",
)  # fmt: skip
