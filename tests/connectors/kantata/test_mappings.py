"""Kantata's table: the project of a deal, with the reference that finds it again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest
from tests.connectors.kantata.account import DEAL, projects

from tieline.connectors.kantata import CONNECTOR
from tieline.connectors.kantata.connector import KantataConnector
from tieline.connectors.kantata.wire import SERVICE_MODEL, SERVICE_NAME
from tieline.domain import KINDS, Money, Project
from tieline.engine.ports import Applied, Call
from tieline.engine.records import EffectKey
from tieline.mapping import ExampleResult, MappingSet, schema_of
from tieline_sandbox.kantata import Sandbox

TABLES = MappingSet.load(CONNECTOR.mappings, functions=CONNECTOR.functions)
TABLE = TABLES.mapping("project -> kantata.workspace")


def project(budget: Money) -> Project:
    return Project(
        id=DEAL,
        title="T" * 300,
        customer="salesforce-001Aa00000ABCDEIA4",
        contract=DEAL,
        starts_on=date(2026, 2, 1),
        ends_on=date(2026, 4, 30),
        budget=budget,
    )


def test_the_table_fits_kantatas_shape_and_ours() -> None:
    schemas = {name: schema_of(kind) for name, kind in {**CONNECTOR.schemas, **KINDS}.items()}

    assert TABLES.check(schemas) == []


@pytest.mark.parametrize("result", TABLES.run_examples(), ids=lambda result: result.name)
def test_each_example_in_the_table_holds(result: ExampleResult) -> None:
    assert result.ok, str(result)


def test_the_table_and_the_look_up_use_the_same_reference() -> None:
    """If they parted, no project would ever be found again."""
    wire = TABLE.run(msgspec.to_builtins(project(Money(Decimal(1), "EUR"))))

    assert wire["external_reference"]["service_name"] == SERVICE_NAME
    assert wire["external_reference"]["service_model"] == SERVICE_MODEL


@pytest.mark.parametrize(
    ("budget", "cents"),
    [
        (Money(Decimal("7166.67"), "EUR"), 716_700),
        (Money(Decimal(1200000), "JPY"), 1_200_000),
        (Money(Decimal("10.500"), "KWD"), 11_000),
    ],
)
async def test_a_mapped_project_is_taken_and_found_as_sent(
    kantata: KantataConnector, account: Sandbox, budget: Money, cents: int
) -> None:
    """The budget goes out in whole units and comes back in the currency's base unit."""
    wire = TABLE.run(msgspec.to_builtins(project(budget)))
    call = Call(key=EffectKey("kantata", "project", DEAL), revision=1, wire=wire)
    operation = kantata.manifest.operations[0]

    assert isinstance((await kantata.send(operation, [call]))[0], Applied)
    assert isinstance((await kantata.probe(operation, [call]))[0], Applied)
    assert [p["price_in_cents"] for p in projects(account)] == [cents]
