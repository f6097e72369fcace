"""What every store promises. Subclassed for memory and SQLite (and whatever follows) alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.engine import NOW, notified

from tieline.engine.ports import Appended, Archived, Batch, Store
from tieline.engine.records import (
    CaseFilter,
    CaseRow,
    CaseState,
    CauseGroup,
    Cursor,
    DealFilter,
    Effect,
    EffectKey,
    EffectState,
    EndedMonth,
    EntityRow,
    JournalEntry,
    LaneStatus,
    ListedDeal,
    ProcessVersion,
    Reference,
    RuleVersion,
    RunRow,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import GENESIS, LoggedEvent, VendorNotified, chain_hash, make_event
from tieline.storage.archive import Archive
from tieline.storage.searching import fold

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


def rule_version(label: str, days: int, name: str = "map", **fields: object) -> RuleVersion:
    base = {
        "name": name,
        "label": label,
        "kind": "value_map",
        "version": 1,
        "text": "",
        "owner": "finance",
        "seq": 0,
        "made_by": "",
        "reason": "",
        "uses": [],
        "first_seen_at": NOW + timedelta(days),
        "in_force_at": NOW + timedelta(days),
    }
    return RuleVersion(**{**base, **fields})  # type: ignore[arg-type]


def listed(seq: int, customer: str = "Müller & Söhne", amount: str = "100.00", **fields: object) -> ListedDeal:
    base = {
        "id": f"crm-{seq}",
        "seq": seq,
        "number": f"N-{seq}",
        "name": f"Deal {seq}",
        "customer": f"crm-{fold(customer)}",
        "customer_name": customer,
        "customer_folded": fold(customer),
        "currency": "EUR",
        "amount": amount,
        "amount_e4": round(float(amount) * 10_000),
        "status": "Invoiced",
        "detail": "",
        "waits_for": "",
        "won_on": "2026-01-05",
        "changed_at": NOW,
    }
    return ListedDeal(**{**base, **fields})  # type: ignore[arg-type]


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

    async def test_open_and_overdue_cases_are_counted(self, store: Store) -> None:
        later = NOW + timedelta(hours=8)
        rows = [case_row(1, due_at=later), case_row(2, escalated_at=NOW), case_row(3)]
        rows += [case_row(4, state=CaseState.CLOSED), case_row(5, case_class="approval", due_at=later)]
        await store.commit(Batch(cases=rows))
        counted = await store.count_open_cases(NOW + timedelta(hours=1))
        assert counted.by_class == {"unknown-product": 3, "approval": 1}
        assert (counted.overdue, counted.overdue_of) == (2, {"revops": 2})

    async def test_cases_are_grouped_by_cause(self, store: Store) -> None:
        """With what a group holds: how many, since when, whose, how many overdue, and its money by currency."""
        day = timedelta(days=1)
        rows = [
            case_row(1, amount="0.10 USD", opened_at=NOW + day, due_at=NOW + 2 * day),
            case_row(2, amount="100000000000.20 USD", owner="ada", due_at=NOW),
            case_row(3, amount="7.00 EUR", opened_at=NOW + day, due_at=NOW + 2 * day),
            case_row(4, cause="other", case_class="approval", owner="finance"),
            case_row(5, state=CaseState.CLOSED, amount="1.00 USD"),
        ]
        await store.commit(Batch(cases=rows))
        large, small = await store.case_groups(CaseFilter(), NOW)
        assert large == CauseGroup(
            cause="unknown-product:GTXPro", case_class="unknown-product", count=3, overdue=1, owner="ada", owners=2,
            oldest_at=NOW, due_at=NOW, example="C-2",
            money={"EUR": Decimal(7), "USD": Decimal("100000000000.3")},
        )  # fmt: skip
        assert (small.cause, small.example, small.money) == ("other", "C-4", {})
        assert await store.case_groups(CaseFilter(), NOW, limit=1) == [large]
        assert [g.count for g in await store.case_groups(CaseFilter(owner="revops", due_by=NOW + 2 * day), NOW)] == [2]
        assert [g.example for g in await store.case_groups(CaseFilter(case_class="approval"), NOW)] == ["C-4"]
        assert [g.count for g in await store.case_groups(CaseFilter(state=CaseState.CLOSED), NOW)] == [1]
        assert await store.count_cases_of("unknown-product:GTXPro") == {CaseState.OPEN: 3, CaseState.CLOSED: 1}

    async def test_cases_are_listed_in_pages_both_ways(self, store: Store) -> None:
        rows = [case_row(n, opened_at=NOW + timedelta(n // 2), owner="a" if n < 4 else "b") for n in range(1, 6)]
        await store.commit(Batch(cases=[*rows, case_row(9, state=CaseState.DECIDED)]))

        async def pages(wanted: CaseFilter, newest: bool) -> list[list[str]]:
            after, found = None, []
            while page := await store.case_page(wanted, after=after, limit=2, newest=newest):
                after = (page[-1].opened_at, page[-1].id)
                found.append([case.id for case in page])
            return found

        assert await pages(CaseFilter(), False) == [["C-1", "C-2"], ["C-3", "C-4"], ["C-5"]]
        assert await pages(CaseFilter(), True) == [["C-5", "C-4"], ["C-3", "C-2"], ["C-1"]]
        assert await pages(CaseFilter(owner="b", cause=rows[0].cause), False) == [["C-4", "C-5"]]
        assert await pages(CaseFilter(state=CaseState.DECIDED), False) == [["C-9"]]

    async def test_open_cases_are_told_in_brief(self, store: Store) -> None:
        """Without documents: a hundred thousand of them are looked through at once."""
        rows = [case_row(1), case_row(2, opened_at=NOW - timedelta(days=1), escalated_at=NOW)]
        await store.commit(Batch(cases=[*rows, case_row(3, state=CaseState.DECIDED)]))
        first, second = await store.open_cases()
        assert (first.id, first.escalated_at, second.id, second.escalated_at) == (rows[1].id, NOW, rows[0].id, None)
        assert (second.owner, second.due_at) == (rows[0].owner, rows[0].due_at)

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

    async def test_pages_go_backwards_without_a_gap(self, store: Store) -> None:
        """Newest first, each page before the one that was seen: of events and of runs, whatever their state."""
        for number in range(1, 6):
            state = RunState.WAITING if number == 2 else RunState.DONE
            await store.commit(Batch(events=[notified(str(number))], runs=[run_row(number, state=state)]))
        assert [e.seq for e in await store.events(before_seq=4, limit=2, newest=True)] == [2, 3]
        assert [e.seq for e in await store.events(after_seq=1, before_seq=3)] == [2]
        last = await store.runs(limit=2, newest=True)
        page = await store.runs(before=(last[0].event_seq, last[0].id), limit=2, newest=True)
        assert [r.event_seq for r in (*page, *last)] == [2, 3, 4, 5]
        for state, expected in ((RunState.WAITING, [2]), (RunState.DONE, [3, 4])):
            found = await store.runs(
                process=page[0].process, states=[state], before=(5, last[1].id), limit=2, newest=True
            )
            assert [r.event_seq for r in found] == expected

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

    async def test_effects_are_paged_though_many_were_meant_at_one_moment(self, store: Store) -> None:
        """Page by page, each once, and what is added meanwhile comes at the end."""
        await store.commit(Batch(effects=[effect(n, EffectState.APPLIED) for n in range(1, 6)]))
        first = await store.effects(connection="erp", limit=3)
        await store.commit(Batch(effects=[effect(6, EffectState.APPLIED, intended_at=NOW + timedelta(seconds=1))]))
        rest = await store.effects(connection="erp", after=(first[-1].key, first[-1].revision))
        assert [e.revision for e in [*first, *rest]] == [1, 2, 3, 4, 5, 6]

    async def test_cases_are_paged_though_many_were_opened_at_one_moment(self, store: Store) -> None:
        await store.commit(Batch(cases=[case_row(n) for n in (3, 1, 2)]))
        first = await store.cases(states=[CaseState.OPEN], limit=2)
        rest = await store.cases(states=[CaseState.OPEN], after=(first[-1].opened_at, first[-1].id))
        assert [c.id for c in [*first, *rest]] == ["C-1", "C-2", "C-3"]

    async def test_entities_of_a_kind_are_paged_by_id(self, store: Store) -> None:
        rows = [EntityRow(kind=k, id=i, content_hash="h", content=b"{}", updated_at=NOW) for k in "ab" for i in "312"]
        await store.commit(Batch(entities=rows))
        assert [row.id for row in await store.entities("a", limit=2)] == ["1", "2"]
        assert [(row.kind, row.id) for row in await store.entities("a", after="2")] == [("a", "3")]

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
        ends = [r.ended_at for r in await store.ended_runs(before)]
        assert [r.ended_at for r in await store.ended_runs(before, since=ends[1])] == ends[1:]

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

    async def test_a_table_of_rules_is_kept_once_and_may_come_into_force_again(self, store: Store) -> None:
        """What was kept first stays; only the moment moves on, and the last moment says what is in force."""
        first, second = rule_version("map v1 (a)", 0), rule_version("map v2 (b)", 1)
        other = rule_version("order v1 (c)", 0, name="order")
        await store.commit(Batch(rules=[first, other]))
        await store.commit(Batch(rules=[second]))
        assert [r.label for r in await store.rules_in_force()] == ["map v2 (b)", "order v1 (c)"]
        again = rule_version("map v1 (a)", 2, text="other", first_seen_at=NOW + timedelta(2))
        await store.commit(Batch(rules=[again]))
        assert await store.rules_in_force() == [replace(first, in_force_at=NOW + timedelta(2)), other]
        assert [r.label for r in await store.rule_versions("map")] == ["map v1 (a)", "map v2 (b)"]
        assert await store.rule_versions("map", before=NOW + timedelta(2)) == [second]
        assert await store.rule_version("map", "map v3 (d)") is None

    async def test_effects_are_found_and_counted_by_the_table_that_made_them(self, store: Store) -> None:
        made = [(f"i{n}", f"order v{n % 2}", NOW + timedelta(n)) for n in range(5)]
        rows = [effect(canonical_id=ident, mapping=mapping, intended_at=at) for ident, mapping, at in made]
        await store.commit(Batch(effects=rows))
        assert [e.canonical_id for e in await store.effects(mapping="order v0", newest=True)] == ["i0", "i2", "i4"]
        assert await store.count_made_with(["order v0", "order v1"], 100) == 5
        assert await store.count_made_with(["order v1"], 1) == 1

    async def test_deals_are_listed_newest_first_page_by_page(self, store: Store) -> None:
        await store.commit(Batch(deals=[listed(seq) for seq in (3, 1, 2)]))
        assert [deal.seq for deal in await store.deals(limit=2)] == [3, 2]
        assert [deal.seq for deal in await store.deals(before=2)] == [1]
        await store.commit(Batch(deals=[listed(2, status="Paid")]))
        assert [deal.status for deal in await store.listed_deals(["crm-2", "crm-9"])] == ["Paid"]
        assert await store.count_deals() == {("Invoiced", "EUR"): 2, ("Paid", "EUR"): 1}

    async def test_deals_are_found_by_what_a_filter_says(self, store: Store) -> None:
        deals = [
            listed(1),
            listed(2, "Acme HP Ltd", "250.00", currency="USD", won_on="2026-02-01"),
            listed(3, "HP Inc", "99.99", status="Paid"),
        ]
        await store.commit(Batch(deals=deals))

        async def found(**wanted: Any) -> list[int]:
            deals = await store.deals(DealFilter(**wanted))
            shown = await store.deals(DealFilter(**wanted), before=3)
            assert [deal.seq for deal in shown] == [deal.seq for deal in deals if deal.seq < 3]
            return [deal.seq for deal in deals]

        assert await found(words="ler & soh") == [1]
        assert await found(words="n-2") == [2]
        assert await found(words='no "such"') == []
        assert await found(words="hp") == [3], "two letters are how a name begins"
        assert await found(words="hp ", currency="USD") == [2]
        assert await found(customer="crm-hp inc") == [3]
        assert await found(status="Invoiced", currency="EUR") == [1]
        assert await found(amount_from=1_000_000, amount_to=2_500_000) == [2, 1]
        assert await found(won_from="2026-01-06", won_to="2026-02-01") == [2]

    async def test_a_deal_stays_to_be_listed_until_what_changed_is_listed(self, store: Store) -> None:
        later = datetime.now(UTC) + timedelta(minutes=1)
        await store.commit(Batch(effects=[effect()], runs=[run_row(1, correlation_id="deal-2")]))
        read = {changed.deal: changed.changes for changed in await store.changed_deals(later)}
        assert set(read) == {"deal-1", "deal-2"}
        await store.commit(Batch(effects=[effect(state=EffectState.APPLIED)]))
        await store.commit(Batch(deals_listed=list(read.items())))
        assert [changed.deal for changed in await store.changed_deals(later)] == ["deal-1"]
        assert await store.count_changed_deals() == 1

    async def test_all_deals_can_be_listed_anew(self, store: Store) -> None:
        contract = EntityRow(kind="contract", id="crm-1", content_hash="h", content=b"{}", updated_at=NOW)
        await store.commit(Batch(entities=[contract]))
        await store.commit(Batch(list_anew=True))
        assert [c.deal for c in await store.changed_deals(datetime.now(UTC) + timedelta(minutes=1))] == ["crm-1"]

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
