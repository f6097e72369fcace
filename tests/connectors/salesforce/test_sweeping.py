"""Long sweeps over bulk query jobs, and what a sweep tells of records that were deleted or merged."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.connectors.salesforce.org import Served, seed_deals, seed_one, settings_for

from tieline.connectors.salesforce.connector import STREAM, SalesforceConnector
from tieline.connectors.salesforce.polling import Place
from tieline.connectors.salesforce.sweeping import Sweep
from tieline.connectors.salesforce.wire import SHAPES
from tieline.errors import ConfigurationError, VendorUnavailable
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox

DEAL = {"Name": "Deal", "StageName": "Closed Won", "CloseDate": "2026-01-15", "CurrencyIsoCode": "EUR"}
STAMP = "2026-01-15T10:00:00.000+0000"


def sweeping(served: Served, **changes: Any) -> SalesforceConnector:
    return SalesforceConnector("salesforce", settings_for(served.url, **{"page_size": 10, "bulk_above": 50} | changes))


async def read(connector: SalesforceConnector, cursor: str = "") -> tuple[Counter[str], str]:
    """The whole stream: how often each record was told, and the cursor behind it."""
    told: Counter[str] = Counter()
    for _ in range(300):
        page = await connector.changes(STREAM, cursor)
        told.update(native_id for native_id, _ in page.changed)
        cursor = page.cursor
        if not page.more:
            return told, cursor
    raise AssertionError("the sweep never ends")


def queries(org: Sandbox) -> int:
    return len([job for job in org.jobs if job.query])


async def test_a_long_sweep_is_one_bulk_job_and_tells_every_record_once(served: Served, org: Sandbox) -> None:
    deals = seed_deals(org, 130, SystemModstamp=STAMP)
    connector = sweeping(served)

    told, cursor = await read(connector)
    calls, jobs = connector.usage().calls, queries(org)
    again, _ = await read(connector, cursor)

    assert told == Counter(deals)
    assert jobs == 1
    assert calls < 130 / 10, "fewer calls than pages"
    assert set(again) <= set(deals), "only the overlap is read again"
    await connector.close()


async def test_a_second_change_of_one_second_is_another_hint(served: Served, org: Sandbox) -> None:
    """A deal is read, then changed again within its second: the stamp is the same, the deal is not."""
    stamp = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}.000+0000"
    deal = seed_deals(org, 1, SystemModstamp=stamp)[0]
    connector = sweeping(served)
    first = await connector.changes(STREAM, "")
    org.seed("Opportunity", [DEAL | {"Id": deal, "SystemModstamp": stamp, "NextStep": "call"}])
    await asyncio.sleep(2.5)  # the server's Date header may be a second late

    second = await connector.changes(STREAM, first.cursor)
    third = await connector.changes(STREAM, second.cursor)

    assert [native_id for native_id, _ in second.changed] == [deal]
    assert second.changed != first.changed
    assert third.changed == second.changed, "told once more, and then no more"
    await connector.close()


async def test_a_short_sweep_needs_no_job(served: Served, org: Sandbox) -> None:
    deals = seed_deals(org, 30, SystemModstamp=STAMP)
    connector = sweeping(served)

    assert (await read(connector))[0] == Counter(deals)
    assert queries(org) == 0
    await connector.close()


async def test_what_changes_while_the_job_runs_is_told_by_the_next_sweep(served: Served, org: Sandbox) -> None:
    seed_deals(org, 60, SystemModstamp=STAMP)
    connector = sweeping(served)
    first = await connector.changes(STREAM, "")
    assert Place.of(first.cursor, "").job
    _, cursor = await read(connector, first.cursor)
    late = seed_deals(org, 1, SystemModstamp="2026-01-15T10:00:01.000+0000")[0]

    assert late in (await read(connector, cursor))[0]
    await connector.close()


async def test_a_sweep_that_is_interrupted_goes_on_with_its_job(served: Served, org: Sandbox) -> None:
    """The cursor is all that survives a restart: it names the job and the page."""
    deals = seed_deals(org, 60, SystemModstamp=STAMP)
    first = sweeping(served)
    cursor = (await first.changes(STREAM, "")).cursor
    await first.close()

    second = sweeping(served)
    told, _ = await read(second, cursor)

    assert told == Counter(deals)
    assert queries(org) == 1
    await second.close()


@pytest.mark.parametrize("end", ["failed", "deleted"])
async def test_a_job_that_is_lost_is_swept_page_by_page(served: Served, org: Sandbox, end: str) -> None:
    deals = seed_deals(org, 60, SystemModstamp=STAMP)
    connector = sweeping(served)
    cursor = (await connector.changes(STREAM, "")).cursor
    job = next(iter(org.jobs))
    if end == "failed":
        org.jobs.abort(job)
    else:
        org.jobs.remove(job)

    told, _ = await read(connector, cursor)

    assert set(told) == set(deals)
    await connector.close()


async def test_a_result_that_is_cut_short_is_not_taken_for_its_end(served: Served, org: Sandbox) -> None:
    deals = seed_deals(org, 60, SystemModstamp=STAMP)
    connector = sweeping(served)
    cursor = (await connector.changes(STREAM, "")).cursor
    org.faults.add(Fault(kind="cut_response", path="/results"))

    with pytest.raises(VendorUnavailable):
        await read(connector, cursor)

    assert (await read(connector, cursor))[0] == Counter(deals)
    await connector.close()


async def test_a_merged_account_is_told_with_its_winner(served: Served, org: Sandbox) -> None:
    """The loser says that it was merged; the winner says that it changed."""
    winner, loser = (seed_one(org, "account") for _ in range(2))
    connector = sweeping(served)
    sweep = Sweep(connector._client, settings_for(served.url), "account")
    place = (await sweep.after(Place())).place
    org.act("merge", {"object": "Account", "master": winner, "losers": [loser]})

    found = await sweep.after(place)

    assert {native_id for native_id, _ in found.changed} == {winner, loser}
    assert found.actions == {loser: "merged"}
    assert await connector.fetch("account", [loser]) == [None]
    await connector.close()


@pytest.mark.parametrize("kind", list(SHAPES))
async def test_every_kind_is_read_whole(served: Served, org: Sandbox, kind: str) -> None:
    connector = sweeping(served)
    (record,) = await connector.fetch(kind, [seed_one(org, kind)])

    assert record is not None
    shape = SHAPES[kind]
    assert set(shape.record.__annotations__) <= set(record)
    if shape.lines and kind != "opportunity":
        (line,) = record[shape.lines]["records"]
        assert set(shape.line.__annotations__) <= set(line)
        assert line["Product2"]["ProductCode"] == "PLATFORM"
    await connector.close()


@pytest.mark.parametrize("cursor", ["a|b|c|d", "|||x' OR|", "||2026-01-15T10:00:00Z|750xx|locator|more"])
def test_a_cursor_with_a_foreign_job_is_refused(cursor: str) -> None:
    with pytest.raises(ConfigurationError):
        Place.of(cursor, "")
