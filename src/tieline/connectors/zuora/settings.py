"""Settings of one connection to a Zuora tenant. Secrets come resolved; they never show in a repr."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.errors import ConfigurationError

API_VERSION = "2025-08-12"
"""The published description (v1 API and Object Query) that this connector is written against."""

STREAMS = {
    "invoices": "invoice",
    "credit_memos": "credit_memo",
    "debit_memos": "debit_memo",
    "payments": "payment",
    "refunds": "refund",
    "subscriptions": "subscription",
}
"""What can be swept for changes → the kind of what it tells."""
SWEPT = ("invoices", "credit_memos", "payments", "subscriptions")


class ZuoraSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the REST endpoint of the tenant's data centre, e.g. https://rest.eu.zuora.com.

    `version` is Zuora's minor API version (header Zuora-Version), `entity_ids` the entity of a multi-entity tenant;
    both are sent only when set. Callouts are believed when every secret that is set here fits: `callout_user` and
    `callout_password` for Basic, `callout_secret` for the HMAC of timestamp and body. `overlap_s` is how far behind
    the last stamp a poll begins again, because a bill run commits minutes after it stamps its documents.
    `streams` names what is swept for changes: `debit_memos` and `refunds` are added where something reads them.
    `slots` is how many calls may be in flight; `per_second` spaces them (0: not at all), `per_minute` and `per_day` are
    the tenant's rate limits: those of production by default; an API sandbox has 10,000 a day, a developer sandbox
    50,000. Where Zuora's answers name a smaller number for the day, that one counts.
    """

    url: str
    client_id: str
    client_secret: str
    version: str = ""
    entity_ids: str = ""
    callout_user: str = ""
    callout_password: str = ""
    callout_secret: str = ""
    timestamp_header: str = "X-Zuora-Timestamp"
    signature_header: str = "X-Zuora-Signature"
    replay_window_s: int = 300
    async_orders: bool = False
    async_timeout_s: float = 120.0
    async_poll_s: float = 0.25
    timeout_s: float = 60.0
    page_size: int = 50
    reads_at_once: int = 8
    overlap_s: int = 300
    streams: tuple[str, ...] = SWEPT
    slots: int = 32
    per_second: float = 0.0
    per_minute: int = 50_000
    per_day: int = 27_000_000

    def __post_init__(self) -> None:
        if unknown := set(self.streams) - STREAMS.keys():
            raise ConfigurationError(
                f"zuora: streams names {', '.join(sorted(unknown))}; there are {', '.join(STREAMS)}"
            )

    def __repr__(self) -> str:
        return f"ZuoraSettings(url={self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url)]
