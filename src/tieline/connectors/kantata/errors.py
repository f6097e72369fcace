"""One table: what Kantata OX says when it refuses → our error.

Bodies are `{"errors": [{"type", "message", "field"}]}` with the types oauth, system and validation.
Source: Kantata OX API 1.0.0, "Errors" and "Rate Limits".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tieline.connectors.sdk import Answer
from tieline.errors import (
    AuthorizationFailed,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TielineError,
    VendorUnavailable,
)

THROTTLE_PAUSE_S = 10.0
OUTAGE_PAUSE_S = 10.0
MAX_TEXT = 400

STATUSES: Mapping[int, tuple[type[TielineError], str]] = {
    400: (RejectedByVendor, "the request is not understood"),
    401: (AuthorizationFailed, "the token is not accepted"),
    403: (AuthorizationFailed, "the token's user has no right to this"),
    404: (RejectedByVendor, "it does not exist there"),
    422: (RejectedByVendor, "a value is not accepted"),
    429: (RateLimited, "too many calls"),
    500: (OutcomeUnknown, "an internal error of Kantata"),
    502: (OutcomeUnknown, "a gateway of Kantata got no answer"),
    503: (VendorUnavailable, "Kantata is not available"),
    504: (OutcomeUnknown, "Kantata got no answer in time"),
}
"""HTTP status → our error, and the reason in plain words."""


def from_answer(answer: Answer) -> TielineError | None:
    """The error of a call; None for a success. Reads turn OutcomeUnknown into VendorUnavailable themselves."""
    if 200 <= answer.status < 300:
        return None
    kind, reason = STATUSES.get(answer.status) or _unlisted(answer.status)
    items, request_id = error_items(answer.body), answer.headers.get("x-request-id", "")
    said = "; ".join(text for item in items if (text := " ".join(str(item.get("message", "")).split())[:MAX_TEXT]))
    fields = ", ".join(str(item["field"]) for item in items if item.get("field"))
    code = str(items[0].get("type", "")) if items else ""
    where, quote = (f", field {fields}" if fields else ""), (f': "{said}"' if said else "")
    request = f", request {request_id}" if request_id else ""
    text = f"Kantata refused the project: {reason}{where}{quote} ({code or f'HTTP {answer.status}'}{request})"
    if kind is RateLimited:
        return RateLimited(text, retry_after_s=answer.retry_after_s() or THROTTLE_PAUSE_S)
    if kind is VendorUnavailable:
        return VendorUnavailable(text, retry_after_s=answer.retry_after_s() or OUTAGE_PAUSE_S)
    if kind is RejectedByVendor:
        return RejectedByVendor(text, vendor_code=code or str(answer.status), request_id=request_id)
    return kind(text)


def error_items(body: bytes) -> list[dict[str, Any]]:
    """The errors of a refusal; none where the body is not Kantata's JSON."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    found = decoded.get("errors") if isinstance(decoded, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _unlisted(status: int) -> tuple[type[TielineError], str]:
    if status >= 500:
        return OutcomeUnknown, "an internal error of Kantata"
    return RejectedByVendor, "the request is not accepted"
