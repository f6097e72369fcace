"""Follow a list from page to page: links, cursors, offsets and page numbers alike.

The invariant: a list that a vendor never ends is an error, not a loop. A place that comes back, a page that repeats
the one before, and more pages than any list has, are VendorUnavailable: what was read cannot be trusted to be whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any, TypeVar

from tieline.errors import VendorUnavailable

MOST_PAGES = 20_000
MOST_EMPTY = 20
"""Some vendors filter after they have cut the pages: a few empty ones in a row are no lie."""

R = TypeVar("R")
P = TypeVar("P", bound=Hashable)


async def follow(
    system: str, first: P, read: Callable[[P], Awaitable[tuple[list[R], P | None]]]
) -> AsyncIterator[list[R]]:
    """The records of page after page. `read(place)` gives a page and the place of the next one, None for the last.

    A place is whatever tells the vendor where to go on: a link, a cursor, an offset, a page number.
    """
    place: P | None = first
    seen: set[P] = set()
    before: list[R] = []
    empty = 0
    while place is not None:
        if place in seen or len(seen) >= MOST_PAGES:
            raise VendorUnavailable(f"{system} answered with pages without end: {_shown(place)} came back")
        seen.add(place)
        page, place = await read(place)
        if page and page == before:
            raise VendorUnavailable(f"{system} answered with the same page twice, so the list is not whole")
        empty = 0 if page else empty + 1
        if empty > MOST_EMPTY:
            raise VendorUnavailable(f"{system} answered with {empty} empty pages in a row and says that there is more")
        before = page
        yield page


async def every(system: str, first: P, read: Callable[[P], Awaitable[tuple[list[R], P | None]]]) -> list[R]:
    """All records of a list that is not long."""
    return [record async for page in follow(system, first, read) for record in page]


def _shown(place: Any) -> str:
    return str(place)[:80]
