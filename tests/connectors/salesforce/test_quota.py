"""The org's daily allowance: known from every answer, kept by the lane before Salesforce has to refuse."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.connectors.salesforce.org import seed_deals

from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.engine.connection import Connection
from tieline.engine.lanes import Caller, Lane, Priority, asked_by
from tieline_sandbox.salesforce import Sandbox


async def test_background_work_stops_before_the_org_has_to_refuse_and_a_posting_goes_on(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    """The connector knows of no limit until the first answer names the org's: 40 calls, others' among them."""
    org.usage.allowed, org.usage.used = 40, 10
    (deal,) = seed_deals(org, 1)
    lane = Lane("crm", salesforce.manifest.limits)
    link = Connection(salesforce, lane)

    async def sweep(number: int) -> None:
        with asked_by(Caller("sweep", priority=Priority.BACKGROUND)):
            await link.read(f"poll {number}", partial(salesforce.changes, "won_opportunities", ""))

    sweeps = [asyncio.ensure_future(sweep(n)) for n in range(60)]
    async with asyncio.timeout(5):
        while not lane.status().reason:  # noqa: ASYNC110 - a lane tells nobody
            await asyncio.sleep(0.01)
    assert org.usage.used < 0.8 * 40
    assert lane.status().per_day == 40
    assert await link.fetch("opportunity", deal) is not None
    assert lane.status().used_today == org.usage.used
    assert lane.status().failures == 0
    await lane.close()
    await asyncio.gather(*sweeps, return_exceptions=True)
