"""The error table: every documented code has a row, and every shape of a refusal is read."""

from __future__ import annotations

import msgspec
import pytest

from tieline.connectors.sdk import Answer
from tieline.connectors.zuora.errors import (
    CATEGORIES,
    STATUSES,
    AlreadyThere,
    Verdict,
    is_absent,
    job_failure,
    refusal,
)
from tieline.errors import (
    AuthorizationFailed,
    OutcomeUnknown,
    RateLimited,
    RejectedByVendor,
    TielineError,
    TransientError,
    VendorUnavailable,
)

DOCUMENTED_CATEGORIES = {10, 11, 20, 21, 22, 23, 27, 30, 40, 45, 50, 60, 61, 70, 90, 99}
DOCUMENTED_STATUSES = {400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504}


def answer(status: int, body: object = None, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def failed(category: int, message: str = "no") -> dict[str, object]:
    return {"success": False, "processId": "P1", "reasons": [{"code": 58560000 + category, "message": message}]}


def error(given: Answer, *, writes: bool = True) -> TielineError | None:
    return refusal(given, writes=writes, about="order O-1")


def test_every_documented_code_has_a_row() -> None:
    """Sources: developer.zuora.com, "Error codes" and "Error handling"."""
    assert set(CATEGORIES) == DOCUMENTED_CATEGORIES
    assert set(STATUSES) >= DOCUMENTED_STATUSES


@pytest.mark.parametrize(
    ("category", "write", "read"),
    [
        (10, AuthorizationFailed, AuthorizationFailed),
        (11, AuthorizationFailed, AuthorizationFailed),
        *((c, RejectedByVendor, RejectedByVendor) for c in (20, 21, 22, 23, 27, 30, 40, 45, 90)),
        (50, TransientError, TransientError),
        *((c, OutcomeUnknown, VendorUnavailable) for c in (60, 61, 99)),
        (70, RateLimited, RateLimited),
    ],
)
def test_a_failure_inside_a_200_is_read(category: int, write: type, read: type) -> None:
    """The category decides, and a write that broke inside is never taken for undone."""
    assert type(error(answer(200, failed(category)))) is write
    assert type(error(answer(200, failed(category)), writes=False)) is read


@pytest.mark.parametrize(
    ("status", "write", "read"),
    [
        (400, RejectedByVendor, RejectedByVendor),
        (401, AuthorizationFailed, AuthorizationFailed),
        (403, AuthorizationFailed, AuthorizationFailed),
        (404, RejectedByVendor, RejectedByVendor),
        (409, OutcomeUnknown, VendorUnavailable),
        (418, RejectedByVendor, RejectedByVendor),
        (422, RejectedByVendor, RejectedByVendor),
        (429, RateLimited, RateLimited),
        (500, OutcomeUnknown, VendorUnavailable),
        (502, OutcomeUnknown, VendorUnavailable),
        (503, VendorUnavailable, VendorUnavailable),
        (504, OutcomeUnknown, VendorUnavailable),
        (599, OutcomeUnknown, VendorUnavailable),
    ],
)
def test_a_status_without_words_is_read(status: int, write: type, read: type) -> None:
    """Also when a proxy answers with a page."""
    for body in (b"", b"<html>sorry</html>"):
        assert type(error(answer(status, body))) is write
        assert type(error(answer(status, body), writes=False)) is read


def test_a_success_is_no_error() -> None:
    bodies: tuple[dict[str, object], ...] = (
        {"success": True, "orderNumber": "O-1"},
        {"data": []},
        {"records": [], "done": True},
        {"order": {}},
    )
    for body in bodies:
        assert error(answer(200, body)) is None


def test_a_page_with_status_200_is_no_success() -> None:
    assert isinstance(error(answer(200, b"<html>maintenance</html>")), OutcomeUnknown)
    assert isinstance(error(answer(200, b"<html>maintenance</html>"), writes=False), VendorUnavailable)


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "reasons": [{"code": "58560020", "message": "no"}]},
        {"Success": False, "Errors": [{"Code": "INVALID_VALUE", "Message": "no"}]},
        {"code": 50000027, "message": "no"},
        {"faultcode": "fns:MALFORMED_QUERY", "message": "no"},
        {"success": False, "message": "no"},
    ],
)
def test_every_shape_of_a_refusal_is_read(body: dict[str, object]) -> None:
    """v1, actions and CRUD, object query, ZOQL; codes as numbers and as texts."""
    found = error(answer(200, body))
    assert isinstance(found, RejectedByVendor)
    assert "no" in str(found)


def test_one_fault_for_a_person_outweighs_one_that_passes() -> None:
    """Trying again cannot help while a field is wrong."""
    body = failed(50)
    body["reasons"] = [{"code": 58560050, "message": "locked"}, {"code": 58560022, "message": "name missing"}]
    found = error(answer(200, body))
    assert isinstance(found, RejectedByVendor)
    assert "name missing" in str(found)


def test_a_number_that_is_taken_is_told_apart() -> None:
    for words in ("The order number O-1 already exists.", "Duplicate account number", "'x' must be unique"):
        assert isinstance(error(answer(200, failed(30, words))), AlreadyThere)
    assert not isinstance(error(answer(200, failed(30, "the account is closed"))), AlreadyThere)


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"retry_after": "120"}, 120),
        ({"ratelimit_reset": "600", "ratelimit_remaining": "0"}, 600),
        ({"ratelimit_reset": "600", "ratelimit_remaining": "399"}, 1),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1),
        ({}, 1),
    ],
)
def test_throttling_says_when_to_come_back(headers: dict[str, str], pause_s: float) -> None:
    for given in (answer(429, {"code": "REQUEST_EXCEEDED_LIMIT", "message": "…"}, **headers),):
        found = error(given)
        assert isinstance(found, RateLimited)
        assert found.retry_after_s == pause_s
    inside = error(answer(200, failed(70), **headers))
    assert isinstance(inside, RateLimited)
    assert inside.retry_after_s == pause_s


def test_an_error_names_document_words_code_and_request() -> None:
    found = error(answer(200, failed(20, "'listPrice' should be a number"), zuora_request_id="R-7"))
    assert isinstance(found, RejectedByVendor)
    assert (found.vendor_code, found.request_id) == ("58560020", "R-7")
    for words in ("order O-1", "'listPrice' should be a number", "58560020", "R-7", "invalid format or value"):
        assert words in str(found)


def test_absence_is_an_answer_to_a_read() -> None:
    assert is_absent(answer(404, {"code": 50000040, "message": "Cannot find entity by key: 'O-1'."}))
    assert not is_absent(answer(404, b"<html>no such page</html>"))
    assert is_absent(answer(200, failed(40)))
    assert not is_absent(answer(200, failed(30)))
    assert not is_absent(answer(200, {"success": True}))
    assert not is_absent(answer(503, b"<html>"))


def test_a_failed_job_is_read_by_the_code_in_its_text() -> None:
    assert type(job_failure("[40000050]: locked", "order O-1")) is TransientError
    assert type(job_failure("Operation failed due to a lock competition", "order O-1")) is TransientError
    assert isinstance(job_failure("[40000060]: Oops", "order O-1"), OutcomeUnknown)
    assert isinstance(job_failure("The price is wrong", "order O-1"), RejectedByVendor)


def test_every_verdict_is_used() -> None:
    used = {verdict for verdict, _ in (*CATEGORIES.values(), *STATUSES.values())}
    assert used == set(Verdict)
