"""What vendors say of the calls that are left, read off the headers of their answers."""

from __future__ import annotations

import pytest

from tieline.connectors.salesforce import client as salesforce
from tieline.connectors.sdk import Answer
from tieline.connectors.zuora import client as zuora

ZUORA = "50000, 50000;w=60, 2250000;w=3600, 27000000;w=86400"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("api-usage=10018/100000", (100_000, 10_018)),
        ("api-usage=10018/100000; api-bursts=1/750", (100_000, 10_018)),
        ("per-app-api-usage=17/250(appName=tieline)", None),
        ("api-usage=?/100000", None),
        ("", None),
    ],
)
def test_salesforce_tells_used_and_allowed(header: str, found: tuple[int, int] | None) -> None:
    assert salesforce.allowance(Answer(200, {"sforce-limit-info": header}, b"")) == found


@pytest.mark.parametrize(
    ("limit", "remaining", "found"),
    [
        (ZUORA, "49990", (27_000_000, None)),
        (ZUORA.replace("50000, ", "27000000, ", 1), "12", (27_000_000, 26_999_988)),
        ("10000, 10000;w=86400", "9000", (10_000, 1_000)),
        ("10000, 10000;w=60, 10000;w=86400", "9000", (10_000, None)),
        ("50000", "1", None),
        ("", "", None),
    ],
)
def test_zuora_tells_the_day_and_near_its_end_what_is_left(
    limit: str, remaining: str, found: tuple[int, int | None] | None
) -> None:
    """The remaining number is about the window nearest its end, which mostly is the minute."""
    answer = Answer(200, {"ratelimit-limit": limit, "ratelimit-remaining": remaining}, b"")
    assert zuora.allowance(answer) == found
