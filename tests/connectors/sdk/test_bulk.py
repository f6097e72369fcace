"""Many documents at once: each has its own answer in its own place, whatever becomes of the others."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tieline.connectors.sdk import each, parts
from tieline.errors import RejectedByVendor


async def test_an_error_stands_in_its_place_and_stops_nobody() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.001 * (5 - number))
        if number == 2:
            raise RejectedByVendor("no")
        return number * 10

    first, refused, last = await each(work, [1, 2, 3])
    assert (first, last) == (10, 30)
    assert isinstance(refused, RejectedByVendor)
    assert await each(work, []) == []


async def test_no_more_run_side_by_side_than_allowed() -> None:
    running = most = 0

    async def work(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await each(work, range(20), at_once=3)
    assert most == 3


@given(st.lists(st.integers(0, 50)), st.integers(1, 7))
def test_parts_hold_every_item_once_in_order(items: list[int], size: int) -> None:
    cut = list(parts(items, size))
    assert [item for part in cut for item in part] == list(dict.fromkeys(items))
    assert all(0 < len(part) <= size for part in cut)
