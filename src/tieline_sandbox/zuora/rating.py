"""What a charge owes up to a date: whole and part periods, usage in arrears, and credit for what was cut short.

Rating the same charge twice to the same date yields nothing the second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tieline_sandbox.zuora.dates import day, period_start, round_money
from tieline_sandbox.zuora.model import Billed, Tenant
from tieline_sandbox.zuora.pricing import fixed_price, usage_price
from tieline_sandbox.zuora.store import Record

FAR = date(2999, 1, 1)


@dataclass
class Due:
    """One line to invoice (or, when negative, to credit) for [start, end)."""

    charge: Record
    start: date
    end: date
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    corrects: Billed | None = None


def due(t: Tenant, charge: Record, subscription: Record, target: date) -> list[Due]:
    """Everything not yet billed up to and including `target`; moves the charge's `chargedThroughDate`."""
    if charge["effectiveStartDate"] is None or subscription["status"] not in ("Active", "Cancelled", "Expired"):
        return []
    if charge["chargeType"] == "OneTime":
        return _one_time(charge, subscription, target)
    if charge["chargeType"] == "Usage":
        return _usage(t, charge, subscription, target)
    return [*_credits(t, charge, subscription), *_recurring(charge, subscription, target)]


def first_due(charge: Record, subscription: Record) -> date | None:
    """When a bill run should look at this charge next; None when it is finished."""
    if charge["effectiveStartDate"] is None:
        return None
    start = day(charge["effectiveStartDate"])
    if charge["chargeType"] == "OneTime":
        return None if charge["chargedThroughDate"] else start
    end = day(charge["effectiveEndDate"]) if charge["effectiveEndDate"] else FAR
    reached = day(charge["chargedThroughDate"]) if charge["chargedThroughDate"] else start
    if reached >= end:
        return None
    if charge["billingTiming"] == "IN_ADVANCE":
        return reached
    return min(_period(charge, subscription, reached)[1], end)


def _one_time(charge: Record, subscription: Record, target: date) -> list[Due]:
    start = day(charge["effectiveStartDate"])
    if charge["chargedThroughDate"] or start > target:
        return []
    charge["chargedThroughDate"] = charge["processedThroughDate"] = charge["effectiveStartDate"]
    quantity = charge["quantity"] or Decimal(1)
    amount = round_money(fixed_price(charge), subscription["currency"])
    return [Due(charge, start, start + timedelta(days=1), quantity, charge["price"] or amount, amount)]


def _recurring(charge: Record, subscription: Record, target: date) -> list[Due]:
    items: list[Due] = []
    end = day(charge["effectiveEndDate"]) if charge["effectiveEndDate"] else FAR
    reached = day(charge["chargedThroughDate"] or charge["effectiveStartDate"])
    while reached < end:
        start, full_end = _period(charge, subscription, reached)
        stop = min(full_end, end)
        if (reached if charge["billingTiming"] == "IN_ADVANCE" else stop) > target:
            break
        # A part period costs its share of the period's days.
        share = Decimal((stop - reached).days) / Decimal((full_end - start).days)
        whole = fixed_price(charge)
        amount = round_money(whole * share if share != 1 else whole, subscription["currency"])
        items.append(
            Due(charge, reached, stop, charge["quantity"] or Decimal(1), charge["price"] or Decimal(0), amount)
        )
        reached = stop
        charge["chargedThroughDate"] = charge["processedThroughDate"] = reached.isoformat()
    return items


def _credits(t: Tenant, charge: Record, subscription: Record) -> list[Due]:
    """Negative lines for what was billed beyond the charge's end."""
    if not charge["effectiveEndDate"] or not charge["chargedThroughDate"]:
        return []
    end = day(charge["effectiveEndDate"])
    if day(charge["chargedThroughDate"]) <= end or not t.settings.credit_memo_on_cancel:
        return []
    items = []
    for billed in t.billed.get(charge["id"], []):
        if billed.end <= end:
            continue
        start = max(billed.start, end)
        share = Decimal((billed.end - start).days) / Decimal((billed.end - billed.start).days)
        amount = round_money(billed.amount * share, subscription["currency"])
        items.append(Due(charge, start, billed.end, billed.quantity, charge["price"] or Decimal(0), -amount, billed))
        billed.end, billed.amount = start, billed.amount - amount
    t.billed[charge["id"]] = [b for b in t.billed.get(charge["id"], []) if b.end > b.start]
    charge["chargedThroughDate"] = charge["processedThroughDate"] = end.isoformat()
    return items


def _usage(t: Tenant, charge: Record, subscription: Record, target: date) -> list[Due]:
    """Periods that have ended: what all their usage costs, less what was billed for them before."""
    anchor = day(charge["effectiveStartDate"])
    end = day(charge["effectiveEndDate"]) if charge["effectiveEndDate"] else FAR
    items: list[Due] = []
    for start, stop, records in _pending_usage(t, charge, subscription, min(end, target)):
        done_quantity, done_amount = t.rated_usage.get((charge["id"], start), (Decimal(0), Decimal(0)))
        added = sum((u["quantity"] for u in records), Decimal(0))
        total = round_money(usage_price(charge, done_quantity + added), subscription["currency"])
        t.rated_usage[charge["id"], start] = (done_quantity + added, total)
        unit = charge["price"] or charge["overagePrice"] or Decimal(0)
        items.append(Due(charge, start, stop, added, unit, total - done_amount))
        for usage in records:
            usage["rbeStatus"] = "Processed"
    reached = day(charge["chargedThroughDate"]) if charge["chargedThroughDate"] else anchor
    while reached < end and (stop := min(_period(charge, subscription, reached)[1], end)) <= target:
        reached = stop
    if reached > anchor:
        charge["chargedThroughDate"] = charge["processedThroughDate"] = reached.isoformat()
    return items


def _pending_usage(
    t: Tenant, charge: Record, subscription: Record, until: date
) -> list[tuple[date, date, list[Record]]]:
    end = day(charge["effectiveEndDate"]) if charge["effectiveEndDate"] else FAR
    grouped: dict[date, tuple[date, list[Record]]] = {}
    for usage in t.usages.where("ratePlanChargeId", charge["id"]):
        if usage["rbeStatus"] != "Pending":
            continue
        start, full_end = _period(charge, subscription, day(usage["startDateTime"][:10]))
        stop = min(full_end, end)
        if stop <= until:
            grouped.setdefault(start, (stop, []))[1].append(usage)
    return [(start, stop, records) for start, (stop, records) in sorted(grouped.items())]


def _period(charge: Record, subscription: Record, on: date) -> tuple[date, date]:
    """The whole billing period that `on` lies in, anchored at the charge's start; the end is exclusive."""
    anchor = day(charge.get("anchorDate") or charge["effectiveStartDate"])
    period, specific = charge["billingPeriod"], charge["specificBillingPeriod"]
    if period == "Subscription_Term":
        end = subscription["termEndDate"]
        return anchor, day(end) if end else FAR
    step = max((period_start(anchor, period, specific, 1) - anchor).days, 1)
    # Estimate, then correct: months have unequal lengths, and a charge can run for years.
    n = max((on - anchor).days // (step + 3), 0)
    while period_start(anchor, period, specific, n + 1) <= on:
        n += 1
    return period_start(anchor, period, specific, n), period_start(anchor, period, specific, n + 1)
