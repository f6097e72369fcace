"""What a walk through the pages needs: somebody to sign in as, and judges of what stands on the screen."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page
from tests.support.company import Company
from tests.support.room import make_user

from tieline.app.principal import Role
from tieline.web.session import cookie_name

SERIOUS = {"serious", "critical"}


async def sign_in(page: Page, c: Company, name: str, *roles: Role) -> None:
    """The browser of a user with these roles; who walked before is forgotten."""
    await make_user(c.desk.access, name, *roles)
    session = await c.desk.access.open_session(c.desk.access.users.get(name).principal())
    await page.context.clear_cookies()
    await page.context.add_cookies([{"name": cookie_name(c.desk), "value": session, "url": c.hub_url}])


async def findings(page: Page) -> list[str]:
    """What axe holds against this page and would keep somebody out."""
    result: dict[str, Any] = (await Axe().run(page)).response
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
        for each in result["violations"]
        if each["impact"] in SERIOUS
    ]


_STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return "";
  const inside = (each) => each && (getComputedStyle(each).overflowX !== "visible" || inside(each.parentElement));
  const out = [...document.querySelectorAll("main *, header *")].filter(
    (each) => each.getBoundingClientRect().right > wide + 0.5 && !inside(each.parentElement)
  );
  return `${document.documentElement.scrollWidth - wide} px: ${out.at(-1)?.outerHTML.slice(0, 200) ?? "?"}`;
}"""


async def overflow(page: Page) -> str:
    """What makes the page wider than its window, and by how much; "" is how it should be."""
    told: str = await page.evaluate(_STICKS_OUT)
    return told
