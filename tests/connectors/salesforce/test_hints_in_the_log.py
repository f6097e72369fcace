"""A stream of change events in the hub: hints and place are committed together, and deletions keep their name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from tests.connectors.salesforce.org import Served, settings_for
from tests.connectors.salesforce.test_change_events import create, delete
from tests.support.engine import working

from tieline.app.intake import poll_forever
from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.engine.lanes import cancel
from tieline.engine.ports import Store
from tieline.engine.worker import Worker
from tieline.events import VendorNotified
from tieline.storage.memory import MemoryStore
from tieline_sandbox.salesforce import Sandbox

STREAM = "account_events"


@asynccontextmanager
async def hub(served: Served, store: Store) -> AsyncIterator[Worker]:
    pubsub = served.org.serve_pubsub(0)
    pubsub.keepalive_s = 0.05
    given = {"change_events": ("account",), "pubsub_url": f"http://{pubsub.address}", "listen_s": 0.5}
    connector = SalesforceConnector("crm", settings_for(served.url, **given))
    try:
        async with working(store, [], cast("Any", connector)) as worker:
            listening = asyncio.create_task(poll_forever(worker, "crm", STREAM, 0.05))
            yield worker
            await cancel(listening)
    finally:
        await connector.close()


async def hints(store: Store, count: int) -> list[VendorNotified]:
    """The first hints in the log, once there are so many."""
    async with asyncio.timeout(10):
        while len(found := await store.events(type="VendorNotified")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return [msgspec.json.decode(event.data, type=VendorNotified) for event in found]


async def place(store: Store) -> str:
    """Where the stream stands once it stands behind an event."""
    async with asyncio.timeout(10):
        while not (at := await store.cursor(f"poll/crm/{STREAM}")) or at.value.startswith("~"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return at.value


async def test_changes_and_deletions_are_in_the_log_while_they_are_new(served: Served, org: Sandbox) -> None:
    store = MemoryStore()
    async with hub(served, store):
        await place(store)
        account = create(org, "Nordwind")[0]
        await hints(store, 1)
        delete(org, account)
        told = await hints(store, 2)

    assert [(hint.native_id, hint.action) for hint in told] == [(account, "changed"), (account, "deleted")]


async def test_a_hub_that_was_down_hears_what_it_missed_and_nothing_twice(served: Served, org: Sandbox) -> None:
    store = MemoryStore()
    async with hub(served, store):
        await place(store)
        first = create(org, "First")[0]
        await hints(store, 1)
    missed = create(org, "While the hub was down")[0]
    async with hub(served, store):
        told = await hints(store, 2)

    assert [hint.native_id for hint in told] == [first, missed]
