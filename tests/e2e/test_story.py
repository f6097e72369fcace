"""The story, step by step, over HTTP through the whole hub: one company, a deal for each turn it can take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.company import Company, company, eventually
from tests.support.salesforce_org import account, deal_in_crm, line, opportunity, patch, seed, win, zuora

from tieline.app import cases as people
from tieline.app.principal import local_principal
from tieline.engine.records import CaseRow, CaseState, EffectKey, EffectState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("story")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def c(folder: Path) -> AsyncIterator[Company]:
    async with company(folder / "project") as running:
        yield running


async def the_case(c: Company, deal: int, case_class: str) -> CaseRow:
    """The open case of a deal, once there is one."""

    async def opened() -> bool:
        return bool(await c.worker.store.cases(states=[CaseState.OPEN], correlation_id=_contract(deal)))

    await eventually(opened)
    (case,) = await c.worker.store.cases(states=[CaseState.OPEN], correlation_id=_contract(deal))
    assert case.case_class == case_class, case.message
    return case


async def decide(c: Company, case: CaseRow, action: str, **arguments: str) -> None:
    await people.decide(
        c.worker.store, [case], action, by=local_principal("ada"), reason="tested", arguments=dict(arguments)
    )
    c.worker.events_arrived()


async def status_is(c: Company, deal: int, wanted: str) -> None:
    async def shown() -> bool:
        return bool((await deal_in_crm(c, deal))["Tieline_Status__c"] == wanted)

    await eventually(shown)


def _contract(deal: int) -> str:
    return f"salesforce-00600000000000{deal}AAA"


async def _standing(c: Company, vendor: str, kind: str, field: str, value: str) -> list[dict[str, object]]:
    return [d for d in await c.sandboxes.documents(vendor, kind) if d.get(field) == value]


async def test_a_failed_validation_writes_nothing_downstream_and_says_why(c: Company) -> None:
    """The product is mistyped: one case in business words; one map entry releases it."""
    await seed(c, [account(1)], [opportunity(1)], [line(1, 1, "GTXPro", "100.00")])
    await win(c, 1)
    case = await the_case(c, 1, "unknown-product")
    assert "Product `GTXPro` on line 1 has no NetSuite item; nearest: `GTX Pro`" in case.message
    assert (case.owner, case.cause, case.amount) == ("revops", "unknown-product:GTXPro", "100.00 USD")
    assert await c.sandboxes.documents("netsuite", "customer") == []
    assert await c.sandboxes.documents("zuora", "accounts") == []
    await status_is(c, 1, "Needs attention")
    assert "GTXPro" in (await deal_in_crm(c, 1))["Tieline_Detail__c"]

    products = c.project.mappings.value_map("products")
    released = await people.correct_value_map(
        c.worker.store,
        products,
        "GTXPro",
        people.like(products, "GTX Pro"),
        by=local_principal("rita"),
        reason="typo",
        causes=[case.cause],
    )
    c.worker.events_arrived()
    assert released == [case.id]
    await status_is(c, 1, "Order posted")


async def test_customers_stand_parent_first(c: Company) -> None:
    """The buyer's parent is created before the buyer, in both systems, and linked."""
    parent = account(3, Name="Holding")
    await seed(c, [parent], [], [])
    await seed(c, [account(2, ParentId=parent["Id"])], [opportunity(2)], [line(2, 1, "GTX Pro", "100.00")])
    await win(c, 2)
    await status_is(c, 2, "Order posted")
    customers = {d["externalId"]: d for d in await c.sandboxes.documents("netsuite", "customer") if d.get("externalId")}
    child, top = customers["salesforce-001000000000002AAA"], customers["salesforce-001000000000003AAA"]
    assert child["parent"]["id"] == top["id"]
    assert int(top["id"]) < int(child["id"])


async def test_an_ambiguous_customer_waits_for_a_person_and_is_linked(c: Company) -> None:
    """Two customers in NetSuite could be meant: shown side by side, one chosen, no third created."""
    double = {
        "companyName": "Customer 4 Corporation",
        "subsidiary": "Example Inc",
        "currency": "USD",
        "addressBook": {
            "items": [
                {
                    "defaultBilling": True,
                    "addressBookAddress": {"city": "Springfield", "zip": "62701", "country": {"id": "US"}},
                }
            ]
        },
    }
    first, _ = await c.sandboxes.seed("netsuite", "customer", [double, double])
    await seed(c, [account(4)], [opportunity(4)], [line(4, 1, "GTX Pro", "100.00")])
    await win(c, 4)
    case = await the_case(c, 4, "ambiguous-customer")
    assert len(case.details["candidates"]) == 2
    await decide(c, case, "link", external_id=str(first["id"]))
    await status_is(c, 4, "Order posted")
    same = await _standing(c, "netsuite", "customer", "companyName", "Customer 4 Corporation")
    assert len(same) == 2
    assert {d["id"]: d.get("externalId") for d in same}[first["id"]] == "salesforce-001000000000004AAA"


async def test_a_deep_discount_waits_for_finance_and_a_refusal_stops_the_deal(c: Company) -> None:
    await seed(c, [account(5)], [opportunity(5)], [line(5, 1, "GTX Pro", "60.00", Discount=40)])
    await win(c, 5)
    case = await the_case(c, 5, "approval")
    assert (case.owner, case.actions, case.escalate_to) == ("finance", ["approve", "refuse"], "finance-director")
    await status_is(c, 5, "Waiting for approval")
    await decide(c, case, "refuse")

    async def stopped() -> bool:
        runs = await c.worker.store.runs(process="quote-to-cash", key=_contract(5))
        return [r.state.value for r in runs] == ["cancelled"]

    await eventually(stopped)
    assert await _standing(c, "netsuite", "customer", "externalId", "salesforce-001000000000005AAA") == []


async def test_a_declined_payment_reaches_the_crm_and_is_paid_later(c: Company) -> None:
    """Also: invoices and payments stand in NetSuite once, to the cent, applied."""
    await seed(c, [account(6)], [opportunity(6, Payment_Terms__c="Net 15")], [line(6, 1, "MG Special", "99.99")])
    await win(c, 6)
    await status_is(c, 6, "Order posted")
    await zuora(c, "PUT", "/v1/accounts/salesforce-001000000000006AAA", {"PaymentFails__c": "1"})
    await c.sandboxes.advance(20)  # invoiced on the 10th, due and declined on the 25th
    await status_is(c, 6, "Payment failed")
    assert "declined" in (await deal_in_crm(c, 6))["Tieline_Detail__c"]
    await c.sandboxes.advance(2)
    await status_is(c, 6, "Paid")
    crm = await deal_in_crm(c, 6)
    assert (crm["Invoiced__c"], crm["Paid__c"]) == (Decimal("99.99"), Decimal("99.99"))
    (invoice,) = await _standing(c, "netsuite", "invoice", "custbody_crm_opportunity", "006000000000006AAA")
    assert (invoice["total"], invoice["amountRemaining"]) == (Decimal("99.99"), Decimal(0))


async def test_an_invoice_of_a_closed_period_is_posted_in_the_next_open_one(c: Company) -> None:
    """Billing issues into a month that finance has closed meanwhile: the document keeps its date, not its period."""
    now = (await c.sandboxes.get("zuora", "/clock"))["now"]
    month = now[:7]
    starts = f"{month}-{int(now[8:10]) + 1:02d}"
    ends = f"{int(month[:4]) + 1}-{month[5:]}-{int(now[8:10]):02d}"
    await seed(
        c,
        [account(7)],
        [opportunity(7, Contract_Start__c=starts)],
        [line(7, 1, "MG Special", "50.00", ServiceDate=starts, Service_End__c=ends)],
    )
    await win(c, 7)
    await status_is(c, 7, "Order posted")
    await c.sandboxes.post("netsuite", "/act/close_period", {"through": month})
    c.worker.resources._lists.clear()  # as if the seconds had passed after which it is read again
    await c.sandboxes.advance(2)
    await status_is(c, 7, "Invoiced")
    (invoice,) = await _standing(c, "netsuite", "invoice", "custbody_crm_opportunity", "006000000000007AAA")
    assert str(invoice["tranDate"]).startswith(month)
    assert invoice["postingPeriod"]["refName"] != now  # type: ignore[index]
    periods = {p["periodName"]: p for p in await c.sandboxes.documents("netsuite", "accountingPeriod")}
    chosen = periods[invoice["postingPeriod"]["refName"]]  # type: ignore[index]
    assert not chosen["closed"]
    assert str(chosen["startDate"]) > f"{month}-28"


async def test_a_cancellation_and_its_credit_reach_erp_and_crm(c: Company) -> None:
    """The customer leaves: the credit memo is posted, and the CRM says Cancelled."""
    await zuora(
        c,
        "PUT",
        "/v1/subscriptions/S-006000000000006AAA/cancel",
        {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": "2026-07-10", "runBilling": True},
    )
    await c.sandboxes.advance(1)
    await status_is(c, 6, "Cancelled")
    memos = {m["memoNumber"]: m["totalAmount"] for m in await c.sandboxes.documents("zuora", "credit-memos")}
    assert memos

    async def posted() -> bool:
        books = {m["externalId"]: m["total"] for m in await c.sandboxes.documents("netsuite", "creditMemo")}
        return books == {f"zuora-{number}": amount for number, amount in memos.items()}

    await eventually(posted)


async def test_an_echo_of_our_own_write_starts_nothing(c: Company) -> None:
    """Our status bumps the deal's stamp; reading it again finds nothing new and tells nothing."""
    before = len(await c.worker.store.events(type="OpportunityWon"))
    await patch(c, "Opportunity/006000000000001AAA", {"NextStep": "call"})
    from tieline.app.intake import poll_once

    await poll_once(c.worker, "salesforce", "won_opportunities")

    async def quiet() -> bool:
        counts = await c.worker.store.count_runs()
        return not any(n for (p, s), n in counts.items() if p == "read-opportunity" and s in ("ready", "queued"))

    await eventually(quiet)
    assert len(await c.worker.store.events(type="OpportunityWon")) == before


async def test_every_effect_is_settled_and_names_its_mapping_and_event(c: Company) -> None:
    """Nothing stays in doubt, and lineage is a join."""
    effects = await c.worker.store.effects(limit=10_000)
    assert {e.state for e in effects} <= {EffectState.APPLIED, EffectState.REJECTED}
    assert all(e.mapping and e.event_id and e.run_id for e in effects if e.state is EffectState.APPLIED)
    order = await c.worker.store.find_effect(EffectKey("netsuite", "order", _contract(1)))
    assert order is not None
    assert order.mapping.startswith("order -> netsuite.salesOrder v")
