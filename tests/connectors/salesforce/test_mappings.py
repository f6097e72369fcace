"""Salesforce's tables: what sales typed becomes what finance means, or a sentence that says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.connectors.salesforce.org import seed_whole_deal

from tieline.connectors.salesforce import CONNECTOR
from tieline.connectors.salesforce.connector import DEAL_STATUS, SalesforceConnector
from tieline.connectors.salesforce.functions import country_code, native_id, parse_tiers, tax_registrations
from tieline.domain import KINDS, ChargeKind, Contract, Customer, DealStatus, Money
from tieline.domain.schedule import subscription_order
from tieline.engine.ports import Applied, Call
from tieline.engine.records import EffectKey
from tieline.errors import TranslationError
from tieline.mapping import ExampleResult, MappingSet, UnmappedValue, read_json, schema_of
from tieline_sandbox.salesforce import Sandbox

TABLES = MappingSet.load(CONNECTOR.mappings, functions=CONNECTOR.functions)
CONTRACT = TABLES.mapping("salesforce.opportunity -> contract")
CUSTOMER = TABLES.mapping("salesforce.account -> customer")
STATUS = TABLES.mapping("deal_status -> salesforce.opportunity")
Document = dict[str, Any]


def ramp() -> Document:
    found: Document = deepcopy(read_json(CONNECTOR.mappings / "examples" / "opportunity_ramp.json"))
    return found


def contract_of(opportunity: Document) -> Contract:
    return msgspec.convert(CONTRACT.run(opportunity, connection="salesforce"), Contract, strict=False)


def test_the_tables_fit_salesforces_shapes_and_ours() -> None:
    schemas = {name: schema_of(kind) for name, kind in {**CONNECTOR.schemas, **KINDS}.items()}

    assert TABLES.check(schemas) == []


@pytest.mark.parametrize("result", TABLES.run_examples(), ids=lambda result: result.name)
def test_each_example_in_the_tables_holds(result: ExampleResult) -> None:
    assert result.ok, str(result)


def test_a_deal_becomes_a_contract_whose_value_is_the_deals_amount() -> None:
    opportunity = ramp()

    contract = contract_of(opportunity)

    assert contract.value == Money(opportunity["Amount"], "EUR")
    assert [line.kind for line in contract.lines] == [
        ChargeKind.RECURRING,
        ChargeKind.RECURRING,
        ChargeKind.ONE_TIME,
        ChargeKind.USAGE,
    ]
    assert contract.lines[1].ends_on == date(2028, 1, 31)
    assert contract.lines[3].tiers[-1].up_to is None


def test_a_mapped_deal_can_be_billed() -> None:
    """The dates a table fills in are whole billing periods, or billing would refuse the deal."""
    order = subscription_order(contract_of(ramp()))

    assert order.subscription_number == "S-006Aa000001XyZ1AAK"
    assert {charge.line for charge in order.charges} == {line.id for line in contract_of(ramp()).lines}


def test_amounts_stay_exact_from_the_wire_to_the_contract() -> None:
    opportunity = ramp()
    opportunity["OpportunityLineItems"]["records"][0]["TotalPrice"] = Decimal("9007199254740993.01")

    assert contract_of(opportunity).lines[0].net.amount == Decimal("9007199254740993.01")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda o: o.update(Legal_Entity__c=None), "legal_entity"),
        (lambda o: o.update(AccountId=None), "customer"),
        (lambda o: o.update(OpportunityLineItems=None), "lines"),
        (lambda o: o["OpportunityLineItems"]["records"][1].update(Product2=None), "lines[1].product"),
        (lambda o: o["OpportunityLineItems"]["records"][1].update(Charge_Type__c=None), "lines[1].kind"),
        (lambda o: o["OpportunityLineItems"]["records"][3].update(Usage_Tiers__c="*:0; 5:1"), "lines[3].tiers"),
    ],
)
def test_what_nobody_may_guess_is_asked_for_by_name(change: Callable[[Document], None], field: str) -> None:
    opportunity = ramp()
    change(opportunity)

    with pytest.raises(TranslationError, match=field.replace("[", r"\[").replace("]", r"\]")):
        CONTRACT.run(opportunity, connection="salesforce")


def test_a_charge_type_nobody_mapped_names_the_value_map() -> None:
    """A person can add the word to the value map and go on."""
    opportunity = ramp()
    opportunity["OpportunityLineItems"]["records"][0]["Charge_Type__c"] = "Recuring"

    with pytest.raises(UnmappedValue, match="salesforce_charge_types"):
        CONTRACT.run(opportunity, connection="salesforce")


async def test_what_the_org_answers_maps_without_help(salesforce: SalesforceConnector, org: Sandbox) -> None:
    deal, account = seed_whole_deal(org)
    opportunity, company = (
        (await salesforce.fetch("opportunity", [deal]))[0],
        (await salesforce.fetch("account", [account]))[0],
    )
    assert opportunity is not None
    assert company is not None

    contract = contract_of(opportunity)
    customer = msgspec.convert(CUSTOMER.run(company, connection="salesforce"), Customer, strict=False)

    assert contract.customer == customer.id == f"salesforce-{account}"
    assert contract.value == Money(Decimal("380.19"), "EUR")
    assert [line.number for line in contract.lines] == [1, 2]
    assert contract.lines[0].ends_on == date(2027, 1, 31)
    assert customer.tax_registrations[0].country == "DE"
    assert customer.parent is not None


async def test_a_mapped_status_is_taken_by_the_org_and_found_again(
    salesforce: SalesforceConnector, org: Sandbox
) -> None:
    deal, _ = seed_whole_deal(org)
    status = DealStatus(
        id=f"salesforce-{deal}", contract=f"salesforce-{deal}", status="x" * 50, invoiced=Decimal("380.185")
    )
    wire = STATUS.run(msgspec.to_builtins(status))
    call = Call(key=EffectKey("salesforce", "deal_status", status.id), revision=1, wire=wire)

    assert isinstance((await salesforce.send(DEAL_STATUS, [call]))[0], Applied)
    assert isinstance((await salesforce.probe(DEAL_STATUS, [call]))[0], Applied)
    assert wire == {"Id": deal, "Tieline_Status__c": "x" * 40, "Invoiced__c": Decimal("380.19")}


def test_tiers_are_read_as_sales_writes_them() -> None:
    assert parse_tiers("10000:0; 50000:0.02; *:0.015") == [
        {"up_to": Decimal(10000), "unit_price": Decimal(0)},
        {"up_to": Decimal(50000), "unit_price": Decimal("0.02")},
        {"up_to": None, "unit_price": Decimal("0.015")},
    ]
    assert parse_tiers(" * : 1 ;") == [{"up_to": None, "unit_price": Decimal(1)}]


@pytest.mark.parametrize(
    "text", ["100", "100:", ":1", "100:x", "x:1", "*:0; 5:1", "5:1; 5:2", "9:1; 5:2", "5:-1", "5:NaN", "*:1;*:2"]
)
def test_tiers_that_cannot_be_meant_are_refused(text: str) -> None:
    """A tier out of order would bill wrongly without anybody noticing."""
    with pytest.raises(ValueError, match=r".+"):
        parse_tiers(text)


def test_countries_are_known_by_code_or_name() -> None:
    assert country_code("de", "France") == "DE"
    assert country_code(None, " United Kingdom ") == "GB"
    assert country_code("", None) is None
    with pytest.raises(ValueError, match="Atlantis"):
        country_code(None, "Atlantis")


def test_a_tax_number_without_a_country_is_refused() -> None:
    assert tax_registrations(" ", "DE", None) is None
    with pytest.raises(ValueError, match="no country"):
        tax_registrations("DE136695976", None, None)


def test_a_connection_may_have_hyphens_in_its_name() -> None:
    assert native_id("crm-eu-006Aa000001XyZ1AAK") == "006Aa000001XyZ1AAK"
