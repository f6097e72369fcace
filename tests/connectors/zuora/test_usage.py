"""Usage files: found by their name before they are sent again, and never believed because they were received."""

from __future__ import annotations

from decimal import Decimal

import pytest_asyncio
from tests.connectors.zuora.tenant import ACME, CUSTOMER, ORDER, USAGE, Served, account, order, probe, send, usage_batch

from tieline.connectors.zuora import ZuoraConnector
from tieline.engine.ports import Absent, Applied
from tieline.errors import OutcomeUnknown, RejectedByVendor

DEAL = "006Aa000001DealAAA"


@pytest_asyncio.fixture(loop_scope="session")
async def deal(zuora: ZuoraConnector) -> ZuoraConnector:
    await send(zuora, CUSTOMER, account(ACME))
    assert isinstance(await send(zuora, ORDER, order()), Applied)
    return zuora


def metered(served: Served) -> list[Decimal]:
    return [u["quantity"] for u in served.standing("usages")]


async def test_a_batch_is_usage_when_zuora_has_read_it(deal: ZuoraConnector, served: Served) -> None:
    """Applied only after the import is completed; the rows stand with their charge and file."""
    done = await send(deal, USAGE, usage_batch("U-1", DEAL, 100, 200))
    assert isinstance(done, Applied)
    assert (done.display, done.response["Status"]) == ("U-1", "Completed")
    assert metered(served) == [Decimal(100), Decimal(200)]
    assert {u["chargeNumber"] for u in served.standing("usages")} == {f"C-{DEAL}L3"}


async def test_a_refused_row_refuses_the_batch_and_leaves_its_name_free(deal: ZuoraConnector, served: Served) -> None:
    """Zuora answers the upload with success; the import tells the row. What failed does not stand in the way."""
    wrong = usage_batch("U-1", DEAL, 100, 200)
    wrong["rows"][1]["CHARGE_ID"] = "C-none"
    refused = await send(deal, USAGE, wrong)
    assert isinstance(refused, RejectedByVendor)
    assert "stored nothing: Row 2" in str(refused)
    assert metered(served) == []
    assert await probe(deal, USAGE, wrong) == Absent()
    assert isinstance(await send(deal, USAGE, usage_batch("U-1", DEAL, 100), key="second"), Applied)


async def test_other_rows_under_a_standing_name_are_refused(deal: ZuoraConnector, served: Served) -> None:
    """The checksum tells; the standing rows are billed once and stay."""
    await send(deal, USAGE, usage_batch("U-1", DEAL, 100))
    other = usage_batch("U-1", DEAL, 101)
    found = await probe(deal, USAGE, other)
    assert isinstance(found, Absent)
    assert found.external_id
    refused = await send(deal, USAGE, other, external_id=found.external_id)
    assert isinstance(refused, RejectedByVendor)
    assert "cannot be changed" in str(refused)
    assert metered(served) == [Decimal(100)]


async def test_an_import_that_takes_too_long_is_a_doubt(deal: ZuoraConnector, served: Served) -> None:
    """Not a failure: the rows may be stored in a moment, and the probe then finds them."""
    await served.control("configure", {"async_delay_s": 0.3})
    hasty = served.connect(async_timeout_s=0.05)
    try:
        assert isinstance(await send(hasty, USAGE, usage_batch("U-1", DEAL, 100)), OutcomeUnknown)
    finally:
        await hasty.close()
    assert isinstance(await probe(deal, USAGE, usage_batch("U-1", DEAL, 100)), Applied)
    assert metered(served) == [Decimal(100)]


async def test_a_name_with_a_quote_is_looked_up_whole(deal: ZuoraConnector) -> None:
    """It stays inside its string."""
    batch = usage_batch("U-1 ' or Id != '", DEAL, 100)
    await send(deal, USAGE, usage_batch("U-2", DEAL, 5))
    assert await probe(deal, USAGE, batch) == Absent()
    await send(deal, USAGE, batch)
    assert isinstance(await probe(deal, USAGE, batch), Applied)


async def test_a_batch_without_rows_is_not_sent(deal: ZuoraConnector) -> None:
    refused = await send(deal, USAGE, {"name": "U-1", "rows": []})
    assert isinstance(refused, RejectedByVendor)
    assert "has no rows" in str(refused)
