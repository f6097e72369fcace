"""Quotas: what a token may ask in a minute."""

from __future__ import annotations

import pytest

from tieline.api.v1.problems import Refusal
from tieline.api.v1.tokens import Quotas


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_a_minutes_requests_at_once_and_then_one_by_one() -> None:
    time = Time()
    quotas = Quotas(time)
    assert [quotas.take("a", 3).left for _ in range(3)] == [2, 1, 0]
    with pytest.raises(Refusal) as refused:
        quotas.take("a", 3)
    assert refused.value.headers["Retry-After"] == "20"
    time.at += 20
    assert quotas.take("a", 3).left == 0


def test_one_token_does_not_use_up_anothers_quota() -> None:
    quotas = Quotas(Time())
    quotas.take("a", 1)
    assert quotas.take("b", 1).left == 0


def test_a_long_silence_saves_up_no_more_than_a_minute() -> None:
    time = Time()
    quotas = Quotas(time)
    quotas.take("a", 2)
    time.at += 3600
    assert quotas.take("a", 2).left == 1
