"""Walks of people through the pages of a company that is not a demonstration: what they find, may do and may not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect
from tests.browser.walking import sign_in
from tests.support.company import Company, eventually
from tests.support.room import PASSWORD, make_user
from tests.support.salesforce_org import account, line, opportunity, seed, win

from tieline.app.access import new_token
from tieline.app.principal import Permission, Role
from tieline.engine.records import CaseState

pytestmark = [pytest.mark.asyncio(loop_scope="module")]
SELLER = "005000000000009AAA"


async def sold(c: Company, deal: int, *, product: str = "MG Special", net: str = "110.00", **fields: object) -> str:
    """A deal that sales just won; its canonical id."""
    await seed(c, [account(deal)], [opportunity(deal, **fields)], [line(deal, 1, product, net)])
    await win(c, deal)
    return f"salesforce-00600000000000{deal}AAA"


async def paid(c: Company, deal: int) -> str:
    """A deal whose first invoice is issued, posted and paid; its canonical id."""
    contract = await sold(c, deal)
    store = c.worker.store

    async def ordered() -> bool:
        return bool(await store.effects(correlation_id=contract, kind="order", limit=1))

    async def settled() -> bool:
        return bool(await store.events(correlation_id=contract, type="PaymentPosted", limit=1))

    await eventually(ordered)
    await c.sandboxes.advance(50)
    await eventually(settled)
    return contract


async def test_one_signs_in_with_a_password_and_goes_where_one_wanted(page: Page, c: Company) -> None:
    await make_user(c.desk.access, "vera", Role.VIEWER)
    await c.desk.access.users.set_password("vera", await c.desk.access.passwords.hash(PASSWORD))
    await page.goto(f"{c.hub_url}/systems/netsuite")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("User name").fill("vera")
    await page.get_by_label("Password").fill("not this one at all")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not signed in")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{c.hub_url}/systems/netsuite")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("NetSuite")


async def test_a_deal_is_found_by_its_netsuite_id_and_a_number_explained_to_its_salesforce_line(
    page: Page, c: Company
) -> None:
    """The search field takes the id that the ERP gave; a click on the invoice's amount leads back to what was sold."""
    contract = await paid(c, 1)
    (invoice,) = await c.worker.store.effects(correlation_id=contract, kind="invoice")
    await sign_in(page, c, "vera", Role.VIEWER)
    await page.goto(f"{c.hub_url}/deals")
    await page.get_by_role("searchbox").fill(invoice.external_id)
    await page.get_by_role("button", name="Find").click()
    await expect(page).to_have_url(re.compile(re.escape(contract)))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Deal 1")
    documents = page.get_by_role("region", name="Its documents")
    await documents.get_by_role("row").filter(has_text="invoice").get_by_role("link", name="110.00 USD").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Why")
    steps = page.locator("ol.lineage").first
    await expect(steps).to_contain_text("billed by zuora")
    await expect(steps).to_contain_text("read from salesforce")
    await expect(steps).to_contain_text("TotalPrice of opportunity line 00k000000000011AAA")


async def test_a_case_is_corrected_and_its_class_released(page: Page, c: Company) -> None:
    """One entry of the product map, shown before it is recorded, posts every deal that waited for it."""
    for deal in (2, 3):
        await sold(c, deal, product="GTXPro")
    store = c.worker.store

    async def asked() -> bool:
        return len(await store.cases(states=[CaseState.OPEN], case_class="unknown-product")) == 2

    async def posted() -> bool:
        stand = [o.get("custbody_crm_opportunity") for o in await c.sandboxes.documents("netsuite", "salesOrder")]
        return {f"00600000000000{deal}AAA" for deal in (2, 3)} <= {str(each).rpartition("-")[2] for each in stand}

    await eventually(asked)
    await sign_in(page, c, "rita", Role.STEWARD)
    await page.goto(f"{c.hub_url}/cases")
    await page.get_by_role("link", name=re.compile("GTXPro")).first.click()
    await page.get_by_role("row").get_by_role("link").first.click()
    await expect(page.get_by_role("heading", name="What you can do")).to_be_visible()
    await page.get_by_role("button", name="Show what it will do").click()
    await expect(page.get_by_role("heading", name="This will be recorded")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("220.00 USD")
    await page.get_by_label("Why (kept with the correction)").fill("mistyped in the price book")
    await page.get_by_role("button", name="Record it and release 2 cases").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 cases released")
    await eventually(posted)
    await page.goto(f"{c.hub_url}/cases?class=unknown-product")
    await expect(page.get_by_role("main")).to_contain_text("No open case fits")


async def test_an_approval_is_given_by_another_and_refused_to_whoever_sold_the_deal(page: Page, c: Company) -> None:
    await c.sandboxes.seed(
        "salesforce", "User", [{"Id": SELLER, "Name": "Ada Ahmed", "Username": "ada@sf", "Email": "ada@example.com"}]
    )
    await seed(c, [account(4)], [opportunity(4, OwnerId=SELLER)], [line(4, 1, "GTX Pro", "60.00", Discount=40)])
    await win(c, 4)
    contract, store = "salesforce-006000000000004AAA", c.worker.store

    async def asked() -> bool:
        return bool(await store.cases(states=[CaseState.OPEN], correlation_id=contract))

    async def posted() -> bool:
        return bool(await store.events(correlation_id=contract, type="OrderPosted", limit=1))

    await eventually(asked)
    await sign_in(page, c, "ada", Role.APPROVER)
    await page.goto(f"{c.hub_url}/approvals")
    mine = page.get_by_role("article").filter(has_text="Deal 4")
    await expect(mine).to_contain_text("ada owns this deal in the CRM")
    await expect(mine.get_by_role("link", name="Approve or refuse")).to_have_count(0)

    await sign_in(page, c, "fiona", Role.APPROVER)
    await page.goto(f"{c.hub_url}/approvals")
    await expect(mine).to_contain_text("40")
    await mine.get_by_role("link", name="Approve or refuse").click()
    await page.get_by_label("Reason").fill("a strategic customer")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("status").first).to_contain_text("Approved by fiona")
    await eventually(posted)


async def test_a_role_that_may_not_sees_no_button_and_is_refused(page: Page, c: Company) -> None:
    await sign_in(page, c, "vera", Role.VIEWER)
    await page.goto(f"{c.hub_url}/systems/netsuite")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("NetSuite")
    await expect(page.get_by_role("link", name="Pause…")).to_have_count(0)
    answer = await page.goto(f"{c.hub_url}/systems/netsuite/pause")
    assert answer is not None
    assert answer.status == 403
    await expect(page.get_by_role("heading", level=1)).to_contain_text("You may not do this")
    await expect(page.get_by_role("main")).to_contain_text("operator, steward or admin")


async def test_a_system_is_paused_by_an_operator_and_what_waits_goes_on_after(page: Page, c: Company) -> None:
    await sign_in(page, c, "olaf", Role.OPERATOR)
    await page.goto(f"{c.hub_url}/systems/kantata")
    await page.get_by_role("link", name="Pause…").click()
    await page.get_by_label("Reason").fill("closing the month")
    await page.get_by_role("button", name=re.compile("Pause")).click()
    await expect(page.get_by_role("status").first).to_contain_text("Nothing more is sent")
    await expect(page.get_by_role("main")).to_contain_text(re.compile("paused by olaf", re.IGNORECASE))
    await page.get_by_role("link", name="Resume…").click()
    await page.get_by_role("button", name=re.compile("Resume")).click()
    await expect(page.get_by_role("status").first).to_contain_text("works again")


async def test_a_token_is_made_on_the_page_and_ends_when_it_expires(page: Page, c: Company) -> None:
    """Shown once; it opens the API as long as it lasts, and the account says of an old one that it is over."""
    await sign_in(page, c, "olaf", Role.OPERATOR)
    await page.goto(f"{c.hub_url}/account")
    await page.get_by_text("Make a token").click()
    await page.get_by_label("What it is for").fill("nightly report")
    await page.get_by_role("button", name="Make the token").click()
    secret = await page.get_by_label("Token").input_value()
    assert secret.startswith("tl_")
    good = await page.request.get(
        f"{c.hub_url}/api/v1/deals", headers={"Authorization": f"Bearer {secret}", "Cookie": ""}
    )
    assert good.status == 200

    now = datetime.now(UTC)
    token, old = new_token("olaf", "old report", [Permission.READ], 0, now - timedelta(days=2), now - timedelta(days=1))
    await c.desk.access.tokens.add(token, old)
    refused = await page.request.get(
        f"{c.hub_url}/api/v1/deals", headers={"Authorization": f"Bearer {old}", "Cookie": ""}
    )
    assert refused.status == 401
    assert refused.headers["content-type"].startswith("application/problem+json")
    await page.goto(f"{c.hub_url}/account")
    await expect(page.get_by_role("row").filter(has_text="old report")).to_contain_text("over")


async def test_a_session_that_ended_leads_to_the_sign_in_page(page: Page, c: Company) -> None:
    await sign_in(page, c, "vera", Role.VIEWER)
    await page.goto(f"{c.hub_url}/deals")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Deals")
    await page.context.clear_cookies()
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
