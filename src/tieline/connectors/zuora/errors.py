"""Zuora's refusals in our words. A failure mostly comes as HTTP 200 with `success: false` and an eight-digit code:
six digits for the resource, two for the category. The category decides; without one, the status does.

Sources: developer.zuora.com, "Error codes", "Error handling", "Rate limits", "Idempotent requests".
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec

from tieline.connectors.sdk import Answer
from tieline.errors import (
    AuthorizationFailed,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TielineError,
    TransientError,
    VendorUnavailable,
)


class Verdict(StrEnum):
    """What a refusal means for the caller."""

    REJECTED = "a person decides"
    DENIED = "credentials or rights are wrong"
    LOCKED = "nothing was done, try again"
    LIMITED = "nothing was done, slow down"
    DOWN = "nothing was done, the system is out of order"
    UNKNOWN = "a write may have been done"


CATEGORIES: dict[int, tuple[Verdict, str]] = {
    10: (Verdict.DENIED, "permission or access denied"),
    11: (Verdict.DENIED, "authentication failed"),
    20: (Verdict.REJECTED, "invalid format or value"),
    21: (Verdict.REJECTED, "unknown field in request"),
    22: (Verdict.REJECTED, "missing required field"),
    23: (Verdict.REJECTED, "missing required parameter"),
    27: (Verdict.REJECTED, "invalid query parameter"),
    30: (Verdict.REJECTED, "a rule of the tenant forbids it"),
    40: (Verdict.REJECTED, "not found"),
    45: (Verdict.REJECTED, "unsupported request"),
    50: (Verdict.LOCKED, "locking contention"),
    # Documented as "resubmit", but not that nothing was done: a write is looked up first.
    60: (Verdict.UNKNOWN, "internal error"),
    61: (Verdict.UNKNOWN, "temporary error"),
    70: (Verdict.LIMITED, "request exceeded limit"),
    90: (Verdict.REJECTED, "malformed request"),
    99: (Verdict.UNKNOWN, "integration error of an external system"),
}
"""The documented categories (the last two digits of a code)."""

STATUSES: dict[int, tuple[Verdict, str]] = {
    400: (Verdict.REJECTED, "malformed request"),
    401: (Verdict.DENIED, "authentication failed"),
    403: (Verdict.DENIED, "permission denied"),
    404: (Verdict.REJECTED, "not found"),
    405: (Verdict.REJECTED, "unsupported request"),
    408: (Verdict.UNKNOWN, "time-out"),
    409: (Verdict.UNKNOWN, "the first request with this idempotency key is still running"),
    413: (Verdict.REJECTED, "the document is too large"),
    415: (Verdict.REJECTED, "unsupported media type"),
    422: (Verdict.REJECTED, "the idempotency key was used before for another document or address"),
    429: (Verdict.LIMITED, "too many requests"),
    500: (Verdict.UNKNOWN, "internal server error"),
    502: (Verdict.UNKNOWN, "bad gateway"),
    503: (Verdict.DOWN, "service unavailable"),
    504: (Verdict.UNKNOWN, "gateway time-out"),
}

RUNNING = frozenset({408, 409, 429, 502, 503, 504})
"""Statuses after which the first request may still be running: its idempotency key must be kept."""

_BY_STATUS = frozenset({401, 403, 409, 422, 429})
_TAKEN = re.compile(r"already (exists?|been used|in use)|duplicate|must be unique|is not unique", re.IGNORECASE)
_CODE = re.compile(r"\b([4-9]\d{7})\b")
_URGENCY = (Verdict.REJECTED, Verdict.DENIED, Verdict.UNKNOWN, Verdict.LIMITED, Verdict.DOWN, Verdict.LOCKED)


class Reason(msgspec.Struct, frozen=True):
    """One thing Zuora says is wrong."""

    code: str
    text: str

    @property
    def category(self) -> int:
        """The last two digits of an eight-digit code, 0 for any other code."""
        return int(self.code) % 100 if re.fullmatch(r"\d{8}", self.code) else 0


class AlreadyThere(RejectedByVendor):
    """Zuora says that a number of the document is taken. Whether by this very document is for the caller to see."""


def refusal(answer: Answer, *, writes: bool, about: str) -> TielineError | None:
    """Our error for an answer, None for a success. `about` names the document: "order O-17".

    The raised text holds Zuora's own words, its code and request id; never a header or a credential.
    """
    body = _content(answer)
    if isinstance(body, TielineError):
        return _unreadable(answer, writes=writes, about=about)
    reasons = reasons_of(body)
    if answer.status < 400 and not reasons:
        return None
    verdict, meaning = _verdict(answer.status, reasons)
    if verdict is Verdict.LIMITED or answer.status == 429:
        return RateLimited(_sentence("is throttling", about, meaning, reasons, answer), retry_after_s=_pause_s(answer))
    return judged(verdict, about, meaning, reasons, request_id(answer, body), writes=writes)


def judged(
    verdict: Verdict, about: str, meaning: str, reasons: list[Reason], request: str = "", *, writes: bool
) -> TielineError:
    """The error for a verdict (throttling apart, which needs the answer's headers)."""
    said = "; ".join(r.text for r in reasons if r.text) or meaning
    code = reasons[0].code if reasons else ""
    marks = ", ".join(m for m in (f"code {code}" if code else "", f"request {request}" if request else "") if m)
    tail = f"{said} ({meaning}{', ' + marks if marks else ''})" if said != meaning else f"{said} ({marks or 'no code'})"
    if verdict is Verdict.REJECTED:
        kind = AlreadyThere if any(_TAKEN.search(r.text) for r in reasons) else RejectedByVendor
        return kind(f"Zuora refused {about}: {tail}", vendor_code=code, request_id=request)
    if verdict is Verdict.DENIED:
        return AuthorizationFailed(f"Zuora does not allow {about}: {tail}")
    if verdict is Verdict.UNKNOWN and writes:
        return OutcomeUnknown(f"Zuora could not say what became of {about}: {tail}")
    if verdict is Verdict.LOCKED:
        return TransientError(f"Zuora is busy with {about}: {tail}", retry_after_s=1.0)
    if verdict is Verdict.LIMITED:
        return RateLimited(f"Zuora is throttling {about}: {tail}", retry_after_s=1.0)
    return VendorUnavailable(f"Zuora cannot serve {about} now: {tail}", retry_after_s=1.0)


def job_failure(errors: str, about: str) -> TielineError:
    """A failed asynchronous job. `errors` is text; a code in it decides, as it does for other answers."""
    found = _CODE.search(errors)
    reasons = [Reason(found[1] if found else "", errors)]
    verdict, meaning = CATEGORIES.get(reasons[0].category, (Verdict.REJECTED, "the asynchronous job failed"))
    if not found and "lock competition" in errors.lower():
        verdict, meaning = CATEGORIES[50]
    return judged(verdict, about, meaning, reasons, writes=True)


def is_absent(answer: Answer) -> bool:
    """Whether a read was answered, by Zuora and not by some proxy's page, with: there is no such record."""
    body = _content(answer)
    if not isinstance(body, dict):
        return False
    return answer.status == 404 or any(r.category == 40 for r in reasons_of(body))


def reasons_of(body: Any) -> list[Reason]:
    """What is wrong, out of each of Zuora's shapes: v1, actions and CRUD, object query, ZOQL, throttling, sign-on."""
    if not isinstance(body, dict):
        return []
    listed = body.get("reasons") or body.get("Errors")
    if isinstance(listed, list) and (_failed(body) or body.get("success") is None):
        return [_reason(r) for r in listed]
    if _failed(body):
        return [_reason(body)]
    if "faultcode" in body or "FaultCode" in body:
        return [Reason(str(body.get("faultcode") or body.get("FaultCode")), _text(body))]
    if body.get("code") is not None and "message" in body and "data" not in body:
        return [_reason(body)]
    return []


def request_id(answer: Answer, body: Any) -> str:
    """What Zuora's support asks for: the request id of the body or header, else the process id."""
    inside = body if isinstance(body, dict) else {}
    return str(inside.get("requestId") or answer.headers.get("zuora-request-id") or inside.get("processId") or "")


def _failed(body: dict[str, Any]) -> bool:
    return body.get("success") is False or body.get("Success") is False


def _reason(entry: Any) -> Reason:
    if not isinstance(entry, dict):
        return Reason("", str(entry))
    return Reason(str(entry.get("code") or entry.get("Code") or ""), _text(entry))


def _text(entry: dict[str, Any]) -> str:
    return str(entry.get("message") or entry.get("Message") or entry.get("FaultMessage") or "")[:500]


def _verdict(status: int, reasons: list[Reason]) -> tuple[Verdict, str]:
    if status < 400 and not any(r.code or r.text for r in reasons):
        return Verdict.UNKNOWN, "it names no reason"
    known = [CATEGORIES[r.category] for r in reasons if r.category in CATEGORIES]
    if known and status < 500 and status not in _BY_STATUS:
        # One fault that only a person can mend is enough to make trying again pointless.
        return min(known, key=lambda v: _URGENCY.index(v[0]))
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return Verdict.UNKNOWN, f"HTTP {status}"
    return Verdict.REJECTED, "refused" if status < 400 else f"HTTP {status}"


def _unreadable(answer: Answer, *, writes: bool, about: str) -> TielineError:
    """No JSON: a proxy's page, or half an answer. Only the status can be believed."""
    if answer.status < 400:
        return judged(Verdict.UNKNOWN, about, "the answer is not readable", [], writes=writes)
    verdict, meaning = _verdict(answer.status, [])
    if verdict is Verdict.LIMITED:
        return RateLimited(_sentence("is throttling", about, meaning, [], answer), retry_after_s=_pause_s(answer))
    return judged(verdict, about, meaning, [], request_id(answer, None), writes=writes)


def _content(answer: Answer) -> Any:
    try:
        return answer.json()
    except msgspec.DecodeError:
        return VendorUnavailable("not JSON")


def _sentence(what: str, about: str, meaning: str, reasons: list[Reason], answer: Answer) -> str:
    said = "; ".join(r.text for r in reasons if r.text) or meaning
    return f"Zuora {what} {about}: {said} (HTTP {answer.status})"


def _pause_s(answer: Answer) -> float:
    """Retry-After; else, when the rate window is used up, the seconds until it opens; else one second."""
    if told := answer.retry_after_s():
        return told
    reset = answer.headers.get("ratelimit-reset", "") if answer.headers.get("ratelimit-remaining") == "0" else ""
    return float(reset) if re.fullmatch(r"\d{1,6}(\.\d+)?", reset.strip()) else 1.0
