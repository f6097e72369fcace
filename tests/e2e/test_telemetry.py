"""Traces over the wire: a hub with a collector on loopback, which reads what OTLP says."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.e2e.test_one_deal import OPPORTUNITY, pay_one_deal
from tests.support.company import Company, sandboxes

from tieline.app.demo.world import SECRETS, furnish
from tieline.app.hub import running
from tieline.app.project import load_project
from tieline.app.settings import load_settings
from tieline.app.template import make_project
from tieline.errors import ConfigurationError


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are posted to it."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = ExportTraceServiceRequest.FromString(
            gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        )
        self.server.paths.add(self.path)
        for resource in told.resource_spans:
            self.server.resource.update({a.key: a.value.string_value for a in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_paid_deal_is_one_trace_from_the_opportunity_to_the_payment(
    tmp_path: Path, collector: Collector
) -> None:
    folder = tmp_path / "project"
    async with sandboxes() as boxes:
        make_project(folder, urls=boxes.urls, poll_s=0)
        with (folder / "tieline.toml").open("a") as settings:
            settings.write(f'\n[telemetry]\notlp_endpoint = "{collector.url}"\n')
        project = load_project(load_settings(folder, environ=SECRETS))
        async with running(project, port=0) as (desk, url):
            await furnish(boxes, url)
            await pay_one_deal(Company(boxes, project, desk.worker, url, desk))
            won = (await desk.store.events(type="OpportunityWon"))[0]
            effects = await desk.store.effects(correlation_id=won.correlation_id)
    assert collector.paths == {"/v1/traces"}
    assert (collector.resource["service.name"], collector.resource["tieline.project"]) == ("tieline", "quote-to-cash")
    deal = [s for s in collector.spans if _told(s).get("tieline.correlation_id") == won.correlation_id]
    assert len({s.trace_id for s in deal}) == 1
    names = [s.name for s in deal]
    assert {"OpportunityWon", "run quote-to-cash", "run post-payment", "ensure invoice in netsuite"} <= set(names)
    assert sum(name.startswith(("ensure", "apply")) for name in names) >= len(effects) > 5
    known = {s.span_id for s in collector.spans}
    assert [s.name for s in deal if s.parent_span_id and s.parent_span_id not in known] == []
    calls = [s for s in collector.spans if "http.request.method" in _told(s)]
    below = {s.parent_span_id for s in calls if s.parent_span_id}
    assert below & {s.span_id for s in deal}
    everything = b"".join(s.SerializeToString() for s in collector.spans)
    assert str(OPPORTUNITY["Name"]).encode() not in everything


async def test_without_the_extra_the_setting_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path / "project")
    project = load_project(load_settings(tmp_path / "project", environ=SECRETS))
    telemetry = msgspec.structs.replace(project.settings.telemetry, otlp_endpoint="http://127.0.0.1:9")
    project = msgspec.structs.replace(project, settings=msgspec.structs.replace(project.settings, telemetry=telemetry))
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"install tieline\[otel\]"):
        async with running(project, port=0):
            pass


def _told(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
