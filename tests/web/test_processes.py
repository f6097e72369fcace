"""The pages of processes: the catalogue, one process drawn from its text, one run, running it again."""

from __future__ import annotations

import re

import pytest
from tests.support.company import Company
from tests.support.engine import until_idle
from tests.support.room import signed_in

from tieline.app.principal import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAL = "salesforce-006000000000001AAA"


async def test_the_catalogue_says_who_owns_a_process_and_how_it_does(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = await vic.get("/processes")
    assert page.status_code == 200
    for name, process in hub.project.catalogue.processes.items():
        assert f'href="/processes/{name}"' in page.text
        assert process.owner in page.text


async def test_every_process_is_drawn_from_its_text(hub: Company) -> None:
    """Also one that never ran; the drawing has a box for each step and says how many runs took it."""
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        for name in hub.project.processes:
            page = await vic.get(f"/processes/{name}")
            assert page.status_code == 200, page.text
            assert page.text.count('<g class="box ') >= 3
        drawn = (await vic.get("/processes/quote-to-cash")).text
    assert "write subscription order" in drawn
    assert "in Zuora" in drawn
    assert re.search(r"ask a person: approval", drawn)
    assert "1 of 1" in drawn


async def test_runs_are_filtered_and_paged_on_the_server(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = await vic.get(f"/processes/post-invoice?state=done&deal={DEAL}")
        assert page.text.count('href="/processes/runs/post-invoice%3A') == 4
        assert "No run matches" in (await vic.get("/processes/post-invoice?state=waiting")).text
        assert (await vic.get("/processes/post-invoice?state=broken")).status_code == 422
        assert (await vic.get("/processes/post-invoice?before=x")).status_code == 422
        assert (await vic.get("/processes/none-such")).status_code == 404


async def test_a_run_shows_all_it_did(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = await vic.get("/processes/runs/quote-to-cash:2")
        assert page.status_code == 200
        for shown in ("look_for", "subscription order", "Deal won: Acme platform", f"/deals/{DEAL}", "NetSuite"):
            assert shown in page.text
        assert "Run it again" not in page.text
        assert (await vic.get("/processes/runs/quote-to-cash:99")).status_code == 404


async def test_a_run_is_run_again_after_a_preview(hub: Company) -> None:
    """By whoever may operate; it writes nothing that stands already."""
    async with signed_in(hub, Role.VIEWER, name="vic") as vic, signed_in(hub, Role.OPERATOR, name="ada") as ada:
        path = "/processes/runs/quote-to-cash:2/replay"
        assert (await vic.get(path)).status_code == 403
        assert (await vic.post_form(path)).status_code == 403
        shown = await ada.get(path)
        assert "0 writes" in shown.text
        answer = await ada.post_form(path, reason="to see")
        assert answer.status_code == 303
        await until_idle(hub.worker)
        again = await ada.get(answer.headers["location"])
        assert re.search(r"It is run again as .*quote-to-cash:2:r\d+", again.text)
        new = re.search(r'href="(/processes/runs/quote-to-cash%3A2%3Ar\d+)"', again.text)
        assert new is not None
        assert "It repeats" in (await ada.get(new[1])).text
        assert len(await hub.sandboxes.documents("netsuite", "salesOrder")) == 1
    live = hub.worker.resources.value_map
    assert hub.project.facts.value_map == live  # a preview beside the worker left its rules alone


async def test_a_run_that_ended_is_not_moved(hub: Company) -> None:
    async with signed_in(hub, Role.OPERATOR, name="ada") as ada:
        answer = await ada.get("/processes/runs/quote-to-cash:2/move")
        assert answer.status_code == 422
        assert "has ended" in answer.text
