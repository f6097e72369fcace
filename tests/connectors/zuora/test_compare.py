"""What stands is compared with what was sent by meaning: Zuora shows documents in another shape than it takes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.connectors.zuora.tenant import account, cancellation, order

from tieline.connectors.zuora.compare import account_difference, country_code, order_difference


def shown(**changes: Any) -> dict[str, Any]:
    """GET /v1/accounts/{key} for account(), as Zuora shows it."""
    sent = account()
    contact = {**sent["billToContact"], "country": "Germany", "postalCode": sent["billToContact"].pop("zipCode")}
    return {
        "basicInfo": {
            "id": "8ad0",
            "accountNumber": sent["accountNumber"],
            "name": sent["name"],
            "crmId": sent["crmId"],
        },
        "billingAndPayment": {"currency": "EUR", "autoPay": True, "billCycleDay": 1},
        "billToContact": {**contact, **changes},
        "taxInfo": {"VATId": "DE136695976", "companyCode": None},
    }


def test_what_zuora_adds_or_spells_its_own_way_is_no_difference() -> None:
    assert account_difference(account(), shown()) == ""


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"city": "Bonn"}, "city"), ({"country": "Austria"}, "country"), ({"workEmail": None}, "workEmail")],
)
def test_another_value_is_a_difference_with_its_place(changes: dict[str, Any], place: str) -> None:
    assert f"billToContact.{place}" in account_difference(account(), shown(**changes))


def test_states_are_compared_by_name_or_code() -> None:
    american = {"firstName": "A", "lastName": "P", "country": "US", "state": "CA"}
    for state, same in (("California", True), ("CA", True), ("Texas", False)):
        view = {"billToContact": {**american, "country": "United States", "state": state}}
        assert (account_difference({"billToContact": american}, view) == "") is same


@pytest.mark.parametrize(
    ("country", "code"),
    [("DE", "DE"), ("de", "DE"), ("Germany", "DE"), ("DEU", "DE"), ("Atlantis", "atlantis"), ("", "")],
)
def test_countries_become_codes(country: str, code: str) -> None:
    assert country_code(country) == code


def echoed(sent: dict[str, Any]) -> dict[str, Any]:
    """The order as GET shows it: charges in another order, catalogue ids for numbers, defaults filled in."""
    found = copy.deepcopy(sent)
    found |= {"status": "Completed", "currency": "EUR"}
    for entry in found["subscriptions"]:
        for action in entry["orderActions"]:
            action["sequence"] = 0
            created = action.get("createSubscription")
            if created:
                entry["subscriptionNumber"] = created.pop("subscriptionNumber")
                created["subscribeToRatePlans"].reverse()
                for plan in created["subscribeToRatePlans"]:
                    plan["productRatePlanId"] = plan.pop("productRatePlanNumber")
                    del plan["chargeOverrides"][0]["productRatePlanChargeNumber"]
    return found


def test_an_echo_in_zuoras_own_shape_is_the_same_order() -> None:
    for sent in (order(), cancellation()):
        assert order_difference(sent, echoed(sent)) == ""


def test_a_price_a_date_a_charge_or_an_account_makes_another_order() -> None:
    sent, found = order(), echoed(order())
    assert "listPrice" in order_difference(order(net="1200.00"), found)
    moved = copy.deepcopy(found)
    plans = moved["subscriptions"][0]["orderActions"][0]["createSubscription"]["subscribeToRatePlans"]
    plans[0]["chargeOverrides"][0]["startDate"]["specificTriggerDate"] = "2026-03-01"
    assert "startDate" in order_difference(sent, moved)
    plans.pop()
    assert "charges" in order_difference(sent, moved)
    assert "existingAccountNumber" in order_difference(sent, {**found, "existingAccountNumber": "A-2"})
    assert "cancellationEffectiveDate" in order_difference(
        cancellation(), _cancelled_on(echoed(cancellation()), "2026-03-01")
    )


def _cancelled_on(found: dict[str, Any], day: str) -> dict[str, Any]:
    found["subscriptions"][0]["orderActions"][0]["cancelSubscription"]["cancellationEffectiveDate"] = day
    return found
