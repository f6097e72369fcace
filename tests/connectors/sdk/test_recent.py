"""The latest calls of a connection can be looked at, and tell no secret, not even one that was cut in the middle."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tieline.connectors.sdk import Answer
from tieline.connectors.sdk.recent import MOST_CALLS, MOST_KEPT, Recent


def recent() -> Recent:
    return Recent(lambda: None)


def test_a_call_is_told_with_its_time_and_without_its_secrets() -> None:
    kept = recent()
    answer = Answer(201, {"set-cookie": "s3cr3t"}, b'{"id": "7", "token": "s3cr3t"}')
    kept.note(time.perf_counter() - 0.25, "POST", "https://x.example/a?api_key=s3cr3t", b'{"name": "Acme"}', answer)
    (call,) = kept.calls()
    assert (call.method, call.path, call.status) == ("POST", "/a?api_key=***", 201)
    assert 240 < call.ms < 2_000
    assert "Acme" in call.request
    assert "s3cr3t" not in repr(call)
    assert kept.answered_at is not None
    assert datetime.now(UTC) - kept.answered_at < timedelta(seconds=5)


@pytest.mark.parametrize("cut", range(40))
def test_a_body_that_was_cut_gives_no_part_of_a_secret_away(cut: int) -> None:
    secret = b'"client_secret": "correct horse, battery\\" staple"}'
    body = b'{"pad": "' + b"x" * (MOST_KEPT - 60 - cut + 24) + b'", ' + secret
    kept = recent()
    kept.note(time.perf_counter(), "POST", "https://x.example/", body, Answer(200, {}, body))
    (call,) = kept.calls()
    assert not any(word in call.request + call.response for word in ("corr", "horse", "batt", "stap"))


def test_the_newest_comes_first_and_the_oldest_is_forgotten() -> None:
    kept = recent()
    for number in range(MOST_CALLS + 5):
        kept.note(time.perf_counter(), "GET", f"https://x.example/{number}", None, None)
    calls = kept.calls()
    assert (len(calls), calls[0].path, calls[-1].path) == (MOST_CALLS, "/204", "/5")
    assert (calls[0].status, kept.answered_at) == (0, None)
