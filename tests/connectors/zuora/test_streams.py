"""Polling: every change is told at least once, equal stamps and late commits too, in bounded pages."""

from __future__ import annotations

import pytest
import pytest_asyncio
from tests.connectors.zuora.tenant import CUSTOMER, ORDER, Served, account, order, send, settings_for

from tieline.connectors.zuora import ZuoraConnector
from tieline.connectors.zuora.streams import Place, read_cursor, utc
from tieline.errors import ConfigurationError


def stamped(served: Served, stamps: dict[str, str]) -> None:
    """Let every subscription be updated at ten o'clock, or when `stamps` says."""
    table = served.sandbox.tenant.subscriptions
    moments = [(stamps.get(s["name"], "2026-01-20T10:00:00Z"), s) for s in served.standing("subscriptions")]
    for moment, subscription in sorted(moments, key=lambda pair: pair[0]):
        table.touch(subscription, moment, "somebody")


@pytest_asyncio.fixture(loop_scope="session")
async def deals(zuora: ZuoraConnector, served: Served) -> list[str]:
    """Seven subscriptions, all of one second."""
    await send(zuora, CUSTOMER, account())
    natives = [f"006Aa00000{n:04d}AAA" for n in range(7)]
    served.sandbox.seed("orders", [order(native) for native in natives])
    stamped(served, {})
    return [f"S-{native}" for native in natives]


async def test_a_first_poll_tells_everything(zuora: ZuoraConnector, deals: list[str]) -> None:
    page = await zuora.changes("subscriptions", "")
    assert page.kind == "subscription"
    assert sorted(number for number, _ in page.changed) == deals
    assert {stamp for _, stamp in page.changed} == {"2026-01-20T10:00:00Z"}
    assert not page.more
    assert page.cursor.startswith("2026-01-20T10:00:00Z|")


async def test_pages_of_equal_stamps_lose_nobody(
    served: Served, deals: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven records of one second in pages of two: the cursor carries the place inside the second."""
    monkeypatch.setattr("tieline.connectors.zuora.streams.MOST", 3)
    zuora = served.connect(page_size=2)
    told: list[str] = []
    cursor, more, pages = "", True, 0
    while more:
        page = await zuora.changes("subscriptions", cursor)
        assert len(page.changed) <= 3
        told += [number for number, _ in page.changed]
        cursor, more, pages = page.cursor, page.more, pages + 1
    assert sorted(told) == deals
    assert pages == 4
    await zuora.close()


async def test_a_later_poll_begins_behind_the_last_stamp(
    zuora: ZuoraConnector, served: Served, deals: list[str]
) -> None:
    """A record of the same second that was committed late is told by the next poll, and so is one a little older."""
    first = await zuora.changes("subscriptions", "")
    late, later, old = deals[:3]
    stamped(served, {late: "2026-01-20T09:58:00Z", later: "2026-01-20T10:05:00Z", old: "2026-01-20T09:00:00Z"})
    second = await zuora.changes("subscriptions", first.cursor)
    told = dict(second.changed)
    assert told[late] == "2026-01-20T09:58:00Z"
    assert told[later] == "2026-01-20T10:05:00Z"
    assert old not in told
    assert [stamp for _, stamp in second.changed] == sorted(told.values())
    assert second.cursor.startswith("2026-01-20T10:05:00Z|")


async def test_a_quiet_tenant_keeps_the_cursor(zuora: ZuoraConnector, deals: list[str]) -> None:
    assert (await zuora.changes("invoices", "")).cursor == ""
    resting = "2026-06-01T00:00:00Z|8ad0"
    page = await zuora.changes("subscriptions", resting)
    assert (page.changed, page.cursor, page.more) == ([], resting, False)


async def test_invoices_payments_and_memos_have_streams(zuora: ZuoraConnector, served: Served) -> None:
    await send(zuora, CUSTOMER, account())
    await send(zuora, ORDER, order())
    await served.advance(45)
    assert [n for n, _ in (await zuora.changes("invoices", "")).changed] == ["INV00000002", "INV00000001"]
    assert [n for n, _ in (await zuora.changes("payments", "")).changed] == ["P-00000001"]
    assert (await zuora.changes("credit_memos", "")).changed == []


async def test_an_unknown_stream_or_cursor_is_a_fault_of_the_project(zuora: ZuoraConnector) -> None:
    with pytest.raises(ConfigurationError, match="credit_memos"):
        await zuora.changes("orders", "")
    for cursor in ("yesterday", "a|b|c", "not a time|id"):
        with pytest.raises(ConfigurationError):
            await zuora.changes("invoices", cursor)


def test_stamps_are_told_in_utc() -> None:
    """Zuora writes the tenant's own offset; texts of different offsets would not sort."""
    assert utc("2026-03-21T01:42:47-07:00") == "2026-03-21T08:42:47Z"
    assert utc("2026-03-21T01:42:47Z") == "2026-03-21T01:42:47Z"


def test_a_cursor_survives_its_own_text() -> None:
    for place in (Place(), Place("2026-01-01T00:00:00Z", "8ad0"), Place("2026-01-01T00:00:00Z", "8ad0", "", "W3s|=")):
        assert read_cursor(str(place)) == place


def test_what_is_swept_is_chosen_and_a_wrong_name_is_told() -> None:
    """Debit memos and refunds are swept where a project asks for them."""
    by_default = ZuoraConnector("zuora", settings_for("http://zuora.test"))
    assert by_default.manifest.streams == ("invoices", "credit_memos", "payments", "subscriptions")
    chosen = ZuoraConnector("zuora", settings_for("http://zuora.test", streams=("refunds",)))
    assert chosen.manifest.streams == ("refunds",)
    with pytest.raises(ConfigurationError, match="streams names orders; there are invoices"):
        settings_for("http://zuora.test", streams=("orders",))
