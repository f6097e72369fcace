"""Each refusal of Salesforce becomes the error that says what to do next."""

from __future__ import annotations

import msgspec
import pytest

from tieline.connectors.salesforce.errors import CODES, STATUSES, Next, from_answer, from_row
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
from tieline_sandbox.salesforce import errors as vendor

EXPECTED: dict[Next, type[TielineError]] = {
    Next.RETRY: TransientError,
    Next.LATER: RateLimited,
    Next.DOWN: VendorUnavailable,
    Next.ASK: OutcomeUnknown,
    Next.RIGHTS: AuthorizationFailed,
    Next.PERSON: RejectedByVendor,
}
DOCUMENTED_STATUSES = (300, 400, 401, 403, 404, 405, 414, 415, 420, 429, 431, 500, 502, 503, 504)
SPOKEN = [
    vendor.session_expired(),
    vendor.bad_auth_header(),
    vendor.request_limit(),
    vendor.no_resource(),
    vendor.deleted(),
    vendor.bad_reference(["AccountId"]),
    vendor.malformed_id("Account ID", "x"),
    vendor.no_column("X__c", "Opportunity"),
    vendor.not_writable(["IsWon"]),
    vendor.required_missing(["Name"]),
    vendor.too_long("Name", "Name", "x", 1),
    vendor.bad_picklist("Stage", "StageName", "x"),
    vendor.out_of_range("Amount", "Amount", 1),
    vendor.row_locked(),
    vendor.validation("no"),
    vendor.integrity("no", "PricebookEntryId"),
    vendor.duplicate("Tieline_Id__c", "006Aa000001XyZ1"),
    vendor.rolled_back(),
    vendor.halted(),
    vendor.too_many_records(),
    vendor.method_not_allowed("PUT", ["GET"]),
    vendor.malformed_query("SELECT", 0, "x"),
]


def answer(status: int, code: str = "", message: str = "text", **headers: str) -> Answer:
    body = msgspec.json.encode([{"errorCode": code, "message": message}]) if code else b"<html>down</html>"
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize("code", CODES)
def test_each_documented_code_has_its_error_and_a_plain_reason(code: str) -> None:
    what_next, reason = CODES[code]
    error = from_answer(answer(400, code))

    assert type(error) is EXPECTED[what_next]
    assert reason in str(error)
    assert code in str(error)


@pytest.mark.parametrize("refusal", SPOKEN, ids=lambda refusal: refusal.code)
def test_every_refusal_spoken_here_has_a_row_of_its_own(refusal: vendor.ApiError) -> None:
    assert refusal.code in CODES


@pytest.mark.parametrize("status", DOCUMENTED_STATUSES)
def test_each_documented_status_decides_where_the_body_says_nothing(status: int) -> None:
    """HTML pages of proxies and maintenance windows happen."""
    what_next, reason = STATUSES[status]
    error = from_answer(answer(status))

    assert type(error) is EXPECTED[what_next]
    assert reason in str(error)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_is_no_error(status: int) -> None:
    assert from_answer(Answer(status, {}, b"")) is None


def test_an_unknown_code_goes_by_its_status() -> None:
    assert type(from_answer(answer(400, "NEW_IN_265"))) is RejectedByVendor
    assert type(from_answer(answer(503, "NEW_IN_265"))) is VendorUnavailable
    assert type(from_answer(answer(599, "NEW_IN_265"))) is OutcomeUnknown
    assert type(from_answer(answer(302))) is RejectedByVendor


def test_a_throttle_behind_403_is_no_lack_of_rights() -> None:
    error = from_answer(answer(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))

    assert isinstance(error, RateLimited)


def test_the_vendors_own_wait_is_kept() -> None:
    error = from_answer(answer(503, retry_after="37"))

    assert isinstance(error, VendorUnavailable)
    assert error.retry_after_s == 37


def test_a_lock_hidden_in_an_automations_text_is_still_a_lock() -> None:
    """A trigger that meets a lock reports its own code, and the lock only in words."""
    text = "Rollup: execution of BeforeUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    error = from_row("it", [{"statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": text, "fields": []}])

    assert type(error) is TransientError


def test_a_refusal_names_document_field_words_code_and_request() -> None:
    body = msgspec.json.encode([{"errorCode": "STRING_TOO_LONG", "message": "too\nlarge", "fields": ["Project__c"]}])
    error = from_answer(Answer(400, {"x-sfdc-request-id": "R-1"}, body))

    assert isinstance(error, RejectedByVendor)
    assert (error.vendor_code, error.request_id) == ("STRING_TOO_LONG", "R-1")
    for part in ("Project__c", '"too large"', "STRING_TOO_LONG", "R-1"):
        assert part in str(error)


def test_a_row_without_errors_is_still_a_refusal() -> None:
    """success false and nothing said: a person looks."""
    assert type(from_row("it", [])) is RejectedByVendor


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"[1]", b"{", b"\xff", b'{"error": "x"}'])
def test_no_body_breaks_the_table(body: bytes) -> None:
    assert isinstance(from_answer(Answer(400, {}, body)), RejectedByVendor)
