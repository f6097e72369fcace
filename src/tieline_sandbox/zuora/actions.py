"""The order actions. `prepare` checks one action and returns what will store it, given the order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tieline_sandbox.zuora import catalog, pricing, subscriptions
from tieline_sandbox.zuora.dates import add_term, day
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, one_of, rule
from tieline_sandbox.zuora.model import Tenant, custom_fields

Commit = Callable[[Record], Record]
Dates = dict[str, date | None]
TRIGGERS = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
_PERIOD_TYPES = ("Month", "Year", "Day", "Week")
_TERM_TYPES = ("TERMED", "EVERGREEN")
_RENEWALS = ("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN")
_POLICIES = ("EndOfCurrentTerm", "EndOfLastInvoicePeriod", "SpecificDate")
_TYPES = (
    "CreateSubscription",
    "CancelSubscription",
    "RenewSubscription",
    "AddProduct",
    "UpdateProduct",
    "RemoveProduct",
)


def prepare(t: Tenant, account: Record, order: Record, entry: Record, action: Record, taken: set[str]) -> Commit:
    """Check an action; `taken` holds the numbers that the same order uses already. Raises Refusal."""
    kind = action.get("type")
    if kind not in _TYPES:
        raise one_of(Resource.ORDER, "type", _TYPES)
    field = kind[0].lower() + kind[1:]
    body = action.get(field)
    if body is None and kind != "RenewSubscription":
        raise missing(Resource.ORDER, field)
    dates, listed = trigger_dates(action, order)
    if kind == "CreateSubscription":
        return _create(t, account, entry, body or {}, dates, listed, taken)
    number = entry.get("subscriptionNumber")
    if not number:
        raise missing(Resource.ORDER, "subscriptionNumber")
    subscription = t.subscriptions.find(number)
    if subscription is None:
        raise not_found(number, Resource.ORDER)
    if subscription["accountId"] != account["id"]:
        raise rule(
            Resource.ORDER, f"The subscription {number} does not belong to the account {account['accountNumber']}."
        )
    if subscription["status"] != "Active":
        raise invalid(Resource.CANCEL, f"Only activated subscription can be {_PAST[kind]}.")
    on = dates.get("ContractEffective") or day(order["orderDate"])
    return _CHANGES[kind](t, subscription, body or {}, on, dates)


_PAST = {
    "CancelSubscription": "cancelled",
    "RenewSubscription": "renewed",
    "AddProduct": "changed",
    "UpdateProduct": "changed",
    "RemoveProduct": "changed",
}


def trigger_dates(action: Record, order: Record) -> tuple[Dates, set[str]]:
    """The trigger dates by name, and the names listed. ContractEffective is the order date when not listed."""
    dates: Dates = {}
    listed: set[str] = set()
    for trigger in action.get("triggerDates") or []:
        name = trigger.get("name")
        if name not in TRIGGERS:
            raise one_of(Resource.ORDER, "triggerDates.name", TRIGGERS)
        listed.add(name)
        dates[name] = _date(trigger, "triggerDate") if trigger.get("triggerDate") else None
    if "ContractEffective" not in listed:
        dates["ContractEffective"] = _date(order, "orderDate")
    _check_sequence(dates)
    return dates, listed


def _check_sequence(dates: Dates) -> None:
    known = [(name, d) for name in TRIGGERS if (d := dates.get(name))]
    for (earlier, a), (later, b) in pairwise(known):
        if b < a:
            raise rule(Resource.ORDER, f"The {later} date {b} should not be earlier than the {earlier} date {a}.")


def supply_dates(t: Tenant, subscription: Record, given: list[Record]) -> None:
    """Dates that a pending subscription waited for; its charges start with them."""
    fields = dict(
        zip(TRIGGERS, ("contractEffectiveDate", "serviceActivationDate", "contractAcceptanceDate"), strict=True)
    )
    for trigger in given:
        if trigger.get("name") not in TRIGGERS:
            raise one_of(Resource.ORDER, "triggerDates.name", TRIGGERS)
        subscription[fields[trigger["name"]]] = _date(trigger, "triggerDate").isoformat()
    dates: Dates = {name: day(v) if (v := subscription[field]) else None for name, field in fields.items()}
    was = subscription["status"]
    subscriptions.set_status(t, subscription, subscriptions.status_of(t, dates, set(TRIGGERS[: 1 + _stage(was)])))
    for charge in t.charges.where("subscriptionId", subscription["id"]):
        if charge["effectiveStartDate"] is None and (start := dates.get(charge["triggerEvent"])):
            charge["effectiveStartDate"] = start.isoformat()
            if charge["chargeType"] == "OneTime":
                charge["effectiveEndDate"] = start.isoformat()
            t.touch(t.charges, charge)
        subscriptions.queue(t, charge, subscription)
    subscriptions.refresh_total(t, subscription)
    if subscription["status"] == "Active" and was != "Active":
        _announce_active(t, subscription)


def _stage(status: str) -> int:
    return {"Pending Activation": 1, "Pending Acceptance": 2}.get(status, 0)


def _create(
    t: Tenant, account: Record, entry: Record, body: Record, dates: Dates, listed: set[str], taken: set[str]
) -> Commit:
    number = body.get("subscriptionNumber") or entry.get("subscriptionNumber")
    if number and (t.subscriptions.find(number) or number in taken):
        raise rule(Resource.SUBSCRIPTION, f"The subscription number {number} already exists.")
    if number and len(number) > 100:
        raise invalid(Resource.SUBSCRIPTION, "'subscriptionNumber' should be 100 characters or less")
    term = _terms(body.get("terms") or {}, dates)
    term_end = day(term["termEndDate"]) if term["termEndDate"] else None
    if not body.get("subscribeToRatePlans"):
        raise missing(Resource.SUBSCRIPTION, "subscribeToRatePlans")
    plans = [_plan(t, p, dates, term_end, taken) for p in body["subscribeToRatePlans"]]
    if (terms := body.get("paymentTerm")) and terms not in t.settings.payment_terms:
        raise invalid(Resource.SUBSCRIPTION, f"The payment term '{terms}' does not exist or is inactive.")
    if number:
        taken.add(number)

    def commit(order: Record) -> Record:
        subscription = _record(t, account, entry, body, dates, term)
        subscription |= {"name": number or t.number("A-S"), "orderId": order["id"], "orderIds": [order["id"]]}
        subscription["status"] = subscriptions.status_of(t, dates, listed)
        t.subscriptions.add(subscription)
        for plan, charges, extra in plans:
            subscriptions.add_plan(t, subscription, plan, charges, extra)
        subscriptions.refresh_total(t, subscription)
        subscriptions.queue_term(t, subscription)
        if subscription["status"] == "Active":
            _announce_active(t, subscription)
        return subscription

    return commit


def _announce_active(t: Tenant, subscription: Record) -> None:
    t.announce("SubscriptionActivated", _ids(t, subscription))


def _ids(t: Tenant, subscription: Record) -> Record:
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
    start = _date(initial, "startDate") if initial.get("startDate") else dates.get("ContractEffective")
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


def _plan(
    t: Tenant, body: Record, dates: Dates, term_end: date | None, taken: set[str]
) -> tuple[Record, list[Record], Record]:
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


def _changed(t: Tenant, order: Record, subscription: Record) -> Record:
    subscription["orderIds"].append(order["id"])
    subscription["orderId"] = order["id"]
    t.touch(t.subscriptions, subscription)
    return subscription


def _cancel(t: Tenant, subscription: Record, body: Record, on: date, dates: Dates) -> Commit:
    effective = cancellation_date(t, subscription, body)

    def commit(order: Record) -> Record:
        subscriptions.cancel(t, subscription, effective)
        t.announce("SubscriptionCancelled", _ids(t, subscription))
        return _changed(t, order, subscription)

    return commit


def cancellation_date(t: Tenant, subscription: Record, body: Record) -> date:
    """The (exclusive) day on which the subscription ends. Raises Refusal."""
    policy = body.get("cancellationPolicy")
    if policy not in _POLICIES:
        raise one_of(Resource.CANCEL, "cancellationPolicy", _POLICIES)
    start, end = day(subscription["subscriptionStartDate"]), subscription["termEndDate"]
    if policy == "SpecificDate":
        if not body.get("cancellationEffectiveDate"):
            raise missing(Resource.CANCEL, "cancellationEffectiveDate")
        effective = _date(body, "cancellationEffectiveDate", Resource.CANCEL)
    elif policy == "EndOfCurrentTerm":
        effective = day(end) if end else t.today()
    else:
        through = [c["chargedThroughDate"] for c in t.charges.where("subscriptionId", subscription["id"])]
        effective = day(max((d for d in through if d), default=start.isoformat()))
    if effective < start or (end and effective > day(end)):
        raise rule(
            Resource.CANCEL,
            f"The cancellation effective date {effective} should be within the subscription's current term.",
        )
    return effective


def _renew(t: Tenant, subscription: Record, body: Record, on: date, dates: Dates) -> Commit:
    if subscription["termType"] != "TERMED":
        raise rule(Resource.RENEW, "Only termed subscription can be renewed.")

    def commit(order: Record) -> Record:
        subscriptions.renew(t, subscription)
        return _changed(t, order, subscription)

    return commit


def _add_product(t: Tenant, subscription: Record, body: Record, on: date, dates: Dates) -> Commit:
    term_end = day(subscription["termEndDate"]) if subscription["termEndDate"] else None
    plan, charges, extra = _plan(t, body, {**dates, **dict.fromkeys(TRIGGERS, on)}, term_end, set())

    def commit(order: Record) -> Record:
        subscriptions.add_plan(t, subscription, plan, charges, extra)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _changed(t, order, subscription)

    return commit


def _own_plan(t: Tenant, subscription: Record, body: Record) -> Record:
    plans = t.rate_plans.where("subscriptionId", subscription["id"])
    wanted = body.get("ratePlanId") or body.get("subscriptionRatePlanNumber") or body.get("productRatePlanNumber")
    for plan in plans:
        catalog_plan = t.rate_plans_catalog.rows[plan["productRatePlanId"]]
        if wanted in (
            plan["id"],
            plan["subscriptionRatePlanNumber"],
            catalog_plan["id"],
            catalog_plan["productRatePlanNumber"],
        ):
            return plan
    raise not_found(wanted, Resource.ORDER)


def _remove_product(t: Tenant, subscription: Record, body: Record, on: date, dates: Dates) -> Commit:
    plan = _own_plan(t, subscription, body)

    def commit(order: Record) -> Record:
        for charge in t.charges.where("ratePlanId", plan["id"]):
            subscriptions.end_charge(t, charge, subscription, on)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _changed(t, order, subscription)

    return commit


def _update_product(t: Tenant, subscription: Record, body: Record, on: date, dates: Dates) -> Commit:
    """New quantities or prices from a date: the old segment ends there, a new one with the same number begins."""
    plan = _own_plan(t, subscription, body)
    when = _date(body, "specificUpdateDate") if body.get("specificUpdateDate") else on
    changes: list[tuple[Record, dict[str, Any]]] = []
    for update in body.get("chargeUpdates") or []:
        charge = t.charges.find(update.get("chargeNumber"))
        if charge is None or charge["ratePlanId"] != plan["id"]:
            raise not_found(update.get("chargeNumber"), Resource.ORDER)
        if charge["chargeType"] != "Recurring":
            raise rule(Resource.CHARGE, "Only recurring charges can be updated.")
        changes.append((charge, pricing.changed(charge, update.get("pricing") or {})))

    def commit(order: Record) -> Record:
        for charge, new in changes:
            _new_segment(t, subscription, plan, charge, new, when)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _changed(t, order, subscription)

    return commit


def _new_segment(t: Tenant, subscription: Record, plan: Record, charge: Record, new: Record, when: date) -> None:
    end = charge["effectiveEndDate"]
    segment = {
        **charge,
        **new,
        "effectiveStartDate": when.isoformat(),
        "effectiveEndDate": end,
        # Billing periods stay where the first segment put them.
        "anchorDate": charge.get("anchorDate") or charge["effectiveStartDate"],
        "segment": charge["segment"] + 1,
        "chargedThroughDate": None,
        "processedThroughDate": None,
    }
    for field in ("id", "createdById", "createdDate", "updatedById", "updatedDate"):
        del segment[field]
    charge["isLastSegment"] = False
    subscriptions.end_charge(t, charge, subscription, when)
    subscriptions.add_charge(t, subscription, plan, segment)


_CHANGES: dict[str, Callable[[Tenant, Record, Record, date, Dates], Commit]] = {
    "CancelSubscription": _cancel,
    "RenewSubscription": _renew,
    "AddProduct": _add_product,
    "RemoveProduct": _remove_product,
    "UpdateProduct": _update_product,
}


def _date(body: Record, field: str, resource: Resource = Resource.ORDER) -> date:
    try:
        return day(body[field])
    except (KeyError, ValueError) as error:
        raise invalid(resource, f"'{field}' should be a date in the format yyyy-MM-dd") from error
