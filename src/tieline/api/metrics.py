"""`/metrics`: what the Now page shows, as Prometheus reads it.

Counters and histograms begin anew with the hub, gauges are of this moment. The invariant: labels are connections,
processes, kinds, classes, states and currencies, of which a project has few; never an id, a name or an amount's owner.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from importlib.metadata import version

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tieline.app.desk import Desk
from tieline.app.principal import NotAllowed, Permission
from tieline.app.views.now import NowView, SystemNow
from tieline.engine.measures import Latencies, Measures

PLAIN = "text/plain; charset=utf-8"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = ("127.0.0.1", "::1")
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
LANE_STATES = ("open", "throttled", "parked", "paused", "draining", "drained", "closed")
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}

Sample = tuple[Sequence[str], float]


class Described(msgspec.Struct, frozen=True):
    """One metric: its name as it is queried, what kind it is, its labels, what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: tuple[Described, ...] = (
    Described("tieline_build_info", "gauge", ("version",), "1, with the version of Tieline."),
    Described("tieline_worker_up", "gauge", (), "1 while the worker works, 0 when something stopped it."),
    Described("tieline_events_received_total", "counter", ("system",), "Events that came from a system."),
    Described("tieline_events_dispatched_total", "counter", (), "Events of the log for which runs were made."),
    Described("tieline_log_events", "gauge", (), "Place of the newest event in the log."),
    Described("tieline_log_broken", "gauge", (), "1 where an event of the log does not follow from those before it."),
    Described("tieline_log_behind_events", "gauge", (), "Events of the log for which no run was made yet."),
    Described("tieline_calls_total", "counter", ("system",), "Calls to a system."),
    Described("tieline_call_failures_total", "counter", ("system",), "Calls that found a system down or throttling."),
    Described("tieline_items_total", "counter", ("system",), "Reads and writes carried by the calls to a system."),
    Described("tieline_documents_applied_total", "counter", ("system",), "Documents written to a system by us."),
    Described("tieline_call_seconds", "histogram", ("system",), "How long a call to a system took."),
    Described(
        "tieline_added_seconds",
        "histogram",
        ("system",),
        "From the event that began a run until its document stood in the system, less the time in which the run "
        "waited for systems, people and other events.",
    ),
    Described("tieline_lane_state", "gauge", ("system", "state"), "1 for the state that the way to a system is in."),
    Described("tieline_lane_queued_items", "gauge", ("system",), "Reads and writes that wait for a system."),
    Described("tieline_lane_calls_in_flight", "gauge", ("system",), "Calls under way to a system."),
    Described("tieline_lane_slots", "gauge", ("system",), "Calls that a system allows at the same time."),
    Described("tieline_lane_drain_seconds", "gauge", ("system",), "How long what waits takes at the latest pace."),
    Described("tieline_quota_used_calls", "gauge", ("system",), "Calls of the last 24 hours, where a limit is known."),
    Described("tieline_quota_allowed_calls", "gauge", ("system",), "Calls allowed in 24 hours."),
    Described("tieline_runs", "gauge", ("process", "state"), "Runs in the tables, by state."),
    Described("tieline_runs_late", "gauge", ("process",), "Runs that go on for longer than the catalogue allows."),
    Described("tieline_replays_waiting", "gauge", (), "Replays that have not begun."),
    Described("tieline_effects", "gauge", ("system", "kind", "state"), "Effects in the ledger, by state."),
    Described("tieline_cases_opened_total", "counter", ("case_class",), "Cases opened; approvals are a class."),
    Described("tieline_cases_open", "gauge", ("case_class",), "Cases that wait for a person."),
    Described("tieline_cases_overdue", "gauge", (), "Open cases past their deadline."),
    Described("tieline_translations_failed", "gauge", (), "Open cases of documents that a mapping could not make."),
    Described("tieline_traffic_absent", "gauge", ("process",), "1 where fewer runs began than the catalogue expects."),
    Described("tieline_money_today", "gauge", ("stage", "currency"), "Amounts of today (UTC), by stage of the money."),
)


def metrics_handlers(desk: Desk) -> list[HTTPRouteHandler]:
    """`GET /metrics`: from this machine as it is, from elsewhere with a token of scope read."""

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[None, None, State]) -> Response[bytes]:
        """The figures of the hub for Prometheus."""
        names = desk.project.settings.hub.names
        refusal = None if _from_here(request, names) else await _refused(desk, request.headers.get("authorization", ""))
        if refusal is not None:
            return refusal
        text = exposition(await desk.board.look(), desk.worker.measures)
        return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    return [metrics]


def _from_here(request: Request[None, None, State], names: Container[str | None]) -> bool:
    """Whether the one who asks is on this machine, and calls it by a name of ours. A proxy speaks for somebody else."""
    return (
        request.client is not None
        and request.client.host in LOOPBACK
        and request.url.hostname in names
        and not any(name in request.headers for name in FORWARDED)
    )


async def _refused(desk: Desk, authorization: str) -> Response[bytes] | None:
    scheme, _, token = authorization.partition(" ")
    principal = await desk.access.bearer(token.strip()) if scheme.lower() == "bearer" else None
    if principal is None:
        said = "send `Authorization: Bearer …` with a token that has the scope read\n"
        return Response(said.encode(), status_code=401, media_type=PLAIN, headers={"WWW-Authenticate": "Bearer"})
    try:
        principal.require(Permission.READ)
    except NotAllowed as error:
        return Response(f"{error}\n".encode(), status_code=403, media_type=PLAIN)
    return None


def exposition(view: NowView, measures: Measures) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(view, measures))
    return generate_latest(registry)


class _Collected(Collector):
    """One look as metrics."""

    def __init__(self, view: NowView, measures: Measures) -> None:
        self._values = dict(_values(view, measures))
        self._histograms = {
            "tieline_call_seconds": {name: system.vendor for name, system in measures.systems.items()},
            "tieline_added_seconds": {name: system.added for name, system in measures.systems.items()},
        }

    def collect(self) -> Iterable[Metric]:
        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram(metric, self._histograms[metric.name])
            else:
                family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
                for labels, value in self._values[metric.name]:
                    family.add_metric(labels, value)
                yield family


def _histogram(metric: Described, measured: dict[str, Latencies]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for system, latencies in measured.items():
        buckets = [(f"{bound:g}", float(below)) for bound, below in latencies.cumulative()]
        family.add_metric([system], [*buckets, ("+Inf", float(latencies.total))], latencies.sum_s)
    return family


def _values(view: NowView, measures: Measures) -> Iterator[tuple[str, list[Sample]]]:
    """Every metric that is no histogram, with its samples."""
    counted = measures.systems.items()
    yield "tieline_build_info", [((version("tieline"),), 1)]
    yield "tieline_worker_up", [((), 0 if view.failure else 1)]
    yield "tieline_events_received_total", [((name,), system.events.total) for name, system in counted]
    yield "tieline_events_dispatched_total", [((), measures.events)]
    yield "tieline_log_events", [((), view.last_seq)]
    yield "tieline_log_broken", [((), float(bool(view.chain_broken_at)))]
    yield "tieline_log_behind_events", [((), view.behind)]
    yield "tieline_calls_total", [((name,), system.calls.total) for name, system in counted]
    yield "tieline_items_total", [((name,), system.items.total) for name, system in counted]
    yield "tieline_documents_applied_total", [((name,), system.documents.total) for name, system in counted]
    yield from _lanes(view.systems)
    yield "tieline_runs", [((process, state), number) for (process, state), number in view.runs.items()]
    yield "tieline_runs_late", [((p.name,), p.late) for p in view.processes]
    yield "tieline_replays_waiting", [((), view.replays_waiting)]
    yield "tieline_effects", [(key, number) for key, number in view.effects.items()]
    yield "tieline_cases_opened_total", [((name,), number) for name, number in sorted(measures.cases.items())]
    yield "tieline_cases_open", [((name,), number) for name, number in view.cases.by_class.items()]
    yield "tieline_cases_overdue", [((), view.cases.overdue)]
    yield "tieline_translations_failed", [((), view.not_translated)]
    yield "tieline_traffic_absent", _absent(view)
    yield (
        "tieline_money_today",
        [
            ((stage, money.currency), float(getattr(money, stage)))
            for money in view.money
            for stage in ("booked", "billed", "credited", "posted", "paid")
        ],
    )


def _absent(view: NowView) -> list[Sample]:
    silent = {absence.process for absence in view.absent}
    return [((process.name,), float(process.name in silent)) for process in view.processes if process.expects]


def _lanes(systems: Sequence[SystemNow]) -> Iterator[tuple[str, list[Sample]]]:
    limited = [system for system in systems if system.lane.per_day]
    draining = [(system.name, system.drains_in) for system in systems]
    yield (
        "tieline_lane_state",
        [((s.name, state), float(s.lane.state == state)) for s in systems for state in LANE_STATES],
    )
    yield "tieline_call_failures_total", [((s.name,), s.lane.failures) for s in systems]
    yield "tieline_lane_queued_items", [((s.name,), s.lane.queued) for s in systems]
    yield "tieline_lane_calls_in_flight", [((s.name,), s.lane.in_flight) for s in systems]
    yield "tieline_lane_slots", [((s.name,), s.lane.slots) for s in systems]
    yield "tieline_lane_drain_seconds", [((name,), drains.total_seconds()) for name, drains in draining if drains]
    yield "tieline_quota_used_calls", [((s.name,), s.lane.used_today) for s in limited]
    yield "tieline_quota_allowed_calls", [((s.name,), s.lane.per_day) for s in limited]
