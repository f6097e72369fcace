"""What every store promises of what leaves it: runs for the archive, rows for an export."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.engine import NOW, notified
from tests.support.rows import archived, case_row, effect, ended_run, entry, every, run_row

from tieline.engine.ports import Archived, Batch, Store
from tieline.engine.records import (
    CaseRow,
    Cursor,
    Effect,
    EffectState,
    EndedMonth,
    Reference,
    RunState,
    Wait,
)
from tieline.errors import ConcurrencyConflict
from tieline.events import LoggedEvent


class ArchiveContract:
    """A part of StoreContract. A store that keeps files keeps them in `tmp_path`."""

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
