"""What counts as wrong: statuses that go back, cases that are false or missing, documents twice."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tieline.app.demo.deals import Deal, Sales
from tieline.app.demo.judge import Systems
from tieline.app.torture.business import tally
from tieline.app.torture.chaos import OPENS_ON
from tieline.app.torture.findings import status_went_back, wrong_cases
from tieline.engine.records import CaseRow

DEAL = "006000000000000001"


def wrote(status: str, at: str = "2026-01-05T09:00:00", answered: int = 200) -> dict[str, Any]:
    body = msgspec.json.encode({"records": [{"Id": DEAL, "Tieline_Status__c": status}]}).decode()
    return {"at": at, "status": answered, "request": body}


def test_a_status_that_goes_back_is_found() -> None:
    assert status_went_back([wrote("Order posted"), wrote("Invoiced"), wrote("Paid"), wrote("Invoiced")], "") == []
    assert len(status_went_back([wrote("Invoiced"), wrote("Order posted")], "")) == 1
    assert status_went_back([wrote("Invoiced"), wrote("Order posted", answered=503)], "") == []


def test_a_hub_with_an_older_log_goes_the_way_once_more() -> None:
    written = [wrote("Invoiced"), wrote("Order posted", at="2026-01-06T09:00:00"), wrote("Invoiced")]
    assert status_went_back(written, "2026-01-06T00:00:00") == []


def test_false_and_missing_cases_are_found() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    case = CaseRow(
        id="C-1", case_class="unknown-product", cause="", owner="", message="?", run_id="r", position=0,
        correlation_id=f"salesforce-{DEAL}", opened_at=now, due_at=now,
    )  # fmt: skip
    assert wrong_cases([case], {DEAL: "unknown-product"}) == []
    assert [w.partition(" C-1")[0] for w in wrong_cases([case], {})] == ["false case"]
    assert wrong_cases([], {DEAL: "unknown-product"}) == [f"missing case: unknown-product of deal {DEAL}"]


def test_documents_are_counted_by_business_identity() -> None:
    """Nobody's keys: an account by its buyer, an order by the deal it names, a project by its title."""
    deal = Deal(
        name="Acme - Platform #1", account=0, currency="EUR", value=Decimal(100), record={}, lines=[], services=True,
        opportunity_id=DEAL, account_id="001",
    )  # fmt: skip
    sales = Sales(accounts=[{"Name": "Acme"}], deals=[deal], opens_on=OPENS_ON)
    order = {"custbody_crm_opportunity": DEAL, "total": Decimal(100), "currencysymbol": "EUR"}
    empty: dict[str, list[dict[str, Any]]] = {name: [] for name in Systems.__struct_fields__}
    once = empty | {
        "accounts": [{"crmId": "001"}],
        "ns_customers": [{"companyName": "Acme"}],
        "orders": [{"id": "1", "orderNumber": "O-7", "description": f"deal {DEAL}"}],
        "ns_orders": [order],
        "projects": [{"id": "9", "title": "Acme - Platform #1"}, {"id": "10", "title": "Acme - Platform #12"}],
        "opportunities": [{"Id": DEAL, "Tieline_Status__c": "Order posted"}],
    }
    assert tally(sales, [deal], Systems(**once)).right
    lost = tally(sales, [deal], Systems(**{**once, "projects": []}))
    assert lost.lost == ["project in Kantata for Acme - Platform #1"]
    twice = tally(sales, [deal], Systems(**{**once, "ns_orders": [order, order]}))
    assert twice.doubled == ["2 x sales order in NetSuite for Acme - Platform #1"]
    assert not twice.money_equal
