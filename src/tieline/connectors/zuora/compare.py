"""Whether what stands in Zuora is what was sent. Zuora shows documents in another shape than it takes them, so both
sides are brought to one: only what was sent is compared, and what Zuora fills in by itself does not count."""

from __future__ import annotations

from typing import Any

import pycountry

from tieline.connectors.sdk import describe_difference
from tieline.connectors.zuora.wire import Body

_SOFT = ("plan", "product_charge", "period")


def account_difference(sent: Body, view: Body) -> str:
    """The first difference between an account body and GET /v1/accounts/{key}, "" for none.

    Zuora turns country and state into names ("DE" → "Germany"), and says postalCode for zipCode.
    """
    found = {
        **(view.get("basicInfo") or {}),
        **(view.get("billingAndPayment") or {}),
        "taxInfo": view.get("taxInfo") or {},
    }
    body = dict(sent)
    for name in ("billToContact", "soldToContact"):
        if name in body:
            body[name], found[name] = _contact(body[name]), _contact(view.get(name) or {})
    return describe_difference(_trimmed(body), _trimmed(found))


def order_difference(sent: Body, order: Body) -> str:
    """The first difference between an order body and the order of GET /v1/orders/{number}, "" for none.

    Charges are compared by their numbers, whatever their order. Names of the catalogue, which Zuora may answer as
    ids, count only where Zuora shows them.
    """
    wanted, found = _order(sent), _order(order)
    for subscription, shown in zip(wanted["subscriptions"], found["subscriptions"], strict=False):
        for action, seen in zip(subscription["actions"], shown["actions"], strict=False):
            _soften(action, seen)
    return describe_difference(wanted, found)


def _order(order: Body) -> Body:
    return {
        "orderNumber": order.get("orderNumber"),
        "orderDate": order.get("orderDate"),
        "existingAccountNumber": order.get("existingAccountNumber"),
        "subscriptions": [_subscription(s) for s in order.get("subscriptions") or []],
    }


def _subscription(entry: Body) -> Body:
    actions = [_action(a) for a in entry.get("orderActions") or []]
    given = [(a.get("createSubscription") or {}).get("subscriptionNumber") for a in entry.get("orderActions") or []]
    return {"subscriptionNumber": entry.get("subscriptionNumber") or next(iter(given), None), "actions": actions}


def _action(action: Body) -> Body:
    created, cancelled = action.get("createSubscription") or {}, action.get("cancelSubscription") or {}
    essence: Body = {
        "type": action.get("type"),
        "dates": {d.get("name"): d.get("triggerDate") for d in action.get("triggerDates") or []},
    }
    if created:
        essence["terms"] = created.get("terms") or {}
        essence["charges"] = _charges(created.get("subscribeToRatePlans") or [])
    essence |= _changes(action)
    if cancelled:
        names = ("cancellationPolicy", "cancellationEffectiveDate")
        essence["cancelled"] = {name: cancelled[name] for name in names if name in cancelled}
    return essence


def _changes(action: Body) -> Body:
    """What an amendment asks for: added charges, new prices by charge, the plan that goes, the terms of renewal."""
    found: Body = {}
    if added := action.get("addProduct"):
        found["charges"] = _charges([added])
    if updated := action.get("updateProduct"):
        found["prices"] = {u.get("chargeNumber"): u.get("pricing") or {} for u in updated.get("chargeUpdates") or []}
    if removed := action.get("removeProduct"):
        found["removed"] = removed.get("subscriptionRatePlanNumber")
    if terms := action.get("termsAndConditions"):
        found["renewal"] = {name: terms[name] for name in ("autoRenew", "renewalTerms") if name in terms}
    return found


def _charges(plans: list[Body]) -> Body:
    return {
        str(charge.get("chargeNumber") or f"{plan.get('productRatePlanNumber')}/{at}"): _charge(plan, charge)
        for plan in plans
        for at, charge in enumerate(plan.get("chargeOverrides") or [])
    }


def _charge(plan: Body, charge: Body) -> Body:
    billing = charge.get("billing") or {}
    return {
        "plan": plan.get("productRatePlanNumber"),
        "product_charge": charge.get("productRatePlanChargeNumber"),
        "period": billing.get("billingPeriod"),
        "pricing": charge.get("pricing") or {},
        "startDate": charge.get("startDate") or {},
        "endDate": charge.get("endDate") or {},
    }


def _soften(wanted: Body, found: Body) -> None:
    """Leave out of `wanted` what Zuora does not show."""
    for name in ("dates", "terms", "removed"):
        if not found.get(name):
            wanted.pop(name, None)
    for number, charge in (wanted.get("charges") or {}).items():
        shown = (found.get("charges") or {}).get(number) or {}
        for name in _SOFT:
            if shown.get(name) is None:
                charge.pop(name, None)


def _contact(contact: Body) -> Body:
    zip_code = contact.get("zipCode") or contact.get("postalCode")
    country = country_code(str(contact.get("country") or ""))
    state = _state_code(country, str(contact.get("state") or ""))
    return {**contact, "country": country, "state": state, **({"zipCode": zip_code} if zip_code else {})}


def country_code(country: str) -> str:
    """ISO 3166 alpha 2 of a country's name or code; the text itself where pycountry knows no such country."""
    if len(country) == 2:
        return country.upper()
    try:
        return str(pycountry.countries.lookup(country).alpha_2) if country else ""
    except LookupError:
        return country.casefold()


def _state_code(country: str, state: str) -> str:
    """The part behind "US-" of a state's name or code; the text itself where the country has no such state."""
    folded = state.casefold()
    known = pycountry.subdivisions.get(country_code=country) if folded else None  # type: ignore[no-untyped-call]
    for subdivision in known or []:
        code = str(subdivision.code).partition("-")[2]
        if folded in (code.casefold(), str(subdivision.name).casefold()):
            return code
    return folded


def _trimmed(value: Any) -> Any:
    """Texts without the blanks around them, which Zuora cuts off."""
    if isinstance(value, dict):
        return {name: _trimmed(inner) for name, inner in value.items()}
    return value.strip() if isinstance(value, str) else value
