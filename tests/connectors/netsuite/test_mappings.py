"""The shipped tables make documents that NetSuite's contract allows, with exact amounts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from tests.connectors.netsuite.conftest import (
    CONTACT,
    CREDIT_NOTE,
    CUSTOMER,
    DEPOSIT,
    INVOICE,
    JOURNAL,
    ORDER,
    PAYMENT,
    PROJECT,
    money,
)

from tieline.connectors.netsuite import CONNECTOR
from tieline.connectors.netsuite.records import RECORDS
from tieline.domain import KINDS
from tieline.engine.ports import Wire
from tieline.mapping import MappingFailed, MappingSet, MissingReference, UnmappedValue, schema_of

REFS = {("customer", CUSTOMER["id"]): "41", ("invoice", INVOICE["id"]): "1201"}
DOCUMENTS = {
    "customer": CUSTOMER,
    "order": ORDER,
    "invoice": INVOICE,
    "credit_note": CREDIT_NOTE,
    "payment": PAYMENT,
    "deposit": DEPOSIT,
    "journal_entry": JOURNAL,
    "contact": CONTACT,
    "project": PROJECT,
}
CONTRACT = Path(__file__).parents[4] / "shared/contracts/netsuite/trimmed.openapi.json"


def run(mappings: MappingSet, kind: str, document: Wire) -> Wire:
    return mappings.mapping(f"{kind} -> netsuite.{RECORDS[kind].name}").run(document, refs=REFS)


def test_the_tables_fit_the_canonical_entities_and_the_wire_types(mappings: MappingSet) -> None:
    schemas = {name: schema_of(kind) for name, kind in {**KINDS, **CONNECTOR.schemas}.items()}
    assert mappings.check(schemas) == []


def test_every_operation_has_its_table(mappings: MappingSet) -> None:
    named = {operation.mapping for operation in CONNECTOR.manifest.operations}
    assert named == {name for name in mappings.names if "netsuite." in name}


def test_the_examples_in_the_tables_hold(mappings: MappingSet) -> None:
    results = mappings.run_examples()
    assert len(results) >= 4
    assert [str(result) for result in results if not result.ok] == []


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_sources_are_what_the_entities_are(kind: str) -> None:
    """The documents these tests map are the canonical entities, nothing invented."""
    entity = msgspec.convert(DOCUMENTS[kind], KINDS[kind], strict=False)
    assert getattr(entity, "id") == DOCUMENTS[kind]["id"]  # noqa: B009 - the entity is one of many types


@pytest.mark.parametrize(
    ("website", "url"),
    [("www.acme.example", "https://www.acme.example"), ("http://acme.example", "http://acme.example")],
)
def test_a_website_gets_the_protocol_that_netsuite_insists_on(mappings: MappingSet, website: str, url: str) -> None:
    assert run(mappings, "customer", CUSTOMER | {"website": website})["url"] == url


def test_a_customer_belongs_to_the_subsidiary_of_our_legal_entity(mappings: MappingSet) -> None:
    kept = run(mappings, "customer", CUSTOMER | {"legal_entity": "US01"})
    assert kept["subsidiary"] == {"refName": "Northwind Inc"}
    assert "subsidiary" not in run(mappings, "customer", CUSTOMER)


def test_an_order_has_a_line_for_each_line_of_the_contract(mappings: MappingSet) -> None:
    order = run(mappings, "order", ORDER)
    assert order["item"]["items"] == [
        {
            "item": {"refName": "GTX Pro"},
            "quantity": Decimal(7),
            "rate": Decimal("142.85714286"),
            "amount": Decimal("1000.00"),
            "description": "GTX Pro, 7 seats",
            "custcol_crm_line": "00kAa0000045t1AAA",
            "custcol_rev_start": "2026-12-01",
            "custcol_rev_end": "2027-11-30",
            "billingSchedule": {"refName": "Monthly"},
        },
        {
            "item": {"refName": "GTX API Calls"},
            "quantity": Decimal(1),
            "rate": Decimal(0),
            "amount": Decimal(0),
            "custcol_crm_line": "00kAa0000045t2AAA",
            "custcol_rev_start": "2026-12-01",
            "custcol_rev_end": "2027-11-30",
        },
    ]
    del order["item"]
    assert order == {
        "entity": {"id": "41"},
        "subsidiary": {"refName": "Northwind GmbH"},
        "currency": {"refName": "EUR"},
        "tranDate": "2026-11-20",
        "startDate": "2026-12-01",
        "endDate": "2027-11-30",
        "otherRefNum": "O-006Aa000001XyZ1AAK",
        "memo": "Subscription S-006Aa000001XyZ1AAK",
        "terms": {"refName": "Net 30"},
        "custbody_zuora_subscription": "S-006Aa000001XyZ1AAK",
        "custbody_crm_opportunity": "006Aa000001XyZ1AAK",
    }


def test_an_invoice_names_its_period_and_its_tax_only_where_there_are_any(mappings: MappingSet) -> None:
    plain = run(mappings, "invoice", INVOICE)
    assert not plain.keys() & {"postingPeriod", "taxTotal", "subsidiary"}
    taxed = INVOICE | {
        "posting_period": "Dec 2026",
        "lines": [INVOICE["lines"][0] | {"tax": money("15.83")}, INVOICE["lines"][1] | {"tax": money("0.00")}],
    }
    invoice = run(mappings, "invoice", taxed)
    assert (invoice["postingPeriod"], invoice["taxTotal"]) == ({"refName": "Dec 2026"}, Decimal("15.83"))
    assert invoice["item"]["items"][1] == {
        "item": {"refName": "Rounding"},
        "quantity": Decimal(1),
        "rate": Decimal("0.01"),
        "amount": Decimal("0.01"),
    }


def test_what_is_settled_is_named_by_netsuites_own_ids(mappings: MappingSet) -> None:
    credit, payment = run(mappings, "credit_note", CREDIT_NOTE), run(mappings, "payment", PAYMENT)
    assert credit["apply"]["items"] == [{"doc": {"id": "1201"}, "apply": True, "amount": Decimal("30.00")}]
    assert credit["item"]["items"][0]["amount"] == Decimal("30.00")
    assert payment == {
        "customer": {"id": "41"},
        "currency": {"refName": "EUR"},
        "tranDate": "2026-11-23",
        "memo": "Payment P-00000005",
        "payment": Decimal("60.00"),
        "apply": {"items": [{"doc": {"id": "1201"}, "apply": True, "amount": Decimal("53.34")}]},
    }


def test_a_payment_that_settles_nothing_yet_is_posted_all_the_same(mappings: MappingSet) -> None:
    assert run(mappings, "payment", PAYMENT | {"applications": []}).get("apply", {"items": []}) == {"items": []}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_amounts_written_as_text_become_the_same_numbers(mappings: MappingSet, kind: str) -> None:
    """A canonical document that was kept as JSON has its amounts as text."""
    as_text = msgspec.json.decode(msgspec.json.encode(DOCUMENTS[kind]))
    assert run(mappings, kind, as_text) == run(mappings, kind, DOCUMENTS[kind])


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_no_amount_ever_becomes_a_float(mappings: MappingSet, kind: str) -> None:
    def floats(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [f for one in value.values() for f in floats(one)]
        if isinstance(value, list):
            return [f for one in value for f in floats(one)]
        return [value] if isinstance(value, float) else []

    assert floats(run(mappings, kind, DOCUMENTS[kind])) == []


def test_what_nobody_mapped_is_named(mappings: MappingSet) -> None:
    with pytest.raises(UnmappedValue, match="GTX-PROO"):
        run(mappings, "order", ORDER | {"lines": [ORDER["lines"][0] | {"product": "GTX-PROO"}]})
    with pytest.raises(MissingReference):
        run(mappings, "payment", PAYMENT | {"customer": "salesforce-unknown"})
    with pytest.raises(MappingFailed):
        run(mappings, "invoice", INVOICE | {"issued_on": None})


@pytest.mark.parametrize("kind", [one for one in DOCUMENTS if one != "project"])  # the contract has no projects
def test_the_documents_fit_the_published_contract(mappings: MappingSet, kind: str) -> None:
    if not CONTRACT.exists():
        pytest.skip("the published contracts are not beside this project")
    contract = msgspec.json.decode(CONTRACT.read_bytes())
    schema = contract["components"]["schemas"][RECORDS[kind].name]
    encoder = msgspec.json.Encoder(decimal_format="number")
    document = msgspec.json.decode(encoder.encode(run(mappings, kind, DOCUMENTS[kind])))
    validator = jsonschema_rs.validator_for({**schema, "components": contract["components"]})
    # The contract calls `doc` of an apply line a string; NetSuite's examples write a reference.
    for line in (document.get("apply") or {}).get("items", []):
        line["doc"] = line["doc"]["id"]
    assert [str(error) for error in validator.iter_errors(document)] == []
    ours = {name for name in document if not name.startswith("cust") and name != "addressBook"}
    # The contract leaves out the sublists of some records; the sales order's show how they are written.
    assert ours <= schema["properties"].keys() | {"item", "apply"}


def test_a_posting_has_one_side_and_names_its_account_as_people_do(mappings: MappingSet) -> None:
    journal = run(mappings, "journal_entry", JOURNAL)
    assert (journal["subsidiary"], journal["memo"]) == ({"refName": "Northwind GmbH"}, "JE-1 deferral")
    assert journal["line"]["items"] == [
        {"account": {"refName": "2200"}, "debit": Decimal("83.33"), "memo": "December"},
        {"account": {"refName": "Sales"}, "credit": Decimal("83.33"), "entity": {"id": "41"}},
    ]
