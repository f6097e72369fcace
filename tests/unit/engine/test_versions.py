"""Runs finish on the version of their process that they began with, and move only to one that fits them."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import msgspec
import pytest
from tests.support.engine import NOW, decide, notified, until_idle, working
from tests.support.fake_system import FakeSystem
from tests.support.versions import TITLED, ask_to_move, changed, loaded

from tieline.app.settings import SHIPPED_PROCESSES
from tieline.engine.fitting import Fitting
from tieline.engine.ports import Batch, Store
from tieline.engine.process import Process
from tieline.engine.records import CaseState, Effect, RunRow, RunState
from tieline.engine.source import Source
from tieline.engine.versions import Versions, to_keep
from tieline.events import MoveRefused, RunMoved, decode_event
from tieline.storage.memory import MemoryStore
from tieline.storage.sqlite import SqliteStore

SECOND = changed(('return "first"', 'return "second"'))
THIRD = changed(('return "first"', 'return "third"'))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "titled.py"


async def one_life(store: Store, processes: list[Process], erp: FakeSystem, *told: str, kind: str = "deal") -> None:
    async with working(store, processes, erp) as worker:
        await worker.append([notified(name, kind=kind) for name in told])
        await until_idle(worker)


def titles(erp: FakeSystem) -> dict[str, str]:
    return {key: copies[-1]["title"] for (_, key), copies in sorted(erp.documents.items())}


async def outcomes(store: Store) -> list[RunMoved | MoveRefused]:
    found = [decode_event(event) for event in await store.events_after(0)]
    return [data for data in found if isinstance(data, RunMoved | MoveRefused)]


async def test_a_run_finishes_on_the_text_it_began_with_and_new_runs_on_the_new_one(file: Path) -> None:
    """The file is overwritten in mid-run; not the process function is changed but a helper of its module."""
    store, erp = SqliteStore(file.with_suffix(".db")), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    await one_life(store, loaded(file, SECOND), erp, "2")
    await one_life(store, loaded(file, SECOND), erp, "1", "2", kind="reply")
    versions = [row.version for row in await store.runs()]
    await store.close()
    assert titles(erp) == {"p-1": "first", "p-2": "second"}
    assert versions == [Source.of("", TITLED).version, Source.of("", SECOND).version]


async def test_upgraded_twice_every_run_finishes_on_its_own_version(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    for number, text in enumerate((TITLED, SECOND, THIRD), 1):
        await one_life(store, loaded(file, text), erp, str(number))
    assert [(f.runs, f.process) for f in await store.runs_in_flight()] == [(1, "titled")] * 3
    await one_life(store, loaded(file, THIRD), erp, "1", "2", "3", kind="reply")
    assert titles(erp) == {"p-1": "first", "p-2": "second", "p-3": "third"}
    assert await store.runs_in_flight() == []


async def test_a_process_that_is_not_in_the_project_any_more_finishes_its_runs(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    await one_life(store, [], erp, "1", "2", kind="reply")
    assert titles(erp) == {"p-1": "first"}


async def test_a_run_that_stands_in_line_behind_another_keeps_its_version_too(file: Path) -> None:
    """It began when its event was dispatched, whether or not it was its turn."""
    store, erp = MemoryStore(), FakeSystem()
    text = changed(("d.native_id,", "'all',"))
    await one_life(store, loaded(file, text), erp, "1", "2")
    await one_life(store, loaded(file, changed(('"first"', '"second"'), text=text)), erp, "1", "2", kind="reply")
    assert titles(erp) == {"p-1": "first", "p-2": "first"}


# --- moving -----------------------------------------------------------------------------------------------------------


async def test_a_moved_run_goes_on_with_the_new_version_and_the_others_stay(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1", "2")
    new = loaded(file, SECOND)
    first, _ = await store.runs()
    await ask_to_move(store, [first], new[0])
    await one_life(store, new, erp, "1", "2", kind="reply")
    assert titles(erp) == {"p-1": "second", "p-2": "first"}
    (moved,) = await outcomes(store)
    assert isinstance(moved, RunMoved)
    assert (moved.run, moved.from_version, moved.to_version, moved.by) == (
        first.id,
        first.version,
        new[0].version,
        "ada",
    )
    assert erp.count("project") == {"p-1": 1, "p-2": 1}


async def test_a_run_in_memory_is_moved_while_the_hub_works_and_back_again(file: Path) -> None:
    """The hub was started before the change: the version comes with the request. Moving back undoes a move."""
    store, erp = MemoryStore(), FakeSystem()
    old = loaded(file, TITLED)
    async with working(store, old, erp) as worker:
        await worker.append([notified("1"), notified("2")])
        await until_idle(worker)
        new = loaded(file, SECOND)
        rows = await store.runs()
        await ask_to_move(store, rows, new[0])
        worker.events_arrived()
        await until_idle(worker)
        assert {row.version for row in await store.runs()} == {new[0].version}
        await ask_to_move(store, rows[:1], old[0])
        worker.events_arrived()
        await until_idle(worker)
        await worker.append([notified("1", kind="reply"), notified("2", kind="reply")])
        await until_idle(worker)
    assert titles(erp) == {"p-1": "first", "p-2": "second"}


async def test_runs_moved_to_and_fro_while_they_are_at_work_do_everything_once(file: Path) -> None:
    """Whatever a run is about, it is stopped, checked, and goes on; also those that stand in line."""
    store, erp = SqliteStore(file.with_suffix(".db")), FakeSystem()
    erp.delay_s = 0.002
    text = changed(("key=lambda d: d.native_id", "key=lambda d: d.native_id[0]"))
    versions = loaded(file, text), loaded(file, changed(('"first"', '"second"'), text=text))
    async with working(store, versions[0], erp) as worker:
        for number in range(30):
            await worker.append([notified(str(number)), notified(str(number), kind="reply")])
            if number % 5 == 4:
                flying = [row for row in await store.runs() if not row.state.ended]
                await ask_to_move(store, flying, versions[number % 2][0])
                worker.events_arrived()
        await until_idle(worker)
        rows = await store.runs()
        moved = [outcome for outcome in await outcomes(store) if isinstance(outcome, RunMoved)]
    await store.close()
    assert moved
    assert {row.state for row in rows} == {RunState.DONE}
    assert erp.count("project") == {f"p-{number}": 1 for number in range(30)}


async def test_a_run_that_does_not_fit_stays_and_the_log_says_why(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    new = loaded(file, changed(("step(look,", "step(peek,"), ("def look(", "def peek(")))
    await ask_to_move(store, await store.runs(), new[0])
    await one_life(store, new, erp, "1", kind="reply")
    assert titles(erp) == {"p-1": "first"}, "it finished on its own version"
    (refused,) = await outcomes(store)
    assert isinstance(refused, MoveRefused)
    assert refused.reason == "position 0: the run did step 'look' there; it wants step 'peek'"


async def test_a_moved_run_does_not_wait_any_more_for_what_its_new_version_does_not_ask(file: Path) -> None:
    """Also in the next life: the old wait went with the move, and nothing is left of it in the end."""
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    new = loaded(file, changed(("crm/reply/", "crm/answer/")))
    await ask_to_move(store, await store.runs(), new[0])
    await one_life(store, new, erp)
    assert [wait.topic for wait in await store.waits()] == ["VendorNotified:crm/answer/1"]
    await one_life(store, new, erp, "1", kind="reply")
    assert titles(erp) == {}
    await one_life(store, new, erp, "1", kind="answer")
    assert titles(erp) == {"p-1": "first"}
    assert await store.waits() == []


async def test_a_wait_that_both_versions_ask_for_keeps_its_deadline(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    before = await store.waits()
    new = loaded(file, SECOND)
    await ask_to_move(store, await store.runs(), new[0])
    await one_life(store, new, erp)
    assert await store.waits() == before


ASKING = changed(
    (
        "await run.wait(",
        "await run.case(Problem(case_class='go', cause='go', message='?', actions=['approve']))\n    (",
    ),
    ("from tieline.engine.process", "from tieline.engine.cases import Problem\nfrom tieline.engine.process"),
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (TITLED, changed(("seen: Seen = await run.step(look, data)", "return")), "position 0: .* it ends before"),
        (TITLED, changed(("await run.wait(", "return\n    (")), ""),
        (TITLED, changed(("number: str", "count: int"), ("seen.number", "seen.count")), "position 0: it fails there"),
        (TITLED, changed(("key=lambda d: d.native_id", "key=lambda d: d.stamp")), "its runs go by another key: '0'"),
        (TITLED, changed(('d.kind == "deal"', "False")), "it would not take the event"),
        (
            TITLED,
            changed(("    seen: Seen", "    await run.fetch('erp', 'x', '1')\n    seen: Seen")),
            "outside of a step",
        ),
        (TITLED, changed(("    seen: Seen", "    raise KeyError('x')\n    seen: Seen")), "it fails: KeyError"),
        (ASKING, ASKING + "\n# a remark\n", ""),
        (ASKING, changed(("case_class='go'", "case_class='other'"), text=ASKING), "a person was asked there .*'other'"),
        (ASKING, TITLED, "a person was asked there .*wants wait"),
    ],
)
async def test_what_a_version_must_ask_for_to_fit(file: Path, old: str, new: str, why: str) -> None:
    """All that the run has done, and every question that is open, at the same positions."""
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, old), erp, "1")
    (row,) = await store.runs()
    fit = await (await Fitting.look(store, None)).check(row, loaded(file, new)[0])
    if why:
        assert fit.reason
        assert re.search(why, f"position {fit.position}: {fit.reason}")
    else:
        assert fit.reason == ""


async def test_a_run_in_the_middle_of_a_write_is_not_moved(file: Path) -> None:
    """What became of the call must be known first: the new version might never ask about it."""
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    (row,) = await store.runs()
    intended = Effect(
        connection="erp", kind="project", canonical_id="p-1", content_hash="h", content=b"{}", intended_at=NOW
    )
    await store.commit(Batch(effects=[msgspec.structs.replace(intended, run_id=row.id)]))
    fit = await (await Fitting.look(store, None)).check(row, loaded(file, SECOND)[0])
    assert "erp/project/p-1 is being written" in fit.reason


# --- what cannot be loaded --------------------------------------------------------------------------------------------


async def test_a_version_that_cannot_be_loaded_any_more_blocks_its_runs_until_they_are_moved(file: Path) -> None:
    """Nothing is guessed: a case says what is missing; moved and tried again, the run goes on."""
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    (row,) = await store.runs()
    await _replace_kept(store, row, changed(("import Run", "import Runner")))
    new = loaded(file, SECOND)
    async with working(store, new, erp) as worker:
        await worker.append([notified("1", kind="reply")])
        await until_idle(worker)
        (case,) = await store.cases(states=[CaseState.OPEN])
        assert case.case_class == "process-stopped"
        assert "cannot import name 'Runner'" in case.message
        assert "tieline runs move --process titled" in case.message
        await ask_to_move(store, await store.runs(), new[0])
        worker.events_arrived()
        await until_idle(worker)
        await decide(worker, "retry")
        await until_idle(worker)
        assert [r.state for r in await store.runs()] == [RunState.DONE]
    assert titles(erp) == {"p-1": "second"}


async def _replace_kept(store: MemoryStore, row: RunRow, text: str) -> None:
    """The run began with this text, which worked with the library of its day."""
    began = msgspec.structs.replace(row, version=Source.of("", text).version)
    kept = msgspec.structs.replace((await store.process_versions())[0], text=text, version=began.version)
    await store.commit(Batch(runs=[began], versions=[kept]))


async def test_a_run_of_before_sources_were_kept_is_never_guessed_at(file: Path) -> None:
    store, erp = MemoryStore(), FakeSystem()
    await one_life(store, loaded(file, TITLED), erp, "1")
    (row,) = await store.runs()
    await store.commit(Batch(runs=[msgspec.structs.replace(row, version="0ld0ld0l")]))
    await one_life(store, loaded(file, TITLED), erp, "1", kind="reply")
    (case,) = await store.cases(states=[CaseState.OPEN])
    assert "version 0ld0ld0l, of which no source was kept" in case.message
    assert titles(erp) == {}


async def test_a_source_that_was_changed_in_the_database_is_not_run(file: Path) -> None:
    store = MemoryStore()
    (definition,) = loaded(file, TITLED)
    forged = msgspec.structs.replace(to_keep(definition, NOW), text="raise SystemExit")
    await store.commit(Batch(versions=[forged]))
    with pytest.raises(Exception, match="it was changed"):
        await Versions(store, {}).get("titled", definition.version)


@pytest.mark.parametrize("name", SHIPPED_PROCESSES)
async def test_the_shipped_processes_are_kept_and_loaded_in_the_same_way(name: str) -> None:
    """An earlier release of a shipped module runs beside the one of today, each with its own types."""
    store, shipped = MemoryStore(), importlib.import_module(name)
    for definition in shipped.PROCESSES:
        assert definition.source.text == inspect.getsource(shipped)
        text = f"{definition.source.text}\n# an earlier release\n"
        earlier = msgspec.structs.replace(definition, source=Source.of(name, text))
        await store.commit(Batch(versions=[to_keep(earlier, NOW)]))
        versions = Versions(store, {definition.name: definition})
        assert await versions.get(definition.name, definition.version) is definition
        kept = await versions.get(definition.name, earlier.version)
        assert kept is not definition
        assert (kept.name, kept.triggers, kept.version) == (definition.name, definition.triggers, earlier.version)
        assert kept.function.__globals__["__file__"] == shipped.__file__
