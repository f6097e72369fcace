"""The schedule: the same for the same seed, and nothing that it promises is left out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.app.torture.chaos import OPENS_ON
from tieline.app.torture.planted import PROBLEMS, torture_sales
from tieline.app.torture.schedule import EPISODES, KILL, VENDORS, make_schedule

SEEDS = st.integers(0, 10_000)


@settings(max_examples=20)
@given(SEEDS)
def test_a_seed_says_everything(seed: int) -> None:
    assert make_schedule(seed, 20.0) == make_schedule(seed, 20.0)
    assert make_schedule(seed, 20.0) != make_schedule(seed + 1, 20.0)


@settings(max_examples=20)
@given(SEEDS)
def test_a_minute_holds_every_lie_every_episode_and_kills(seed: int) -> None:
    schedule = make_schedule(seed, 60.0)
    told = {(lie.vendor, lie.name) for lie in schedule.lies}
    shared = {"request lost", "answer lost after the work was done", "answer cut in half", "outage"}
    assert told >= {(vendor, name) for vendor in VENDORS for name in shared} | {("", "outage")}
    assert {blow.name for blow in schedule.blows} >= {*EPISODES, KILL}
    for strand in (schedule.wins, schedule.lies, schedule.blows):
        moments = [each.at for each in strand]
        assert moments == sorted(moments)


@settings(max_examples=20)
@given(SEEDS, st.integers(4, 60))
def test_planted_deals_are_of_every_class_and_names_are_unique(seed: int, number: int) -> None:
    sales = torture_sales(number, seed, OPENS_ON)
    assert len({deal.name for deal in sales.deals}) == len(sales.deals) == number
    assert {deal.trouble for deal in sales.deals} == {"", *PROBLEMS}
