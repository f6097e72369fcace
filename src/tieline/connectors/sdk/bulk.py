"""Many documents at once: an answer for each, in order, and lists cut to what one call takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tieline.errors import TielineError

C = TypeVar("C")
R = TypeVar("R")


async def each(work: Callable[[C], Awaitable[R]], calls: Sequence[C], *, at_once: int = 0) -> list[R | TielineError]:
    """What became of each call, its error as a value: what one met says nothing of the others.

    `at_once` is how many run side by side, 0 for all; 1 is one after another.
    """
    gate = asyncio.Semaphore(at_once or max(len(calls), 1))

    async def answered(call: C) -> R | TielineError:
        async with gate:
            try:
                return await work(call)
            except TielineError as error:
                return error

    return list(await asyncio.gather(*(answered(call) for call in calls)))


def parts(items: Iterable[C], size: int) -> Iterator[list[C]]:
    """The items in lists of at most `size`, each item once."""
    known = list(dict.fromkeys(items))
    for start in range(0, len(known), size):
        yield known[start : start + size]
