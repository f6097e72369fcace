"""Cases of one class are decided together: all of them or none, and nothing of another class."""

from __future__ import annotations

import pytest
from tests.support.engine import NOW
from tests.support.rows import case_row

from tieline.app.cases import (
    NotDecidable,
    assign,
    chosen,
    comment,
    correct_value_map,
    decide,
    get_case,
    groups,
    page,
)
from tieline.app.principal import NotAllowed, Principal, Role, local_principal
from tieline.app.views.case import Compared, leaves
from tieline.app.views.words import event_words
from tieline.engine.ports import Batch
from tieline.engine.records import CaseFilter, CaseState
from tieline.errors import TielineError
from tieline.mapping import ValueMap
from tieline.storage.memory import MemoryStore


async def store_with_cases() -> MemoryStore:
    store = MemoryStore()
    refused = {"case_class": "invoice-rejected", "actions": ["retry", "correct"]}
    cases = [case_row(1, **refused, cause="a"), case_row(2, **refused, cause="b"), case_row(3)]
    await store.commit(Batch(cases=[*cases, case_row(4, **refused, state=CaseState.CLOSED)]))
    return store


async def test_a_class_is_corrected_and_tried_again_at_once() -> None:
    """Whatever their causes; what is decided already stays."""
    store = await store_with_cases()
    found = await chosen(store, None, None, "invoice-rejected")
    assert await decide(store, found, "correct", by=local_principal("ada"), arguments={"memo": "x"}) == ["C-1", "C-2"]
    states = {case.id: case.state for case in await store.cases()}
    assert states == {"C-1": "decided", "C-2": "decided", "C-3": "open", "C-4": "closed"}
    assert len(await store.events(type="CaseDecided")) == 2


async def test_a_decision_that_one_of_a_class_does_not_allow_decides_none() -> None:
    store = await store_with_cases()
    await store.commit(Batch(cases=[case_row(5, case_class="invoice-rejected", actions=["cancel"])]))
    with pytest.raises(NotDecidable, match="C-5"):
        await decide(store, await chosen(store, None, None, "invoice-rejected"), "retry", by=local_principal("ada"))
    assert await store.events(type="CaseDecided") == []


async def test_one_way_of_naming_cases_at_a_time() -> None:
    store = await store_with_cases()
    for case_id, cause, case_class, words in (
        (None, None, None, "name a case"),
        ("C-1", None, "invoice-rejected", "name a case"),
        (None, "a", "invoice-rejected", "name a case"),
        (None, None, "other", "no open case has the class 'other'"),
        (None, "other", None, "no open case has the cause 'other'"),
    ):
        with pytest.raises(TielineError, match=words):
            await chosen(store, case_id, cause, case_class)


OWNER = {"owner": {"id": "salesforce-1", "name": "Sam Seller", "email": "sam@tieline.example"}}
ASKED = {"case_class": "approval", "cause": "approval:deep-discount", "actions": ["approve", "refuse"]}


def person(name: str, *roles: Role, email: str = "") -> Principal:
    return Principal(name=name, roles=frozenset(roles), email=email)


async def store_with_approval() -> MemoryStore:
    store = MemoryStore()
    await store.commit(
        Batch(cases=[case_row(1, correlation_id="D-1"), case_row(2, **ASKED, details=OWNER, correlation_id="D-1")])
    )
    return store


@pytest.mark.parametrize("by", [("Sam Seller", ""), ("sam", "SAM@tieline.example"), ("sam@tieline.example", "")])
@pytest.mark.parametrize("action", ["approve", "refuse"])
async def test_the_owner_of_a_deal_does_not_decide_its_approval(by: tuple[str, str], action: str) -> None:
    """By name or by address, and an admin no more than anybody else."""
    store = await store_with_approval()
    with pytest.raises(NotAllowed, match="owns this deal in the CRM: C-2 needs somebody else"):
        await decide(
            store, [await get_case(store, "C-2")], action, by=person(by[0], Role.ADMIN, email=by[1]), reason="x"
        )
    assert await store.events(type="CaseDecided") == []


async def test_who_corrected_a_map_does_not_approve_the_deal_it_released() -> None:
    store = await store_with_approval()
    products = ValueMap("products", {"GTX Pro": "A"})
    rita, fiona = person("rita", Role.STEWARD, Role.APPROVER), person("fiona", Role.APPROVER)
    cause = (await get_case(store, "C-1")).cause
    await correct_value_map(store, products, "GTXPro", {"value": "A"}, by=rita, reason="typo", causes=[cause])
    approval = [await get_case(store, "C-2")]
    with pytest.raises(NotAllowed, match=r"rita corrected the value map products for this deal \(C-1\)"):
        await decide(store, approval, "approve", by=rita)
    assert await decide(store, approval, "approve", by=fiona) == ["C-2"]


async def test_who_only_tried_again_may_approve() -> None:
    """A retry changes nothing about the deal."""
    store = await store_with_approval()
    both = person("ada", Role.OPERATOR, Role.APPROVER)
    await decide(store, [await get_case(store, "C-1")], "retry", by=both)
    assert await decide(store, [await get_case(store, "C-2")], "approve", by=both) == ["C-2"]


async def test_each_decision_takes_its_right() -> None:
    store = await store_with_approval()
    trouble, approval = await get_case(store, "C-1"), await get_case(store, "C-2")
    for case, action, role in ((trouble, "retry", Role.APPROVER), (approval, "approve", Role.STEWARD)):
        with pytest.raises(NotAllowed, match="needs the right"):
            await decide(store, [case], action, by=person("ada", role))
    with pytest.raises(NotAllowed, match="'correct'"):
        await correct_value_map(
            store, ValueMap("m", {}), "k", {"value": "v"}, by=person("o", Role.OPERATOR), reason="", causes=[]
        )
    with pytest.raises(NotAllowed, match="'operate'"):
        await assign(store, trouble, "ada", by=person("v", Role.VIEWER))


async def test_a_refusal_needs_a_reason() -> None:
    store = await store_with_approval()
    with pytest.raises(NotDecidable, match="a refusal needs a reason"):
        await decide(store, [await get_case(store, "C-2")], "refuse", by=person("fiona", Role.APPROVER))


async def test_comments_and_assignments_stand_in_the_log_and_decide_nothing() -> None:
    store = await store_with_approval()
    ada, fiona = person("ada", Role.OPERATOR), person("fiona", Role.APPROVER)
    case, approval = await get_case(store, "C-1"), await get_case(store, "C-2")
    await comment(store, case, " asked the customer ", by=ada)
    await comment(store, approval, "why so cheap?", by=fiona)
    await assign(store, case, "bob", by=ada, reason="on leave")
    said = [event_words(event) for event in await store.events(correlation_id="D-1")]
    assert said == [
        'ada on C-1: "asked the customer"', 'fiona on C-2: "why so cheap?"', 'ada gave C-1 to bob: "on leave"',
    ]  # fmt: skip
    held = await get_case(store, "C-1")
    assert (held.owner, held.state) == ("bob", CaseState.OPEN)
    with pytest.raises(NotAllowed):
        await comment(store, case, "an approver is no operator", by=fiona)
    with pytest.raises(NotDecidable, match="needs words"):
        await comment(store, case, "  ", by=ada)


async def test_groups_come_with_their_oldest_case_and_lists_in_pages() -> None:
    store = await store_with_cases()
    found = await groups(store, CaseFilter(case_class="invoice-rejected"), NOW)
    assert [(group.of.cause, group.example.id) for group in found] == [("a", "C-1"), ("b", "C-2")]
    first = await page(store, CaseFilter(), limit=2)
    rest = await page(store, CaseFilter(), first.after, limit=2)
    assert [[case.id for case in one.cases] for one in (first, rest)] == [["C-1", "C-2"], ["C-3"]]
    assert rest.after == ""
    for wrong in ("nonsense", "2026-01-01~C-1"):
        with pytest.raises(TielineError, match="no place in a list"):
            await page(store, CaseFilter(), wrong)


async def test_who_gave_a_case_away_cannot_give_away_what_is_decided() -> None:
    store = await store_with_cases()
    await decide(store, [await get_case(store, "C-3")], "retry", by=local_principal("ada"))
    with pytest.raises(NotDecidable, match="decided already"):
        await assign(store, await get_case(store, "C-3"), "bob", by=local_principal("ada"))


def test_a_document_is_shown_field_by_field() -> None:
    """By the paths that a correction takes; what holds nothing is left out."""
    document = {"number": "INV-1", "memo": None, "lines": [{"product": "GTX", "net": {"amount": "1.00"}}]}
    assert dict(leaves(document)) == {"number": "INV-1", "lines.0.product": "GTX", "lines.0.net.amount": "1.00"}
    assert not Compared("name", "Acme ", "ACME").differs
    assert Compared("name", "Acme", "Acme Ltd").differs
