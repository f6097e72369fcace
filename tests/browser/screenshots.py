"""Pictures of every page, light and dark, wide and narrow, of a company at work: `make screenshots` → docs/images."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright
from tests.browser.chromium import ARGUMENTS, find_chromium

from tieline.app.demo.live import LiveShow

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"wide": (1280, 860), "narrow": (390, 844)}
AT_WORK_S = 45
"""So long the company works before pictures are taken: charts have lines then."""

PAGES = {
    "now": "/",
    "deals": "/deals",
    "deal": "/deals?status=Paid > a[href^='/deals/']",
    "explain": "/deals?status=Paid > a[href^='/deals/'] > a[href^='/explain/netsuite/invoice'][href*='field=']",
    "cases": "/cases",
    "case": "/cases?class=unknown-product > main a[href^='/cases/']",
    "approvals": "/approvals",
    "rules": "/rules",
    "rule": "/rules/products",
    "processes": "/processes",
    "process": "/processes/quote-to-cash",
    "systems": "/systems",
    "system": "/systems/netsuite",
    "audit": "/audit",
}
"""Name of the picture → an address, and the links to follow from there, each the first that a selector finds."""


async def open_page(page: Page, root: str, way: str) -> None:
    """Go a way as PAGES describes them."""
    address, *links = way.split(" > ")
    await _go(page, root + address)
    for selector in links:
        target = await page.locator(selector).first.get_attribute("href", timeout=5_000)
        await _go(page, root + str(target))


async def _go(page: Page, url: str) -> None:
    answer = await page.goto(url)
    if answer is None or not answer.ok:
        raise AssertionError(f"{url} answered {answer.status if answer else 'nothing'}")


async def take(browser: Browser, root: str, folder: Path) -> None:
    for scheme in SCHEMES:
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            page = await context.new_page()
            for name, way in PAGES.items():
                await open_page(page, root, way)
                await page.wait_for_timeout(600)  # what is drawn by a script
                await page.screenshot(path=folder / f"{name}-{scheme}-{size}.png")
            await context.close()


async def main(folder: Path) -> None:
    path = find_chromium()
    if path is None:
        sys.exit("screenshots need a Chromium on this machine: apt-get install chromium")
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    with tempfile.TemporaryDirectory() as stage:
        show = asyncio.create_task(LiveShow(Path(stage), 1).run(stop, address.set_result, print))
        done, _ = await asyncio.wait({show, address}, return_when=asyncio.FIRST_COMPLETED)
        if show in done:
            show.result()
        await asyncio.sleep(AT_WORK_S)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            await take(browser, address.result(), folder)
            await browser.close()
        stop.set()
        await show


if __name__ == "__main__":
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    images.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(images))
