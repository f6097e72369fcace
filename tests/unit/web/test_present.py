"""How values are written for whoever reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tieline.web import present

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("accepted", "written"),
    [
        ("", "1,234.50 EUR"),
        ("de-DE,de;q=0.9,en;q=0.8", "1.234,50 EUR"),
        ("en;q=0.3, fr-FR;q=0.9", "1\u202f234,50 EUR"),
        ("de-CH", "1’234.50 EUR"),
        ("xx-YY, *;q=0.5, ;q=z", "1,234.50 EUR"),
    ],
)
def test_an_amount_is_written_as_the_reader_writes_numbers(accepted: str, written: str) -> None:
    token = present.LOCALE.set(present.locale_of(accepted))
    try:
        assert present.money(Decimal("1234.5"), "EUR") == written
    finally:
        present.LOCALE.reset(token)


@pytest.mark.parametrize(
    ("value", "written"),
    [("1235.5 JPY", "1,236 JPY"), ("-0.005 KWD", "-0.005 KWD"), ("no amount", "no amount"), (12, "12")],
)
def test_an_amount_has_the_places_of_its_currency(value: object, written: str) -> None:
    assert present.money(value) == written


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "just now"), (35.7, "35 s ago"), (250, "4 min ago"), (7500, "2 h 05 min ago"), (-90, "in 1 min")],
)
def test_a_time_is_told_as_a_person_says_it_with_the_exact_one_behind_it(seconds: float, words: str) -> None:
    shown = present.ago(NOW - timedelta(seconds=seconds), NOW)
    assert f">{words}<" in shown
    assert "2026-03-01" in shown
