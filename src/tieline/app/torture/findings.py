"""What is wrong after a torture, in sentences; an empty list is the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tieline.app.demo.deals import Deal
from tieline.app.demo.judge import Sold, Verdict
from tieline.engine.records import CaseRow


def sold(deal: Deal) -> Sold:
    """What sales knows of a deal."""
    return Sold(
        opportunity_id=deal.opportunity_id,
        account_id=deal.account_id,
        currency=deal.currency,
        value=deal.value,
        overage=deal.overage(),
        services=deal.services,
    )


def faults_found(verdict: Verdict, cases: Sequence[CaseRow], expected: Mapping[str, str] | None = None) -> list[str]:
    """Everything that is not as it should be. `expected` is opportunity id → class of the case that must be open."""
    wrong = [f"lost: {name}" for name in verdict.lost]
    wrong += [f"doubled: {name}" for name in verdict.doubled]
    wrong += [f"unequal: {name}" for name in verdict.unequal]
    wrong += [f"out of order: {name}" for name in verdict.disorder]
    wrong += [f"status: {name}" for name in verdict.status_wrong]
    if not verdict.booked == verdict.billed == verdict.posted == verdict.paid:
        wrong.append(
            f"money: booked {_amounts(verdict.booked)}, billed {_amounts(verdict.billed)}, "
            f"posted {_amounts(verdict.posted)}, paid {_amounts(verdict.paid)}"
        )
    if verdict.deals_complete and not verdict.booked:
        wrong.append("money: nothing was booked at all")
    return wrong + wrong_cases(cases, expected or {})


LATER = ("Invoiced", "Paid", "Payment failed")
EARLIER = ("Won", "Customer created", "Subscription active", "Order posted", "Project opened")


def status_went_back(requests: Sequence[Mapping[str, Any]], restored_at: str) -> list[str]:
    """Deals whose status in the CRM was written anew from an older state, by the CRM's own log of requests.

    A hub whose log was put back at `restored_at` (of the CRM's clock; "" for never) goes the way once more from there.
    """
    latest: dict[str, str] = {}
    wrong: list[str] = []
    for request in requests:
        if restored_at and request["at"] >= restored_at:
            latest, restored_at = {}, ""
        body = str(request.get("request", ""))
        if "Tieline_Status__c" not in body or not 200 <= (request.get("status") or 0) < 300:
            continue
        for deal, status in _statuses(body):
            if latest.get(deal) in LATER and status in EARLIER:
                wrong.append(f"out of order: {deal} was {latest[deal]!r} and then {status!r} again")
            latest[deal] = status
    return wrong


def _statuses(body: str) -> list[tuple[str, str]]:
    told = msgspec.json.decode(body)
    records = told.get("records", [told]) if isinstance(told, dict) else []
    return [(str(r.get("Id") or r.get("id")), str(r["Tieline_Status__c"])) for r in records if "Tieline_Status__c" in r]


def wrong_cases(cases: Sequence[CaseRow], expected: Mapping[str, str]) -> list[str]:
    """Cases that have no cause in the world, and causes that have no case."""
    opened = {(case.correlation_id.rpartition("-")[2], case.case_class): case for case in cases}
    wanted = set(expected.items())
    false = [f"false case {opened[o].id}: {opened[o].case_class}: {opened[o].message}" for o in opened.keys() - wanted]
    return sorted(false) + sorted(f"missing case: {kind} of deal {deal}" for deal, kind in wanted - opened.keys())


def _amounts(amounts: Mapping[str, object]) -> str:
    return ", ".join(f"{amount} {currency}" for currency, amount in amounts.items()) or "nothing"
