"""Processes for people: the flow read from a text, health against what the catalogue promises, runs page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.engine import NOW, notified, project, until_idle, working
from tests.support.fake_system import FakeSystem
from tests.support.rows import case_row, run_row
from tests.support.views import view_on

from tieline.app.project import Project as Loaded
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.app.views.processes import catalogue, flow_counts, run_detail, runs_page, versions_of
from tieline.app.views.processes_flow import flow_of, step_words
from tieline.app.views.resolve import NothingFound
from tieline.engine.cases import Problem
from tieline.engine.ports import Batch
from tieline.engine.process import process
from tieline.engine.records import RunState
from tieline.engine.run import Run
from tieline.errors import ConfigurationError
from tieline.events import InvoicePosted, VendorNotified
from tieline.processes.quote_to_cash import quote_to_cash
from tieline.storage.memory import MemoryStore


@process("small", on=VendorNotified, key=lambda d: d.native_id)
async def small(run: Run, data: VendorNotified) -> None:
    """A little of everything."""
    title: str = await run.step(title_of, data)
    document = project(data.native_id, title)
    await helper(run, document)
    run.compensate_with(lambda: run.perform("erp", "withdraw", document))
    if data.stamp == "never":
        await run.publish(InvoicePosted(**_unknowable()))
        await run.ensure("psa", _unknowable())
    for _ in range(0):
        await run.wait(InvoicePosted, "x", timedelta(days=1))


async def helper(run: Run, document: Any) -> None:
    while False:
        await run.case(Problem(case_class="odd", cause="c", message="m", actions=["retry"]))
    await run.ensure("erp", document)


def title_of(data: VendorNotified) -> str:
    """What it is called there."""
    return f"Title {data.native_id}"


def _unknowable() -> Any: ...


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("processes") / "project"
    make_project(folder, port=0)
    return load_project(load_settings(folder, secrets=False))


def test_a_flow_is_read_from_the_text_and_never_run() -> None:
    """In order, through the functions it calls; what is conditional, repeated or only undone says so."""
    told = [(step_words(s), s.where, s.sometimes, s.many, s.undoes) for s in flow_of(small)]
    assert told == [
        ("title of", "", False, False, False),
        ("ask a person: odd", "", True, False, False),
        ("write document", "erp", False, False, False),  # the helper's parameter is of any type
        ("withdraw project", "erp", False, False, True),
        ("tell InvoicePosted", "", True, False, False),
        ("write document", "psa", True, False, False),
        ("wait for InvoicePosted", "", False, True, False),
    ]
    assert flow_of(small)[0].says == "What it is called there."


def test_the_flow_of_the_main_process_names_documents_and_events() -> None:
    words = [step_words(step) for step in flow_of(quote_to_cash)]
    wanted = ["write customer", "write subscription order", "wait for SubscriptionActivated", "write order"]
    assert [word for word in words if word in wanted] == wanted
    assert "ask a person: approval" in words


async def test_counts_are_of_runs_that_did_a_step() -> None:
    store, erp = MemoryStore(), FakeSystem("erp")
    async with working(store, [small], erp) as worker:
        await worker.append([notified("1"), notified("2")])
        await until_idle(worker)
        counts, looked_at = await flow_counts(store, small)
        assert looked_at == 2
        by_words = {step_words(count.step): count.runs for count in counts}
        assert by_words["title of"] == 2
        assert by_words["wait for InvoicePosted"] == 0
        assert by_words["ask a person: odd"] is None
        (current,) = await versions_of(store, small)
        assert (current.current, current.runs) == (True, 0)
        detail = await run_detail(store, "small:1")
        assert [entry.kind for entry in detail.journal] == ["step", "effect"]
        with pytest.raises(NothingFound, match="small:9"):
            await run_detail(store, "small:9")


async def test_health_is_measured_against_the_catalogue(loaded: Loaded) -> None:
    """Late is what is in flight for longer than promised; cases and ends of today are counted by process."""
    store, name = MemoryStore(), "post-invoice"
    hours = loaded.catalogue.processes[name].slo_hours
    rows = [
        run_row(1, RunState.WAITING, id=f"{name}:1", process=name, started_at=NOW - timedelta(hours=hours + 1)),
        run_row(2, RunState.WAITING, id=f"{name}:2", process=name, started_at=NOW),
        run_row(3, RunState.DONE, id=f"{name}:3", process=name, ended_at=NOW),
        run_row(4, RunState.DONE, id=f"{name}:4", process=name, ended_at=NOW - timedelta(days=1)),
    ]
    await store.commit(Batch(runs=rows, cases=[case_row(1, run_id=f"{name}:1")]))
    found = {health.name: health for health in await catalogue(loaded, store, NOW)}
    assert set(found) == set(loaded.processes)
    one = found[name]
    assert (one.in_flight, one.late, one.cases, one.done_today, one.owner) == (2, 1, 1, 1, "finance")
    assert (found["deal-status"].in_flight, found["deal-status"].cases) == (0, 0)


async def test_runs_go_backwards_by_page() -> None:
    store = MemoryStore()
    await store.commit(Batch(runs=[run_row(n, RunState.DONE if n % 2 else RunState.WAITING) for n in range(1, 8)]))
    seen: list[int] = []
    before = ""
    while True:
        page = await runs_page(view_on(store), "p", before=before, limit=2)
        seen += [run.event_seq for run in page.runs]
        if not (before := page.before):
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert [r.event_seq for r in (await runs_page(view_on(store), "p", state="open")).runs] == [6, 4, 2]
    with pytest.raises(ConfigurationError, match="no state"):
        await runs_page(view_on(store), "p", state="sleeping")
    with pytest.raises(ConfigurationError, match="no place"):
        await runs_page(view_on(store), "p", before="here")
