"""Order actions on a subscription that stands: end it, renew it, change its products, its terms or its owner.

Each checks first and returns what will store it, so that a refused action has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from tieline_sandbox.zuora import pricing, subscriptions
from tieline_sandbox.zuora.creation import TRIGGERS, Commit, Dates, Tokens, date_of, ids_of, plan_of, store_plan
from tieline_sandbox.zuora.dates import add_term, day
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, one_of, rule
from tieline_sandbox.zuora.model import Tenant

_POLICIES = ("EndOfCurrentTerm", "EndOfLastInvoicePeriod", "SpecificDate")
_PLAN_NAMES = ("ratePlanId", "subscriptionRatePlanNumber", "productRatePlanNumber")


class When(NamedTuple):
    """The day an action takes effect, its trigger dates, and the tokens of its order."""

    on: date
    dates: Dates
    tokens: Tokens


def _noted(t: Tenant, order: Record, subscription: Record) -> Record:
    subscription["orderIds"].append(order["id"])
    subscription["orderId"] = order["id"]
    t.touch(t.subscriptions, subscription)
    return subscription


def _cancel(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    effective = cancellation_date(t, subscription, body)

    def commit(order: Record) -> Record:
        subscriptions.cancel(t, subscription, effective)
        t.announce("SubscriptionCancelled", ids_of(t, subscription))
        return _noted(t, order, subscription)

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
        effective = date_of(body, "cancellationEffectiveDate", Resource.CANCEL)
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


def _renew(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    if subscription["termType"] != "TERMED":
        raise rule(Resource.RENEW, "Only termed subscription can be renewed.")

    def commit(order: Record) -> Record:
        subscriptions.renew(t, subscription)
        return _noted(t, order, subscription)

    return commit


def _add_product(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    term_end = day(subscription["termEndDate"]) if subscription["termEndDate"] else None
    planned = plan_of(t, body, {**when.dates, **dict.fromkeys(TRIGGERS, when.on)}, term_end, set())

    def commit(order: Record) -> Record:
        store_plan(t, subscription, planned, when.tokens)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _noted(t, order, subscription)

    return commit


def _own_plan(t: Tenant, subscription: Record, body: Record, tokens: Tokens) -> Record:
    plans = t.rate_plans.where("subscriptionId", subscription["id"])
    named = tokens.get(body.get("uniqueToken") or "")
    wanted = named or next((body[name] for name in _PLAN_NAMES if body.get(name)), None)
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


def _remove_product(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    plan = _own_plan(t, subscription, body, when.tokens)

    def commit(order: Record) -> Record:
        for charge in t.charges.where("ratePlanId", plan["id"]):
            subscriptions.end_charge(t, charge, subscription, when.on)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _noted(t, order, subscription)

    return commit


def _update_product(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    """New quantities or prices from a date: the old segment ends there, a new one with the same number begins."""
    plan = _own_plan(t, subscription, body, when.tokens)
    on = date_of(body, "specificUpdateDate") if body.get("specificUpdateDate") else when.on
    updates = [_updated(t, plan, update, on, when.tokens) for update in body.get("chargeUpdates") or []]

    def commit(order: Record) -> Record:
        for charge, new, start in updates:
            _new_segment(t, subscription, plan, charge, new, start)
        subscription["version"] += 1
        subscriptions.refresh_total(t, subscription)
        return _noted(t, order, subscription)

    return commit


def _updated(t: Tenant, plan: Record, update: Record, on: date, tokens: Tokens) -> tuple[Record, Record, date]:
    """The charge's last segment, its new fields, and the day they begin. Raises Refusal."""
    number = tokens.get(update.get("uniqueToken") or "") or update.get("chargeNumber")
    charge = t.charges.find(number)
    if charge is None or charge["ratePlanId"] != plan["id"]:
        raise not_found(number, Resource.ORDER)
    if charge["chargeType"] != "Recurring":
        raise rule(Resource.CHARGE, "Only recurring charges can be updated.")
    effective = update.get("effectiveDate") or {}
    start = date_of(effective, "specificTriggerDate") if effective.get("specificTriggerDate") else on
    first, last = charge["effectiveStartDate"], charge["effectiveEndDate"]
    if first is None or start < day(first) or (last and start >= day(last)):
        raise rule(
            Resource.CHARGE,
            f"The update date {start} should be within the last segment of the charge {charge['chargeNumber']}.",
        )
    return charge, pricing.changed(charge, update.get("pricing") or {}), start


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


def _terms_and_conditions(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    """The renewal, the payment term, or the length of the term that runs."""
    setting, term = body.get("renewalSetting"), body.get("paymentTerm")
    if setting is not None and setting not in ("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN"):
        raise one_of(Resource.SUBSCRIPTION, "renewalSetting", ("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN"))
    if term is not None and term not in t.settings.payment_terms:
        raise invalid(Resource.SUBSCRIPTION, f"The payment term '{term}' does not exist or is inactive.")
    fields: Record = {name: body[name] for name in ("autoRenew", "renewalSetting", "paymentTerm") if name in body}
    if "invoiceSeparately" in body:
        fields["isInvoiceSeparate"] = bool(body["invoiceSeparately"])
    if renewal := (body.get("renewalTerms") or [None])[0]:
        fields |= {"renewalTerm": renewal.get("period"), "renewalTermPeriodType": renewal.get("periodType") or "Month"}
    last = _last_term(subscription, body["lastTerm"]) if body.get("lastTerm") else None

    def commit(order: Record) -> Record:
        subscription.update(fields)
        if last is not None:
            subscriptions.set_term(t, subscription, last)
        subscription["version"] += 1
        return _noted(t, order, subscription)

    return commit


def _last_term(subscription: Record, body: Record) -> Record:
    """The fields of a new current term. Raises Refusal."""
    kind = body.get("termType")
    if kind not in ("TERMED", "EVERGREEN"):
        raise one_of(Resource.TERM, "termType", ("TERMED", "EVERGREEN"))
    start = date_of(body, "startDate") if body.get("startDate") else day(subscription["termStartDate"])
    if kind == "EVERGREEN":
        return {"termType": kind, "termStartDate": start.isoformat(), "termEndDate": None, "subscriptionEndDate": None}
    length, unit = body.get("period"), body.get("periodType") or "Month"
    if not body.get("endDate") and not (isinstance(length, int) and length > 0):
        raise missing(Resource.SUBSCRIPTION, "period")
    end = date_of(body, "endDate") if body.get("endDate") else add_term(start, length or 0, unit)
    if end <= start:
        raise rule(Resource.SUBSCRIPTION, f"The term end date {end} should be later than the term start date {start}.")
    dates = {
        "termStartDate": start.isoformat(),
        **dict.fromkeys(("termEndDate", "subscriptionEndDate"), end.isoformat()),
    }
    return {"termType": kind, **dates, "currentTerm": length, "currentTermPeriodType": unit}


def _owner_transfer(t: Tenant, subscription: Record, body: Record, when: When) -> Commit:
    """Another account owns the subscription, or pays for it, from now on; what was invoiced stays where it is."""
    owner = _destination(t, subscription, body.get("destinationAccountNumber"))
    payer = _destination(t, subscription, body.get("destinationInvoiceAccountNumber"))
    if owner is None and payer is None:
        raise missing(Resource.ORDER, "destinationAccountNumber")

    def commit(order: Record) -> Record:
        if owner is not None:
            t.subscriptions.relink(subscription, "accountId", owner["id"])
        subscription["invoiceOwnerId"] = (payer or owner or {})["id"]
        subscription["version"] += 1
        return _noted(t, order, subscription)

    return commit


def _destination(t: Tenant, subscription: Record, number: str | None) -> Record | None:
    if not number:
        return None
    account = t.accounts.get(number, Resource.ORDER)
    if account["status"] != "Active":
        raise rule(Resource.ORDER, f"The account {number} is not active.")
    if account["currency"] != subscription["currency"]:
        raise rule(Resource.ORDER, f"The account {number} has another currency than the subscription.")
    return account


CHANGES: dict[str, Callable[[Tenant, Record, Record, When], Commit]] = {
    "CancelSubscription": _cancel,
    "RenewSubscription": _renew,
    "AddProduct": _add_product,
    "RemoveProduct": _remove_product,
    "UpdateProduct": _update_product,
    "TermsAndConditions": _terms_and_conditions,
    "OwnerTransfer": _owner_transfer,
}
