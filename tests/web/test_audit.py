"""The audit pages: the log filtered, exported and verified."""

from __future__ import annotations

import asyncio
import csv
import io
import json

import pytest
from tests.support.company import Company, eventually
from tests.support.room import signed_in

from tieline.app.principal import Role
from tieline.storage.opening import connect

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAL = "salesforce-006000000000001AAA"


async def test_the_log_is_shown_newest_first_and_filtered(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = (await vic.get("/audit")).text
        assert page.index("Payment P-00000004 is posted") < page.index("Deal won")
        only = (await vic.get(f"/audit?type=InvoicePosted&deal={DEAL}&since=2020-01-01&who=tieline")).text
        assert (only.count("is posted as"), "Deal won" in only) == (4, False)
        assert "No event matches" in (await vic.get("/audit?until=2020-01-01")).text
        assert "there is no event" in (await vic.get("/audit?type=Nothing")).text
        assert "is no day" in (await vic.get("/audit?since=yesterday")).text


async def test_what_matches_is_exported_with_the_hash_of_each_row(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        table = await vic.get("/audit/export?form=csv&type=InvoicePosted")
        rows = list(csv.DictReader(io.StringIO(table.text)))
        lines = await vic.get("/audit/export?form=jsonl&type=InvoicePosted")
        documents = [json.loads(line) for line in lines.text.splitlines()]
        assert len(rows) == 4
        assert [row["hash"] for row in rows] == [document["hash"] for document in documents]
        assert "attachment" in table.headers["content-disposition"]
        assert (await vic.get("/audit/export?form=xml")).status_code == 404
        assert (await vic.get("/audit/export?type=Nothing")).status_code == 422


async def test_one_event_says_why_it_happened_and_what_it_led_to(hub: Company) -> None:
    async with signed_in(hub, Role.VIEWER, name="vic") as vic:
        page = (await vic.get("/audit/events/2")).text
        for shown in ("Deal won: Acme platform", "/audit/events/1", "quote-to-cash:2", "Sales order stands there"):
            assert shown in page
        assert (await vic.get("/audit/events/99999")).status_code == 404


async def test_a_changed_row_is_found_and_told_on_every_page(hub: Company) -> None:
    """Last of this file: it breaks the log. Only who operates may ask for the look."""
    watch = hub.desk.chain

    async def verified() -> bool:
        return watch.state is not None and watch.reached is None and not watch.state.broken_at

    async def broken() -> bool:
        return watch.state is not None and watch.state.broken_at == 6

    async with signed_in(hub, Role.VIEWER, name="vic") as vic, signed_in(hub, Role.OPERATOR, name="ada") as ada:
        assert (await vic.post_form("/audit/verify")).status_code == 403
        assert (await ada.post_form("/audit/verify")).status_code == 303
        await eventually(verified)
        assert "The chain is whole up to" in (await vic.get("/audit")).text
        await asyncio.to_thread(_tamper, hub)
        await ada.post_form("/audit/verify")
        await eventually(broken)
        for path in ("/audit", "/audit/chain", "/audit/events/6", "/systems"):
            assert "The log is not what was recorded" in (await vic.get(path)).text, path


def _tamper(hub: Company) -> None:
    connection = connect(hub.project.settings.database)
    connection.execute("UPDATE event SET subject = 'another' WHERE seq = 6")
    connection.close()
