"""NetSuite's refusals, as our errors: one table of codes, one of statuses.

Sources: Oracle help "Error Handling in REST Web Services" (section_156570709583), "Concurrency Governance Error Codes"
(bridgehead_1525252812), "SOAP Web Services Status Codes" (section_N3418174). NetSuite words the same concurrency limit
as 429, as 400 SSS_REQUEST_LIMIT_EXCEEDED and as a 401 "Invalid login attempt": all three are throttles here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
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

LOGIN_DOUBT_S = 600.0
"""How long a 401 after earlier successes is taken for a throttle; after that the credentials have gone bad."""
LOGIN_DOUBT_CALLS = 10


class NotThere(RejectedByVendor):
    """The record which the call names does not stand in NetSuite."""


class AlreadyThere(RejectedByVendor):
    """A record with this key stands in NetSuite already; the client asks whether it is ours."""


class PeriodClosed(RejectedByVendor):
    """The document's date or posting period takes no postings any more."""


CODES: dict[str, type[TielineError]] = {
    "CONCURRENCY_LIMIT_EXCEEDED": RateLimited,
    "REQUEST_LIMIT_EXCEEDED": RateLimited,
    "SSS_REQUEST_LIMIT_EXCEEDED": RateLimited,
    "WS_CONCUR_SESSION_DISALLWD": RateLimited,
    "WS_EXCEEDED_MAX_CONCUR_RQST": RateLimited,
    "WS_REQUEST_BLOCKED": RateLimited,
    "RCRD_HAS_BEEN_CHANGED": TransientError,
    "RCRD_EDITED_SINCE_RETRIEVED": TransientError,
    "RECORD_IS_LOCKED": TransientError,
    "SERVICE_UNAVAILABLE": VendorUnavailable,
    "UNEXPECTED_ERROR": OutcomeUnknown,
    "SERVER_TIMEOUT": OutcomeUnknown,
    "INSUFFICIENT_PERMISSION": AuthorizationFailed,
    "INVALID_LOGIN": AuthorizationFailed,
    "INVALID_LOGIN_ATTEMPT": AuthorizationFailed,
    "NONEXISTENT_ID": NotThere,
    "RCRD_DSNT_EXIST": NotThere,
    "DUP_RCRD": AlreadyThere,
    "DUP_ENTITY": AlreadyThere,
    "USER_ERROR": RejectedByVendor,
    "INVALID_CONTENT": RejectedByVendor,
    "INVALID_HEADER": RejectedByVendor,
    "INVALID_ID": RejectedByVendor,
    "INVALID_KEY_OR_REF": RejectedByVendor,
    "INVALID_METHOD": RejectedByVendor,
    "INVALID_PARAMETER": RejectedByVendor,
    "INVALID_REQUEST": RejectedByVendor,
    "METHOD_NOT_ALLOWED": RejectedByVendor,
    "INVALID_URL": RejectedByVendor,
    "NONEXISTENT_FIELD": RejectedByVendor,
    "NOT_FOUND": RejectedByVendor,
    "IDEMPOTENCY_ERROR": RejectedByVendor,
    "SSS_INVALID_SCRIPTLET_ID": RejectedByVendor,
    "SSS_MISSING_REQD_ARGUMENT": RejectedByVendor,
    "SSS_USAGE_LIMIT_EXCEEDED": OutcomeUnknown,
    "INVALID_RETURN_DATA_FORMAT": RejectedByVendor,
}
"""o:errorCode → error. An unknown code is judged by its status."""

STATUSES: dict[int, type[TielineError]] = {
    401: AuthorizationFailed,
    403: AuthorizationFailed,
    429: RateLimited,
    500: OutcomeUnknown,
    502: OutcomeUnknown,
    503: VendorUnavailable,
    504: OutcomeUnknown,
}
"""HTTP status → error where the code does not decide; any other refusal is RejectedByVendor."""

WORDS: tuple[tuple[re.Pattern[str], type[TielineError]], ...] = (
    (re.compile(r"record has been changed|is (currently )?locked by another", re.IGNORECASE), TransientError),
    (re.compile(r"\balready exists\b", re.IGNORECASE), AlreadyThere),
    (re.compile(r"transaction type specified is incorrect", re.IGNORECASE), NotThere),
    (re.compile(r"accounting period|posting ?period", re.IGNORECASE), PeriodClosed),
)
"""USER_ERROR is the one code for all business rules, so that only its sentence tells them apart."""

_STATUS_DECIDES = frozenset({401, 429, 503})
_PREFIX = re.compile(r"Error while accessing (a )?resource[.:]\s*")
_SECRET = re.compile(r"(Bearer|OAuth)\s+\S+", re.IGNORECASE)


class Detail(msgspec.Struct, frozen=True):
    """The first of a refusal's o:errorDetails. `field` is o:errorPath, or the parameter or header that is wrong."""

    text: str
    code: str = ""
    field: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.text}" + (f" [{self.code}]" if self.code else "")


class Refusals:
    """The error table of a session. It remembers whether our credentials have worked, to tell a throttle from a
    wrong login: NetSuite shows some of its concurrency refusals as 401 "Invalid login attempt".
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._worked = False
        self._doubtful_calls = 0
        self._doubtful_since = 0.0

    def __call__(self, answer: Answer) -> TielineError | None:
        """Our error for an answer; None for a success."""
        if 300 <= answer.status < 400:
            return RejectedByVendor(
                "NetSuite answers from another address: check `url`, it must be the account's own SuiteTalk address",
                vendor_code=str(answer.status),
            )
        if answer.status < 300:
            self._worked, self._doubtful_calls = True, 0
            return None
        detail = read_detail(answer)
        if answer.status == 401 and self._may_be_throttle():
            return _make(RateLimited, detail, answer)
        return _make(error_class(answer.status, detail), detail, answer)

    def _may_be_throttle(self) -> bool:
        if not self._worked:
            return False
        if not self._doubtful_calls:
            self._doubtful_since = self._clock()
        self._doubtful_calls += 1
        too_long = self._clock() - self._doubtful_since > LOGIN_DOUBT_S
        return not (too_long and self._doubtful_calls > LOGIN_DOUBT_CALLS)


def error_class(status: int, detail: Detail) -> type[TielineError]:
    """What kind of refusal this is: the status where it speaks for itself, then the code, then the words."""
    if status in _STATUS_DECIDES:
        return STATUSES[status]
    by_code = CODES.get(detail.code)
    if by_code is None:
        return STATUSES.get(status) or (OutcomeUnknown if status > 500 else RejectedByVendor)
    if by_code is RejectedByVendor:
        return _by_words(detail)
    return by_code


def read_detail(answer: Answer) -> Detail:
    """The refusal's own words; a body in another shape (a proxy's page) gives its status only."""
    request_id = answer.headers.get("x-n-operationid", "")
    try:
        first = answer.json()["o:errorDetails"][0]
        text = _PREFIX.sub("", str(first["detail"])).strip()
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError, IndexError):
        return Detail(f"HTTP {answer.status} without an explanation", request_id=request_id)
    return Detail(_SECRET.sub(r"\1 ***", text), _text(first, "o:errorCode"), _field(first), request_id)


def _by_words(detail: Detail) -> type[TielineError]:
    if detail.field.lower() == "postingperiod":
        return PeriodClosed
    return next((kind for words, kind in WORDS if words.search(detail.text)), RejectedByVendor)


def _make(kind: type[TielineError], detail: Detail, answer: Answer) -> TielineError:
    if issubclass(kind, TransientError):
        pause_s = answer.retry_after_s() or (1.0 if kind is RateLimited else 0.5)
        return kind(f"NetSuite will not do it now: {detail}", retry_after_s=pause_s)
    if issubclass(kind, RejectedByVendor):
        return kind(f"NetSuite refused: {detail}", vendor_code=detail.code, request_id=detail.request_id)
    if kind is AuthorizationFailed:
        return kind(f"NetSuite does not accept our login or our role's permissions: {detail}")
    return kind(f"NetSuite failed (HTTP {answer.status}) and may have acted: {detail}")


def _field(detail: dict[str, Any]) -> str:
    pointers = ("o:errorPath", "o:errorQueryParam", "o:errorHeader", "o:errorUrl")
    return next((_text(detail, name) for name in pointers if detail.get(name)), "")


def _text(detail: dict[str, Any], name: str) -> str:
    return str(detail.get(name) or "")


def about(error: RejectedByVendor, document: str) -> RejectedByVendor:
    """The same refusal as a sentence about the document it concerns."""
    said = str(error).removeprefix("NetSuite refused: ")
    if isinstance(error, PeriodClosed):
        sentence = (
            f"NetSuite refused {document} because its date or posting period is closed or does not exist: reopen the "
            f"accounting period, or post it in an open one. NetSuite says: {said}"
        )
    else:
        sentence = f"NetSuite refused {document}: {said}"
    named = type(error)(sentence, vendor_code=error.vendor_code, request_id=error.request_id)
    named.__cause__ = error
    return named
