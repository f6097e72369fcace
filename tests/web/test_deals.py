"""The pages of deals and of explaining, through real HTTP, on a deal that the whole hub carried."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.e2e.test_one_deal import OPPORTUNITY
from tests.support.company import Company
from tests.support.room import Visitor, signed_in

import tieline
from tieline.app.principal import Role
from tieline.engine.ports import Batch

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAL = f"salesforce-{OPPORTUNITY['Id']}"
PAGE = f"/deals/{DEAL}"


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(hub: Company) -> AsyncIterator[Visitor]:
    async with signed_in(hub, Role.VIEWER) as visitor:
        yield visitor


async def page(viewer: Visitor, address: str) -> str:
    answer = await viewer.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


def links(text: str, beginning: str) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]+)"', text) if link.startswith(beginning)]


async def test_the_list_shows_a_deal_with_its_money_and_status(viewer: Visitor) -> None:
    shown = await page(viewer, "/deals")
    for part in (f'href="{PAGE}"', "Acme platform", "Acme Corporation", "1,500.01 USD", "Paid", "2026-01-05"):
        assert part in shown


async def test_an_id_of_any_system_leads_straight_to_its_deal(hub: Company, viewer: Visitor) -> None:
    (order,) = await hub.sandboxes.documents("netsuite", "salesOrder")
    for ident in (OPPORTUNITY["Id"], f"netsuite/order/{order['id']}", "S-006000000000001AAA"):
        answer = await viewer.get(f"/deals?q={ident}")
        assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


async def test_a_name_and_filters_stand_in_the_address(viewer: Visitor) -> None:
    assert "Acme platform" in await page(
        viewer, "/deals?q=acme&status=Paid&currency=USD&amount_from=1,500&won_to=2026-01-05"
    )
    assert "No deal fits" in await page(viewer, "/deals?amount_from=1500.02")
    assert "is no amount" in await page(viewer, "/deals?amount_from=much")


async def test_the_page_of_a_deal_shows_money_documents_and_what_happened(viewer: Visitor) -> None:
    shown = await page(viewer, PAGE)
    for part in (
        "Tieline has done all",
        "Booked",
        "1,500.01 USD",
        "750.01 USD",
        "subscription order",
        "Deal won: Acme platform",
    ):
        assert part in shown
    assert links(shown, "/audit/events/")
    assert links(shown, "/processes/runs/quote-to-cash")
    assert any("/_sandbox/#documents" in link for link in links(shown, "http://127.0.0.1"))
    assert "style=" not in shown


async def test_every_document_and_every_amount_leads_to_what_was_sent_and_why(viewer: Visitor) -> None:
    shown = await page(viewer, PAGE)
    documents, amounts = links(shown, f"{PAGE}/documents/"), links(shown, "/explain/")
    assert documents
    assert amounts
    for address in dict.fromkeys([*documents, *amounts]):
        assert "What was sent" in await page(viewer, address.partition("#")[0])


async def test_a_number_is_explained_back_to_the_record_it_was_read_from(hub: Company, viewer: Visitor) -> None:
    (address, *_) = [link for link in links(await page(viewer, PAGE), "/explain/netsuite/invoice") if "field=" in link]
    whole = await page(viewer, address.partition("?")[0])
    field = next(link for link in links(whole, address.partition("?")[0]) if "rate" in link or "amount" in link)
    shown = await page(viewer, field)
    assert links(shown, "/rules/invoice%20-%3E%20netsuite.invoice?version=")
    assert "read from zuora" in shown
    assert "opportunity line" in shown
    assert links(shown, "/audit/events/")
    assert str(hub.project.settings.root) not in shown
    assert str(Path(tieline.__file__).parent) not in shown


async def test_a_changed_document_shows_what_each_revision_changed(hub: Company, viewer: Visitor) -> None:
    (order,) = await hub.desk.store.effects(connection="netsuite", kind="order")
    changed = order.content.replace(b'"Net 30"', b'"Net 60"')
    await hub.desk.store.commit(Batch(effects=[replace(order, revision=2, content=changed)]))
    shown = await page(viewer, f"{PAGE}/documents/netsuite/order/{DEAL}")
    assert "<del>Net 30</del>" in shown
    assert "<ins>Net 60</ins>" in shown


async def test_news_of_a_deal_are_told_once_something_happened(viewer: Visitor) -> None:
    assert "Something new" in await page(viewer, f"{PAGE}/news?since=0")
    asked = await page(viewer, f"{PAGE}/news?since=99999999999999999")
    assert "Something new" not in asked
    assert "hx-get" in asked


async def test_what_nobody_heard_of_is_not_found(viewer: Visitor) -> None:
    for address in ("/deals/salesforce-nothing", f"{PAGE}/documents/netsuite/order/x", "/explain/netsuite/order/x"):
        assert (await viewer.get(address)).status_code == 404
