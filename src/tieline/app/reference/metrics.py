"""The page of `/metrics`: every metric with its labels and what it says."""

from __future__ import annotations

from tieline.api.metrics import METRICS
from tieline.app.reference.markdown import listed, page, table


def metrics() -> str:
    """What Prometheus reads."""
    rows = [(f"`{m.name}`", m.kind, listed(m.labels) if m.labels else "", m.help) for m in METRICS]
    return page(
        "Metrics",
        "What `GET /metrics` of the hub says, in the text format of Prometheus: from the machine itself as it is, from "
        "elsewhere with a token that has the scope `read`. Counters and histograms begin anew when the hub starts; "
        "gauges are of the moment. Labels are connections, processes, kinds, classes, states and currencies: of each a "
        "project has few, and none names a person, a customer or a document.",
        table(("metric", "kind", "labels", "what it says"), rows),
        "How to scrape it, and rules to begin with: [watch it with Prometheus](../how-to/watch-with-prometheus.md).",
    )
