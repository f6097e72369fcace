"""Orders that change a subscription: products, terms, owners, ramps; several actions in one order, or none of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.zuora.conftest import Zuora, account, order, seats

pytestmark = pytest.mark.asyncio(loop_scope="module")


def change(number: str, *actions: dict[str, Any], of: str = "S-1", **changes: Any) -> dict[str, Any]:
    """An order on a subscription that stands."""
    return {
        "orderNumber": f"O-{number}",
        "orderDate": "2026-01-10",
        "existingAccountNumber": "A-1",
        "subscriptions": [{"subscriptionNumber": of, "orderActions": list(actions)}],
        **changes,
    }


def on(day: str, kind: str, **body: Any) -> dict[str, Any]:
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    dates = [{"name": name, "triggerDate": day} for name in names]
    return {"type": kind, "triggerDates": dates, kind[0].lower() + kind[1:]: body}


def price(charge: str, value: Any, **also: Any) -> dict[str, Any]:
    return {"chargeNumber": charge, "pricing": {"recurringPerUnit": {"listPrice": value, **also}}}


async def segments(zuora: Zuora, number: str) -> list[tuple[str, str, Decimal]]:
    seen = await zuora.get("/v1/subscriptions/S-1")
    charges = [c for p in seen["ratePlans"] for c in p["ratePlanCharges"] if c["number"] == number]
    return [(c["effectiveStartDate"], c["effectiveEndDate"], c["price"]) for c in charges]


RAMP: dict[str, Any] = {
    "name": "Two years",
    "charges": [{"uniqueToken": "seat-charge"}],
    "intervals": [
        {"name": "Year 1", "startDate": "2026-01-15", "endDate": "2027-01-14"},
        {"name": "Year 2", "startDate": "2027-01-15", "endDate": "2028-01-14"},
    ],
}


def ramp_deal(**ramp: Any) -> dict[str, Any]:
    """Two years of five seats, at 10 and then at 12, all in one order."""
    line = seats("C-1", 10, 5, "2026-01-15")
    line["uniqueToken"] = "seat-plan"
    line["chargeOverrides"][0]["uniqueToken"] = "seat-charge"
    body = order("1", line, months=24)
    dearer = {"uniqueToken": "seat-charge", "pricing": {"recurringPerUnit": {"listPrice": 12}}}
    update = on("2027-01-15", "UpdateProduct", uniqueToken="seat-plan", chargeUpdates=[dearer])
    body["subscriptions"][0]["orderActions"].append(update)
    body["subscriptions"][0]["ramp"] = {**RAMP, **ramp}
    return body


async def test_a_ramp_deal_is_one_order_and_bills_each_year_at_its_price(zuora: Zuora) -> None:
    """Later actions name what earlier ones add by their tokens; the ramp keeps the timeline."""
    made = await zuora.post("/v1/orders", ramp_deal())
    assert made["success"] is True
    (number,) = (r["rampNumber"] for r in made["ramps"])
    ramp = (await zuora.get(f"/v1/ramps/{number}"))["ramp"]
    assert ramp["charges"] == [{"chargeNumber": "C-1"}]
    assert [i["name"] for i in ramp["intervals"]] == ["Year 1", "Year 2"]
    assert (await zuora.get("/v1/subscriptions/S-1/ramps"))["ramps"] == [ramp]
    assert await segments(zuora, "C-1") == [
        ("2026-01-15", "2027-01-15", Decimal(10)),
        ("2027-01-15", "2028-01-15", Decimal(12)),
    ]
    assert (await zuora.get("/v1/subscriptions/S-1"))["totalContractedValue"] == Decimal(1320)
    await zuora.advance(400)
    amounts = [i["amount"] for i in zuora.sandbox.documents("invoices")["invoices"]]
    assert (amounts[0], amounts[12]) == (Decimal(50), Decimal(60))


@pytest.mark.parametrize(
    ("ramp", "part"),
    [
        ({"intervals": []}, "'ramp.intervals' may not be empty"),
        ({"intervals": [RAMP["intervals"][0], {**RAMP["intervals"][1], "startDate": "2027-01-16"}]}, "continuous"),
        ({"intervals": [{"startDate": "2026-01-15", "endDate": "2028-01-15"}]}, "within the subscription term"),
        ({"charges": [{"chargeNumber": "C-9"}]}, "Cannot find entity by key: 'C-9'."),
    ],
)
async def test_a_faulty_ramp_takes_its_whole_order_with_it(zuora: Zuora, ramp: Any, part: str) -> None:
    """The subscription that the order had begun to make is gone, and its numbers are free again."""
    refused = await zuora.post("/v1/orders", ramp_deal(**ramp))
    assert part in refused["reasons"][0]["message"]
    standing = zuora.sandbox.documents()
    for kind in ("orders", "subscriptions", "rate-plans", "rate-plan-charges", "ramps"):
        assert not standing[kind], kind
    assert (await zuora.post("/v1/orders", ramp_deal()))["success"] is True


async def test_a_refused_action_undoes_the_ones_before_it(zuora: Zuora) -> None:
    """The subscription is as it was, and is found by every number as before."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 5, "2026-01-15")))
    before = await zuora.get("/v1/subscriptions/S-1")
    update = on("2026-07-15", "UpdateProduct", productRatePlanNumber="PRP-SEATS", chargeUpdates=[price("C-1", 20)])
    add = on("2026-07-15", "AddProduct", **seats("C-2", 8, 1, "2026-07-15"))
    faulty = on("2026-07-15", "RemoveProduct", productRatePlanNumber="PRP-SETUP")
    refused = await zuora.post("/v1/orders", change("2", update, add, faulty))
    assert refused["success"] is False
    assert await zuora.get("/v1/subscriptions/S-1") == before
    assert (await zuora.get("/v1/orders/O-2"))["success"] is False
    again = await zuora.post("/v1/orders", change("2", update, add))
    assert again["success"] is True
    assert [p for _, _, p in await segments(zuora, "C-1")] == [Decimal(10), Decimal(20)]


async def test_an_update_outside_the_last_segment_is_refused(zuora: Zuora) -> None:
    """Prices of the past, or of a segment that another one follows, stand."""
    await zuora.post("/v1/orders", order("1", seats("C-1", 10, 5, "2026-01-15")))
    update = {"productRatePlanNumber": "PRP-SEATS", "chargeUpdates": [price("C-1", 20)]}
    await zuora.post("/v1/orders", change("2", on("2026-07-15", "UpdateProduct", **update)))
    refused = await zuora.post("/v1/orders", change("3", on("2026-03-15", "UpdateProduct", **update)))
    assert "within the last segment of the charge C-1" in refused["reasons"][0]["message"]


async def test_terms_and_conditions_change_the_running_term_and_its_renewal(zuora: Zuora) -> None:
    """A shorter term gives back what was billed beyond it; the charges follow its end."""
    line = seats("C-1", 10, 5, "2026-01-15")
    await zuora.post("/v1/orders", order("1", line))
    body = {"lastTerm": {"termType": "TERMED", "period": 6, "periodType": "Month"}, "autoRenew": True}
    terms = on("2026-01-15", "TermsAndConditions", **body, renewalTerms=[{"period": 3, "periodType": "Month"}])
    assert (await zuora.post("/v1/orders", change("2", terms)))["success"] is True
    seen = await zuora.get("/v1/subscriptions/S-1")
    assert (seen["termEndDate"], seen["autoRenew"], seen["renewalTerm"]) == ("2026-07-15", True, 3)
    assert await segments(zuora, "C-1") == [("2026-01-15", "2026-07-15", Decimal(10))]
    await zuora.advance(190)
    assert (await zuora.get("/v1/subscriptions/S-1"))["termEndDate"] == "2026-10-15"


async def test_terms_are_refused_in_the_vendors_words(zuora: Zuora) -> None:
    """A term without a length, of an unknown type, or one that ends before it begins."""
    await zuora.post("/v1/orders", order("1"))
    for last, part in (
        ({"termType": "FOREVER"}, "'termType' value should be one of: TERMED, EVERGREEN"),
        ({"termType": "TERMED"}, "'period' may not be empty"),
        ({"termType": "TERMED", "endDate": "2026-01-01"}, "should be later than the term start date"),
    ):
        answer = await zuora.post("/v1/orders", change("2", on("2026-01-15", "TermsAndConditions", lastTerm=last)))
        assert part in answer["reasons"][0]["message"]


async def test_an_owner_transfer_moves_the_subscription_and_its_coming_invoices(zuora: Zuora) -> None:
    """What was invoiced before stays with the first owner."""
    zuora.sandbox.seed("accounts", [account("A-2"), account("A-3", currency="USD")])
    await zuora.post("/v1/orders", order("1"))
    await zuora.advance(10)
    transfer = on("2026-01-20", "OwnerTransfer", destinationAccountNumber="A-2")
    assert (await zuora.post("/v1/orders", change("2", transfer)))["success"] is True
    await zuora.advance(31)
    owners = [i["accountNumber"] for i in zuora.sandbox.documents("invoices")["invoices"]]
    assert owners == ["A-1", "A-2"]
    moved = await zuora.get("/v1/subscriptions/accounts/A-2")
    assert [s["subscriptionNumber"] for s in moved["subscriptions"]] == ["S-1"]
    foreign = on("2026-01-20", "OwnerTransfer", destinationAccountNumber="A-3")
    refused = await zuora.post("/v1/orders", change("3", foreign, existingAccountNumber="A-2"))
    assert "another currency" in refused["reasons"][0]["message"]


async def test_a_callout_of_a_refused_order_is_never_sent(zuora: Zuora) -> None:
    """SubscriptionCancelled waits for the action after it."""
    await zuora.post("/v1/orders", order("1"))
    sent: list[str] = []
    zuora.sandbox.tenant._announce = lambda event, ids: sent.append(event)
    cancel = on("2026-06-15", "CancelSubscription", cancellationPolicy="SpecificDate",
                cancellationEffectiveDate="2026-06-15")  # fmt: skip
    faulty = on("2026-06-15", "AddProduct", productRatePlanNumber="PRP-NO")
    assert (await zuora.post("/v1/orders", change("2", cancel, faulty)))["success"] is False
    assert sent == []
    assert (await zuora.post("/v1/orders", change("2", cancel)))["success"] is True
    assert sent == ["SubscriptionCancelled"]
