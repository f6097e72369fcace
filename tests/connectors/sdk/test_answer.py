"""Retry-After in every form vendors write it."""

from __future__ import annotations

import pytest

from tieline.connectors.sdk import Answer

NOW = "Mon, 23 Nov 2026 15:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (" 120 ", 120.0),
        ("Mon, 23 Nov 2026 15:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 14:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("nan", 0.0),
        ("inf", 86_400.0),
        ("99999999", 86_400.0),
    ],
)
def test_the_wait_a_vendor_asks_for(text: str, seconds: float) -> None:
    """A date counts from the vendor's own clock, because ours may differ."""
    assert Answer(429, {"retry-after": text, "date": NOW}, b"").retry_after_s() == seconds


def test_no_header_is_no_wait() -> None:
    assert Answer(429, {}, b"").retry_after_s() == 0.0
