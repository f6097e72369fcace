"""Who may decide an approval, what it shows, and that several are decided together or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.rows import case_row

from tieline.app import approvals, cases
from tieline.app.duties import made_by
from tieline.app.principal import NotAllowed, Principal, Role, local_principal
from tieline.app.views.resolve import NothingFound
from tieline.engine.ports import Batch
from tieline.engine.records import CaseRow
from tieline.storage.memory import MemoryStore

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
ADA = {"id": "salesforce-1", "name": "Ada Sales", "email": "ada.sales@example.com"}
FIONA = Principal(name="fiona", roles=frozenset({Role.APPROVER}), email="fiona@example.com")


def asked(number: int, **details: Any) -> CaseRow:
    return case_row(
        number,
        case_class="approval",
        cause="approval:terms",
        actions=["approve", "refuse"],
        correlation_id=f"D-{number}",
        amount=f"{number}000.50 USD",
        opened_at=BEGIN + timedelta(minutes=number),
        details={"rule": "terms", "deal": f"Deal {number}", "owner": ADA, **details},
    )


async def store_with(*rows: CaseRow) -> MemoryStore:
    store = MemoryStore()
    await store.commit(Batch(cases=list(rows)))
    return store


@pytest.mark.parametrize(
    "by",
    [
        Principal(name="ada", roles=frozenset({Role.APPROVER}), email="Ada.Sales@Example.com"),
        Principal(name="ada sales", roles=frozenset({Role.ADMIN})),
        local_principal("ada.sales"),
        local_principal("ada.sales@example.com"),
    ],
)
async def test_whoever_sold_it_does_not_decide_it(by: Principal) -> None:
    """By address in any case, by name, at the command line; an admin no more than others."""
    case = asked(1)
    store = await store_with(case)
    assert "owns this deal in the CRM. Somebody else" in await approvals.blocked(store, case, by)
    with pytest.raises(NotAllowed, match="owns this deal"):
        await cases.decide(store, [case], "approve", by=by)
    assert await store.events(type="CaseDecided") == []


async def test_somebody_with_the_same_front_of_another_address_may() -> None:
    """Only of those without an address the name is held against the front of the owner's."""
    other = Principal(name="ada.sales", roles=frozenset({Role.APPROVER}), email="ada.sales@other.example")
    assert await made_by(await store_with(), asked(1), other) == ""
    assert await approvals.blocked(await store_with(), asked(1), FIONA) == ""


@pytest.mark.parametrize(
    ("action", "arguments", "may"),
    [
        ("correct", {"memo": "x"}, False),
        ("link", {"external_id": "7"}, False),
        ("create", {}, False),
        ("skip", {}, False),
        ("retry", {}, True),
        ("retry", {"value_map": "products", "key": "GTXPro"}, False),
    ],
)
async def test_who_changed_what_the_deal_becomes_does_not_approve_it(
    action: str, arguments: dict[str, Any], may: bool
) -> None:
    rita = Principal(name="rita", roles=frozenset({Role.STEWARD, Role.APPROVER}))
    trouble, case = case_row(2, correlation_id="D-1", actions=[action]), asked(1)
    store = await store_with(trouble, case)
    await cases.decide(store, [trouble], action, by=rita, arguments=arguments)
    assert (await made_by(store, case, rita) == "") is may
    assert await made_by(store, asked(3), rita) == ""  # another deal
    assert await made_by(store, case, FIONA) == ""


async def test_what_waits_comes_page_by_page_with_what_i_may_decide() -> None:
    store = await store_with(asked(1), asked(2, owner=None), case_row(9))
    first = await approvals.waiting(store, FIONA, limit=1)
    assert [each.deal for each in first.approvals] == ["Deal 1"]
    rest = await approvals.waiting(store, FIONA, after=first.after, limit=1)
    assert ([each.deal for each in rest.approvals], rest.after) == (["Deal 2"], None)
    viewer = Principal(name="vic", roles=frozenset({Role.VIEWER}))
    assert all("approver or admin" in each.blocked for each in (await approvals.waiting(store, viewer)).approvals)
    with pytest.raises(NothingFound, match="no approval C-9"):
        await approvals.get_approval(store, "C-9", FIONA)


async def test_several_are_decided_together_or_none() -> None:
    """One that is somebody's own stops all; an amount is added up by currency, also as older cases wrote it."""
    own = asked(3, owner={"id": "x", "name": "fiona", "email": ""})
    store = await store_with(asked(1), asked(2), own)
    found = await approvals.get_approvals(store, ["C-1", "C-2", "C-3", "C-1"], FIONA)
    assert [each.case.id for each in found] == ["C-1", "C-2", "C-3"]
    assert [str(total) for total in approvals.totals(found)] == ["6,001.50 USD"]
    with pytest.raises(NotAllowed, match="C-3"):
        await approvals.decide(store, found, "approve", by=FIONA, reason="")
    assert await store.events(type="CaseDecided") == []
    await approvals.decide(store, found[:2], "approve", by=FIONA, reason=" agreed ")
    decided = [(m.action, m.reason, m.approval.deal) for m in (await approvals.decided_by(store, FIONA)).decisions]
    assert decided == [("approve", "agreed", "Deal 2"), ("approve", "agreed", "Deal 1")]
    assert (await approvals.decided_by(store, local_principal("ada"))).decisions == []
    with pytest.raises(cases.NotDecidable, match="choose one"):
        await approvals.get_approvals(store, [], FIONA)
