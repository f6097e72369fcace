"""The company that most tests of pages look at. A file whose tests need another has a fixture `hub` of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.e2e.test_one_deal import pay_one_deal
from tests.support.company import Company, company, eventually


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """One deal, from won to paid."""
    async with company(tmp_path_factory.mktemp("pages") / "project") as running:
        await pay_one_deal(running)

        async def listed_as_paid() -> bool:
            return [deal.status for deal in await running.desk.store.deals()] == ["Paid"]

        await eventually(listed_as_paid)
        yield running
