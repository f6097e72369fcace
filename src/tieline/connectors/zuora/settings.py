"""Settings of one connection to a Zuora tenant. Secrets come resolved; they never show in a repr."""

from __future__ import annotations

from typing import Any

import msgspec

API_VERSION = "2025-08-12"
"""The published description (v1 API and Object Query) that this connector is written against."""


class ZuoraSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the REST endpoint of the tenant's data centre, e.g. https://rest.eu.zuora.com.

    `version` is Zuora's minor API version (header Zuora-Version), `entity_ids` the entity of a multi-entity tenant;
    both are sent only when set. Callouts are believed when every secret that is set here fits: `callout_user` and
    `callout_password` for Basic, `callout_secret` for the HMAC of timestamp and body. `overlap_s` is how far behind
    the last stamp a poll begins again, because a bill run commits minutes after it stamps its documents.
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
    slots: int = 32
    per_second: float = 0.0

    def __repr__(self) -> str:
        return f"ZuoraSettings(url={self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url)]
