"""What the tables of Zuora are given where no canonical entity says it: cancellations, amendments, renewals, usage.

Dates are ISO 8601; a last day belongs to its span.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Required, TypedDict


class Cancellation(TypedDict, total=False):
    """What `subscription_order.cancel` is made from: the subscription order that is taken back.

    `effective_on` is the first day without the subscription; without it the order is taken back from its start.
    Dates are ISO 8601.
    """

    id: Required[str]
    number: Required[str]
    subscription_number: Required[str]
    customer: Required[str]
    ordered_on: Required[str]
    starts_on: Required[str]
    effective_on: str
    reason: str


class Change(TypedDict, total=False):
    """One change of an amendment: `change` is add, update or remove, `id` that of the contract line.

    `price` is what the line bills each period from `effective_on` on. An added line also has `product` and the last
    day it is billed for (`ends_on`).
    """

    id: Required[str]
    change: Required[str]
    effective_on: Required[str]
    product: str
    description: str
    price: Decimal
    ends_on: str


class Interval(TypedDict, total=False):
    name: str
    starts_on: Required[str]
    ends_on: Required[str]


class Amendment(TypedDict, total=False):
    """What `subscription_order.amend` is made from. `number` is the amendment's own order number.

    Changes with dates of their own make a ramp deal; `intervals` draws its timeline.
    """

    id: Required[str]
    number: Required[str]
    subscription_number: Required[str]
    customer: Required[str]
    ordered_on: Required[str]
    billing_period: str
    reason: str
    changes: Required[list[Change]]
    intervals: list[Interval]


class Renewal(TypedDict, total=False):
    """What `subscription_order.renew` is made from. `number` is the renewal's own order number.

    `term_months` is the length of the new term.
    """

    id: Required[str]
    number: Required[str]
    subscription_number: Required[str]
    customer: Required[str]
    ordered_on: Required[str]
    effective_on: Required[str]
    term_months: Required[int]
    auto_renew: bool


class Metered(TypedDict, total=False):
    """So many units of a metered contract line. `charge` is the number of its charge in Zuora."""

    subscription_number: Required[str]
    charge: Required[str]
    unit_of_measure: Required[str]
    quantity: Required[Decimal]
    starts_on: Required[str]
    ends_on: str
    description: str


class UsageBatch(TypedDict, total=False):
    """What `usage_batch` is made from: the `number` names the batch for good, whatever its rows."""

    id: Required[str]
    number: Required[str]
    customer: Required[str]
    records: Required[list[Metered]]
