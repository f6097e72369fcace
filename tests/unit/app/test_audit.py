"""The audit trail: every filter, its pages without a gap, exports, and a watch that finds what was changed or cut."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.engine import NOW, notified
from tests.support.views import view_on

from tieline.app import audit, chain
from tieline.app.audit import AuditFilter, as_csv, as_jsonl, audit_page, audit_rows, consequences, get_event, whose
from tieline.app.chain import ChainWatch
from tieline.app.principal import NotAllowed, Principal, Role, local_principal
from tieline.app.views.resolve import NothingFound
from tieline.engine.ports import Batch
from tieline.errors import ConfigurationError
from tieline.events import (
    ConnectionHeld,
    Event,
    EventData,
    LoggedEvent,
    ReplayRequested,
    ValueMapCorrected,
    chain_hash,
    make_event,
)
from tieline.storage.memory import MemoryStore

ADA = local_principal("ada")


class Dated(MemoryStore):
    """A log whose events were recorded an hour apart."""

    async def told(self, *events: Event) -> None:
        for event in events:
            await self.commit(Batch(events=[event]))
            last = self._events.pop()
            at, prev = NOW + timedelta(hours=last.seq), self._events[-1].hash if self._events else "0" * 64
            fields = {name: getattr(last, name) for name in Event.__struct_fields__}
            linked = chain_hash(prev, last, at)
            self._events.append(LoggedEvent(**fields, seq=last.seq, recorded_at=at, prev_hash=prev, hash=linked))


def did(data: EventData, number: int) -> Event:
    return make_event(data, source="people", id=f"did/{number}", time=NOW)


def held(by: str, number: int) -> Event:
    return did(ConnectionHeld(connection="erp", by=by, reason="x"), number)


def asked(by: str, number: int) -> Event:
    return did(ReplayRequested(process="p", event_seq=1, contract="k-1", by=by), number)


async def seqs(store: MemoryStore, **wanted: object) -> list[int]:
    page = await audit_page(view_on(store), AuditFilter(**wanted))  # type: ignore[arg-type]
    return [event.seq for event in page.events]


async def some() -> Dated:
    store = Dated()
    await store.told(notified("one"), held("Ada", 1), notified("two"), asked("Grace", 2), asked("ada", 3))
    return store


async def test_every_filter_narrows_the_log() -> None:
    """By person in whatever case, system, type, day and text; together as well."""
    store = await some()
    assert await seqs(store) == [5, 4, 3, 2, 1]
    assert await seqs(store, who="ADA") == [5, 2]
    assert await seqs(store, who="people") == [5, 4, 2]
    assert await seqs(store, type="ReplayRequested", who="ada") == [5]
    assert await seqs(store, type="VendorNotified", who="ada") == []
    assert await seqs(store, text="TWO") == [3]
    assert await seqs(store, since=NOW + timedelta(hours=3)) == [5, 4, 3]
    assert await seqs(store, until=NOW + timedelta(hours=3)) == [2, 1]
    assert await seqs(store, since=NOW + timedelta(hours=9)) == []
    with pytest.raises(ConfigurationError, match="ReplayRequested"):
        await seqs(store, type="ReplayRequest")
    with pytest.raises(NothingFound):
        await seqs(store, deal="nobody-knows")


@settings(max_examples=40, deadline=None)
@given(who=st.lists(st.sampled_from(["ada", "grace", ""]), min_size=1, max_size=25), size=st.integers(1, 6))
async def test_pages_leave_nothing_out_and_show_nothing_twice(who: list[str], size: int) -> None:
    """Whoever did what in whatever order, with chunks so small that every page needs several."""
    at_once, most, audit.AT_ONCE, audit.MOST_LOOKED_AT = audit.AT_ONCE, audit.MOST_LOOKED_AT, 2, 5
    try:
        store = MemoryStore()
        events = [
            (asked if number % 2 else held)(by, number) if by else notified(str(number))
            for number, by in enumerate(who)
        ]
        await store.commit(Batch(events=events))
        found: list[int] = []
        before = 0
        for _ in range(100):
            page = await audit_page(view_on(store), AuditFilter(who="ada"), before=before, limit=size)
            found += [event.seq for event in page.events]
            if not (before := page.before):
                break
        assert found == [seq for seq in range(len(who), 0, -1) if who[seq - 1] == "ada"]
        rows = [e.seq async for chunk in audit_rows(view_on(store), AuditFilter(who="ada")) for e in chunk]
        assert rows == found
    finally:
        audit.AT_ONCE, audit.MOST_LOOKED_AT = at_once, most


async def test_a_page_looks_through_a_bounded_part_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says where to go on, having found nothing."""
    monkeypatch.setattr(audit, "AT_ONCE", 10)
    monkeypatch.setattr(audit, "MOST_LOOKED_AT", 30)
    store = MemoryStore()
    await store.commit(Batch(events=[notified(str(number)) for number in range(100)]))
    page = await audit_page(view_on(store), AuditFilter(text="no such subject"))
    assert (page.events, page.looked_at, page.before) == ([], 30, 71)


async def test_exports_hold_each_rows_hash_and_no_formula() -> None:
    store = Dated()
    await store.told(did(ValueMapCorrected(value_map="m", key="=1+1", value={"a": "b"}, by="=cmd()"), 1))
    view = view_on(store)
    lines = b"".join([part async for part in as_jsonl(audit_rows(view, AuditFilter()))]).splitlines()
    (event,) = await store.events()
    assert [json.loads(line)["hash"] for line in lines] == [event.hash]
    table = b"".join([part async for part in as_csv(audit_rows(view, AuditFilter()))]).decode()
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["who"], row["hash"]) == ("'=cmd()", event.hash)
    assert not any(cell.startswith("=") for cell in row.values())


async def test_an_event_leads_to_what_names_it() -> None:
    store = MemoryStore()
    cause = notified("one")
    effect = make_event(
        ReplayRequested(process="p", event_seq=1, contract="", by="ada"),
        source="tieline",
        id="then",
        time=NOW,
        causation_id=cause.id,
    )
    await store.commit(Batch(events=[cause, notified("two"), effect]))
    first = await get_event(store, 1)
    assert [event.id for event in (await consequences(store, first)).events] == ["then"]
    assert (whose(first), whose(await get_event(store, 3))) == ("crm", "ada")
    for seq in (0, 4, -1):
        with pytest.raises(NothingFound):
            await get_event(store, seq)


# --- the chain --------------------------------------------------------------------------------------------------------


async def watched(store: MemoryStore) -> ChainWatch:
    watch = ChainWatch(store, store)
    await watch.verify()
    return watch


def reached(watch: ChainWatch) -> tuple[int, int]:
    assert watch.state is not None
    return watch.state.seq, watch.state.broken_at


async def test_the_watch_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of what it went through is found by the next look at the whole log, and not before."""
    monkeypatch.setattr(chain, "BREATH_S", 0)
    store = await some()
    watch = await watched(store)
    assert reached(watch) == (5, 0)
    store._events[1] = _changed(store._events[1])
    await store.told(notified("three"))
    await watch.verify()
    assert reached(watch) == (6, 0)
    watch.again(ADA)
    await watch.verify()
    assert reached(watch) == (1, 2)
    assert watch.state is not None
    assert "event 2" in watch.state.reason


async def test_a_log_that_was_cut_off_is_broken() -> None:
    """No link is wrong in it; what was verified is not there any more. It stays so until it is looked at anew."""
    store = await some()
    watch = await watched(store)
    last = store._events.pop()
    await watch.verify()
    assert reached(watch) == (5, 5)
    store._events.append(last)
    await watch.verify()
    assert reached(watch) == (5, 5)
    watch.again(ADA)
    await watch.verify()
    assert reached(watch) == (5, 0)


async def test_the_place_reached_is_kept_where_that_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "WORTH_KEEPING", 5)
    store = await some()
    await watched(store)
    kept = await store.cursor(chain.NAME)
    assert kept is not None
    assert json.loads(kept.value)["seq"] == 5


async def test_the_whole_log_is_looked_at_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await some()
    watch = await watched(store)
    store._events[1] = _changed(store._events[1])
    monkeypatch.setattr(chain, "ANEW_EVERY", timedelta(0))
    await watch.verify()
    assert reached(watch) == (1, 2)


async def test_an_empty_log_is_whole() -> None:
    watch = await watched(MemoryStore())
    await watch.verify()
    assert reached(watch) == (0, 0)


def test_only_who_operates_asks_for_a_look() -> None:
    watch = ChainWatch(MemoryStore(), MemoryStore())
    with pytest.raises(NotAllowed):
        watch.again(Principal(name="vic", roles=frozenset({Role.VIEWER})))


def _changed(event: LoggedEvent) -> LoggedEvent:
    fields = {name: getattr(event, name) for name in LoggedEvent.__struct_fields__}
    return LoggedEvent(**{**fields, "subject": "another"})
