"""The demonstration at work, in a browser: it moves by itself, and every page can be read by everybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from tests.browser.screenshots import PAGES, SIZES, open_page
from tests.browser.walking import findings, overflow

from tieline.app.demo.live import LiveShow

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """`tieline demo --live`; its address."""
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    show = asyncio.create_task(
        LiveShow(tmp_path_factory.mktemp("live"), 1).run(stop, address.set_result, lambda words: None)
    )
    await asyncio.wait({show, address}, return_when=asyncio.FIRST_COMPLETED)
    if show.done():
        show.result()
    yield await address
    stop.set()
    await show


async def test_now_moves_while_one_looks(page: Page, demo: str) -> None:
    """Deals are won and days pass: the figures follow, and the page was not loaded again. It says what it is."""
    await page.goto(demo)
    await expect(page.get_by_role("note")).to_contain_text("Nothing here is real")
    await page.evaluate("window.loadedOnce = true")
    before = await page.locator("#live").inner_text()
    await expect(page.locator("#live")).not_to_have_text(before, timeout=20_000)
    done = page.get_by_role("row").filter(has_text="deal-status").get_by_role("cell").last
    first = await done.inner_text()
    await expect(done).not_to_have_text(first, timeout=30_000)
    assert await page.evaluate("window.loadedOnce") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_page_is_for_everybody(browser: Browser, demo: str, scheme: str, size: str) -> None:
    """axe finds nothing serious, and no page is wider than its window."""
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    wrong: dict[str, object] = {}
    for name, way in PAGES.items():
        await open_page(page, demo, way)
        if found := await findings(page):
            wrong[name] = found
        if wide := await overflow(page):
            wrong[f"{name}: too wide"] = wide
    await context.close()
    assert wrong == {}


async def test_the_keyboard_reaches_the_content_and_the_search(page: Page, demo: str) -> None:
    await page.goto(f"{demo}/deals")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type("GTX")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("q=GTX"))
