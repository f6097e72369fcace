"""Traces for OpenTelemetry: what the hub commits and calls, told again as spans, one trace a deal.

The invariant: nothing is measured inside of the engine. Ids of traces and spans are made from ids of the log, so a span
finds its parent after a restart, and no span holds a document: ids, numbers, states and times only.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec
import structlog

from tieline.app.outbound import TelemetrySettings
from tieline.app.principal import PEOPLE
from tieline.app.project import Project
from tieline.app.wiring import Seam
from tieline.connectors.sdk import KeepsCalls
from tieline.engine.lanes import carried
from tieline.engine.ports import Appended, AppendResult, Batch, Call, Connector, Store
from tieline.engine.records import Effect, EffectKey, EffectState, RunRow
from tieline.engine.turns import Item
from tieline.errors import ConfigurationError
from tieline.events import LoggedEvent, event_name
from tieline.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import SpanContext

OWN = ("tieline", PEOPLE)
"""Sources of events that came from no system."""
EXPORT_WITHIN_S = 3.0
MOST_QUEUED = 10_000
"""Spans that wait for the collector; more are dropped rather than hold up the hub."""
MOST_KNOWN = 20_000
_VARIABLE = re.compile(r"^(?!v\d+(\.\d+)*$).*[\d@:%,()'=].*$")


_log = structlog.get_logger("tieline.telemetry")


@contextmanager
def tracing(project: Project, seam: Seam) -> Iterator[Seam]:
    """The seam, with traces going out where the settings say so. Raises ConfigurationError without the extra `otel`."""
    if not project.settings.telemetry.otlp_endpoint:
        yield seam
        return
    ids = Ids()
    provider = _provider(project.settings.telemetry, project.settings.name, ids)
    try:
        yield traced(seam, Traces(provider, ids))
    finally:
        provider.shutdown()


def traced(seam: Seam, traces: Traces) -> Seam:
    """The seam with a store and connectors that tell what they do."""

    def store(project: Project) -> Store:
        return TracedStore(project, traces)

    def connector(plain: Connector) -> Connector:
        made = seam.connector(plain)
        if isinstance(made, KeepsCalls):
            made.recent.watch = harmless()(partial(traces.called, made.name))
        return made

    return msgspec.structs.replace(seam, store=store, connector=connector)


class TracedStore(SqliteStore):
    """The project's store; tells what was committed, when it is on disk."""

    def __init__(self, project: Project, traces: Traces) -> None:
        super().__init__(project.settings.database, archive=project.settings.archive_folder)
        self._traces = traces

    async def commit(self, batch: Batch) -> list[AppendResult]:
        results = await super().commit(batch)
        with harmless():
            self._traces.committed(batch, results)
        return results


@contextmanager
def harmless() -> Iterator[None]:
    """What is committed or answered stands, whatever becomes of its span."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nobody's deal stops because it could not be told of
        _log.error("a span could not be made", exc_info=error)


class Ids:
    """Gives the next span the ids it was promised. One loop makes all spans, each at once, so no lock is needed."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id

    def is_trace_id_random(self) -> bool:
        return False


class Traces:
    """Makes spans of what is committed and called."""

    def __init__(self, provider: TracerProvider, ids: Ids) -> None:
        self._tracer, self._ids = provider.get_tracer("tieline"), ids
        self._known: OrderedDict[str, SpanContext] = OrderedDict()
        self._open: dict[tuple[EffectKey, int], SpanContext] = {}

    def committed(self, batch: Batch, results: Sequence[AppendResult]) -> None:
        """Events that are new, effects that are settled, runs that ended."""
        for result in results:
            if result.outcome is Appended.NEW:
                self._event(result.event)
        for effect in batch.effects:
            self._effect(effect)
        for run in batch.runs:
            self._run(run)

    def called(self, connection: str, began: float, took_s: float, method: str, url: str, status: int) -> None:
        """One call to a system: below the effect or run that it was made for, or linked to each of several."""
        from opentelemetry.trace import SpanKind

        causes = list({cause.span_id: cause for item in carried.get() if (cause := self._asked_by(item))}.values())
        address, start = urlsplit(url), int(began * 1e9)
        template = path_template(address.path)
        self._span(
            f"{method} {template}",
            span_context("call", f"{connection}/{start}/{url}", f"{connection}/{start}"),
            causes[0] if len(causes) == 1 else None,
            (start, start + int(took_s * 1e9)),
            {
                "tieline.connection": connection,
                "http.request.method": method,
                "url.template": template,
                "server.address": address.hostname or "",
                "http.response.status_code": status,
                "tieline.items": len(carried.get()),
            },
            kind=SpanKind.CLIENT,
            failed=f"{status}" if status >= 400 else "no answer" if status == 0 else "",
            links=causes if len(causes) > 1 else (),
        )

    def _asked_by(self, item: Item) -> SpanContext | None:
        effect = self._open.get((item.payload.key, item.payload.revision)) if isinstance(item.payload, Call) else None
        return effect or self._known.get(f"run {item.caller.run_id}")

    def _event(self, event: LoggedEvent) -> None:
        from opentelemetry.trace import SpanKind

        own, moment = event.source in OWN, nanoseconds(event.recorded_at)
        context = span_context("event", event.id, event.correlation_id or event.id)
        # an event of a run is named after it: run/position
        cause = self._known.get(f"run {event.id.rpartition('/')[0]}") or self._known.get(f"event {event.causation_id}")
        self._know(f"event {event.id}", context)
        self._span(
            event_name(event.type),
            context,
            cause,
            (moment, moment),
            {
                "tieline.correlation_id": event.correlation_id,
                "tieline.event.id": event.id,
                "tieline.event.source": event.source,
                "tieline.event.seq": event.seq,
                "tieline.event.happened_at": event.time.isoformat(),
            },
            kind=SpanKind.INTERNAL if own else SpanKind.CONSUMER,
        )

    def _run(self, run: RunRow) -> None:
        context = span_context("run", run.id, run.correlation_id or run.event_id)
        self._know(f"run {run.id}", context)
        if run.ended_at is None:
            return
        self._span(
            f"run {run.process}",
            context,
            span_context("event", run.event_id, run.correlation_id or run.event_id),
            (nanoseconds(run.started_at), nanoseconds(run.ended_at)),
            {
                "tieline.correlation_id": run.correlation_id,
                "tieline.run.id": run.id,
                "tieline.run.process": run.process,
                "tieline.run.version": run.version,
                "tieline.run.state": run.state.value,
            },
        )

    def _effect(self, effect: Effect) -> None:
        trace = effect.correlation_id or effect.event_id
        context = span_context("effect", f"{effect.key}#{effect.revision}", trace)
        if effect.settled_at is None:
            self._open[effect.key, effect.revision] = context
            return
        self._open.pop((effect.key, effect.revision), None)
        self._span(
            f"{effect.action} {effect.kind} in {effect.connection}",
            context,
            span_context("run", effect.run_id, trace) if effect.run_id else None,
            (nanoseconds(effect.intended_at), nanoseconds(effect.settled_at)),
            {
                "tieline.correlation_id": effect.correlation_id,
                "tieline.connection": effect.connection,
                "tieline.effect.kind": effect.kind,
                "tieline.effect.id": effect.canonical_id,
                "tieline.effect.revision": effect.revision,
                "tieline.effect.state": effect.state.value,
                "tieline.effect.external_id": effect.external_id,
                "tieline.effect.attempts": effect.attempts,
                "tieline.effect.settled_by": effect.settled_by.partition(" ")[0],
                "tieline.effect.mapping": effect.mapping,
            },
            failed=effect.error_kind if effect.state is EffectState.REJECTED else "",
        )

    def _know(self, name: str, context: SpanContext) -> None:
        """Remember where the spans of what follows belong; the oldest is forgotten first."""
        self._known[name] = context
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _span(
        self,
        name: str,
        context: SpanContext,
        cause: SpanContext | None,
        period: tuple[int, int],
        attributes: Mapping[str, Any],
        *,
        kind: Any = None,
        failed: str = "",
        links: Sequence[SpanContext] = (),
    ) -> None:
        """Tell of a span that is over. A cause in the same trace is its parent, one in another is linked."""
        from opentelemetry import trace

        follows = cause is not None and cause.trace_id != context.trace_id and kind is not trace.SpanKind.CLIENT
        parent = trace.INVALID_SPAN_CONTEXT if cause is None or follows else cause
        self._ids.trace_id, self._ids.span_id = context.trace_id, context.span_id
        span = self._tracer.start_span(
            name,
            trace.set_span_in_context(trace.NonRecordingSpan(parent)),
            kind or trace.SpanKind.INTERNAL,
            attributes,
            [trace.Link(linked) for linked in ([cause] if follows and cause else links)],
            start_time=period[0],
        )
        if failed:
            span.set_attribute("error.type", failed)
            span.set_status(trace.StatusCode.ERROR)
        span.end(end_time=period[1])


def span_context(kind: str, ident: str, trace: str) -> SpanContext:
    """The place of a span: its trace from the deal's correlation id, its own id from what it is about."""
    from opentelemetry.trace import SpanContext, TraceFlags

    trace_id = int.from_bytes(hashlib.sha256(f"trace\0{trace}".encode()).digest()[:16])
    span_id = int.from_bytes(hashlib.sha256(f"{kind}\0{ident}".encode()).digest()[:8])
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def path_template(path: str) -> str:
    """A path without what names one record: `/v1/invoices/INV-17` → `/v1/invoices/{id}`."""
    return "/".join("{id}" if _VARIABLE.match(part) else part for part in path.split("/"))


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1_000


def _provider(settings: TelemetrySettings, project: str, ids: Ids) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "[telemetry] otlp_endpoint needs OpenTelemetry: install tieline[otel], or take the setting out"
        ) from error
    resource = Resource.create({"service.name": "tieline", "tieline.project": project})
    provider = TracerProvider(resource=resource, id_generator=cast("IdGenerator", ids), shutdown_on_exit=False)
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_WITHIN_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_QUEUED))
    return provider
