"""What runs ask together: one answer for all, whatever becomes of the one who asked first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tieline.processes.resources import Facts, Resources


def resources() -> Resources:
    nothing: Any = None
    return Resources(nothing, nothing, nothing, nothing, Facts(), {})


async def test_who_asks_at_the_same_time_shares_one_answer() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    shared = resources()
    assert await asyncio.gather(*(shared.shared(("k",), ask) for _ in range(5))) == [1] * 5


async def test_an_asker_that_goes_away_leaves_the_others_to_ask_themselves() -> None:
    """A run that is put out of memory takes its question along; the runs that shared it are not cancelled."""
    asked: list[asyncio.Future[str]] = []

    async def ask() -> str:
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    shared = resources()
    both = [asyncio.ensure_future(shared.shared(("k",), ask)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked[0].cancel()
    both[0].cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    asked[1].set_result("answer")
    assert await both[1] == "answer"
    with pytest.raises(asyncio.CancelledError):
        await both[0]
