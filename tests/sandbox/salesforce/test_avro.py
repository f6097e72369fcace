"""Change events as bytes: what was changed can be read back from payload and bitmaps, whatever was changed."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline_sandbox.salesforce.avro import payload, schema_of
from tieline_sandbox.salesforce.eventbus import Happening, number_of, replay_id
from tieline_sandbox.salesforce.objects import standard_objects
from tieline_sandbox.salesforce.schema import Schema

ACCOUNT = Schema(standard_objects())["Account"]
HIDDEN = {"Id", "IsDeleted", "SystemModstamp"}
FIELDS = [field for field in ACCOUNT.stored if field.name not in HIDDEN]
VALUES: dict[str, Any] = {
    "boolean": True, "int": 7, "currency": Decimal("12.50"), "double": Decimal("1.5"), "percent": Decimal(10),
    "date": "2026-02-28", "datetime": "2026-02-28T10:00:00.000+0000",
}  # fmt: skip


def event(changed: dict[str, bool]) -> Happening:
    """An update of these fields; False stands for a field that was emptied."""
    record = ACCOUNT.blank | {"Id": "001000000000001AAA", "LastModifiedById": "005000000000001AAA"}
    kinds = {field.name: field.type for field in FIELDS}
    record |= {name: VALUES.get(kinds[name], "text") if filled else None for name, filled in changed.items()}
    moment = datetime(2026, 2, 28, tzinfo=UTC)
    return Happening(1, moment, "uuid", ACCOUNT, "UPDATE", ("001000000000001AAA",), tuple(changed), record, "t", 1, 1)


def named(fields: list[dict[str, Any]], bitmaps: list[str]) -> set[str]:
    """The names that bitmaps stand for, by the published rules; fields of a compound with its kind before them."""
    names: set[str] = set()
    for text in bitmaps:
        place, dash, bits = text.partition("-")
        inner: Any = fields[int(place)]["type"][1] if dash else fields
        inner = ADDRESS if inner == "com.sforce.eventbus.Address" else inner["fields"] if dash else inner
        start = fields[int(place)]["name"].removesuffix("Address") if dash else ""
        names |= {start + field["name"] for i, field in enumerate(inner) if int(bits or place, 16) >> i & 1}
    return names


CODED = schema_of(ACCOUNT)
ADDRESS = next(f["type"][1]["fields"] for f in CODED.parsed["fields"] if f["name"] == "BillingAddress")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([field.name for field in FIELDS]), st.booleans()))
def test_any_set_of_changed_fields_is_named_by_its_bitmaps(changed: dict[str, bool]) -> None:
    body: Any = fastavro.schemaless_reader(io.BytesIO(payload(event(changed), CODED)), CODED.parsed, None)
    header = body["ChangeEventHeader"]

    assert named(CODED.parsed["fields"], header["changedFields"]) == set(changed)
    assert named(CODED.parsed["fields"], header["nulledFields"]) == {
        name for name, filled in changed.items() if not filled
    }


def test_every_field_of_an_object_has_one_place_in_its_schema() -> None:
    places = list(CODED.places.values())
    assert len(set(places)) == len(places)
    assert set(CODED.places) == {field.name for field in FIELDS}


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_replay_id_names_its_place(number: int) -> None:
    assert number_of(replay_id(number)) == number
