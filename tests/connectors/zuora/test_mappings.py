"""The shipped tables: clean against both schemas, true to their examples, and inside the published contract."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.connectors.zuora.tenant import TABLES, TIERS, account, cancellation, deal, order, table

from tieline.connectors.zuora import CONNECTOR, wire
from tieline.connectors.zuora.functions import contract_line, native_id, subscription_status, usage_tiers
from tieline.domain import KINDS
from tieline.domain.schedule import subscription_order
from tieline.errors import TranslationError
from tieline.mapping import MissingReference, schema_of

CONTRACT = Path(__file__).parents[4] / "shared/contracts/zuora/trimmed.openapi.json"
SCHEMAS = {name: schema_of(kind) for name, kind in {**KINDS, **CONNECTOR.schemas}.items()}


def test_every_table_fits_both_of_its_schemas() -> None:
    assert [str(problem) for problem in TABLES.check(SCHEMAS)] == []


def test_every_operation_has_its_table() -> None:
    assert {o.mapping for o in CONNECTOR.manifest.operations} <= set(TABLES.names)


def test_the_examples_hold() -> None:
    results = TABLES.run_examples()
    assert len(results) >= 10
    assert [f"{r.name}: {r.error} {r.differences}" for r in results if r.error or r.differences] == []


def test_every_table_shows_an_example() -> None:
    assert {name for name in TABLES.names if not TABLES.tables[name].examples} == set()


def charges(body: dict[str, Any]) -> list[dict[str, Any]]:
    plans = body["subscriptions"][0]["orderActions"][0]["createSubscription"]["subscribeToRatePlans"]
    return [override for plan in plans for override in plan["chargeOverrides"]]


def test_the_charges_of_an_order_add_up_to_the_deal() -> None:
    """Twelve periods and the rounding charge are the line, to the cent."""
    body = order()
    prices = [c["pricing"] for c in charges(body)]
    recurring = sum(p["recurringFlatFee"]["listPrice"] for p in prices if "recurringFlatFee" in p)
    once = sum(p["oneTimeFlatFee"]["listPrice"] for p in prices if "oneTimeFlatFee" in p)
    assert 12 * recurring + once == deal().value.amount
    assert [c["chargeNumber"][-4:] for c in charges(body)] == ["AAL1", "L1-R", "AAL2", "AAL3"]


def test_a_charge_bills_from_its_own_day_for_its_own_dates() -> None:
    """No prorated first period; Zuora's end is the first day without the charge. One-time charges have none."""
    recurring, rounding, *_ = charges(order())
    assert recurring["startDate"] == {"triggerEvent": "SpecificDate", "specificTriggerDate": "2026-02-01"}
    assert recurring["endDate"] == {"endDateCondition": "Specific_End_Date", "specificEndDate": "2027-02-01"}
    assert recurring["billing"] == {
        "billingPeriod": "Month",
        "billCycleType": "ChargeTriggerDay",
        "billingPeriodAlignment": "AlignToCharge",
    }
    assert recurring["pricing"]["recurringFlatFee"]["listPriceBase"] == "Per_Billing_Period"
    assert "endDate" not in rounding
    assert "billing" not in rounding


def test_prices_stay_exact() -> None:
    def walk(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in walk(inner)]
        return [leaf for inner in value for leaf in walk(inner)] if isinstance(value, list) else [value]

    assert not [leaf for leaf in walk(order()) if isinstance(leaf, float)]
    assert Decimal("83.33") in walk(order())


def test_an_order_waits_for_its_customer() -> None:
    source = msgspec.to_builtins(subscription_order(deal()), builtin_types=(Decimal,))
    with pytest.raises(MissingReference) as caught:
        TABLES.mapping("subscription_order -> zuora.order").run(source)
    assert caught.value.kind == "customer"


def test_a_wrong_tier_is_told_in_words() -> None:
    source = msgspec.to_builtins(subscription_order(deal()), builtin_types=(Decimal,))
    source["charges"][3]["tiers"].reverse()
    mapping = TABLES.mapping("subscription_order -> zuora.order")
    with pytest.raises(TranslationError, match="follows the overage"):
        mapping.run(source, refs=dict.fromkeys(mapping.refs(source), "A-1"))


def test_an_order_is_taken_back_from_its_first_day() -> None:
    body = cancellation()
    action = body["subscriptions"][0]["orderActions"][0]
    assert body["orderNumber"] == "O-006Aa000001DealAAA-X"
    assert action["cancelSubscription"]["cancellationEffectiveDate"] == "2026-02-01"


def test_a_deed_runs_on_the_whole_order_or_on_one_that_begins_later() -> None:
    later = msgspec.structs.replace(subscription_order(deal()), starts_on=date(2026, 6, 1))
    body = table("subscription_order.cancel -> zuora.order", later)
    (trigger,) = body["subscriptions"][0]["orderActions"][0]["triggerDates"]
    assert trigger == {"name": "ContractEffective", "triggerDate": "2026-06-01"}


class TestFunctions:
    def test_tiers_touch_and_do_not_overlap(self) -> None:
        built = usage_tiers(msgspec.to_builtins(TIERS, builtin_types=(Decimal,)))
        assert [(t["startingUnit"], t.get("endingUnit")) for t in built] == [(0, 10000), (10001, 50000), (50001, None)]
        assert [t["price"] for t in built] == [0, Decimal("0.02"), Decimal("0.015")]
        assert {t["priceFormat"] for t in built} == {"PerUnit"}

    def test_fractional_units_step_by_their_smallest_place(self) -> None:
        tiers = [{"up_to": "0.5", "unit_price": "1"}, {"up_to": "10", "unit_price": "2"}]
        assert [t["startingUnit"] for t in usage_tiers(tiers)] == [0, Decimal("0.6")]

    @pytest.mark.parametrize(
        "tiers", [[{"up_to": None, "unit_price": "1"}] * 2, [{"up_to": "5", "unit_price": "1"}] * 2]
    )
    def test_tiers_that_do_not_rise_are_refused(self, tiers: list[dict[str, Any]]) -> None:
        with pytest.raises(ValueError, match="tier 2"):
            usage_tiers(tiers)

    def test_no_tiers_are_no_tiers(self) -> None:
        assert usage_tiers([]) == []

    def test_a_charge_knows_its_line(self) -> None:
        assert [contract_line(n) for n in ("C-77", "C-77-R", "77", "", None)] == ["77", "77", "", "", ""]

    def test_native_ids(self) -> None:
        assert [native_id(i) for i in ("salesforce-001A", "sf-eu-001A", "001A")] == ["001A", "001A", "001A"]

    def test_an_unknown_status_is_not_guessed(self) -> None:
        assert subscription_status("Pending Acceptance") == "pending"
        with pytest.raises(ValueError, match="no subscription status"):
            subscription_status("Frozen")


class TestContract:
    """What is sent has only fields that the published contract names."""

    @pytest.mark.parametrize(
        ("body", "schema"),
        [
            (order(), "CreateOrderRequest"),
            (cancellation(), "CreateOrderRequest"),
            (account(), "CreateAccountRequest"),
            (account(parent="salesforce-P"), "CreateAccountRequest"),
        ],
    )
    def test_bodies_are_inside_it(self, body: dict[str, Any], schema: str) -> None:
        if not CONTRACT.exists():
            pytest.skip("the published contracts are not beside the project")
        schemas = json.loads(CONTRACT.read_text())["components"]["schemas"]
        assert list(_strange(body, {"$ref": f"#/x/{schema}"}, schemas, schema)) == []

    @pytest.mark.parametrize(
        ("shape", "schema", "added"),
        [
            (wire.FetchedInvoice, "ExpandedInvoice", set()),
            (wire.FetchedItem, "ExpandedInvoiceItem", set()),
            (wire.FetchedMemo, "ExpandedCreditMemo", {"parts", "invoiceNumber"}),
            (wire.FetchedMemoItem, "ExpandedCreditMemoItem", set()),
            (wire.FetchedPayment, "ExpandedPayment", {"parts", "intendedInvoices"}),
            (wire.Part, "PaymentPart", {"invoiceNumber"}),
            (wire.Part, "CreditMemoPart", {"invoiceNumber"}),
            (wire.FetchedSubscription, "ExpandedSubscription", set()),
            (wire.AccountRef, "ExpandedAccount", set()),
            (wire.OrderRef, "ExpandedOrders", set()),
        ],
    )
    def test_what_is_read_is_inside_it(self, shape: Any, schema: str, added: set[str]) -> None:
        if not CONTRACT.exists():
            pytest.skip("the published contracts are not beside the project")
        schemas = json.loads(CONTRACT.read_text())["components"]["schemas"]
        assert set(shape.__annotations__) - set(schemas[schema]["properties"]) == added


def _strange(value: Any, schema: dict[str, Any], schemas: dict[str, Any], path: str) -> list[str]:
    """Paths of fields that a schema does not name, and of values its enumerations do not hold."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].split("/")[-1]]
    if isinstance(value, list):
        inner = schema.get("items", {})
        return [s for at, item in enumerate(value) for s in _strange(item, inner, schemas, f"{path}[{at}]")]
    if not isinstance(value, dict):
        return [f"{path}={value}"] if "enum" in schema and value not in schema["enum"] else []
    parts = [schema, *(schemas[p["$ref"].split("/")[-1]] if "$ref" in p else p for p in schema.get("allOf", []))]
    known = {name: s for part in parts for name, s in part.get("properties", {}).items()}
    strange = [f"{path}.{name}" for name in value if known and name not in known]
    return strange + [
        s
        for name, inner in value.items()
        if name in known
        for s in _strange(inner, known[name], schemas, f"{path}.{name}")
    ]
