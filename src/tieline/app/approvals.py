"""Approvals: what waits for a yes, why a rule asked, who sold it; given or refused, several together or none.

Who may decide is asked here for showing only: `tieline.app.cases.decide` asks again, whatever a page showed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tieline.app import cases
from tieline.app.duties import made_by
from tieline.app.principal import PEOPLE, NotAllowed, Permission, Principal
from tieline.app.views.resolve import NothingFound
from tieline.app.views.words import APPROVAL
from tieline.domain import Contract, Money
from tieline.engine.cases import APPROVE, REFUSE
from tieline.engine.ports import Store
from tieline.engine.records import CaseRow, CaseState
from tieline.events import CaseCommented, CaseDecided, decode_event
from tieline.policy.reasons import Reason, reasons

A_PAGE = 25
MOST_TOGETHER = 100
MOST_COMMENTS = 200
LOOKED_AT = 2_500
"""How many decisions of anybody a page of somebody's own history looks through."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An approval as whoever decides it must see it.

    `contract` is None where the case does not hold it as we know contracts today; `blocked` says why the person who
    looks may not decide, "" where they may.
    """

    case: CaseRow
    deal: str
    customer: str
    rule: str
    rule_version: int
    formula: str
    reasons: list[Reason]
    contract: Contract | None
    sold_by: str
    sold_by_email: str
    blocked: str

    @property
    def open(self) -> bool:
        """Whether it still waits."""
        return self.case.state is CaseState.OPEN

    @property
    def value(self) -> Money | None:
        """What it is about; None where it is not about money."""
        if self.contract:
            return self.contract.value
        number, _, currency = self.case.amount.replace(",", "").partition(" ")
        try:
            return Money(Decimal(number), currency)
        except (InvalidOperation, ValueError):
            return None

    @property
    def asked_about(self) -> frozenset[int]:
        """The places of the lines that the rule asks about."""
        return frozenset(place for reason in self.reasons for place in reason.items)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what waits, the oldest first; `after` is where the next page begins, None for none."""

    approvals: list[Approval]
    after: tuple[datetime, str] | None = None


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said about an approval."""

    at: datetime
    by: str
    text: str


class MyDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody decided."""

    seq: int
    action: str
    reason: str
    at: datetime
    approval: Approval


class MyDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; `before` is where an older page begins, 0 for none."""

    decisions: list[MyDecision]
    before: int = 0


async def waiting(
    store: Store, by: Principal, *, after: tuple[datetime, str] | None = None, limit: int = A_PAGE
) -> Waiting:
    """Every approval that is open, and which of them `by` may decide."""
    found = await store.cases(states=[CaseState.OPEN], case_class=APPROVAL, after=after, limit=limit + 1)
    shown = found[:limit]
    more = (shown[-1].opened_at, shown[-1].id) if len(found) > limit else None
    return Waiting(approvals=[_approval(case, await blocked(store, case, by)) for case in shown], after=more)


async def get_approval(store: Store, case_id: str, by: Principal) -> Approval:
    """Raises NothingFound for what is no approval."""
    case = await store.case(case_id.upper())
    if case is None or case.case_class != APPROVAL:
        raise NothingFound(f"there is no approval {case_id}")
    return _approval(case, await blocked(store, case, by))


async def get_approvals(store: Store, case_ids: Sequence[str], by: Principal) -> list[Approval]:
    """Several, each once, in the order they were asked for. Raises NothingFound, and NotDecidable for too many."""
    wanted = list(dict.fromkeys(case_ids))
    if not 0 < len(wanted) <= MOST_TOGETHER:
        raise cases.NotDecidable(f"choose one approval at least, and {MOST_TOGETHER} at most, to be decided together")
    return [await get_approval(store, case_id, by) for case_id in wanted]


async def blocked(store: Store, case: CaseRow, by: Principal) -> str:
    """Why `by` may not decide an approval, as a sentence to be shown; "" where they may."""
    try:
        by.require(Permission.APPROVE)
    except NotAllowed as error:
        return str(error)
    made = await made_by(store, case, by)
    return f"{made}. Somebody else who is approver or admin decides it" if made else ""


async def decide(store: Store, approvals: Sequence[Approval], action: str, *, by: Principal, reason: str) -> None:
    """Approve or refuse: all of them or none. Raises NotAllowed, NotDecidable."""
    if action not in (APPROVE, REFUSE):
        raise cases.NotDecidable("an approval is given or refused: approve or refuse")
    await cases.decide(store, [each.case for each in approvals], action, by=by, reason=reason.strip())


async def decision_of(store: Store, approval: Approval) -> CaseDecided | None:
    """What was decided, by whom and why; None while it waits."""
    if approval.open:
        return None
    told = await store.find_event(PEOPLE, f"{approval.case.id}/decided")
    data = decode_event(told) if told else None
    return data if isinstance(data, CaseDecided) else None


async def comments_on(store: Store, approval: Approval) -> list[Comment]:
    """What was said about it, the newest `MOST_COMMENTS`, in the order it was said."""
    said = await store.events(type=CaseCommented.__name__, subject=approval.case.id, limit=MOST_COMMENTS, newest=True)
    decoded: list[tuple[datetime, Any]] = [(event.time, decode_event(event)) for event in said]
    return [Comment(at=at, by=data.by, text=data.text) for at, data in decoded]


async def decided_by(store: Store, by: Principal, *, before: int = 0) -> MyDecisions:
    """What `by` approved and refused, out of the newest decisions before a place in the log."""
    events = await store.events(type=CaseDecided.__name__, before_seq=before or None, limit=LOOKED_AT, newest=True)
    found: list[MyDecision] = []
    for event in reversed(events):
        data: Any = decode_event(event)
        case = await store.case(data.case) if data.by == by.name and data.action in (APPROVE, REFUSE) else None
        if case is None:
            continue
        if len(found) == A_PAGE:
            return MyDecisions(decisions=found, before=found[-1].seq)
        found.append(
            MyDecision(
                seq=event.seq, action=data.action, reason=data.reason, at=data.decided_at, approval=_approval(case, "")
            )
        )
    return MyDecisions(decisions=found, before=events[0].seq if len(events) == LOOKED_AT else 0)


def totals(approvals: Sequence[Approval]) -> list[Money]:
    """What they are about together, by currency."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for value in filter(None, (each.value for each in approvals)):
        sums[value.currency] += value.amount
    return [Money(amount, currency) for currency, amount in sorted(sums.items())]


# --- inside -----------------------------------------------------------------------------------------------------------


def _approval(case: CaseRow, why_not: str) -> Approval:
    details = case.details
    owner: dict[str, Any] = details.get("owner") or {}
    formula = str(details.get("when") or "")
    contract = _contract(details.get("contract"))
    return Approval(
        case=case,
        deal=str(details.get("deal") or case.correlation_id),
        customer=str(details.get("customer") or ""),
        rule=str(details.get("rule") or ""),
        rule_version=int(details.get("rule_version") or 0),
        formula=formula,
        reasons=reasons(formula, _document(details, contract)) if formula else [],
        contract=contract,
        sold_by=str(owner.get("name") or ""),
        sold_by_email=str(owner.get("email") or ""),
        blocked=why_not,
    )


def _document(details: dict[str, Any], contract: Contract | None) -> dict[str, Any]:
    """What the rule looked at, as far as the case holds it."""
    value = {"value": msgspec.to_builtins(contract.value)} if contract else {}
    return {"contract": {**(details.get("contract") or {}), **value}, "customer": {"name": details.get("customer")}}


def _contract(held: Any) -> Contract | None:
    try:
        return msgspec.convert(held, Contract)
    except msgspec.ValidationError:
        return None
