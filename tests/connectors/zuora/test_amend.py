"""Amendments, renewals and ramps as orders of their own; debit memos and refunds read back whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest_asyncio
from tests.connectors.zuora.tenant import (
    ACME,
    AMEND,
    CUSTOMER,
    ORDER,
    RENEW,
    Served,
    account,
    amendment,
    order,
    probe,
    renewal,
    send,
)

from tieline.connectors.zuora import ZuoraConnector
from tieline.engine.ports import Absent, Applied
from tieline.errors import RejectedByVendor

DEAL = "006Aa000001DealAAA"
ADDED: dict[str, Any] = {
    "id": f"{DEAL}L9", "change": "add", "effective_on": "2026-03-01", "product": "PLATFORM",
    "description": "More of it", "price": Decimal("50.00"), "ends_on": "2027-01-31",
}  # fmt: skip
GONE: dict[str, Any] = {"id": f"{DEAL}L1", "change": "remove", "effective_on": "2026-11-01"}


@pytest_asyncio.fixture(loop_scope="session")
async def deal(zuora: ZuoraConnector) -> ZuoraConnector:
    await send(zuora, CUSTOMER, account(ACME))
    assert isinstance(await send(zuora, ORDER, order()), Applied)
    return zuora


def segments(served: Served, number: str) -> list[tuple[str, str, Decimal]]:
    charges = [c for c in served.standing("rate-plan-charges") if c["chargeNumber"] == number]
    return [(c["effectiveStartDate"], c["effectiveEndDate"], c["price"]) for c in charges]


async def test_an_amendment_changes_prices_from_their_dates(deal: ZuoraConnector, served: Served) -> None:
    """A price for the second half, a new line, and one that goes: one order, each on its day."""
    before = segments(served, f"C-{DEAL}L1")[0][2]
    done = await send(deal, AMEND, amendment(DEAL, "1200.00", ADDED, GONE))
    assert isinstance(done, Applied), done
    assert (done.external_id, done.display) == (f"O-{DEAL}-A1", f"S-{DEAL}")
    assert segments(served, f"C-{DEAL}L1") == [
        ("2026-02-01", "2026-08-01", before),
        ("2026-08-01", "2026-11-01", Decimal(1200)),
    ]
    assert segments(served, f"C-{DEAL}L9") == [("2026-03-01", "2027-02-01", Decimal(50))]


async def test_an_amendment_is_carried_out_once_and_compared(deal: ZuoraConnector, served: Served) -> None:
    """Its own order number keeps it single; another price under the same number is other content."""
    wire = amendment(DEAL, "1200.00", ADDED, GONE)
    assert await probe(deal, AMEND, wire) == Absent()
    await send(deal, AMEND, wire)
    assert isinstance(await probe(deal, AMEND, wire), Applied)
    again = await send(deal, AMEND, wire, external_id=f"O-{DEAL}-A1")
    assert isinstance(again, Applied)
    assert len(segments(served, f"C-{DEAL}L1")) == 2
    assert await probe(deal, AMEND, amendment(DEAL, "1300.00", ADDED, GONE)) == Absent(external_id=f"O-{DEAL}-A1")
    other = {**GONE, "id": f"{DEAL}L2"}
    assert await probe(deal, AMEND, amendment(DEAL, "1200.00", ADDED, other)) == Absent(external_id=f"O-{DEAL}-A1")


async def test_a_refused_amendment_leaves_the_subscription_as_it_was(deal: ZuoraConnector, served: Served) -> None:
    """An unknown line: nothing of the order is done."""
    refused = await send(deal, AMEND, amendment(DEAL, "1200.00", {**GONE, "id": "no-line"}))
    assert isinstance(refused, RejectedByVendor)
    assert "Cannot find entity by key: 'SRP-no-line'" in str(refused)
    assert len(segments(served, f"C-{DEAL}L1")) == 1


async def test_a_renewal_begins_the_next_term(deal: ZuoraConnector, served: Served) -> None:
    """Six months behind the year; once, whatever is sent again."""
    assert isinstance(await send(deal, RENEW, renewal(DEAL)), Applied)
    assert isinstance(await probe(deal, RENEW, renewal(DEAL)), Applied)
    await send(deal, RENEW, renewal(DEAL), external_id=f"O-{DEAL}-R1")
    (subscription,) = served.standing("subscriptions")
    assert (subscription["termStartDate"], subscription["termEndDate"]) == ("2027-02-01", "2027-08-01")
    assert await probe(deal, RENEW, renewal(DEAL, months=12)) == Absent(external_id=f"O-{DEAL}-R1")


async def vendor(served: Served, zuora: ZuoraConnector, path: str, body: dict[str, Any]) -> Any:
    """Somebody works in Zuora itself."""
    return await zuora.client.post(path, body, "", about=path, track="")


CHARGE = {"productRatePlanChargeId": "PRPC-SETUP", "amount": Decimal("80.00")}


async def test_debit_memos_and_refunds_are_told_and_read_whole(deal: ZuoraConnector, served: Served) -> None:
    """Each by its number, with its items or with what the money came back from."""
    memo = {"accountNumber": ACME, "charges": [CHARGE], "autoPost": True}
    await vendor(served, deal, "/v1/debit-memos", memo)
    credit = await vendor(served, deal, "/v1/credit-memos", memo)
    refund = {"type": "External", "methodType": "Check", "totalAmount": Decimal("30.00")}
    await vendor(served, deal, f"/v1/credit-memos/{credit['id']}/refund", refund)
    assert [number for number, _ in (await deal.changes("debit_memos", "")).changed] == ["DM00000001"]
    (told,) = (await deal.changes("refunds", "")).changed
    (debit,) = await deal.fetch("debit_memo", ["DM00000001"])
    assert debit is not None
    assert [i["amount"] for i in debit["debitMemoItems"]] == [Decimal(80)]
    (back,) = await deal.fetch("refund", [told[0]])
    assert back is not None
    assert back["account"]["accountNumber"] == ACME
    assert [(p["creditMemoId"], p["amount"]) for p in back["parts"]] == [(credit["id"], Decimal(30))]
