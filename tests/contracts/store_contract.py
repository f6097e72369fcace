"""What every store promises. Subclassed for memory and SQLite (and whatever follows) alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import NOW, notified

from tieline.engine.ports import Appended, Archived, Batch, Store
from tieline.engine.records import (
    CaseRow,
    CaseState,
    Cursor,
    Effect,
    EffectKey,
    EffectState,
    EndedMonth,
    EntityRow,
    JournalEntry,
    LaneStatus,
    ProcessVersion,
    Reference,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import GENESIS, LoggedEvent, VendorNotified, chain_hash, make_event
from tieline.storage.archive import Archive

KEY = EffectKey("erp", "invoice", "zuora-INV1")


def effect(revision: int = 1, state: EffectState = EffectState.INTENDED, **fields: object) -> Effect:
    base = {
        "connection": KEY.connection,
        "kind": KEY.kind,
        "canonical_id": KEY.canonical_id,
        "revision": revision,
        "state": state,
        "content_hash": "h",
        "content": b"{}",
        "intended_at": NOW,
        "correlation_id": "deal-1",
    }
    return Effect(**{**base, **fields})  # type: ignore[arg-type]


def run_row(number: int, state: RunState = RunState.READY, **fields: object) -> RunRow:
    base = {
        "id": f"p:{number}",
        "process": "p",
        "version": "1",
        "key": f"k{number}",
        "state": state,
        "event_seq": number,
        "event_id": f"e{number}",
        "correlation_id": "deal-1",
        "started_at": NOW,
    }
    return RunRow(**{**base, **fields})  # type: ignore[arg-type]


def case_row(number: int, **fields: object) -> CaseRow:
    base = {
        "id": f"C-{number}",
        "case_class": "unknown-product",
        "cause": "unknown-product:GTXPro",
        "owner": "revops",
        "message": "no such product",
        "actions": ["retry"],
        "details": {"lines": [1, 2]},
        "run_id": "p:1",
        "position": 2,
        "correlation_id": "deal-1",
        "opened_at": NOW,
        "due_at": NOW + timedelta(hours=1),
    }
    return CaseRow(**{**base, **fields})  # type: ignore[arg-type]


def ended_run(number: int, days: int, **fields: object) -> RunRow:
    """A run that ended so many days after NOW."""
    return run_row(number, RunState.DONE, ended_at=NOW + timedelta(days=days), **fields)


def entry(number: int, position: int) -> JournalEntry:
    return JournalEntry(run_id=f"p:{number}", position=position, kind="step", name="s", payload=b'"1.10"', at=NOW)


async def archived(store: Store, folder: Path, *run_ids: str) -> Archived:
    """What `commit` takes to move these runs out of the tables."""
    runs = [run for run_id in run_ids if (run := await store.run(run_id)) is not None]
    files = Archive(folder).write(runs, *await store.kept_of(run_ids))
    return Archived(files=files, run_ids=list(run_ids))


async def every(pages: AsyncIterator[list[Any]]) -> list[Any]:
    return [row async for page in pages for row in page]


class StoreContract:
    """The suite. A subclass gives the `store` fixture; one that keeps files keeps them in `tmp_path`."""

    async def test_an_event_told_twice_is_stored_once(self, store: Store) -> None:
        """A redelivery is recognised by source and id and leaves the log as it was."""
        first = await store.commit(Batch(events=[notified("1")]))
        again = await store.commit(Batch(events=[notified("1")]))
        assert [first[0].outcome, again[0].outcome] == [Appended.NEW, Appended.DUPLICATE]
        assert len(await store.events_after(0)) == 1

    async def test_the_same_id_with_other_content_is_a_conflict(self, store: Store) -> None:
        """It is neither stored nor dropped in silence: the caller is told."""
        await store.commit(Batch(events=[notified("1")]))
        other = make_event(
            VendorNotified(connection="crm", kind="deal", native_id="1", stamp="other"),
            source="crm",
            id="deal/1/0",
            time=NOW,
        )
        result = (await store.commit(Batch(events=[other])))[0]
        assert result.outcome is Appended.CONFLICT
        assert len(await store.events_after(0)) == 1

    async def test_a_duplicate_inside_one_batch_is_recognised(self, store: Store) -> None:
        results = await store.commit(Batch(events=[notified("1"), notified("1")]))
        assert [r.outcome for r in results] == [Appended.NEW, Appended.DUPLICATE]

    async def test_the_log_is_a_chain(self, store: Store) -> None:
        """Each row's hash covers the row and the hash before it, from genesis."""
        for n in range(5):
            await store.commit(Batch(events=[notified(str(n))]))
        previous = GENESIS
        for event in await store.events_after(0):
            assert event.prev_hash == previous
            assert event.hash == chain_hash(previous, event, event.recorded_at)
            previous = event.hash

    async def test_sequence_numbers_have_no_gaps(self, store: Store) -> None:
        """Also when many commits are under way at once."""
        await asyncio.gather(*(store.commit(Batch(events=[notified(str(n))])) for n in range(50)))
        assert [e.seq for e in await store.events_after(0)] == list(range(1, 51))

    async def test_a_batch_is_all_or_nothing(self, store: Store) -> None:
        """A refused effect takes the journal entry, event and run of its batch with it."""
        await store.commit(Batch(effects=[effect(state=EffectState.APPLIED)]))
        entry = JournalEntry(run_id="p:1", position=0, kind="step", name="s", payload=b"1", at=NOW)
        with pytest.raises(ConcurrencyConflict):
            await store.commit(
                Batch(
                    effects=[effect(state=EffectState.INTENDED)],
                    journal=[entry],
                    events=[notified("9")],
                    runs=[run_row(1)],
                )
            )
        assert await store.journal("p:1") == []
        assert await store.events_after(0) == []
        assert await store.run("p:1") is None

    async def test_only_the_guilty_batch_of_a_group_fails(self, store: Store) -> None:
        """Commits that share a flush do not share a fate."""
        await store.commit(Batch(effects=[effect(state=EffectState.REJECTED)]))
        good = [Batch(cursors=[Cursor(name=f"c{n}", value="1", updated_at=NOW)]) for n in range(10)]
        bad = Batch(effects=[effect(state=EffectState.APPLIED)])
        results = await asyncio.gather(*(store.commit(b) for b in [*good[:5], bad, *good[5:]]), return_exceptions=True)
        assert [i for i, r in enumerate(results) if isinstance(r, ConcurrencyConflict)] == [5]
        assert all([await store.cursor(f"c{n}") for n in range(10)])

    @pytest.mark.parametrize("settled", [EffectState.APPLIED, EffectState.REJECTED])
    async def test_a_settled_effect_never_moves(self, store: Store, settled: EffectState) -> None:
        await store.commit(Batch(effects=[effect(state=settled)]))
        for state in EffectState:
            with pytest.raises(ConcurrencyConflict):
                await store.commit(Batch(effects=[effect(state=state)]))

    async def test_an_open_effect_moves_forward(self, store: Store) -> None:
        for state in (EffectState.INTENDED, EffectState.IN_DOUBT, EffectState.INTENDED, EffectState.APPLIED):
            await store.commit(Batch(effects=[effect(state=state)]))
        found = await store.find_effect(KEY)
        assert found is not None
        assert found.state is EffectState.APPLIED

    async def test_the_latest_revision_answers_for_a_key(self, store: Store) -> None:
        await store.commit(Batch(effects=[effect(1, EffectState.APPLIED), effect(2, EffectState.REJECTED)]))
        found = await store.find_effect(KEY)
        assert found is not None
        assert found.revision == 2
        assert [e.revision for e in await store.effects(canonical_id=KEY.canonical_id)] == [1, 2]

    async def test_effects_come_back_as_they_went(self, store: Store) -> None:
        sent = effect(external_id="77", request=b'{"a":1.10}', settled_at=NOW, attempts=3, mapping="m v1")
        await store.commit(Batch(effects=[sent]))
        assert await store.find_effect(KEY) == sent
        assert await store.effects(external_id="77") == [sent]
        assert await store.effects(correlation_id="deal-1", connection="erp", kind="invoice") == [sent]
        assert await store.effects(state=EffectState.APPLIED) == []

    async def test_a_journal_position_is_written_once(self, store: Store) -> None:
        entry = JournalEntry(run_id="p:1", position=0, kind="step", name="s", payload=b"1", at=NOW)
        await store.commit(Batch(journal=[entry]))
        with pytest.raises(ConcurrencyConflict):
            await store.commit(Batch(journal=[entry]))
        assert await store.journal("p:1") == [entry]

    async def test_a_run_that_ended_stays_ended(self, store: Store) -> None:
        await store.commit(Batch(runs=[run_row(1, RunState.DONE, ended_at=NOW)]))
        await store.commit(Batch(runs=[run_row(1, RunState.READY)]))
        found = await store.run("p:1")
        assert found is not None
        assert found.state is RunState.DONE

    async def test_runs_are_paged_in_the_order_of_their_events(self, store: Store) -> None:
        await store.commit(Batch(runs=[run_row(n) for n in range(10, 0, -1)]))
        first = await store.runs(states=[RunState.READY], limit=4)
        rest = await store.runs(states=[RunState.READY], after=(first[-1].event_seq, first[-1].id))
        assert [r.event_seq for r in first + rest] == list(range(1, 11))
        assert await store.count_runs() == {("p", "ready"): 10}
        assert [r.id for r in await store.runs(process="p", key="k3")] == ["p:3"]

    async def test_events_are_found_by_topic_deal_and_kind(self, store: Store) -> None:
        await store.commit(Batch(events=[notified("1"), notified("2"), notified("1", 1)]))
        first = await store.first_event("VendorNotified:crm/deal/1")
        assert first is not None
        assert first.seq == 1
        assert await store.first_event("VendorNotified:crm/deal/3") is None
        many = await store.first_events([f"VendorNotified:crm/deal/{n}" for n in (1, 2, 3)])
        assert {topic: e.seq for topic, e in many.items()} == {
            "VendorNotified:crm/deal/1": 1,
            "VendorNotified:crm/deal/2": 2,
        }
        assert [e.seq for e in await store.events(type="VendorNotified", subject="crm/deal/2")] == [2]
        assert await store.events(type="Vendor") == []
        found = await store.find_event("crm", "deal/2/0")
        assert found is not None
        assert found.seq == 2

    async def test_waits_are_found_by_topic_and_by_time(self, store: Store) -> None:
        waits = [
            Wait(run_id=f"p:{n}", position=n, topic=f"t{n % 2}", due_at=NOW + timedelta(hours=n)) for n in range(4)
        ]
        await store.commit(Batch(waits=waits))
        assert {w.run_id for w in await store.waits(["t1"])} == {"p:1", "p:3"}
        assert [w.run_id for w in await store.due_waits(NOW + timedelta(hours=1))] == ["p:0", "p:1"]
        await store.commit(Batch(waits_over=[("p:1", 1)]))
        assert {w.run_id for w in await store.waits()} == {"p:0", "p:2", "p:3"}

    async def test_references_are_found_both_ways(self, store: Store) -> None:
        made = Reference(
            connection="erp", kind="customer", canonical_id="c1", external_id="12", display="CUST12", at=NOW
        )
        await store.commit(Batch(references=[made]))
        assert await store.references([("erp", "customer", "c1"), ("erp", "customer", "c2")]) == {
            ("erp", "customer", "c1"): made
        }
        assert await store.referenced("12") == [made]
        assert await store.referenced("CUST12", "erp") == [made]
        assert await store.referenced("12", "crm") == []

    async def test_cases_keep_their_details(self, store: Store) -> None:
        await store.commit(Batch(cases=[case_row(1), case_row(2, cause="other", state=CaseState.CLOSED)]))
        assert await store.case("C-1") == case_row(1)
        assert [c.id for c in await store.cases(cause="unknown-product:GTXPro")] == ["C-1"]
        assert [c.id for c in await store.cases(states=[CaseState.OPEN, CaseState.CLOSED])] == ["C-1", "C-2"]

    async def test_the_rest_is_replaced_under_its_id(self, store: Store) -> None:
        for value in ("1", "2"):
            await store.commit(
                Batch(
                    cursors=[Cursor(name="c", value=value, updated_at=NOW)],
                    entities=[EntityRow(kind="k", id="1", content_hash=value, content=b"{}", updated_at=NOW)],
                    lanes=[LaneStatus(connection="erp", state=value, hours=[3, 4], since=NOW, updated_at=NOW)],
                )
            )
        cursor, entity = await store.cursor("c"), await store.find_entity("k", "1")
        assert cursor is not None
        assert entity is not None
        (lane,) = await store.lanes()
        assert (cursor.value, entity.content_hash, lane.state, lane.hours) == ("2", "2", "2", [3, 4])

    async def test_events_are_found_by_what_they_name(self, store: Store) -> None:
        """An id that stands only inside an event's data is found all the same."""
        await store.commit(Batch(events=[notified("one"), notified("two"), notified("one", 1)]))
        assert [e.seq for e in await store.events(naming='"native_id":"one"')] == [1, 3]
        assert [e.seq for e in await store.events(type="VendorNotified", naming="two")] == [2]
        assert await store.events(type="OpportunityWon", naming="two") == []

    async def test_the_newest_rows_come_in_order_too(self, store: Store) -> None:
        """A tail is the end of the list, still oldest first."""
        later = [effect(n, EffectState.APPLIED, intended_at=NOW + timedelta(seconds=n)) for n in range(1, 6)]
        await store.commit(
            Batch(events=[notified(str(n)) for n in range(5)], runs=[run_row(n) for n in range(1, 6)], effects=later)
        )
        assert [e.seq for e in await store.events(limit=2, newest=True)] == [4, 5]
        assert [r.event_seq for r in await store.runs(limit=2, newest=True)] == [4, 5]
        assert [e.revision for e in await store.effects(limit=2, newest=True)] == [4, 5]
        assert len(await store.events(limit=50, newest=True)) == 5

    async def test_effects_are_counted_by_system_kind_and_state(self, store: Store) -> None:
        await store.commit(Batch(effects=[effect(1, EffectState.APPLIED), effect(2, EffectState.IN_DOUBT)]))
        assert await store.count_effects() == {
            ("erp", "invoice", "applied"): 1,
            ("erp", "invoice", "in_doubt"): 1,
        }

    async def test_runs_are_found_by_event_and_by_when_they_began(self, store: Store) -> None:
        rows = [run_row(n, started_at=NOW + timedelta(days=n)) for n in range(1, 6)]
        await store.commit(Batch(runs=[*rows, run_row(2, id="p:2:r9")]))
        assert [r.id for r in await store.runs(event_seq=2)] == ["p:2", "p:2:r9"]
        found = await store.runs(since=NOW + timedelta(days=2), until=NOW + timedelta(days=4))
        assert [r.id for r in found] == ["p:2", "p:3"]

    async def test_what_ended_before_is_told_by_month(self, store: Store) -> None:
        """Open runs and younger ones stay out of it; a month says what its journals hold."""
        runs = [ended_run(1, 1), ended_run(2, 2), ended_run(3, 40), ended_run(4, 90), run_row(5)]
        await store.commit(Batch(runs=runs, journal=[entry(1, 0), entry(1, 1), entry(5, 0)]))
        before = NOW + timedelta(days=60)
        assert await store.ended_months(before) == [
            EndedMonth(month="2026-03", runs=2, entries=2, bytes=2 * len('"1.10"sstep')),
            EndedMonth(month="2026-04", runs=1, entries=0, bytes=0),
        ]
        assert [r.id for r in await store.ended_runs(before)] == ["p:1", "p:2", "p:3"]
        assert [r.id for r in await store.ended_runs(before, limit=1)] == ["p:1"]

    async def test_an_archived_run_answers_as_before(self, store: Store, tmp_path: Path) -> None:
        """Its row, its journal and its place among the others are as they were; its waits are gone from the tables."""
        runs = [ended_run(n, n, correlation_id=f"deal-{n % 2}") for n in range(1, 6)]
        wait = Wait(run_id="p:2", position=1, topic="t", due_at=NOW)
        await store.commit(
            Batch(runs=[*runs, run_row(6)], journal=[entry(2, 1), entry(2, 0), entry(3, 0)], waits=[wait])
        )
        moved = await archived(store, tmp_path / "archive", "p:2", "p:3")
        await store.commit(Batch(archived=[moved]))
        assert await store.archive_files() == sorted(moved.files, key=lambda file: file.name)
        assert {(f.holds, f.rows) for f in moved.files} == {("run", 2), ("journal", 3), ("wait", 1)}
        assert await store.run("p:2") == runs[1]
        assert await store.journal("p:2") == [entry(2, 0), entry(2, 1)]
        journals = await store.journals(["p:1", "p:2", "p:3"])
        assert journals == {"p:1": [], "p:2": [entry(2, 0), entry(2, 1)], "p:3": [entry(3, 0)]}
        assert await store.run("p:9") is None
        assert await store.journal("p:9") == []
        assert await store.waits() == []
        assert [r.id for r in await store.runs()] == [f"p:{n}" for n in range(1, 7)]
        assert [r.id for r in await store.runs(limit=2)] == ["p:1", "p:2"]
        assert [r.id for r in await store.runs(after=(2, "p:2"), limit=2)] == ["p:3", "p:4"]
        assert [r.id for r in await store.runs(limit=4, newest=True)] == ["p:3", "p:4", "p:5", "p:6"]
        assert [r.id for r in await store.runs(correlation_id="deal-0")] == ["p:2", "p:4"]
        assert [r.id for r in await store.runs(event_seq=3)] == ["p:3"]
        assert [r.id for r in await store.runs(states=[RunState.READY])] == ["p:6"]
        assert [r.id for r in await store.ended_runs(NOW + timedelta(days=99))] == ["p:1", "p:4", "p:5"]
        assert await store.count_runs() == {("p", "done"): 3, ("p", "ready"): 1}

    @pytest.mark.parametrize("changed", ["one more entry", "moved already", "still open"])
    async def test_what_differs_from_its_files_stays(self, store: Store, tmp_path: Path, changed: str) -> None:
        """A file that does not hold exactly what the tables hold takes nothing out of them, and is not recorded."""
        await store.commit(Batch(runs=[ended_run(1, 1), run_row(2)], journal=[entry(1, 0), entry(2, 0)]))
        if changed == "still open":
            moved = await archived(store, tmp_path / "archive", "p:1")
            moved = Archived(files=moved.files, run_ids=["p:2"])
        else:
            moved = await archived(store, tmp_path / "archive", "p:1")
        if changed == "one more entry":
            await store.commit(Batch(journal=[entry(1, 1)]))
        if changed == "moved already":
            await store.commit(Batch(archived=[moved]))
        files, journal = await store.archive_files(), await store.journal("p:1")
        with pytest.raises(ConcurrencyConflict):
            await store.commit(Batch(archived=[moved], cursors=[Cursor(name="c", value="1", updated_at=NOW)]))
        assert await store.cursor("c") is None
        assert (await store.archive_files(), await store.journal("p:1")) == (files, journal)
        assert [r.id for r in await store.runs()] == ["p:1", "p:2"]

    async def test_all_rows_of_a_time_come_out_in_order(self, store: Store) -> None:
        """For an export: events, effects, references and cases, oldest first, each whole."""
        later = NOW + timedelta(days=40)
        effects = [effect(1, EffectState.APPLIED, response=b'{"a":1.10}'), effect(2, intended_at=later)]
        reference = Reference(connection="erp", kind="customer", canonical_id="c1", external_id="12", at=NOW)
        cases = [case_row(2, opened_at=later), case_row(1)]
        await store.commit(
            Batch(effects=effects, references=[reference], cases=cases, events=[notified("1"), notified("2")])
        )
        assert await every(store.rows(Effect)) == effects
        assert await every(store.rows(Effect, since=later)) == effects[1:]
        assert await every(store.rows(Effect, until=later)) == effects[:1]
        assert await every(store.rows(Reference)) == [reference]
        assert await every(store.rows(CaseRow)) == [case_row(1), case_row(2, opened_at=later)]
        events = await store.events_after(0)
        assert await every(store.rows(LoggedEvent)) == events
        assert await every(store.rows(LoggedEvent, since=events[0].recorded_at)) == events
        assert await every(store.rows(LoggedEvent, until=NOW)) == []

    async def test_a_version_of_a_process_is_kept_once(self, store: Store) -> None:
        """What was kept first stays: runs began with that text."""
        kept = ProcessVersion(process="p", version="1", module="m", text="first", first_seen_at=NOW)
        again = ProcessVersion(process="p", version="1", module="m", text="other", first_seen_at=NOW + timedelta(1))
        other = ProcessVersion(process="q", version="1", module="m", text="q", first_seen_at=NOW + timedelta(2))
        await store.commit(Batch(versions=[kept]))
        await store.commit(Batch(versions=[again, other]))
        assert await store.process_version("p", "1") == kept
        assert await store.process_version("p", "2") is None
        assert await store.process_versions() == [kept, other]

    async def test_runs_in_flight_are_counted_by_version(self, store: Store) -> None:
        """Ended runs do not count; the version of the oldest run comes first."""
        rows = [
            run_row(1, version="b", started_at=NOW),
            run_row(2, version="a", started_at=NOW + timedelta(hours=1), state=RunState.WAITING),
            run_row(3, version="b", started_at=NOW + timedelta(hours=2), state=RunState.QUEUED),
            run_row(4, version="a", state=RunState.DONE),
            run_row(5, version="c", process="o", started_at=NOW),
        ]
        await store.commit(Batch(runs=rows))
        found = [(f.process, f.version, f.runs, f.oldest_at) for f in await store.runs_in_flight()]
        assert found == [
            ("o", "c", 1, NOW),
            ("p", "b", 2, NOW),
            ("p", "a", 1, NOW + timedelta(hours=1)),
        ]

    async def test_an_empty_commit_is_done_behind_all_that_was_offered_before(self, store: Store) -> None:
        """Who needs to know that others' writes are on disk commits nothing."""
        under_way = [asyncio.ensure_future(store.commit(Batch(runs=[run_row(n)]))) for n in range(20)]
        await asyncio.sleep(0)
        await store.commit(Batch())
        assert len(await store.runs()) == 20
        await asyncio.gather(*under_way)
