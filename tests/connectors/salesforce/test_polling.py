"""Polling won deals: nothing is left out, whatever shares a stamp, commits late or changes between two pages."""

from __future__ import annotations

import pytest
from tests.connectors.salesforce.org import Served, seed_deals, settings_for

from tieline.connectors.salesforce.connector import STREAM, SalesforceConnector
from tieline.connectors.salesforce.polling import Place, literal
from tieline.errors import ConfigurationError, VendorUnavailable
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox


def stamp(second: int) -> str:
    return f"2026-01-15T10:{second // 60:02d}:{second % 60:02d}.000+0000"


def won_at(org: Sandbox, second: int, count: int = 1) -> list[str]:
    return seed_deals(org, count, SystemModstamp=stamp(second))


def polling(served: Served, **changes: object) -> SalesforceConnector:
    return SalesforceConnector("salesforce", settings_for(served.url, **changes))


async def sweep(connector: SalesforceConnector, cursor: str) -> tuple[list[str], str]:
    """Read until there is no more: (ids in the order told, cursor)."""
    told: list[str] = []
    for _ in range(200):
        page = await connector.changes(STREAM, cursor)
        told += [native_id for native_id, _ in page.changed]
        cursor = page.cursor
        if not page.more:
            return told, cursor
    raise AssertionError("the stream never ends")


async def test_only_won_deals_are_told_with_their_stamps(salesforce: SalesforceConnector, org: Sandbox) -> None:
    won = won_at(org, 1)[0]
    seed_deals(org, 1, StageName="Prospecting")

    page = await salesforce.changes(STREAM, "")

    assert page.kind == "opportunity"
    assert page.changed == [(won, literal(stamp(1)))]
    assert not page.more


async def test_hundreds_of_deals_of_one_second_all_come_in_pages(served: Served, org: Sandbox) -> None:
    """A data load gives many records one stamp: the id orders them, and no page is longer than asked."""
    deals = won_at(org, 1, 25)
    connector = polling(served, page_size=10)

    told, _ = await sweep(connector, "")

    assert told == sorted(deals)
    await connector.close()


async def test_a_deal_that_becomes_visible_late_is_still_told(served: Served, org: Sandbox) -> None:
    """A stamp is given before the commit: what shows up behind the cursor within the overlap must be read."""
    won_at(org, 20)
    connector = polling(served)
    _, cursor = await sweep(connector, "")
    late = won_at(org, 16)[0]

    told, _ = await sweep(connector, cursor)

    assert late in told
    await connector.close()


async def test_a_late_deal_is_told_even_when_it_appears_between_two_pages(served: Served, org: Sandbox) -> None:
    """The cursor inside a sweep is exact; the sweep after it reads the window of the overlap again."""
    won_at(org, 20, 10)
    connector = polling(served, page_size=5)
    first = await connector.changes(STREAM, "")
    late = won_at(org, 19)[0]

    rest, cursor = await sweep(connector, first.cursor)
    again, _ = await sweep(connector, cursor)

    assert first.more
    assert late in rest + again
    await connector.close()


async def test_old_deals_are_not_told_again_for_ever(served: Served, org: Sandbox) -> None:
    """After a long backfill only the window of the overlap is read again."""
    won_at(org, 0, 30)
    newest = won_at(org, 60)
    connector = polling(served, page_size=10)
    _, cursor = await sweep(connector, "")

    again, same = await sweep(connector, cursor)

    assert again == newest
    assert same == cursor
    await connector.close()


async def test_a_changed_deal_comes_again_with_its_new_stamp(served: Served, org: Sandbox) -> None:
    deal = won_at(org, 0)[0]
    connector = polling(served)
    _, cursor = await sweep(connector, "")
    org.seed("Opportunity", [{"Id": deal, "Name": "Deal", "StageName": "Closed Won", "SystemModstamp": stamp(90)}])

    page = await connector.changes(STREAM, cursor)

    assert page.changed == [(deal, literal(stamp(90)))]
    await connector.close()


async def test_a_deleted_deal_is_told_as_deleted_and_the_cursor_never_goes_back(served: Served, org: Sandbox) -> None:
    """The recycle bin is read too: a deal that vanished after it was told would be billed for ever."""
    won_at(org, 0)
    newest = won_at(org, 60)[0]
    connector = polling(served)
    _, cursor = await sweep(connector, "")
    with org.org.unit():
        org.org.delete(org.org.sobject("Opportunity"), org.org.get(org.org.sobject("Opportunity"), newest))

    page = await connector.changes(STREAM, cursor)

    assert [native_id for native_id, _ in page.changed] == [newest]
    assert page.actions == {newest: "deleted"}
    assert page.cursor >= cursor
    await connector.close()


async def test_an_empty_stream_stays_at_its_beginning(salesforce: SalesforceConnector, org: Sandbox) -> None:
    _, cursor = await sweep(salesforce, "")
    deal = won_at(org, 1)

    assert (await sweep(salesforce, cursor))[0] == deal


async def test_a_new_connection_begins_where_it_is_told(served: Served, org: Sandbox) -> None:
    """Ten years of deals are not billed again because somebody connected."""
    won_at(org, 0)
    recent = won_at(org, 30)
    connector = polling(served, since="2026-01-15T11:00:30+01:00")

    assert (await sweep(connector, ""))[0] == recent
    await connector.close()


async def test_a_page_that_fails_moves_nothing(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deals = won_at(org, 0)
    org.faults.add(Fault(kind="drop_response", path="/query", times=2))  # a lost read is asked once more at once

    with pytest.raises(VendorUnavailable):
        await salesforce.changes(STREAM, "")

    assert (await sweep(salesforce, ""))[0] == deals


@pytest.mark.parametrize("cursor", ["yesterday", "a|b", "a|b|c|d", "a||", f"{stamp(1)}|x' OR|", f"{stamp(1)}||b"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ConfigurationError):
        Place.of(cursor, "")


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no offset"):
        Place.of("", "2026-01-15T10:00:00")


def test_stamps_become_literals_of_one_width_in_utc() -> None:
    """Text order must be time order, in the cursor and in the query."""
    assert literal("2026-01-15T10:00:00.000+0000") == "2026-01-15T10:00:00.000Z"
    assert literal("2026-01-15T11:00:00+01:00") == "2026-01-15T10:00:00.000Z"
    assert literal("2026-01-15T10:00:00.250Z") == "2026-01-15T10:00:00.250Z"
