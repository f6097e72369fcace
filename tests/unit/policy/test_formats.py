"""The JSON Schemas for editors accept the tables that load, and refuse those that do not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from tests.unit.mapping.support import TABLES
from tests.unit.policy.test_rules import APPROVALS, VALIDATION
from tests.unit.policy.test_tables import CATALOGUE, OWNERSHIP, ROUTES

from tieline.mapping.formats import mapping_format, value_map_format
from tieline.mapping.yaml_source import read_yaml, read_yaml_file
from tieline.policy.formats import policy_formats


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda v: str(v) if isinstance(v, Decimal) else v))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("validation", VALIDATION),
        ("approvals", APPROVALS),
        ("routes", ROUTES),
        ("catalogue", CATALOGUE),
        ("ownership", OWNERSHIP),
    ],
)
def test_policy_tables_fit_their_format(kind: str, text: str) -> None:
    table = plain(read_yaml(text)[0].plain())
    schema = policy_formats()[kind]
    assert jsonschema_rs.is_valid(schema, table)
    assert not jsonschema_rs.is_valid(schema, {**table, "verson": 1})


def test_mapping_tables_fit_their_format() -> None:
    for path, schema in (("order", mapping_format()), ("terms", value_map_format()), ("products", value_map_format())):
        table = plain(read_yaml_file(TABLES / "good" / f"{path}.yaml")[0].plain())
        assert list(jsonschema_rs.iter_errors(schema, table)) == []
    bad = plain(read_yaml_file(TABLES / "bad" / "table.yaml")[0].plain())
    assert len(list(jsonschema_rs.iter_errors(mapping_format(), bad))) > 3
