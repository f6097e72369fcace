"""Change events over the Pub/Sub API: what is heard, what is swept, and that nothing falls between the two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from tests.connectors.salesforce.org import Served, settings_for

from tieline.connectors.salesforce.changefeed import Seat
from tieline.connectors.salesforce.connector import SalesforceConnector
from tieline.engine.ports import Changes
from tieline.errors import ConfigurationError
from tieline_sandbox.kernel.faults import Fault
from tieline_sandbox.salesforce import Sandbox

STREAM = "account_events"


class Listener:
    """Reads a stream as the hub does: page after page, the cursor of the last one kept."""

    def __init__(self, connector: SalesforceConnector, cursor: str = "") -> None:
        self.connector, self.cursor = connector, cursor

    async def read(self) -> Changes:
        page = await self.connector.changes(STREAM, self.cursor)
        self.cursor = page.cursor
        return page

    async def until(self, *ids: str, reads: int = 40) -> list[str]:
        """Read until all of these were told; everything that was told, in order."""
        told: list[str] = []
        for _ in range(reads):
            told += [native_id for native_id, _ in (await self.read()).changed]
            if set(ids) <= set(told):
                return told
        raise AssertionError(f"of {ids} only {told} were told; the place is {self.cursor}")

    async def anchored(self) -> Listener:
        """Read until the stream stands behind an event."""
        for _ in range(40):
            await self.read()
            if Seat.of(self.cursor, "").replay:
                return self
        raise AssertionError(self.cursor)


@pytest.fixture
def pubsub(org: Sandbox) -> str:
    """The address of the Pub/Sub API, which says quickly that nothing happened."""
    served = org.serve_pubsub(0)
    served.keepalive_s = 0.05
    return f"http://{served.address}"


@asynccontextmanager
async def listening(served: Served, url: str, cursor: str = "", **changes: Any) -> AsyncIterator[Listener]:
    given = {"change_events": ("account",), "pubsub_url": url, "listen_s": 0.2} | changes
    connector = SalesforceConnector("salesforce", settings_for(served.url, **given))
    try:
        yield Listener(connector, cursor)
    finally:
        await connector.close()


@pytest_asyncio.fixture(loop_scope="session")
async def listener(served: Served, pubsub: str) -> AsyncIterator[Listener]:
    async with listening(served, pubsub) as found:
        yield found


def create(org: Sandbox, *names: str) -> list[str]:
    """Accounts made in one transaction, which announces them."""
    with org.org.unit():
        return [str(org.org.create(org.org.sobject("Account"), {"Name": name})["Id"]) for name in names]


def update(org: Sandbox, account: str, **fields: Any) -> None:
    sobject = org.org.sobject("Account")
    with org.org.unit():
        org.org.update(sobject, org.org.get(sobject, account), fields)


def delete(org: Sandbox, account: str) -> None:
    sobject = org.org.sobject("Account")
    with org.org.unit():
        org.org.delete(sobject, org.org.get(sobject, account))


async def test_what_stood_before_is_swept_and_what_comes_after_is_heard(listener: Listener, org: Sandbox) -> None:
    before = org.seed("Account", [{"Name": "Before"}])[0]["Id"]
    assert await listener.until(before) == [before]
    await listener.anchored()
    calls = listener.connector.usage().calls

    after = create(org, "After")[0]

    assert after in await listener.until(after)
    assert listener.connector.usage().calls == calls, "an event costs no call of the day's allowance"


async def test_nothing_falls_between_the_sweep_and_the_stream(listener: Listener, org: Sandbox) -> None:
    """Accounts appear before, during and after the change from sweeping to listening."""
    made, told = create(org, "A0"), list[str]()
    for number in range(1, 12):
        told += [native_id for native_id, _ in (await listener.read()).changed]
        made += create(org, f"A{number}")
    assert Seat.of(listener.cursor, "").replay

    assert set(made) <= set(told + await listener.until(*create(org, "Last")))


async def test_a_listener_that_was_away_hears_what_it_missed(served: Served, pubsub: str, org: Sandbox) -> None:
    """The cursor that was kept is all that a restart needs."""
    async with listening(served, pubsub) as first:
        await first.anchored()
        cursor = first.cursor
    missed = create(org, "A", "B", "C")

    async with listening(served, pubsub, cursor) as second:
        assert await second.until(*missed) == missed


async def test_deletions_and_equal_changes_of_several_records_are_told(listener: Listener, org: Sandbox) -> None:
    one, two, three = create(org, "A", "B", "C")
    await listener.anchored()
    with org.org.unit():
        for account in (one, two):
            update(org, account, Phone="030")
    delete(org, three)

    changed: list[str] = []
    actions: dict[str, str] = {}
    while three not in actions:
        page = await listener.read()
        changed += [native_id for native_id, _ in page.changed]
        actions |= page.actions

    assert actions == {three: "deleted"}
    assert changed[-3:] == [one, two, three]


async def test_two_changes_of_one_second_are_two_hints(listener: Listener, org: Sandbox) -> None:
    """Commits are told to the millisecond: a second change is not taken for the first one told again."""
    account = create(org, "A")[0]
    await listener.anchored()
    stamps: set[str] = set()
    for number in range(2):
        update(org, account, Phone=str(number))
        while not (page := await listener.read()).changed:
            pass
        stamps |= {stamp for _, stamp in page.changed}

    assert len(stamps) == 2


async def test_more_events_than_one_request_asks_for_all_come_once_and_in_order(
    listener: Listener, org: Sandbox
) -> None:
    await listener.anchored()
    made = [create(org, f"A{number}")[0] for number in range(250)]

    assert await listener.until(*made) == made


async def test_after_72_hours_a_sweep_of_what_was_missed_takes_over(served: Served, pubsub: str, org: Sandbox) -> None:
    """Bounded: only what changed since the last event is read again, and then the stream goes on."""
    org.seed("Account", [{"Name": f"Old {n}", "SystemModstamp": "2020-01-01T00:00:00.000+0000"} for n in range(30)])
    async with listening(served, pubsub) as first:
        await first.anchored()
        seen = create(org, "Seen")[0]
        await first.until(seen)
        cursor = first.cursor
    missed = create(org, "Missed")[0]
    org.world.set(org.world.now() + timedelta(hours=73))

    async with listening(served, pubsub, cursor, page_size=10) as late:
        told = await late.until(missed)
        await late.anchored()
        heard = create(org, "Heard")[0]
        await late.until(heard)

    assert set(told) <= {seen, missed}, "thirty old accounts were not read again"


async def test_what_shares_a_second_with_the_last_event_is_swept_after_an_expiry(
    served: Served, pubsub: str, org: Sandbox
) -> None:
    """Commits are told to the millisecond, records are stamped to the second: the sweep begins before the last one."""
    org.world.set(org.world.now().replace(microsecond=100_000))
    async with listening(served, pubsub) as first:
        await first.anchored()
        seen = create(org, "Seen")[0]
        await first.until(seen)
        cursor = first.cursor
    late = create(org, "Late")[0]
    stamps = {org.org.store.get("Account", i)["SystemModstamp"] for i in (seen, late)}  # type: ignore[index]
    assert len(stamps) == 1
    org.world.set(org.world.now() + timedelta(hours=73))

    async with listening(served, pubsub, cursor) as second:
        assert late in await second.until(late)


async def test_while_the_api_is_down_sweeps_go_on_alone(served: Served, pubsub: str, org: Sandbox) -> None:
    async with listening(served, pubsub) as listener:
        await listener.anchored()
        assert org.pubsub is not None
        port = int(org.pubsub.address.rpartition(":")[2])
        org.pubsub.stop()
        first = create(org, "While it was down")[0]
        told = await listener.until(first)
        page = await listener.read()
        assert not page.more, "without a stream the hub waits before it asks again"
        org.serve_pubsub(port)

        second = create(org, "Back again")[0]
        assert told == [first]
        assert second in await listener.until(second)


async def test_a_stream_that_breaks_is_taken_up_where_it_was(listener: Listener, org: Sandbox) -> None:
    await listener.anchored()
    org.faults.add(Fault(kind="stream_break", times=3))
    made = [create(org, f"A{number}")[0] for number in range(6)]

    assert set(made) <= set(await listener.until(*made))


async def test_an_expired_session_is_renewed(listener: Listener, org: Sandbox) -> None:
    await listener.anchored()
    org.sessions.expire_all()
    org.faults.add(Fault(kind="stream_break"))
    made = create(org, "A") + create(org, "B")

    assert set(made) <= set(await listener.until(*made))


async def test_a_stream_that_nobody_read_for_long_is_opened_anew(
    listener: Listener, org: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that waited past their 72 hours are not sent any more, and an open stream does not say so."""
    await listener.anchored()
    monkeypatch.setattr("tieline.connectors.salesforce.changefeed.LONGEST_PAUSE_S", 0.0)
    missed = create(org, "Missed")[0]
    org.world.set(org.world.now() + timedelta(hours=80))

    assert missed in await listener.until(missed)


async def test_a_gap_is_a_hint_like_any_other(listener: Listener, org: Sandbox) -> None:
    account = create(org, "A")[0]
    await listener.anchored()
    org.bus.gap(org.org.schema["Account"], [account])

    assert account in await listener.until(account)


async def test_an_object_that_was_not_selected_is_a_matter_of_settings(served: Served, pubsub: str) -> None:
    served.org.configure({"change_data_capture": ["Opportunity"]})
    async with listening(served, pubsub) as listener:
        await listener.read()
        with pytest.raises(ConfigurationError, match="Change Data Capture"):
            await listener.read()


async def test_until_the_stream_has_spoken_every_read_is_a_sweep(served: Served, pubsub: str, org: Sandbox) -> None:
    """A subscription that is asked for is not yet one that stands: only an answer proves it."""
    assert org.pubsub is not None
    org.pubsub.keepalive_s = 270
    async with listening(served, pubsub, listen_s=0.05) as listener:
        await listener.read()
        made = create(org, "A")[0]
        assert made in await listener.until(made)


@pytest.mark.parametrize("cursor", ["yesterday", "xyz~||", "00~a|b", "2026-01-15T10:00:00Z||"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ConfigurationError):
        Seat.of(cursor, "")


def test_a_kind_that_cannot_be_heard_is_refused_with_the_ones_that_can() -> None:
    with pytest.raises(ConfigurationError, match="opportunity, account"):
        settings_for("http://127.0.0.1:1", change_events=("deal",))


def test_events_never_leave_the_machine_unencrypted() -> None:
    from tieline.connectors.salesforce.pubsub import Bus

    with pytest.raises(ConfigurationError, match="https"):
        Bus("http://api.pubsub.salesforce.com:7443")
