"""Every documented refusal has a row, and says what to do next."""

from __future__ import annotations

import msgspec
import pytest

from tieline.connectors.netsuite.errors import (
    CODES,
    STATUSES,
    AlreadyThere,
    NotThere,
    PeriodClosed,
    Refusals,
    about,
)
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

DOCUMENTED = {
    "CONCURRENCY_LIMIT_EXCEEDED",
    "SSS_REQUEST_LIMIT_EXCEEDED",
    "WS_REQUEST_BLOCKED",
    "RCRD_HAS_BEEN_CHANGED",
    "UNEXPECTED_ERROR",
    "INSUFFICIENT_PERMISSION",
    "INVALID_LOGIN",
    "NONEXISTENT_ID",
    "RCRD_DSNT_EXIST",
    "DUP_RCRD",
    "USER_ERROR",
    "INVALID_CONTENT",
    "INVALID_HEADER",
    "INVALID_ID",
    "INVALID_KEY_OR_REF",
    "INVALID_METHOD",
    "INVALID_PARAMETER",
    "INVALID_REQUEST",
    "METHOD_NOT_ALLOWED",
    "NONEXISTENT_FIELD",
    "NOT_FOUND",
    "IDEMPOTENCY_ERROR",
}


def refusal(status: int, code: str = "", detail: str = "Something.", headers: dict[str, str] | None = None) -> Answer:
    body = {"title": "x", "status": status, "o:errorDetails": [{"detail": detail, "o:errorCode": code}]}
    return Answer(status, headers or {}, msgspec.json.encode(body))


def judge(answer: Answer) -> TielineError:
    error = Refusals()(answer)
    assert error is not None
    return error


def test_each_documented_code_has_a_row() -> None:
    assert CODES.keys() >= DOCUMENTED
    for code, kind in CODES.items():
        assert isinstance(judge(refusal(400, code)), kind), code


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_a_status_without_an_explanation_is_judged_by_itself(status: int, kind: type[TielineError]) -> None:
    error = judge(Answer(status, {}, b"<html>gateway</html>"))
    assert isinstance(error, kind)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "detail", "kind"),
    [
        (429, "", "Too Many Requests", RateLimited),
        (400, "SSS_REQUEST_LIMIT_EXCEEDED", "Request Limit Exceeded.", RateLimited),
        (503, "UNEXPECTED_ERROR", "temporarily unavailable", VendorUnavailable),
        (500, "UNEXPECTED_ERROR", "An unexpected error occurred. Error ID: abc", OutcomeUnknown),
        (520, "", "", OutcomeUnknown),
        (401, "INVALID_LOGIN", "Invalid login attempt.", AuthorizationFailed),
        (403, "INSUFFICIENT_PERMISSION", "Your role…", AuthorizationFailed),
        (404, "NONEXISTENT_ID", "The record instance does not exist.", NotThere),
        (404, "NOT_FOUND", "Record 'nvoice' was not found.", RejectedByVendor),
        (400, "USER_ERROR", "Error while accessing a resource. Record has been changed.", TransientError),
        (400, "USER_ERROR", "Error while accessing a resource. This record already exists.", AlreadyThere),
        (400, "USER_ERROR", "Transaction type specified is incorrect.", NotThere),
        (400, "USER_ERROR", "The posting period is closed.", PeriodClosed),
        (418, "NEVER_HEARD_OF", "teapot", RejectedByVendor),
    ],
)
def test_what_to_do_next_follows_from_status_code_and_words(
    status: int, code: str, detail: str, kind: type[TielineError]
) -> None:
    assert type(judge(refusal(status, code, detail))) is kind


def test_a_throttle_says_when_to_come_back() -> None:
    told, untold = judge(refusal(429, headers={"retry-after": "7"})), judge(refusal(429))
    assert isinstance(told, RateLimited)
    assert isinstance(untold, RateLimited)
    assert (told.retry_after_s, untold.retry_after_s) == (7.0, 1.0)


def test_a_refusal_keeps_the_vendors_words_code_field_and_request() -> None:
    body = {
        "o:errorDetails": [
            {
                "detail": "Error while accessing a resource. You have entered an Invalid Field Value 9999 for the "
                "following field: item",
                "o:errorCode": "INVALID_CONTENT",
                "o:errorPath": "item.items[0].item",
            }
        ]
    }
    error = judge(Answer(400, {"x-n-operationid": "op-1"}, msgspec.json.encode(body)))
    assert isinstance(error, RejectedByVendor)
    named = about(error, "invoice zuora-INV1")
    assert str(named) == (
        "NetSuite refused invoice zuora-INV1: item.items[0].item: You have entered an Invalid Field Value 9999 for the "
        "following field: item [INVALID_CONTENT]"
    )
    assert (named.vendor_code, named.request_id) == ("INVALID_CONTENT", "op-1")


def test_a_posting_period_that_is_refused_by_field_is_a_closed_period() -> None:
    detail = {"detail": "Invalid Field Value 131", "o:errorCode": "INVALID_CONTENT", "o:errorPath": "postingPeriod"}
    assert isinstance(judge(Answer(400, {}, msgspec.json.encode({"o:errorDetails": [detail]}))), PeriodClosed)


def test_no_token_travels_in_an_error() -> None:
    error = judge(refusal(400, "USER_ERROR", "header was Bearer eyJhbGciOi.secret and more"))
    assert "secret" not in str(error)
