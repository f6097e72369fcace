"""Captured calls help whoever looks for a fault, and tell no secret and no field that the project hides."""

from __future__ import annotations

import asyncio

import pytest
from tests.connectors.sdk.test_auth import get, session, vendor

from tieline.connectors.sdk import Answer, Capture, capturing
from tieline.connectors.sdk.capture import MOST_BODY

SECRETS = ["hush", "s3cr3t"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"client_secret": "hush-hush", "name": "Acme"}',
        b'{"outer": {"accessToken" : "s3cr3t-value"}, "name": "Acme"}',
        b'{"password": "with \\" quote hush", "name": "Acme"}',
        b'{"api_key": 5123, "token": null, "name": "Acme"}',
        b"client_secret=hush-hush&name=Acme",
        b"grant_type=x&refresh_token=s3cr3t&name=Acme",
    ],
)
def test_secrets_are_out_before_anything_is_kept(body: bytes) -> None:
    capture = Capture()
    answer = Answer(200, {"set-cookie": "s3cr3t", "x-request-id": "R-1"}, body)
    headers = {"Authorization": "Bearer s3cr3t", "X-Api-Key": "hush", "Accept": "*/*"}
    capture.note("POST", "https://x.example/a?token=s3cr3t&page=2", headers, body, answer)
    (kept,) = capture.exchanges()
    shown = repr(kept)
    assert not any(secret in shown for secret in SECRETS)
    assert "5123" not in shown
    assert "Acme" in kept.request
    assert "Acme" in kept.response
    assert kept.path == "/a?token=***&page=2"
    assert kept.response_headers["x-request-id"] == "R-1"


def test_fields_of_the_project_are_hidden_too() -> None:
    capture = Capture(fields=("iban", "e-mail"))
    capture.note(
        "POST", "https://x.example/a", {}, b'{"iban": "DE02 1203", "e-mail": "a@b.example", "city": "Bonn"}', None
    )
    (kept,) = capture.exchanges()
    assert (kept.request, kept.status) == ('{"iban": "***", "e-mail": "***", "city": "Bonn"}', 0)


def test_the_ring_is_bounded_in_number_and_in_length() -> None:
    capture = Capture(most=3)
    for number in range(10):
        capture.note("GET", f"https://x.example/{number}", {}, None, Answer(200, {}, b"x" * 100_000))
    kept = capture.exchanges()
    assert [exchange.path for exchange in kept] == ["/7", "/8", "/9"]
    assert all(len(exchange.response) < MOST_BODY + 50 for exchange in kept)


async def test_only_who_captures_keeps_anything() -> None:
    async with vendor() as one, session(one) as made:
        with capturing(Capture()) as mine:
            await asyncio.gather(get(made), get(made))
        await get(made)
    assert [(e.method, e.path, e.status) for e in mine.exchanges()] == [("GET", "/resource", 200)] * 2
    assert mine.exchanges()[0].request_headers["Authorization"] == "***"
