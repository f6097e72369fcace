"""The first page's figures: traffic that did not come, the money of the day, what needs somebody."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.engine import NOW
from tests.support.views import DEAL, Ledger, won

from tieline.api.metrics import METRICS
from tieline.app.views.hour import last_hour
from tieline.app.views.needs import needs
from tieline.app.views.now import NowView, ProcessNow, SystemNow
from tieline.app.views.today import MoneyOfDay, Today
from tieline.app.views.traffic import Absence, absent_traffic, began, first_event_since
from tieline.domain import Money
from tieline.engine.measures import SystemMeasures
from tieline.engine.records import CaseCounts, LaneStatus
from tieline.errors import TielineError
from tieline.events import InvoicePosted
from tieline.policy import WEEKDAYS, Catalogue, Expectation, ProcessEntry, load_catalogue
from tieline.storage.memory import MemoryStore

HOUR = timedelta(hours=1)
FRIDAY = datetime(2026, 3, 6, 18, tzinfo=UTC)
MONDAY = datetime(2026, 3, 9, 6, tzinfo=UTC)


def told_at(store: MemoryStore, *moments: datetime) -> None:
    """The events of the log were recorded at these times; a store knows no time but the real one."""
    store._events[:] = [
        msgspec.structs.replace(event, recorded_at=at) for event, at in zip(store._events, moments, strict=True)
    ]


def expecting(**expects: object) -> Catalogue:
    entry = ProcessEntry("read-invoice", "billing", 1, expects=Expectation(**expects))  # type: ignore[arg-type]
    return Catalogue({entry.name: entry}, {})


# --- traffic ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 365 * 24 * 60), st.integers(1, 400))
def test_saturdays_and_sundays_do_not_count_on_weekdays(minute: int, hours: int) -> None:
    now = NOW + timedelta(minutes=minute)
    since = began(Expectation(within_hours=hours, on=WEEKDAYS), now)
    counted, at = timedelta(0), since
    while at < now:
        midnight = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        end = min(midnight, now)
        counted += end - at if at.weekday() < 5 else timedelta(0)
        at = end
    assert counted == timedelta(hours=hours)


def test_every_day_counts_unless_said_otherwise() -> None:
    assert began(Expectation(within_hours=48), MONDAY) == MONDAY - 48 * HOUR


async def test_silence_since_friday_is_no_alarm_on_monday_morning() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    _, last = await ledger.notice("invoice", "1"), await ledger.notice("invoice", "2")
    await ledger.ran("read-invoice", last)
    told_at(store, MONDAY - timedelta(days=30), FRIDAY)
    assert await absent_traffic(store, expecting(within_hours=24, on=WEEKDAYS), MONDAY) == []
    (silent,) = await absent_traffic(store, expecting(within_hours=24), MONDAY)
    assert (silent.process, silent.came, silent.expected) == ("read-invoice", 0, 1)


async def test_too_few_is_an_alarm_too() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    events = [await ledger.notice("invoice", str(number)) for number in range(4)]
    for event in events:
        await ledger.ran("read-invoice", event)
    told_at(store, MONDAY - 90 * HOUR, MONDAY - 3 * HOUR, MONDAY - 2 * HOUR, MONDAY - HOUR)
    assert await absent_traffic(store, expecting(within_hours=24, at_least=3), MONDAY) == []
    (few,) = await absent_traffic(store, expecting(within_hours=24, at_least=4), MONDAY)
    assert (few.came, few.expected) == (3, 4)


async def test_a_project_that_began_an_hour_ago_misses_nothing() -> None:
    store = MemoryStore()
    assert await absent_traffic(store, expecting(within_hours=24), MONDAY) == []
    await Ledger(store).notice("opportunity", "1")
    told_at(store, MONDAY - HOUR)
    assert await absent_traffic(store, expecting(within_hours=24), MONDAY) == []


@given(st.lists(st.integers(0, 50), max_size=30).map(sorted), st.integers(-1, 51))
async def test_the_first_event_since_a_time_is_found_by_halving(hours: list[int], asked: int) -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    for number in range(len(hours)):
        await ledger.notice("invoice", str(number))
    told_at(store, *(NOW + hour * HOUR for hour in hours))
    place = await first_event_since(store, NOW + asked * HOUR)
    true = next((seq for seq, hour in enumerate(hours, 1) if hour >= asked), len(hours) + 1)
    assert (place.seq if place else None) == (true if hours else None)


@pytest.mark.parametrize("wrong", ["{at_least: 0}", "{within_hours: 0}", "{on: mondays}", "{hours: 3}", "often"])
def test_an_expectation_that_says_nothing_true_is_refused(wrong: str) -> None:
    text = (
        f"catalogue: c\nversion: 1\nprocesses:\n  p: {{owner: a, slo_hours: 1, expects: {wrong}}}\n"
        "cases:\n  default: {owner: a, slo_hours: 1}\n"
    )
    with pytest.raises(TielineError):
        load_catalogue(text)


# --- money of the day -------------------------------------------------------------------------------------------------


MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)


def posted(amount: str, invoice: str = "i-1") -> InvoicePosted:
    money = Money(Decimal(amount), "EUR")
    return InvoicePosted(contract=DEAL, connection="erp", document=invoice, external_id="7", amount=money)


async def test_the_money_of_today_is_what_was_told_since_midnight() -> None:
    store, today = MemoryStore(), Today()
    ledger = Ledger(store)
    await ledger.tell(posted("80.00", "i-0"), "1")
    await ledger.tell(won(), "2")
    told_at(store, MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    assert await today.money(store, MIDNIGHT + 2 * HOUR) == (
        [MoneyOfDay(currency="EUR", booked=Decimal("100.00"))],
        True,
    )
    await ledger.tell(posted("119.00"), "3")
    told_at(store, MIDNIGHT - HOUR, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)
    (day,), _ = await today.money(store, MIDNIGHT + 3 * HOUR)
    assert (day.booked, day.posted) == (Decimal("100.00"), Decimal("119.00"))
    assert await today.money(store, MIDNIGHT + timedelta(days=2)) == ([], True)


async def test_a_document_told_again_counts_by_its_difference() -> None:
    store, today = MemoryStore(), Today()
    ledger = Ledger(store)
    await ledger.tell(posted("100.00"), "1")
    await ledger.tell(posted("130.00"), "2")
    told_at(store, MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    (day,), _ = await today.money(store, MIDNIGHT + 2 * HOUR)
    assert day.posted == Decimal("30.00")
    await ledger.tell(posted("120.00"), "3")
    (day,), _ = await today.money(store, MIDNIGHT + 3 * HOUR)
    assert day.posted == Decimal("20.00")


# --- what needs somebody ----------------------------------------------------------------------------------------------


def lane(state: str = "open", **fields: object) -> LaneStatus:
    return LaneStatus(connection="erp", state=state, since=NOW, updated_at=NOW, **fields)  # type: ignore[arg-type]


def system(status: LaneStatus, drains_in: timedelta | None = None) -> SystemNow:
    none = [None, None, None]
    return SystemNow(
        name="erp",
        lane=status,
        events_a_minute=0,
        documents_a_minute=0,
        calls_a_minute=0,
        vendor_s=none,
        added_s=none,
        drains_in=drains_in,
        hour=[0] * 59,
    )


def seen(**fields: object) -> NowView:
    empty = {
        "at": NOW,
        "looked_at": NOW,
        "failure": "",
        "systems": [],
        "processes": [],
        "cases": CaseCounts(by_class={}),
        "effects": {},
        "runs": {},
        "absent": [],
        "money": [],
        "money_is_all": True,
        "replays_waiting": 0,
        "last_seq": 1,
        "behind": 0,
        "chain_broken_at": 0,
    }
    return NowView(**(empty | fields))  # type: ignore[arg-type]


def late(runs: int) -> ProcessNow:
    return ProcessNow(
        name="quote-to-cash",
        owner="revops",
        slo_hours=24,
        queued=0,
        ready=0,
        waiting=9,
        done=0,
        late=runs,
        late_at_least=False,
        expects=None,
    )


def test_where_nothing_is_wrong_nothing_is_said() -> None:
    assert needs(seen(systems=[system(lane(per_day=100, used_today=10))], processes=[late(0)])) == []


def test_the_worst_comes_first() -> None:
    absence = Absence(process="read-invoice", owner="billing", expected=1, came=0, since=NOW, last_at=None)
    found = needs(
        seen(
            systems=[system(lane("throttled", reason="429"))],
            cases=CaseCounts(by_class={"approval": 3, "unknown-product": 3}, overdue=2, overdue_of={"finance": 2}),
            absent=[absence],
            processes=[late(1)],
        )
    )
    assert [need.level for need in found] == ["bad", "bad", "warn", "warn", "warn", "warn"]
    assert [need.detail for need in found[:1]] == ["finance 2"]
    assert [need.words for need in found] == [
        "2 cases are overdue",
        "read-invoice: nothing comes",
        "3 approvals wait",
        "3 cases wait for a person",
        "is throttled",
        "1 run of quote-to-cash is late",
    ]


def test_a_parked_system_says_why_and_how_long_the_rest_takes() -> None:
    parked = system(lane("parked", reason="erp answers 503", queued=120), timedelta(minutes=4))
    (need,) = needs(seen(systems=[parked]))
    assert need.detail == "for 0 ms; 120 calls wait, about 4 min 00 s of work. erp answers 503"


def test_a_day_of_calls_nearly_used_up_is_told_before_it_is_over() -> None:
    (need,) = needs(seen(systems=[system(lane(per_day=100, used_today=85))]))
    assert need.words == "has used 85% of its calls of the day"


def test_a_worker_that_stopped_is_the_first_thing_to_see() -> None:
    found = needs(seen(failure="disk full", cases=CaseCounts(by_class={"unknown-product": 1}, overdue=1)))
    assert found[0].words == "The worker has stopped"


def test_rules_for_prometheus_ask_for_metrics_that_there_are() -> None:
    rules = (Path(__file__).parents[3] / "docs" / "how-to" / "alert-rules.yml").read_text(encoding="utf-8")
    asked = {name.removesuffix("_bucket") for name in re.findall(r"\btieline_\w+", rules)}
    assert asked <= {metric.name for metric in METRICS}


def test_the_last_hour_holds_the_minutes_that_are_over() -> None:
    hour = last_hour({"erp": SystemMeasures()}, NOW.replace(second=30))
    assert len(hour.minutes) == 59
    assert hour.minutes[-1] == int((NOW - timedelta(minutes=1)).timestamp())
    assert all(len(line.values) == 59 for chart in hour.charts for line in chart.lines)
