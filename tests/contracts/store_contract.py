"""What every store promises. Subclassed for memory and SQLite (and whatever follows) alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.contracts.store_archive import ArchiveContract
from tests.contracts.store_lists import ListsContract
from tests.support.engine import NOW, notified
from tests.support.rows import KEY, case_row, effect, run_row

from tieline.engine.ports import Appended, Batch, Store
from tieline.engine.records import (
    CaseState,
    Cursor,
    EffectState,
    EntityRow,
    JournalEntry,
    LaneStatus,
    ProcessVersion,
    Reference,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import GENESIS, VendorNotified, chain_hash, make_event


class StoreContract(ListsContract, ArchiveContract):
    """The suite. A subclass gives the `store` fixture."""

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

    async def test_cases_are_found_by_their_runs(self, store: Store) -> None:
        rows = [case_row(1, correlation_id=""), case_row(2, run_id="p:2"), case_row(3, correlation_id="", run_id="p:3")]
        await store.commit(Batch(cases=rows))
        assert [c.id for c in await store.cases(run_ids={"p:1", "p:2"})] == ["C-1", "C-2"]
        assert [c.id for c in await store.cases(correlation_id="", run_ids=["p:2", "p:3"])] == ["C-3"]
        assert await store.cases(run_ids=[]) == []

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

    async def test_runs_are_found_by_event_and_by_when_they_began(self, store: Store) -> None:
        rows = [run_row(n, started_at=NOW + timedelta(days=n)) for n in range(1, 6)]
        await store.commit(Batch(runs=[*rows, run_row(2, id="p:2:r9")]))
        assert [r.id for r in await store.runs(event_seq=2)] == ["p:2", "p:2:r9"]
        found = await store.runs(since=NOW + timedelta(days=2), until=NOW + timedelta(days=4))
        assert [r.id for r in found] == ["p:2", "p:3"]

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
