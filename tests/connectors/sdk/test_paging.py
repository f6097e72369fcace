"""Pages: all of them, in order, and no list that never ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.connectors.sdk import every
from tieline.errors import VendorUnavailable

Pages = list[list[int]]


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(), min_size=1, max_size=3, unique=True), min_size=1, max_size=30))
async def test_every_record_is_read_once_in_order(pages: Pages) -> None:
    distinct = [[number * 100 + place for place, _ in enumerate(page)] for number, page in enumerate(pages)]

    async def read(place: int) -> tuple[list[int], int | None]:
        return distinct[place], place + 1 if place + 1 < len(distinct) else None

    assert await every("Acme", 0, read) == [record for page in distinct for record in page]


async def test_a_place_that_comes_back_is_not_followed() -> None:
    """A cursor that leads to itself would be read for ever."""

    async def read(place: str) -> tuple[list[str], str | None]:
        return [place], {"": "a", "a": "b", "b": "a"}[place]

    with pytest.raises(VendorUnavailable, match="pages without end"):
        await every("Acme", "", read)


async def test_a_page_that_is_told_twice_is_not_taken_for_the_next() -> None:
    """Offsets grow of themselves, so only the content shows that the vendor ignores them."""

    async def read(offset: int) -> tuple[list[str], int | None]:
        return ["same"], offset + 1

    with pytest.raises(VendorUnavailable, match="same page twice"):
        await every("Acme", 0, read)


async def test_empty_pages_are_passed_over_but_not_for_ever() -> None:
    async def few(offset: int) -> tuple[list[int], int | None]:
        return ([offset] if offset == 5 else []), offset + 1 if offset < 9 else None

    async def always(offset: int) -> tuple[list[int], int | None]:
        return [], offset + 1

    assert await every("Acme", 0, few) == [5]
    with pytest.raises(VendorUnavailable, match="empty pages"):
        await every("Acme", 0, always)
