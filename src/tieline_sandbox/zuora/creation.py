"""CreateSubscription, and the rate plans that an order adds: checked first, stored by what is returned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from tieline_sandbox.zuora import catalog, pricing, subscriptions
from tieline_sandbox.zuora.dates import add_term, day
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, one_of, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields

Commit = Callable[[Record], Record]
Dates = dict[str, date | None]
Planned = tuple[Record, list[Record], Record]
Tokens = dict[str, str]
"""`uniqueToken` of an order → rate plan id or charge number: how later actions name what earlier ones add."""

TRIGGERS = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
_PERIOD_TYPES = ("Month", "Year", "Day", "Week")
_TERM_TYPES = ("TERMED", "EVERGREEN")
_RENEWALS = ("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN")


def create(
    t: Tenant, account: Record, entry: Record, body: Record, dates: Dates, listed: set[str], tokens: Tokens
) -> Commit:
    """Check a CreateSubscription action. Raises Refusal."""
    number = body.get("subscriptionNumber") or entry.get("subscriptionNumber")
    if number and t.subscriptions.find(number):
        raise rule(Resource.SUBSCRIPTION, f"The subscription number {number} already exists.")
    if number and len(number) > 100:
        raise invalid(Resource.SUBSCRIPTION, "'subscriptionNumber' should be 100 characters or less")
    term = _terms(body.get("terms") or {}, dates)
    term_end = day(term["termEndDate"]) if term["termEndDate"] else None
    if not body.get("subscribeToRatePlans"):
        raise missing(Resource.SUBSCRIPTION, "subscribeToRatePlans")
    taken: set[str] = set()
    plans = [plan_of(t, p, dates, term_end, taken) for p in body["subscribeToRatePlans"]]
    if (terms := body.get("paymentTerm")) and terms not in t.settings.payment_terms:
        raise invalid(Resource.SUBSCRIPTION, f"The payment term '{terms}' does not exist or is inactive.")

    def commit(order: Record) -> Record:
        subscription = _record(t, account, entry, body, dates, term)
        subscription |= {"name": number or t.number("A-S"), "orderId": order["id"], "orderIds": [order["id"]]}
        subscription["status"] = subscriptions.status_of(t, dates, listed)
        t.subscriptions.add(subscription)
        for planned in plans:
            store_plan(t, subscription, planned, tokens)
        subscriptions.refresh_total(t, subscription)
        subscriptions.queue_term(t, subscription)
        if subscription["status"] == "Active":
            announce_active(t, subscription)
        return subscription

    return commit


def announce_active(t: Tenant, subscription: Record) -> None:
    t.announce("SubscriptionActivated", ids_of(t, subscription))


def ids_of(t: Tenant, subscription: Record) -> Record:
    """What a callout says of a subscription."""
    account = t.accounts.rows[subscription["accountId"]]
    return {
        "SubscriptionId": subscription["id"],
        "SubscriptionNumber": subscription["name"],
        "AccountId": account["id"],
        "AccountNumber": account["accountNumber"],
    }


def _terms(terms: Record, dates: Dates) -> Record:
    """The subscription's term fields. Raises Refusal …20 on an unknown term type, the vendor's own example."""
    initial = terms.get("initialTerm") or {"termType": "EVERGREEN"}
    term_type = initial.get("termType") or "TERMED"
    if term_type not in _TERM_TYPES:
        raise one_of(Resource.TERM, "termType", _TERM_TYPES)
    start = date_of(initial, "startDate") if initial.get("startDate") else dates.get("ContractEffective")
    length, unit = initial.get("period"), initial.get("periodType") or "Month"
    if unit not in _PERIOD_TYPES:
        raise one_of(Resource.SUBSCRIPTION, "periodType", _PERIOD_TYPES)
    setting = terms.get("renewalSetting") or "RENEW_WITH_SPECIFIC_TERM"
    if setting not in _RENEWALS:
        raise one_of(Resource.SUBSCRIPTION, "renewalSetting", _RENEWALS)
    if term_type == "TERMED" and not (isinstance(length, int) and length > 0):
        raise missing(Resource.SUBSCRIPTION, "period")
    end = add_term(start, length or 0, unit) if start and term_type == "TERMED" else None
    renewal = (terms.get("renewalTerms") or [{}])[0]
    return {
        "termType": term_type,
        "initialTerm": length,
        "initialTermPeriodType": unit,
        "currentTerm": length,
        "currentTermPeriodType": unit,
        "renewalTerm": renewal.get("period") or length,
        "renewalTermPeriodType": renewal.get("periodType") or unit,
        "renewalSetting": setting,
        "autoRenew": bool(terms.get("autoRenew", False)) and term_type == "TERMED",
        "termStartDate": start.isoformat() if start else None,
        "termEndDate": end.isoformat() if end else None,
        "subscriptionStartDate": start.isoformat() if start else None,
        "subscriptionEndDate": end.isoformat() if end else None,
    }


def _record(t: Tenant, account: Record, entry: Record, body: Record, dates: Dates, term: Record) -> Record:
    def iso(name: str) -> str | None:
        value = dates.get(name)
        return value.isoformat() if value else None

    separate = body.get("invoiceSeparately")
    return t.stamped(
        {
            "accountId": account["id"],
            "invoiceOwnerId": account["id"],
            "currency": body.get("currency") or account["currency"],
            "contractEffectiveDate": iso("ContractEffective"),
            "serviceActivationDate": iso("ServiceActivation"),
            "contractAcceptanceDate": iso("CustomerAcceptance"),
            "isInvoiceSeparate": t.settings.invoice_separately if separate is None else bool(separate),
            "notes": body.get("notes") or entry.get("notes"),
            "paymentTerm": body.get("paymentTerm"),
            "cancelledDate": None,
            "isLatestVersion": True,
            "version": 1,
            "totalContractedValue": Decimal(0),
            "cMRR": Decimal(0),
            **term,
            **custom_fields(entry.get("customFields") or {}),
        }
    )


def plan_of(t: Tenant, body: Record, dates: Dates, term_end: date | None, taken: set[str]) -> Planned:
    """A catalogue plan, the charges to make of it, and the request's own fields for the plan."""
    plan = catalog.find_rate_plan(t, body, Resource.ORDER)
    overrides: dict[str, Record] = {}
    for override in body.get("chargeOverrides") or []:
        overrides[catalog.find_charge(t, plan, override, Resource.ORDER)["id"]] = override
    charges = []
    for product_charge in t.charges_catalog.where("productRatePlanId", plan["id"]):
        charge = pricing.build(t, product_charge, overrides.get(product_charge["id"], {}), dates, term_end)
        if charge["chargeNumber"] in taken:
            raise rule(Resource.CHARGE, f"The charge number {charge['chargeNumber']} already exists.")
        taken.add(charge["chargeNumber"])
        charges.append(charge)
    return plan, charges, body


def store_plan(t: Tenant, subscription: Record, planned: Planned, tokens: Tokens) -> None:
    """Store a planned rate plan, and remember what its tokens stand for."""
    catalog_plan, charges, body = planned
    plan = subscriptions.add_plan(t, subscription, catalog_plan, charges, body)
    if token := body.get("uniqueToken"):
        tokens[token] = plan["id"]
    overridden = [o for o in body.get("chargeOverrides") or [] if o.get("uniqueToken")]
    for override in overridden:
        source = catalog.find_charge(t, catalog_plan, override, Resource.ORDER)["id"]
        tokens[override["uniqueToken"]] = next(
            c["chargeNumber"] for c in charges if c["productRatePlanChargeId"] == source
        )


def date_of(body: Record, field: str, resource: Resource = Resource.ORDER) -> date:
    """The date in `field`. Raises Refusal …20 for anything else."""
    try:
        return day(body[field])
    except (KeyError, ValueError) as error:
        raise invalid(resource, f"'{field}' should be a date in the format yyyy-MM-dd") from error
