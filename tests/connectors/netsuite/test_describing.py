"""What the account says of its fields is what the tables are held against."""

from __future__ import annotations

from tests.connectors.netsuite.conftest import Books

from tieline.connectors.netsuite import CONNECTOR
from tieline.connectors.netsuite.wire import SCHEMAS
from tieline.connectors.sdk import DescribesFields
from tieline.engine.ports import Wire
from tieline.mapping import MappingSet
from tieline.mapping.check import check

CUSTOM = ["custentity_tieline_source", "custbody_crm_opportunity", "custbody_zuora_subscription"]
COLUMNS = ["custcol_crm_line", "custcol_zuora_charge", "custcol_rev_start", "custcol_rev_end"]


async def problems(books: Books, mappings: MappingSet) -> list[str]:
    """What the shipped tables would stumble over on this account."""
    connector = books.connector
    assert isinstance(connector, DescribesFields)
    assert CONNECTOR.describes_fields
    told: dict[str, Wire] = {s: schema for s in SCHEMAS if (schema := await connector.describe(s)) is not None}
    assert set(SCHEMAS) - set(told) == {"netsuite.withdrawal"}
    found = []
    for operation in connector.manifest.operations:
        table = mappings.tables[operation.mapping]
        found += check(table, None, told.get(table.target), mappings.value_maps, mappings.functions)
    return [str(problem) for problem in found]


async def test_the_shipped_tables_fit_an_account_that_is_set_up(books: Books, mappings: MappingSet) -> None:
    books.sandbox.configure({"custom_fields": CUSTOM + COLUMNS})
    assert await problems(books, mappings) == []


async def test_a_custom_field_that_nobody_made_is_found_before_anything_is_sent(
    books: Books, mappings: MappingSet
) -> None:
    books.sandbox.configure({"custom_fields": CUSTOM + COLUMNS[1:]})
    found = await problems(books, mappings)
    assert found
    assert all("custcol_crm_line" in problem for problem in found)
