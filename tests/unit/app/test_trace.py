"""A trace finds the deal behind any id, and tells its whole way in order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.engine import NOW
from tests.support.views import CUSTOMER, DEAL, INVOICE, NATIVE, Ledger, contract, small_deal, view_on, won

from tieline.app.template import make_project
from tieline.app.views.reading import reading
from tieline.app.views.resolve import NothingFound, SeveralDeals, eighteen, resolve
from tieline.app.views.trace import Trace, effect_notes, main_line, trace
from tieline.cli.trace_text import print_choices
from tieline.engine.records import CaseState, EffectState, RunState
from tieline.errors import ConfigurationError
from tieline.events import CaseDecided
from tieline.storage.memory import MemoryStore

LATER = NOW + timedelta(days=1)


async def traced(store: MemoryStore, ident: str) -> Trace:
    return await trace(view_on(store), ident, LATER)


@pytest.mark.parametrize(
    "ident",
    [
        DEAL,
        NATIVE,
        NATIVE[:15],
        CUSTOMER,
        "001Aa000001Acme",
        f"00k{NATIVE[3:]}",
        f"C-00k{NATIVE[3:]}",
        INVOICE,
        "INV1",
        "77",
        "12",
        "erp/order/12",
        "erp/77",
        "quote-to-cash:2",
        "read-opportunity:1",
        "#1",
        "event/2",
        "read-invoice:9/1",
        " INV1 ",
    ],
)
async def test_any_id_of_any_system_leads_to_the_deal(ident: str) -> None:
    """Ids of documents, lines, charges, runs and events, long or short, with or without their system."""
    store = MemoryStore()
    await small_deal(store)
    assert (await resolve(view_on(store), ident)).deal == DEAL


def test_a_short_salesforce_id_gets_its_checksum() -> None:
    """The case of the letters is kept in three more characters."""
    assert eighteen("001A0000006Vm9r") == "001A0000006Vm9rIAC"


async def test_an_unknown_id_is_answered_with_what_is_known() -> None:
    with pytest.raises(NothingFound, match=r"'4711'.*crm, billing, erp"):
        await resolve(view_on(MemoryStore()), "4711")


async def test_an_id_of_two_deals_asks_which_is_meant() -> None:
    """A number that is an order of one deal and a customer of two: the choices name documents and deals."""
    store = MemoryStore()
    ledger = await small_deal(store)
    other = "006Aa000002XyZ2AAK"
    await ledger.tell(won(other), "read-opportunity:90/1")
    with pytest.raises(SeveralDeals) as several:
        await resolve(view_on(store), "12")
    assert {m.name: m.deals for m in several.value.matches} == {
        "erp/customer/12": (DEAL, f"crm-{other}"),
        "erp/order/12": (DEAL,),
    }
    assert (await resolve(view_on(store), "erp/order/12")).deal == DEAL


async def test_money_is_told_from_booking_to_payment() -> None:
    store = MemoryStore()
    await small_deal(store)
    money = (await traced(store, DEAL)).money
    assert money is not None
    assert (money.booked, money.billed, money.posted, money.paid) == (
        Decimal("100.00"),
        Decimal("100.00"),
        Decimal("100.00"),
        Decimal(0),
    )
    assert (money.owed, money.not_posted) == (Decimal("100.00"), Decimal(0))


async def test_the_timeline_begins_with_the_notice_behind_the_deal() -> None:
    """What a system told belongs to no deal; it is found as the cause of the deal's first event."""
    store = MemoryStore()
    await small_deal(store)
    first, second = [entry for entry in (await traced(store, DEAL)).timeline if entry.event][:2]
    assert (first.what, first.text) == ("notice", f"opportunity {NATIVE} changed")
    assert first.event is not None
    assert [run.id for run in first.event.runs] == ["read-opportunity:1"]
    assert second.text == "Deal won: Acme platform, 100.00 EUR, 1 line"


async def test_effects_carry_how_their_outcome_is_known() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    await ledger.wrote("crm", "order", contract(), "9", settled_by="probe", attempts=3, display="SO9")
    entry = next(e for e in (await traced(store, DEAL)).timeline if e.effect and e.effect.display)
    assert entry.effect is not None
    assert entry.text == f"order {NATIVE} → 9 = SO9"
    assert effect_notes(entry.effect) == ["3 attempts", "outcome found by asking"]


async def test_a_deal_says_whom_it_waits_for() -> None:
    """The person with the case and its deadline, and the system that has not answered."""
    store = MemoryStore()
    ledger = await small_deal(store)
    await ledger.case("C-1", "quote-to-cash:2")
    await ledger.wrote("erp", "payment", contract(), "", state=EffectState.IN_DOUBT, settled_at=None)
    found = await traced(store, DEAL)
    assert [(w.whom, w.overdue) for w in found.waits_for] == [("revops", True), ("erp", False)]
    assert "C-1: Product `X` has no item" in found.waits_for[0].what
    assert "has not said whether it took payment" in found.waits_for[1].what
    assert found.status == "Needs attention"


async def test_a_decision_stands_in_the_timeline_with_who_and_why() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    await ledger.case("C-1", "quote-to-cash:2", case_class="approval", state=CaseState.CLOSED, closed_at=ledger.now)
    said = CaseDecided(
        case="C-1", contract=DEAL, action="approve", by="ada", reason="good margin", decided_at=ledger.tick()
    )
    await ledger.tell(said, "C-1/decided", "people")
    found = await traced(store, "C-1")
    asked, decided = [e for e in found.timeline if e.what in ("case", "decision")]
    assert asked.text.startswith("approval asked C-1")
    assert (decided.system, decided.text) == ("ada", 'ada decided C-1: approve: "good margin"')


async def test_the_short_timeline_leaves_out_what_is_told_twice() -> None:
    """Notices that became an event and confirmations of effects go; a notice whose run hangs stays."""
    store = MemoryStore()
    ledger = await small_deal(store)
    again = await ledger.notice("opportunity", NATIVE)
    await ledger.ran("read-opportunity", again, deal="", state=RunState.WAITING, waits_for="a decision on case C-2")
    entries = (await traced(store, DEAL)).timeline
    short = main_line(entries)
    assert [e.event.seq for e in short if e.event and e.what == "notice"] == [again.seq]
    assert not any("is posted as 77" in e.text for e in short)
    assert sum(1 for e in short if e.effect) == 3


async def test_a_record_that_became_no_deal_is_traced_as_far_as_it_came() -> None:
    """The notice, its run and its case are shown; the operator sees why there is no deal."""
    store = MemoryStore()
    ledger = Ledger(store)
    hint = await ledger.notice("opportunity", "006Aa000009XyZ9AAK")
    await ledger.ran("read-opportunity", hint, deal="", state=RunState.WAITING, waits_for="a decision on case C-9")
    await ledger.case("C-9", f"read-opportunity:{hint.seq}", deal="", case_class="message-not-understood")
    found = await traced(store, "006Aa000009XyZ9AAK")
    assert (found.deal, found.status) == ("", "No deal")
    assert {e.what for e in found.timeline} == {"notice", "case"}
    assert found.waits_for[0].whom == "revops"


async def test_a_project_where_nothing_happened_says_so(tmp_path: Path) -> None:
    """Looking must not make a database."""
    make_project(tmp_path / "p")
    with pytest.raises(ConfigurationError, match="tieline up"):
        async with reading(tmp_path / "p"):
            pass
    assert not (tmp_path / "p" / "tieline.db").exists()


async def test_choices_are_commands_to_copy() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    await ledger.tell(won("006Aa000002XyZ2IAK"), "read-opportunity:90/1")
    with pytest.raises(SeveralDeals) as several:
        await resolve(view_on(store), "12")
    screen = Console(width=100, record=True, file=StringIO())
    print_choices(screen, several.value.matches)
    text = screen.export_text()
    assert "tieline trace erp/order/12" in text
    assert "tieline trace crm-006Aa000002XyZ2IAK" in text
