"""Spans of one deal: what is told of commits and calls, and where each belongs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.support.engine import NOW, notified
from tests.support.rows import effect, run_row

from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.telemetry import Ids, TracedStore, Traces, path_template
from tieline.app.template import make_project
from tieline.engine.lanes import carried
from tieline.engine.ports import AppendResult, Batch, Call
from tieline.engine.records import Effect, EffectState, RunRow, RunState
from tieline.engine.turns import Caller, Item
from tieline.events import Event
from tieline.storage.memory import MemoryStore


class Seen:
    """Traces whose spans stay here."""

    def __init__(self) -> None:
        ids, self._exporter = Ids(), InMemorySpanExporter()
        provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)  # type: ignore[arg-type]
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces, self.store = Traces(provider, ids), MemoryStore()

    async def commit(self, **rows: Any) -> None:
        batch = Batch(**rows)
        self.traces.committed(batch, await self.store.commit(batch))

    def call(self, *calls: Effect, status: int = 201) -> None:
        wanted = [Call(key=e.key, revision=e.revision, wire={}) for e in calls]
        loop = asyncio.get_running_loop()
        items = [Item(call, Caller(), 0, n, 0, loop.create_future()) for n, call in enumerate(wanted)]
        token = carried.set(items)
        self.traces.called("erp", NOW.timestamp(), 0.25, "POST", "https://erp.example/v1/orders/O-17?who=ada", status)
        carried.reset(token)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def seen() -> Seen:
    return Seen()


def of_deal(number: int, correlation_id: str = "deal-1") -> Event:
    event = notified(str(number))
    return Event(**{**{n: getattr(event, n) for n in Event.__struct_fields__}, "correlation_id": correlation_id})


def ended(event: Event) -> RunRow:
    return run_row(
        1,
        RunState.DONE,
        process="quote-to-cash",
        event_id=event.id,
        correlation_id=event.correlation_id,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=3),
    )


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


async def test_event_run_effect_and_call_are_one_trace_each_below_its_cause(seen: Seen) -> None:
    won = of_deal(1)
    run = ended(won)
    intended = effect(run_id=run.id)
    await seen.commit(events=[won])
    await seen.commit(effects=[intended])
    seen.call(intended)
    settled = effect(state=EffectState.APPLIED, run_id=run.id, settled_at=NOW + timedelta(seconds=1))
    await seen.commit(effects=[settled])
    await seen.commit(runs=[run])
    names = ["VendorNotified", "run quote-to-cash", "ensure invoice in erp", "POST /v1/orders/{id}"]
    way = [seen.spans[name] for name in names]
    assert len({ids(span)[0] for span in way}) == 1
    assert way[0].parent is None
    assert [span.parent.span_id for span in way[1:] if span.parent] == [ids(span)[1] for span in way[:-1]]
    assert (way[1].attributes or {})["tieline.correlation_id"] == "deal-1"
    assert (way[2].start_time, way[2].end_time) == (int(NOW.timestamp() * 1e9), int(NOW.timestamp() * 1e9) + 10**9)


async def test_a_restart_does_not_tear_a_trace(seen: Seen) -> None:
    """Ids are made from the ids of the log: another process finds the same parent."""
    won, later = of_deal(1), Seen()
    await seen.commit(events=[won])
    await later.commit(runs=[ended(won)])
    (parent,), (run,) = seen.spans.values(), later.spans.values()
    assert ids(run)[0] == ids(parent)[0]
    assert run.parent is not None
    assert run.parent.span_id == ids(parent)[1]


async def test_a_call_for_many_documents_is_linked_to_each_and_belongs_to_none(seen: Seen) -> None:
    one = effect(canonical_id="one", correlation_id="deal-1")
    two = effect(canonical_id="two", correlation_id="deal-2")
    await seen.commit(effects=[one, two])
    seen.call(one, two)
    call = seen.spans["POST /v1/orders/{id}"]
    assert call.parent is None
    assert len({link.context.trace_id for link in call.links}) == 2
    assert (call.attributes or {})["tieline.items"] == 2


async def test_what_a_hint_led_to_is_linked_across_the_border_of_the_deal(seen: Seen) -> None:
    """A hint belongs to no deal yet; the deal's trace begins with what was found behind it."""
    hint = of_deal(1, correlation_id="")
    read = ended(hint)
    await seen.commit(events=[hint], runs=[read])
    won = Event(**{n: getattr(of_deal(2), n) for n in Event.__struct_fields__} | {"id": f"{read.id}/4"})
    await seen.commit(events=[won])
    first, second = (s for s in seen._exporter.get_finished_spans() if s.name == "VendorNotified")
    assert ids(first)[0] != ids(second)[0]
    assert second.parent is None
    assert [link.context.span_id for link in second.links] == [ids(seen.spans["run quote-to-cash"])[1]]


async def test_what_failed_says_so_without_the_words_of_the_system(seen: Seen) -> None:
    refused = effect(
        state=EffectState.REJECTED, settled_at=NOW, error="Jane Doe has no address", error_kind="INVALID_ADDRESS"
    )
    await seen.commit(effects=[refused])
    seen.call(status=0)
    for span in seen.spans.values():
        assert span.status.status_code is StatusCode.ERROR
        assert "Jane" not in span.to_json()
    assert "ada" not in seen.spans["POST /v1/orders/{id}"].to_json()


async def test_a_duplicate_and_a_run_that_goes_on_are_no_spans(seen: Seen) -> None:
    await seen.commit(events=[of_deal(1)])
    await seen.commit(events=[of_deal(1)], runs=[run_row(1)], effects=[effect()])
    assert list(seen.spans) == ["VendorNotified"]


def test_paths_keep_their_words_and_lose_their_ids() -> None:
    assert path_template("/services/data/v61.0/sobjects/Order/801x") == "/services/data/v61.0/sobjects/Order/{id}"
    assert path_template("/record/v1/customer/eid:acme") == "/record/v1/customer/{id}"
    assert path_template("/api/v1/workspaces.json") == "/api/v1/workspaces.json"


async def test_a_span_that_cannot_be_made_stops_no_deal(tmp_path: Path) -> None:
    """What was committed stands, and its run goes on."""

    class Broken(Traces):
        def committed(self, batch: Batch, results: Sequence[AppendResult]) -> None:
            raise TypeError

    make_project(tmp_path / "project")
    project = load_project(load_settings(tmp_path / "project", secrets=False))
    store = TracedStore(project, Broken(TracerProvider(shutdown_on_exit=False), Ids()))
    (result,) = await store.commit(Batch(events=[notified("1")]))
    assert (await store.events_after(0, 1))[0].id == result.event.id
    await store.close()
