"""Finding things: object query, ZOQL, the catalogue."""

from __future__ import annotations

import pytest
from tests.sandbox.zuora.conftest import Zuora, account, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pages_follow_a_cursor_without_gap_or_repeat(zuora: Zuora) -> None:
    """Ten a page unless asked otherwise; the last page has no nextPage."""
    zuora.sandbox.seed("accounts", [account(f"B-{n:03}") for n in range(124)])
    seen: list[str] = []
    cursor = ""
    while True:
        page = await zuora.get(f"/object-query/accounts?sort[]=accountNumber.DESC{cursor}")
        assert len(page["data"]) <= 10
        seen += [a["accountNumber"] for a in page["data"]]
        if "nextPage" not in page:
            break
        cursor = f"&cursor={page['nextPage']}"
    assert seen == sorted((a["accountNumber"] for a in zuora.sandbox.documents("accounts")["accounts"]), reverse=True)


async def test_filters_are_combined_and_ignore_case(zuora: Zuora) -> None:
    """EQ, IN, SW, NE and comparison; an unknown field or a wrong expression is 400."""
    zuora.sandbox.seed("accounts", [account("B-1", currency="USD"), account("B-2")])

    async def numbers(*filters: str) -> list[str]:
        found = await zuora.get("/object-query/accounts?" + "&".join(f"filter[]={f}" for f in filters))
        return [a["accountNumber"] for a in found["data"]]

    assert await numbers("accountnumber.EQ:b-1") == ["B-1"]
    assert await numbers("accountNumber.IN:%5BB-1,B-2%5D") == ["B-1", "B-2"]
    assert await numbers("name.SW:company%20b", "currency.NE:USD") == ["B-2"]
    assert await numbers("updateddate.GE:2026-01-11T00:00:00Z") == []
    assert await numbers("parentid.EQ:null", "balance.EQ:0", "currency.EQ:USD") == ["B-1"]
    for wrong in ("nonsense.EQ:1", "currency=EUR"):
        status, body, _ = await zuora.ask("GET", f"/object-query/accounts?filter[]={wrong}")
        assert (status, body["code"]) == (400, 50000027)


async def test_what_changed_is_found_by_its_update(zuora: Zuora) -> None:
    """A sweep by updatedDate sees the invoice again once it is paid."""
    await zuora.post("/v1/orders", order("1"))
    await zuora.advance(6)
    since = "/object-query/invoices?filter[]=updateddate.GE:2026-01-20T00:00:00Z"
    assert not (await zuora.get(since))["data"]
    await zuora.advance(10)
    invoices = [{"invoiceNumber": "INV00000001", "amount": 50}]
    body = {"type": "External", "accountNumber": "A-1", "amount": 50, "currency": "EUR", "invoices": invoices}
    await zuora.post("/v1/payments", body)
    assert [i["invoiceNumber"] for i in (await zuora.get(since))["data"]] == ["INV00000001"]


async def test_one_record_is_read_with_what_belongs_to_it(zuora: Zuora) -> None:
    """expand[] follows references; an unknown key is 404."""
    await zuora.post("/v1/orders", order("1"))
    seen = await zuora.get(
        "/object-query/subscriptions/S-1?expand[]=account&expand[]=rateplans&expand[]=rateplancharges"
    )
    assert seen["account"]["accountNumber"] == "A-1"
    assert seen["ratePlans"][0]["ratePlanCharges"][0]["chargeNumber"] == "C-1"
    assert (await zuora.ask("GET", "/object-query/orders/O-0"))[0] == 404


async def test_new_records_stay_hidden_while_the_search_lags(zuora: Zuora) -> None:
    """Created, and readable by key, but not yet found by a search: find-before-create must not trust one answer."""
    await zuora.post("/v1/accounts", account("B-1"))
    await zuora.control("faults", {"kind": "slow_object_query", "seconds": 60, "times": 2})
    assert not (await zuora.get("/object-query/accounts?filter[]=accountNumber.EQ:B-1"))["data"]
    query = {"queryString": "select Id from Account where AccountNumber = 'B-1'"}
    assert (await zuora.post("/v1/action/query", query))["size"] == 0
    assert (await zuora.get("/v1/accounts/B-1"))["success"] is True
    assert (await zuora.post("/v1/action/query", query))["size"] == 1


async def test_zoql_selects_with_and_or_and_like(zuora: Zuora) -> None:
    """Fields are spelled with capitals; a wrong statement is a fault with HTTP 400."""
    zuora.sandbox.seed("accounts", [account("B-1", name="O'Neil and Sons"), account("B-2")])

    async def numbers(where: str) -> list[str]:
        statement = f"select AccountNumber, Name from Account where {where}"
        found = await zuora.post("/v1/action/query", {"queryString": statement})
        return sorted(r["AccountNumber"] for r in found["records"])

    assert await numbers(r"Name = 'O\'Neil and Sons'") == ["B-1"]
    assert await numbers("AccountNumber = 'B-2' or AccountNumber = 'A-1' and Currency = 'USD'") == ["B-2"]
    assert await numbers("Name like 'Company%'") == ["A-1", "B-2"]
    assert await numbers("CrmId = null") == ["A-1", "B-1", "B-2"]
    status, body, _ = await zuora.ask("POST", "/v1/action/query", {"queryString": "drop table Account"})
    assert (status, body["FaultCode"]) == (400, "fns:MALFORMED_QUERY")


async def test_long_results_come_in_batches(zuora: Zuora) -> None:
    """queryMore takes up where query stopped; a locator works once."""
    zuora.sandbox.seed("accounts", [account(f"B-{n}") for n in range(4)])
    query = {"queryString": "select Id from Account", "conf": {"batchSize": 3}}
    first = await zuora.post("/v1/action/query", query)
    assert (first["size"], first["done"], len(first["records"])) == (5, False, 3)
    rest = await zuora.post("/v1/action/queryMore", {"queryLocator": first["queryLocator"]})
    assert (rest["done"], len(rest["records"])) == (True, 2)
    assert (await zuora.ask("POST", "/v1/action/queryMore", {"queryLocator": first["queryLocator"]}))[0] == 400


async def test_the_catalogue_is_read_and_written(zuora: Zuora) -> None:
    """Products by page, plans by id, number and external id, objects by CRUD."""
    products = (await zuora.get("/v1/catalog/products?pageSize=10"))["products"]
    assert [p["sku"] for p in products] == ["SKU-PLAT"]
    assert (await zuora.get("/v1/catalog/products?pageSize=41"))["reasons"][0]["code"] == 50000027
    assert (await zuora.get("/v1/product-rate-plans/PRP-SEATS"))["name"] == "Seats"
    by_external = await zuora.get("/v1/product-rate-plans/external-id/seats")
    assert by_external["productRatePlans"][0]["productRatePlanNumber"] == "PRP-SEATS"
    product = await zuora.post("/v1/object/product", {"Name": "Rounding", "SKU": "SKU-R"})
    plan = await zuora.post("/v1/object/product-rate-plan", {"ProductId": product["Id"], "Name": "Rounding"})
    charge = {
        "ProductRatePlanId": plan["Id"],
        "Name": "Rounding",
        "ChargeType": "OneTime",
        "ChargeModel": "Flat Fee Pricing",
    }
    made = await zuora.post("/v1/object/product-rate-plan-charge", charge)
    assert (await zuora.get(f"/v1/object/product-rate-plan-charge/{made['Id']}"))["ChargeModel"] == "FlatFee"
    expanded = await zuora.get(f"/object-query/products/{product['Id']}?expand[]=productrateplans")
    assert expanded["productRatePlans"][0]["name"] == "Rounding"
