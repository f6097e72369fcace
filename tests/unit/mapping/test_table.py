"""Loading and checking tables: every mistake is told at once, with its place and the word that was probably meant."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.mapping.support import FUNCTIONS, NAME, TABLES, good

from tieline.mapping import (
    MappingSet,
    ProblemsFound,
    check,
    compile_table,
    describe,
    load_table,
    load_value_map,
    schema_of,
)
from tieline.mapping.problems import Problem


class Money(msgspec.Struct):
    amount: Decimal
    currency: str


class Line(msgspec.Struct):
    Quantity: Decimal
    net: Money


class Order(msgspec.Struct):
    number: str
    active: bool
    total: Money
    lines: list[Line]
    won_on: date | None = None


class Entity(msgspec.Struct):
    id: str


class Target(msgspec.Struct):
    id: str
    tranDate: date  # noqa: N815 - a vendor's spelling
    lines: list[str]
    amount: Decimal
    kind: str
    when: date | None
    total: Money
    entity: Entity
    grows: list[dict[str, str]]
    items: list[dict[str, Any]]
    memo: str = ""


def told(problems: list[Problem]) -> list[str]:
    return [f"{p.line}:{p.column}: {p.message}" for p in problems]


def problems_of(name: str) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        load_table(TABLES / "bad" / name)
    assert all(p.file.endswith(name) for p in caught.value.problems)
    return told(caught.value.problems)


def test_every_problem_of_a_table_is_told_at_once() -> None:
    """Whoever writes a table gets the whole list, not one mistake a run."""
    assert problems_of("table.yaml") == [
        "2:1: unknown key 'verson' in a mapping table; nearest: 'version'",
        "3:10: 'version' of a mapping table must be a whole number",
        "5:3: field 'number' says nothing about its source; it needs exactly one of from, formula, const, args, each",
        "5:12: unknown key 'frm' in field 'number'; nearest: 'from'",
        "6:22: 'monney' is none of string, integer, decimal, boolean, date, datetime, money, id; nearest: 'money'",
        "7:3: 'id' stands here twice; first on line 6",
        "8:3: field 'twice' has from and const; it needs exactly one of from, formula, const, args, each",
        "9:16: 'a..b' is not a path: field names are separated by dots, list positions are [0]",
        "10:9: 'bare' needs a rule in braces, as in {from: Id}",
        "12:3: 'a' collides with 'a.b' on line 11",
        "13:3: field 'orphan' has from and args; it needs exactly one of from, formula, const, args, each",
        "14:37: a field with a default is never missing; drop 'required' or 'default'",
        "15:38: 'places' must lie between 0 and 20",
        "15:48: 'up' is none of half_up, half_even, down; nearest: 'half_up'",
        "16:11: 'alias' needs a rule in braces, as in {from: Id}",
        "16:11: anchors and aliases are not used in tables; write the value out",
        "18:18: tags like !!python/object:os.system are not used in tables",
        "20:5: field 'items' needs 'fields'",
        "21:5: unknown key 'wher' in field 'items'; nearest: 'where'",
        "23:5: example 1 needs 'expect'",
    ]


def test_what_is_no_yaml_is_told_with_its_place() -> None:
    assert problems_of("not_yaml.yaml") == ["2:4: this is not YAML: expected ',' or ']', but got ':'"]
    with pytest.raises(ProblemsFound, match="cannot be read"):
        load_table(TABLES / "absent.yaml")
    with pytest.raises(ProblemsFound, match="the file is empty"):
        load_table("")
    with pytest.raises(ProblemsFound, match="must be a mapping"):
        load_table("[1, 2]")


def test_formulas_are_checked_with_line_and_column_of_the_file() -> None:
    """The place is inside the formula, also in block texts and behind doubled quotes."""
    known = good()
    table = load_table(TABLES / "bad" / "formulas.yaml")
    problems = told(check(table, value_maps=known.value_maps, functions=known.functions))
    assert problems == [
        "5:17: unknown function 'roud'; nearest: 'round'",
        "5:35: unknown function 'unknown'",
        "9:11: powers (**) are not part of formulas",
        "10:30: the formula ends too early: something is missing",
        "11:29: unknown value map 'termz'; nearest: 'terms'",
        "12:44: value map 'terms' has no column 'epr'; nearest: 'erp'",
        "13:29: value map 'terms' has several columns; name one of erp",
        "14:25: unknown function 'parse_tires'; nearest: 'parse_tiers'",
        "15:11: parse_tiers() takes 1 argument, 2 given: parse_tiers(…)",
        "21:21: the formula ends too early: something is missing",
    ]
    with pytest.raises(ProblemsFound, match="roud"):
        compile_table(table, value_maps=known.value_maps, functions=FUNCTIONS)


def test_a_table_is_checked_against_both_schemas() -> None:
    """Unknown paths, types that cannot agree, and required fields nobody fills are found before anything runs."""
    table = load_table(TABLES / "bad" / "schema.yaml")
    problems = check(table, schema_of(Order), schema_of(Target))
    text = "\n".join(told(problems))
    for expected in (
        "4:24: unknown field 'nubmer'; nearest: 'number'",
        "5:3: target: unknown field 'tranDat'; nearest: 'tranDate'",
        "6:3: target 'lines' takes list, and this gives text",
        "7:3: target 'amount' takes number, and this gives list",
        "9:36: boolean cannot become date",
        "12:3: position [1] is filled and [0] is not",
        "14:11: 'number' is text, not a list",
        "18:24: unknown field 'amont' in total; nearest: 'amount'",
        "1:1: the target requires 'tranDate', and no rule fills it",
    ):
        assert expected in text
    assert "entity" not in text
    assert "memo" not in text


def test_a_sound_table_has_no_problems_and_describes_itself() -> None:
    """The rows of the documentation name target, source, rule, owner and note of every field."""
    known = good()
    assert known.problems == []
    rows = {row.target: row for row in describe(known.tables[NAME])}
    assert rows["currency"].owner == "finance"
    assert rows["entity.id"].rule == "customer, as the target's id of that customer, required"
    assert rows["item.items[].item.id"].rule == "product, looked up in products, column erp_item"
    assert rows["item.items"].note == "usage is booked when it is metered"
    assert rows["rate"].rule.startswith("`round(sum(lines, net.amount)")


def test_value_maps_are_strict() -> None:
    with pytest.raises(ProblemsFound) as caught:
        load_value_map(TABLES / "bad" / "value_map.yaml")
    assert told(caught.value.problems) == [
        "4:3: 'Net 30' stands here twice; first on line 3",
        "5:22: column 'biling' stands only here; nearest: 'billing'",
        "8:3: 'Net 10' differs from the other entries: either all have columns or none",
        "9:11: 'Net 15' must have one value, or a value for each column",
    ]


def test_a_correction_makes_a_new_version_of_a_value_map() -> None:
    """The old map stays as it was; the content hash tells them apart, and does not depend on the order of keys."""
    terms = good().value_map("terms")
    corrected = terms.with_entry("Net 45", {"erp": "9"})
    assert (corrected.version, corrected.get("Net 45", "erp")) == (terms.version + 1, "9")
    assert "Net 45" not in terms.entries
    assert corrected.content_hash != terms.content_hash
    again = load_value_map("value_map: terms\nentries: {Net 60: {erp: '5'}, Net 30: {erp: '4'}}")
    assert again.content_hash == terms.content_hash
    with pytest.raises(ValueError, match="no column 'epr'"):
        terms.with_entry("Net 45", {"epr": "9"})
    with pytest.raises(ValueError, match="has columns: erp"):
        terms.with_entry("Net 45", "9")


def test_later_folders_override_earlier_ones(tmp_path: Path) -> None:
    """A project's own table replaces the shipped one of the same name; two of one name in a folder are a mistake."""
    own = "mapping: canonical.order -> erp.salesOrder\nversion: 9\nfields: {eid: {from: id}}\n"
    (tmp_path / "own.yaml").write_text(own)
    known = MappingSet.load(TABLES / "good", tmp_path, functions=FUNCTIONS)
    assert known.mapping(NAME).version == 9
    assert known.problems == []
    (tmp_path / "zwei.yaml").write_text(own)
    (tmp_path / "other.yaml").write_text("x: 1\n")
    messages = [p.message for p in MappingSet.load(tmp_path).problems]
    assert any("is also in" in m for m in messages)
    assert any("neither a mapping table nor a value map" in m for m in messages)


def test_a_faulty_file_leaves_the_others_usable() -> None:
    known = MappingSet.load(TABLES / "good", TABLES / "bad", functions=FUNCTIONS)
    assert known.value_map("products").version == 7
    assert len({p.file for p in known.problems}) >= 4


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "? {a: 1}\n: 2\n",
        "mapping: !!python/object/apply:os.system ['true']\n",
        "mapping: a -> b\n---\nmapping: c -> d\n",
        "{" * 3000,
        "[" * 3000,
        "a: \x00\n",
        "%YAML 9.9\n---\na: 1\n",
    ],
)
def test_hostile_yaml_is_refused(text: str) -> None:
    """A file can neither run code nor grow without end, and its mistake is told with a place."""
    with pytest.raises(ProblemsFound):
        load_table(text, "x.yaml")
