"""Cases of one class are decided together: all of them or none, and nothing of another class."""

from __future__ import annotations

import pytest
from tests.contracts.store_contract import case_row

from tieline.app.cases import NotDecidable, chosen, decide
from tieline.engine.ports import Batch
from tieline.engine.records import CaseState
from tieline.errors import TielineError
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
    assert await decide(store, found, "correct", by="ada", arguments={"memo": "x"}) == ["C-1", "C-2"]
    states = {case.id: case.state for case in await store.cases()}
    assert states == {"C-1": "decided", "C-2": "decided", "C-3": "open", "C-4": "closed"}
    assert len(await store.events(type="CaseDecided")) == 2


async def test_a_decision_that_one_of_a_class_does_not_allow_decides_none() -> None:
    store = await store_with_cases()
    await store.commit(Batch(cases=[case_row(5, case_class="invoice-rejected", actions=["cancel"])]))
    with pytest.raises(NotDecidable, match="C-5"):
        await decide(store, await chosen(store, None, None, "invoice-rejected"), "retry", by="ada")
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
