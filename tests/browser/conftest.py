"""A real browser: the system's Chromium, driven by Playwright. Where there is none, these tests say so and skip.

`TIELINE_BROWSER=required` (make browser) makes that a failure: a proof that did not run proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.support.company import Company, company

THIS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if THIS in item.path.parents]
    missing = find_chromium() is None and os.environ.get("TIELINE_BROWSER") != "required"
    for item in mine:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.timeout(180))
        if missing:
            item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: apt-get install chromium"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def c(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    async with company(tmp_path_factory.mktemp("room") / "project") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh window of nobody; what the browser complains about on its console fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    made = await context.new_page()
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("console", lambda m: complaints.append(m.text) if "Content Security Policy" in m.text else None)
    yield made
    await context.close()
    assert not complaints, complaints
