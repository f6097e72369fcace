"""What stands: cases of one cause together, late runs, systems out of reach, spent calls, a hub behind, silence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from tests.support.engine import NOW, notified
from tests.support.rows import run_row

from tieline.app.alerts.concerns import Concern, at_stake, late_runs, of_cases, of_lanes, standing, technical
from tieline.app.chain import NAME, Verified
from tieline.app.template import TEMPLATES
from tieline.engine.ports import Batch
from tieline.engine.records import CaseRow, Cursor, LaneStatus, OpenCase, RunState
from tieline.policy import load_catalogue
from tieline.storage.memory import MemoryStore

CATALOGUE = load_catalogue(Path(TEMPLATES) / "quote_to_cash" / "policies" / "catalogue.yaml")
TEN_MINUTES = timedelta(minutes=10)
LATER = NOW + timedelta(hours=30)


def case(number: int, **fields: Any) -> CaseRow:
    base = {
        "id": f"C-{number}",
        "case_class": "unknown-product",
        "cause": "unmapped:products:X",
        "owner": "revops",
        "message": "Jane Doe sold X",
        "next_step": "Add the product",
        "run_id": f"quote-to-cash:{number}",
        "position": 0,
        "correlation_id": f"deal-{number}",
        "amount": "100.50 USD",
        "opened_at": NOW,
        "due_at": NOW + timedelta(hours=8),
    }
    return CaseRow(**{**base, **fields})


def brief(*rows: CaseRow) -> list[OpenCase]:
    return [msgspec.convert(row, OpenCase, from_attributes=True) for row in rows]


def lane(**fields: Any) -> LaneStatus:
    base = {"connection": "netsuite", "state": "open", "since": NOW, "updated_at": NOW}
    return LaneStatus(**{**base, **fields})


def titles(concerns: list[Concern]) -> list[str]:
    return [concern.title for concern in concerns]


def test_cases_of_one_cause_are_one_concern_with_their_number_and_money() -> None:
    rows = [case(n) for n in range(299)] + [case(299, amount="7 EUR"), case(300, cause="unmapped:products:Y")]
    many, other = of_cases(brief(*rows))
    assert (many.title, many.number, many.people) == ("300 cases: unknown product", 300, ("revops",))
    assert many.facts[0] == "At stake: 7.00 EUR, 30,049.50 USD."
    assert many.facts[2:] == ("Cases C-0, C-1, C-2 and 297 more.", "Next: Add the product.")
    assert many.path == "/cases?class=unknown-product"
    assert (other.title, other.path) == ("1 case: unknown product", "/cases/C-300")


def test_money_is_added_however_it_is_written_and_what_is_no_money_left_out() -> None:
    amounts = ["12,345.50 USD", "1 USD", "", "a lot of USD", "n/a"]
    rows = brief(*(case(number, amount=amount) for number, amount in enumerate(amounts)))
    assert at_stake(rows) == "At stake: 12,346.50 USD."


def test_what_a_system_or_a_document_says_is_in_no_message() -> None:
    """It may name a person; the page behind the link shows it to those who may see it."""
    assert "Jane" not in repr(of_cases(brief(case(1))))


def test_an_overdue_case_is_news_to_whom_it_was_escalated_and_stands_for_whom_had_it() -> None:
    """The key of the first concern goes on standing: nobody is told that it is over because it went up."""
    late = case(1, owner="finance", escalated_at=NOW + timedelta(hours=8))
    everybody, overdue = of_cases(brief(late, case(2)))
    assert (everybody.number, everybody.people) == (2, ("revops",))
    assert (overdue.title, overdue.people, overdue.since) == (
        "1 overdue case: unknown product",
        ("finance",),
        late.escalated_at,
    )
    alone = of_cases(brief(late))
    assert [c.key for c in alone] == [everybody.key, overdue.key]
    assert alone[0].people == ()


def test_approvals_are_told_as_approvals() -> None:
    waiting, overdue = of_cases(brief(case(1, case_class="approval"), case(2, case_class="approval", escalated_at=NOW)))
    assert (waiting.title, overdue.title) == ("2 approvals waiting", "1 approval overdue")
    assert waiting.path == "/approvals"


def test_a_run_is_late_by_its_own_process_and_not_while_a_case_says_why() -> None:
    began: dict[str, Any] = {"started_at": NOW, "state": RunState.WAITING}
    slow = run_row(1, process="quote-to-cash", **began)
    quick = run_row(2, process="post-invoice", **began)
    stuck = run_row(3, process="post-invoice", **began)
    (late,) = late_runs(CATALOGUE, [slow, quick, stuck], {stuck.id}, NOW + timedelta(hours=5))
    assert (late.title, late.people) == ("1 run of post-invoice late", ("controller", "finance"))
    assert late.path == f"/processes/runs/{quick.id}"


def test_a_parked_system_is_told_after_a_while_and_escalated_when_it_lasts() -> None:
    parked, who = lane(state="parked", reason="no answer", queued=1), technical(CATALOGUE)
    assert of_lanes([parked], who, NOW + TEN_MINUTES, TEN_MINUTES) == []
    (soon,) = of_lanes([parked], who, NOW + 2 * TEN_MINUTES, TEN_MINUTES)
    assert (soon.title, soon.people) == ("netsuite is parked", ("it-operations",))
    assert soon.facts[1] == "1 call waits, and nothing is lost."
    (long,) = of_lanes([parked], who, NOW + timedelta(hours=9), TEN_MINUTES)
    assert (long.key, long.people) == (soon.key, ("it-operations", "enterprise-architecture"))


def test_a_system_that_a_person_paused_is_no_alert() -> None:
    assert of_lanes([lane(state="paused")], technical(CATALOGUE), LATER, TEN_MINUTES) == []


def test_nearly_spent_calls_are_told_and_a_lane_parked_by_them_not_twice() -> None:
    lanes = [lane(per_day=1000, used_today=900), lane(connection="zuora", per_day=10, used_today=10, state="parked")]
    assert titles(of_lanes(lanes, technical(CATALOGUE), LATER, TEN_MINUTES)) == [
        "netsuite: the day's calls are nearly spent",
        "zuora: the day's calls are spent",
    ]


async def test_a_store_is_looked_through_for_all_of_it() -> None:
    store = MemoryStore()
    broken = Verified(seq=4, hash="", at=NOW, from_start_at=NOW, broken_at=5, reason="event 5 does not follow")
    await store.commit(
        Batch(
            events=[notified("1"), notified("2")],
            cases=[case(1)],
            runs=[run_row(2, process="post-invoice", started_at=NOW, state=RunState.READY)],
            lanes=[lane(state="parked")],
            cursors=[Cursor(name=NAME, value=msgspec.json.encode(broken).decode(), updated_at=NOW)],
        )
    )
    recorded = (await store.events_after(0, 1))[0].recorded_at
    found = await standing(CATALOGUE, store, recorded + timedelta(hours=30), TEN_MINUTES)
    assert titles(found) == [
        "The log's chain is broken at event 5",
        "1 case: unknown product",
        "1 run of post-invoice late",
        "netsuite is parked",
        "The hub is behind",
    ]
    assert found[-1].facts[0].startswith("2 events of the log since")


async def test_nothing_stands_where_nothing_happened() -> None:
    assert await standing(CATALOGUE, MemoryStore(), NOW, TEN_MINUTES) == []
