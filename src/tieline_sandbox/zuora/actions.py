"""The order actions. `prepare` checks one action and returns what will store it, given the order."""

from __future__ import annotations

from itertools import pairwise

from tieline_sandbox.zuora import changes, creation, subscriptions
from tieline_sandbox.zuora.creation import TRIGGERS, Commit, Dates, Tokens, date_of
from tieline_sandbox.zuora.dates import day
from tieline_sandbox.zuora.errors import Record, Resource, invalid, missing, not_found, one_of, rule
from tieline_sandbox.zuora.model import Tenant

_TYPES = ("CreateSubscription", *changes.CHANGES)


def prepare(t: Tenant, account: Record, order: Record, entry: Record, action: Record, tokens: Tokens) -> Commit:
    """Check an action against what stands now, earlier actions of the same order included. Raises Refusal."""
    kind = action.get("type")
    if kind not in _TYPES:
        raise one_of(Resource.ORDER, "type", _TYPES)
    field = kind[0].lower() + kind[1:]
    body = action.get(field)
    if body is None and kind != "RenewSubscription":
        raise missing(Resource.ORDER, field)
    dates, listed = trigger_dates(action, order)
    if kind == "CreateSubscription":
        return creation.create(t, account, entry, body or {}, dates, listed, tokens)
    subscription = _changeable(t, account, entry, kind)
    on = dates.get("ContractEffective") or day(order["orderDate"])
    return changes.CHANGES[kind](t, subscription, body or {}, changes.When(on, dates, tokens))


def _changeable(t: Tenant, account: Record, entry: Record, kind: str) -> Record:
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
        raise invalid(Resource.CANCEL, f"Only activated subscription can be {_PAST.get(kind, 'changed')}.")
    return subscription


_PAST = {"CancelSubscription": "cancelled", "RenewSubscription": "renewed", "OwnerTransfer": "transferred"}


def trigger_dates(action: Record, order: Record) -> tuple[Dates, set[str]]:
    """The trigger dates by name, and the names listed. ContractEffective is the order date when not listed."""
    dates: Dates = {}
    listed: set[str] = set()
    for trigger in action.get("triggerDates") or []:
        name = trigger.get("name")
        if name not in TRIGGERS:
            raise one_of(Resource.ORDER, "triggerDates.name", TRIGGERS)
        listed.add(name)
        dates[name] = date_of(trigger, "triggerDate") if trigger.get("triggerDate") else None
    if "ContractEffective" not in listed:
        dates["ContractEffective"] = date_of(order, "orderDate")
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
        subscription[fields[trigger["name"]]] = date_of(trigger, "triggerDate").isoformat()
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
        creation.announce_active(t, subscription)


def _stage(status: str) -> int:
    return {"Pending Activation": 1, "Pending Acceptance": 2}.get(status, 0)
