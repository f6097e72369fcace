"""The list of deals is made from the ledger and found by ids, names, bounds; the file of a deal comes in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.support.engine import NOW
from tests.support.views import DEAL, INVOICE, contract, small_deal, view_on

from tieline.app.deals import list_anew, list_changed_deals
from tieline.app.views.dealfile import ENTRIES, read_deal
from tieline.app.views.deals import Asked, choices, find_deals
from tieline.app.views.resolve import NothingFound
from tieline.app.views.revisions import read_revisions
from tieline.app.views.trace import Entry
from tieline.connectors.kantata import CONNECTOR as KANTATA
from tieline.connectors.netsuite import CONNECTOR as NETSUITE
from tieline.connectors.salesforce import CONNECTOR as SALESFORCE
from tieline.connectors.zuora import CONNECTOR as ZUORA
from tieline.domain import Contract
from tieline.engine.ports import Batch, Store
from tieline.engine.records import DealFilter, EntityRow, ListedDeal
from tieline.errors import ConfigurationError
from tieline.storage.memory import MemoryStore

LATER = datetime.now(UTC) + timedelta(days=1)


async def listed(store: Store) -> list[ListedDeal]:
    while await list_changed_deals(store, store, LATER):
        pass
    return await store.deals()


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_a_line_says_what_the_deal_says() -> None:
    store = MemoryStore()
    await small_deal(store)
    (line,) = await listed(store)
    assert (line.id, line.name, line.customer_name) == (DEAL, "Acme platform", "Acme GmbH")
    assert (line.amount, line.amount_e4, line.currency, line.won_on) == ("100.00", 1_000_000, "EUR", "2026-03-01")
    file = await read_deal(view_on(store), DEAL, NOW)
    assert (line.status, line.changed_at) == (file.status, file.changed_at)
    assert await store.count_changed_deals() == 0


async def test_a_line_changes_with_the_deal_and_says_what_it_waits_for() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    await listed(store)
    await ledger.case("C-1", "quote-to-cash:2")
    (line,) = await listed(store)
    assert line.status == "Needs attention"
    assert line.waits_for == "case unknown-product C-1: Product `X` has no item"


async def test_the_list_can_be_made_anew_from_nothing_but_the_log_and_the_ledger() -> None:
    store = MemoryStore()
    await small_deal(store)
    before = await listed(store)
    await store.commit(Batch(deals=[msgspec.structs.replace(before[0], status="wrong", amount_e4=0)]))
    assert await list_anew(store, store) == 1
    assert await listed(store) == before


async def test_what_is_no_deal_is_not_listed_and_not_looked_at_again() -> None:
    store = MemoryStore()
    row = EntityRow(kind="x", id="x", content_hash="h", content=b"{}", correlation_id="no-deal", updated_at=NOW)
    await store.commit(Batch(entities=[row]))
    assert await listed(store) == []
    assert await store.count_changed_deals() == 0


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [DEAL, "006Aa000001XyZ1", INVOICE, "INV1", "77", "erp/invoice/77", "quote-to-cash:2", "#2"]
)
async def test_any_id_leads_to_the_deal(text: str) -> None:
    store = MemoryStore()
    await small_deal(store)
    await listed(store)
    assert (await find_deals(view_on(store), Asked(q=text))).only == DEAL


async def test_a_name_and_bounds_narrow_the_list() -> None:
    store = MemoryStore()
    await small_deal(store)
    await listed(store)

    async def found(**asked: str) -> bool:
        return bool((await find_deals(view_on(store), Asked(**asked))).deals)  # type: ignore[arg-type]

    assert await found(q="acme gm")
    assert await found(q="PLATFORM", amount_from="100", amount_to="100.00", won_from="2026-03-01", won_to="2026-03-01")
    assert not await found(amount_from="100.01")
    assert not await found(q="acme", status="Paid")
    assert not await found(won_to="2026-02-28")


@pytest.mark.parametrize("asked", [{"amount_from": "a lot"}, {"amount_to": "1e99"}, {"won_from": "yesterday"}])
async def test_a_bound_that_cannot_be_read_is_said(asked: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(asked.values()))):
        await find_deals(view_on(MemoryStore()), Asked(**asked))  # type: ignore[arg-type]


async def test_the_list_can_be_narrowed_to_what_there_is() -> None:
    store = MemoryStore()
    await small_deal(store)
    await listed(store)
    found = await choices(store)
    assert (list(found.currencies.items()), found.listed, found.to_list) == ([("EUR", 1)], 1, 0)
    assert await store.deals(DealFilter(status=next(iter(found.statuses))))


# --- the file of a deal -----------------------------------------------------------------------------------------------


async def test_the_stages_of_the_money_name_the_documents_they_are_made_of() -> None:
    store = MemoryStore()
    await small_deal(store)
    file = await read_deal(view_on(store), DEAL, NOW)
    stages = {stage.name: (stage.amount, [d.name for d in stage.documents], stage.differs) for stage in file.stages}
    assert stages["Booked"] == (Decimal("100.00"), ["006Aa000001XyZ1IAK"], False)
    assert stages["Billed"] == (Decimal("100.00"), ["INV1"], False)
    assert stages["Posted"] == (Decimal("100.00"), ["INV1"], False)
    assert stages["Paid"] == (Decimal(0), [], True)


async def test_a_long_timeline_is_cut_into_pages_that_hold_everything_once() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    for number in range(ENTRIES + 50):
        await ledger.wrote("erp", "order", contract(), "12", revision=number + 2)
    view, seen = view_on(store), list[Entry]()
    file = await read_deal(view, DEAL, NOW, everything=True)
    assert (len(file.entries), file.later) == (ENTRIES, 0)
    while True:
        seen = [*file.entries, *seen]
        if not file.first:
            break
        file = await read_deal(view, DEAL, NOW, until=file.first, everything=True)
    assert len(seen) == file.total
    orders = [entry.effect.revision for entry in seen if entry.effect and entry.effect.kind == "order"]
    assert orders == list(range(1, ENTRIES + 52))


async def test_a_deal_that_nobody_heard_of_is_not_found() -> None:
    with pytest.raises(NothingFound):
        await read_deal(view_on(MemoryStore()), "crm-unknown", NOW)


async def test_revisions_say_what_changed_and_show_no_secret() -> None:
    store = MemoryStore()
    ledger = await small_deal(store)
    changed: Contract = msgspec.structs.replace(contract(), name="Acme platform, larger")
    await ledger.wrote("erp", "order", changed, "12", revision=2, request=b'{"name": "x", "api_key": "s3cret"}')
    found = await read_revisions(view_on(store), "erp", "order", DEAL, "ensure")
    newest, first = found.revisions
    assert [(c.field, c.before, c.after) for c in newest.changes] == [
        ("name", "Acme platform", "Acme platform, larger")
    ]
    assert first.changes == []
    assert "s3cret" not in newest.request
    assert found.deal == DEAL


async def test_other_deals_of_the_customer_are_related() -> None:
    store = MemoryStore()
    await small_deal(store)
    (line,) = await listed(store)
    other = msgspec.structs.replace(line, id="crm-other", seq=line.seq + 1)
    await store.commit(Batch(deals=[other]))
    assert [deal.id for deal in (await read_deal(view_on(store), DEAL, NOW)).related] == ["crm-other"]


# --- the vendors' own pages -------------------------------------------------------------------------------------------


def test_each_vendor_knows_the_page_of_a_record() -> None:
    def page(vendor: object, url: str, kind: str, ident: str, **answer: str) -> str:
        return vendor.record_page(url, kind, ident, answer)  # type: ignore[attr-defined,no-any-return]

    org = "https://acme.my.salesforce.com"
    assert page(SALESFORCE, org, "deal_status", "006x") == f"{org}/lightning/r/Opportunity/006x/view"
    assert page(SALESFORCE, org, "usage_batch", "1") == ""
    account = "https://1234567-sb1.suitetalk.api.netsuite.com"
    pages = "https://1234567-sb1.app.netsuite.com/app"
    assert page(NETSUITE, account, "customer", "12") == f"{pages}/common/entity/custjob.nl?id=12"
    assert page(NETSUITE, account, "invoice", "77") == f"{pages}/accounting/transactions/transaction.nl?id=77"
    told = {"accountId": "8ad0"}
    assert page(ZUORA, "https://rest.eu.zuora.com", "customer", "A1", **told) == (
        "https://eu.zuora.com/apps/CustomerAccount.do?method=view&id=8ad0"
    )
    assert page(ZUORA, "https://rest.zuora.com", "customer", "A1", **told).startswith("https://www.zuora.com/apps/")
    assert page(ZUORA, "https://rest.zuora.com", "customer", "A1") == ""
    assert page(KANTATA, "https://api.mavenlink.com", "project", "5") == "https://app.mavenlink.com/workspaces/5"
