"""Count by what makes a document the same in business, not by anybody's keys: fair to every contender.

For each deal that was won there is one billing account for its buyer, one subscription order, one customer and one
sales order in the ERP, one project where services were sold, and a status in the CRM.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tieline.app.demo.deals import Deal, Sales
from tieline.app.demo.judge import Systems

_OPPORTUNITY = re.compile(r"006\w{15}")


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for so many deals. Amounts are per currency."""

    deals: int
    documents: int
    lost: list[str]
    doubled: list[str]
    ordered: dict[str, Decimal]
    booked: dict[str, Decimal]
    status_missing: int

    @property
    def money_equal(self) -> bool:
        return self.ordered == self.booked

    @property
    def right(self) -> bool:
        return self.money_equal and not self.lost and not self.doubled


def tally(sales: Sales, deals: Sequence[Deal], systems: Systems) -> Tally:
    """Count the documents of these deals; whatever else stands there is nobody's here."""
    names = {d.opportunity_id: sales.accounts[d.account]["Name"] for d in deals}
    ids = set(names)
    accounts = Counter(a.get("crmId") for a in systems.accounts)
    customers = Counter(c.get("companyName") for c in systems.ns_customers)
    ordered_in_billing = Counter(_orders_in_billing(systems))
    orders = Counter(_deal_of(o) for o in systems.ns_orders)
    projects = Counter(_projects(systems, deals))
    wanted: list[tuple[str, str, int]] = []
    for account_id, buyer in {d.account_id: names[d.opportunity_id] for d in deals}.items():
        wanted.append(("account in Zuora", buyer, accounts[account_id]))
        wanted.append(("customer in NetSuite", buyer, customers[buyer]))
    for deal in deals:
        wanted.append(("subscription order in Zuora", deal.name, ordered_in_billing[deal.opportunity_id]))
        wanted.append(("sales order in NetSuite", deal.name, orders[deal.opportunity_id]))
        if deal.services:
            wanted.append(("project in Kantata", deal.name, projects[deal.opportunity_id]))
    status = {o["Id"]: o.get("Tieline_Status__c") for o in systems.opportunities}
    return Tally(
        deals=len(deals),
        documents=len(wanted),
        lost=[f"{what} for {whom}" for what, whom, number in wanted if number == 0],
        doubled=[f"{number} x {what} for {whom}" for what, whom, number in wanted if number > 1],
        ordered=_per_currency((d.currency, d.value) for d in deals),
        booked=_per_currency((str(o["currencysymbol"]), o["total"]) for o in systems.ns_orders if _deal_of(o) in ids),
        status_missing=sum(not status.get(each) for each in ids),
    )


def _orders_in_billing(systems: Systems) -> list[str]:
    """The deal of each order that sells something: named in its number or description, or by its subscription."""
    by_order = {order: s["name"] for s in systems.subscriptions for order in s.get("orderIds") or ()}
    named = (
        _OPPORTUNITY.search(f"{o.get('orderNumber')} {o.get('description')} {by_order.get(o['id'], '')}")
        for o in systems.orders
        if not str(o.get("orderNumber")).endswith("-X")
    )
    return [found.group() for found in named if found]


def _projects(systems: Systems, deals: Sequence[Deal]) -> list[str]:
    by_project: dict[str, str] = {}
    for reference in systems.project_references:
        found = _OPPORTUNITY.search(str(reference.get("service_model_ref")))
        if found:
            by_project[str(reference.get("subject_id"))] = found.group()
    by_name = {d.name: d.opportunity_id for d in deals}
    titled = (
        by_project.get(str(p["id"])) or next((i for n, i in by_name.items() if _is_in(n, str(p.get("title")))), "")
        for p in systems.projects
    )
    return [deal for deal in titled if deal]


def _is_in(name: str, title: str) -> bool:
    """ "… #1" is not in "… #12"."""
    return re.search(rf"{re.escape(name)}(?!\d)", title) is not None


def _deal_of(order: dict[str, Any]) -> str:
    return str(order.get("custbody_crm_opportunity") or "").rpartition("-")[2]


def _per_currency(amounts: Iterable[tuple[str, Any]]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in amounts:
        totals[currency] += Decimal(str(amount))
    return {c: a.quantize(Decimal("0.01")) for c, a in sorted(totals.items()) if a}
