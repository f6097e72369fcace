"""Ramp deals: a timeline of intervals over a subscription. Prices change by UpdateProduct actions, not here."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from tieline_sandbox.zuora.creation import Tokens, date_of
from tieline_sandbox.zuora.dates import day
from tieline_sandbox.zuora.errors import Record, Resource, missing, not_found, rule
from tieline_sandbox.zuora.model import Tenant


def define(t: Tenant, subscription: Record, body: Record, tokens: Tokens) -> Record | None:
    """Store (or with `delete` take away) the ramp of a subscription. Raises Refusal, having changed nothing."""
    standing = t.ramps.where("subscriptionNumber", subscription["name"])
    if body.get("delete"):
        for ramp in standing:
            t.ramps.remove(ramp)
        return None
    intervals = _intervals(subscription, body)
    charges = [_charge(t, subscription, named, tokens) for named in body.get("charges") or []]
    fields = {
        "name": body.get("name"),
        "description": body.get("description"),
        "intervals": intervals,
        "charges": [{"chargeNumber": c["chargeNumber"]} for c in charges],
    }
    if standing:
        standing[0].update(fields)
        t.touch(t.ramps, standing[0])
        return standing[0]
    record = {"number": t.number("R-"), "subscriptionNumber": subscription["name"], **fields}
    return t.ramps.add(t.stamped(record))


def _intervals(subscription: Record, body: Record) -> list[Record]:
    """Without a gap or an overlap, within the term; both days of an interval belong to it."""
    listed = body.get("intervals")
    if not listed:
        raise missing(Resource.ORDER, "ramp.intervals")
    spans = [(date_of(i, "startDate"), date_of(i, "endDate")) for i in listed]
    for start, end in spans:
        if end < start:
            raise rule(Resource.ORDER, f"The ramp interval end date {end} should be later than its start date {start}.")
    for (_, end), (start, _) in pairwise(spans):
        if start != end + timedelta(days=1):
            raise rule(Resource.ORDER, "The ramp intervals should be continuous, without gaps or overlaps.")
    term_end = subscription["termEndDate"]
    if spans[0][0] < day(subscription["termStartDate"]) or (term_end and spans[-1][1] >= day(term_end)):
        raise rule(Resource.ORDER, "The ramp intervals should be within the subscription term.")
    return [{k: i.get(k) for k in ("name", "description", "startDate", "endDate")} for i in listed]


def _charge(t: Tenant, subscription: Record, named: Record, tokens: Tokens) -> Record:
    number = tokens.get(named.get("uniqueToken") or "") or named.get("chargeNumber")
    charge = t.charges.find(number)
    if charge is None or charge["subscriptionId"] != subscription["id"]:
        raise not_found(number, Resource.ORDER)
    if charge["chargeType"] != "Recurring":
        raise rule(Resource.ORDER, f"The charge {number} is not recurring and cannot be part of a ramp.")
    return charge


def view(ramp: Record) -> Record:
    """`GET /v1/ramps/{rampNumber}`, without the CommonResponse around it."""
    names = ("id", "number", "name", "description", "subscriptionNumber", "charges", "intervals")
    return {k: ramp[k] for k in names if ramp[k] is not None}
