"""What a deal's status says of its money, in whatever order the news of it came."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tieline.domain import Money, Payment
from tieline.engine.ports import Batch
from tieline.events import EventData, LoggedEvent, PaymentFailed, PaymentReceived, make_event
from tieline.processes.deal_status import _words
from tieline.storage.memory import MemoryStore

DEAL = "salesforce-006"
TEN = Money(Decimal(10), "USD")


def declined(day: int | None) -> PaymentFailed:
    on = None if day is None else date(2026, 3, day)
    return PaymentFailed(payment="P1", contracts=[DEAL], amount=TEN, reason="card expired", declined_on=on)


def received(day: int) -> PaymentReceived:
    paid = Payment(
        id="P2", number="P-2", customer="C", currency="USD", received_on=date(2026, 3, day), amount=TEN, applications=[]
    )
    return PaymentReceived(payment=paid, contracts=[DEAL])


async def logged(*told: EventData) -> list[LoggedEvent]:
    now = datetime(2026, 3, 20, tzinfo=UTC)
    events = [make_event(data, source="tieline", id=str(n), time=now) for n, data in enumerate(told)]
    return [r.event for r in await MemoryStore().commit(Batch(events=events))]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([declined(5), received(7)], "Invoiced"),
        ([received(7), declined(5)], "Invoiced"),  # the news of the decline was late
        ([received(5), declined(7)], "Payment failed"),
        ([declined(7), received(5)], "Payment failed"),  # the news of the money was late
        ([received(7), declined(7)], "Payment failed"),
        ([received(7), declined(None)], "Payment failed"),
    ],
)
async def test_a_decline_counts_until_money_comes_in_by_billings_days(told: list[EventData], status: str) -> None:
    assert _words({}, await logged(*told), [], invoiced=Decimal(20), paid=Decimal(10))[0] == status


async def test_a_deal_with_nothing_open_is_paid_however_late_a_decline_is_told() -> None:
    assert _words({}, await logged(received(5), declined(7)), [], invoiced=Decimal(10), paid=Decimal(10))[0] == "Paid"
