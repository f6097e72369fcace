"""Running tables: exact values, all failures at once in sentences, and explanations that agree with what was made."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.mapping.support import FUNCTIONS, NAME, REFS, TABLES, good, order, order_mapping

from tieline.domain.money import Money
from tieline.errors import ConfigurationError, TranslationError
from tieline.mapping import (
    Mapping,
    MappingFailed,
    MissingReference,
    UnmappedValue,
    compile_table,
    explain,
    from_document,
    load_table,
    run_examples,
    to_document,
)

HEAD = "mapping: a -> b\nversion: 1\nowner: finance\nfields:\n"


def table(fields: str) -> Mapping:
    return compile_table(load_table(HEAD + fields, "a.yaml"), functions=FUNCTIONS)


def run(fields: str, document: dict[str, Any]) -> dict[str, Any]:
    return table(fields).run(document, connection="crm")


def test_the_examples_of_the_shipped_tables_hold() -> None:
    results = good().run_examples()
    assert results
    assert [str(r) for r in results if not r.ok] == []


@pytest.mark.parametrize(
    ("rule", "given", "made"),
    [
        ("{from: x}", 1, 1),
        ("{from: x, as: string}", Decimal("1E+2"), "100"),
        ("{from: x, as: string}", True, "true"),
        ("{from: x, as: integer}", "12", 12),
        ("{from: x, as: integer, round: 0}", Decimal("12.5"), 13),
        ("{from: x, as: decimal}", "0.10", Decimal("0.10")),
        ("{from: x, as: decimal, round: {places: 1, mode: down}}", Decimal("-1.29"), Decimal("-1.2")),
        ("{from: x, as: decimal, round: {places: 0, mode: half_even}}", Decimal("2.5"), Decimal(2)),
        ("{from: x, as: boolean}", "F", False),
        ("{from: x, as: date}", "2026-01-31T23:59:59Z", "2026-01-31"),
        ("{from: x, as: datetime}", "2026-01-31T00:30:00+01:00", "2026-01-30T23:30:00Z"),
        ("{from: x, as: id}", "006", "crm-006"),
        ("{from: x, as: money, currency: c}", "5", {"amount": Decimal(5), "currency": "EUR"}),
        ("{from: x, as: money}", {"amount": "5", "currency": "USD"}, {"amount": Decimal(5), "currency": "USD"}),
        ("{from: x, max_length: 3, truncate: true}", "abcdef", "abc"),
        ("{from: x, default: 7}", None, 7),
        ("{from: x, keep_null: true}", None, None),
        ("{const: [1, {a: b}]}", None, [1, {"a": "b"}]),
        ('{formula: "date(2026, 1, 31)"}', None, "2026-01-31"),
        ("{from: x, fn: parse_tiers}", "1;2", [Decimal(1), Decimal(2)]),
        ("{from: 'x[1].y'}", [0, {"y": 3}], 3),
    ],
)
def test_each_modifier(rule: str, given: object, made: object) -> None:
    """A rule does what its words say, and keeps the type."""
    result = run(f"  out: {rule}\n", {"x": given, "c": "EUR"})
    assert result == {"out": made}
    assert type(result["out"]) is type(made)


def test_absent_optional_fields_are_left_out() -> None:
    """No key, rather than a null that would wipe what stands in the target."""
    fields = "  a: {from: x, as: decimal}\n  b.c: {from: y.z}\n  d: {const: 1, when: x > 1}\n"
    fields += "  e: {each: rows, fields: {f: {from: g}}}\n"
    assert run(fields, {"x": None}) == {}
    assert run(fields, {"x": 2, "rows": []}) == {"a": Decimal(2), "d": 1, "e": []}


@pytest.mark.parametrize(
    ("rule", "given", "sentence"),
    [
        ("{from: x, required: true}", None, "is required, and the source has no value"),
        ("{from: x, required: true}", "", "is required, and the source has no value"),
        ("{from: x, as: decimal}", "12,50", "'12,50' is not a number"),
        ("{from: x, as: decimal}", 1.5, "1.5 is a binary float, which cannot hold an amount exactly"),
        ("{from: x}", 1.5, "1.5 is a binary float"),
        ("{from: x}", {"deep": [1.5]}, "is a binary float"),
        ("{from: x, as: decimal}", True, "True is not a number"),
        ("{from: x, as: integer}", "1.5", "'1.5' is not a whole number"),
        ("{from: x, as: string}", Decimal("1E+999999"), "has more than 100 digits"),
        ("{from: x, as: date}", "31.01.2026", "'31.01.2026' is not a date like 2026-01-31"),
        ("{from: x, as: datetime}", "2026-01-31T10:00:00", "is a time without an offset from UTC"),
        ("{from: x, as: money, currency: c}", "5", "has no currency"),
        ("{from: x, max_length: 3}", "abcd", "'abcd' has 4 characters, and the target takes 3"),
        ("{from: x.y}", "abc", "holds a text where an object with 'y' was expected"),
        ("{formula: x + 1}", "abc", "`x + 1`: 'abc' is not a number"),
        ("{from: x, fn: parse_tiers}", "a", "parse_tiers() failed on 'a'"),
        ("{each: x, fields: {a: {from: b}}}", "abc", "holds a text where a list was expected"),
        ("{each: x, required: true, fields: {a: {from: b}}}", [], "is required"),
    ],
)
def test_bad_data_is_told_in_a_sentence(rule: str, given: object, sentence: str) -> None:
    """The error names target, source, value, table, place and owner: enough to act without reading code."""
    with pytest.raises(MappingFailed) as caught:
        run(f"  out: {rule}\n", {"x": given})
    failure = caught.value.failures[0]
    assert sentence in failure.reason
    assert (failure.target.split("[")[0], failure.file, failure.line, failure.owner) == ("out", "a.yaml", 5, "finance")
    assert "a -> b v1 could not fill one field" in str(caught.value)


def test_all_failing_fields_are_told_together() -> None:
    """One round trip to the owner of the data, not one for each field; list items are told by position."""
    document = {**order(), "id": None, "total": "much", "ordered_on": "soon"}
    document["lines"] = [{"kind": "recurring", "product": "SEAT", "net": {"amount": "x"}, "id": "L"}, 5]
    with pytest.raises(TranslationError) as caught:
        order_mapping().run(document, refs=REFS)
    assert isinstance(caught.value, MappingFailed)
    targets = [f.target for f in caught.value.failures]
    assert targets == ["eid", "tranDate", "total", "rate", "item.items[0].amount", "item.items[1]"]


def test_a_missing_reference_names_the_document_to_wait_for() -> None:
    mapping = order_mapping()
    assert mapping.refs(order()) == [("customer", "salesforce-001")]
    with pytest.raises(MissingReference) as caught:
        mapping.run(order())
    assert (caught.value.kind, caught.value.id) == ("customer", "salesforce-001")


def test_an_unmapped_value_names_map_key_and_nearest() -> None:
    """A steward can add the entry and retry; the corrected set makes the document and has another content hash."""
    known = good()
    document = {**order(), "payment_terms": "Net 31"}
    with pytest.raises(UnmappedValue) as caught:
        known.mapping(NAME).run(document, refs=REFS)
    assert (caught.value.value_map, caught.value.key, caught.value.nearest[0]) == ("terms", "Net 31", "Net 30")
    corrected = known.with_value_map(known.value_map("terms").with_entry("Net 31", {"erp": "11"}))
    assert corrected.mapping(NAME).run(document, refs=REFS)["terms"] == {"id": "11"}
    assert corrected.mapping(NAME).content_hash != known.mapping(NAME).content_hash


def test_the_kind_of_error_says_what_would_cure_it() -> None:
    """With a value that is plainly wrong, neither waiting nor a new map entry would help."""
    with pytest.raises(MappingFailed) as caught:
        order_mapping().run({**order(), "payment_terms": "Net 31", "total": "x"})
    assert type(caught.value) is MappingFailed
    with pytest.raises(UnmappedValue):
        order_mapping().run({**order(), "payment_terms": "Net 31"})


def test_the_content_hash_follows_what_changes_the_result() -> None:
    """Owner, note and layout may change freely; a rule may not."""
    plain = table("  a: {from: x}\n")
    assert plain.content_hash == table("  a:\n    from: x\n    owner: me\n    note: n\n").content_hash
    assert plain.content_hash != table("  a: {from: y}\n").content_hash
    assert plain.label == f"a -> b v1 ({plain.content_hash[:8]})"


def test_a_run_does_not_touch_its_source() -> None:
    """The document made shares no list or object with the one given."""
    document = {"x": {"y": [1, {"z": 2}]}}
    made = run("  out: {from: x}\n", document)
    made["out"]["y"][1]["z"] = 9
    assert document == {"x": {"y": [1, {"z": 2}]}}


def test_a_wrong_example_is_shown_as_differences(tmp_path: Path) -> None:
    """Every path that differs, with expected and found; a file outside of the folder is not read."""
    text = HEAD + "  a: {from: x}\n  b: {from: y}\nexamples:\n"
    text += "  - {name: one, given: {x: 1, y: 2}, expect: {a: 1, b: 3, c: 4}}\n"
    text += "  - {name: two, given: {file: ../secret.json}, expect: {}}\n  - {given: {x: 1.50}, expect: {a: '1.5'}}\n"
    wrong, outside, fine = run_examples(compile_table(load_table(text, "a.yaml")), tmp_path)
    assert [str(d) for d in wrong.differences] == ["b: expected 3, found 2", "c: expected 4, found nothing"]
    assert str(wrong).startswith("a.yaml:8: a -> b, one:")
    assert "lies outside" in outside.error
    assert fine.ok


def test_explain_names_rule_sources_owner_and_place() -> None:
    """A filtered list is told by the position in the source; the value is the one that run makes."""
    found = explain(order_mapping(), order(), "item.items[0].item.id", refs=REFS)
    assert (found.value, found.owner, found.version) == ("7", "product", 3)
    assert found.rule == "product, looked up in products, column erp_item"
    assert found.sources == [("lines[1].product", "SEAT")]
    assert found.file.endswith("order.yaml")
    rate = explain(order_mapping(), order(), "rate", refs=REFS)
    assert rate.value == Decimal("8.34")
    assert ("term", 12) in rate.sources
    assert rate.note == "per month"


def test_explain_a_failing_or_unknown_field() -> None:
    failing = explain(order_mapping(), {**order(), "total": "x"}, "total", refs=REFS)
    assert failing.failure == "'x' is not a number"
    lines = [{"kind": "recurring", "product": "SEAT", "net": {"amount": amount}} for amount in ("x", "1")]
    document = {**order(), "lines": [{"kind": "usage"}, 5, *lines]}
    first, second = (explain(order_mapping(), document, f"item.items[{n}].amount", refs=REFS) for n in (0, 1))
    assert (first.failure, first.value) == ("'x' is not a number", None)
    assert (second.failure, second.value) == ("", Decimal("1.00"))
    with pytest.raises(ValueError, match="nearest: 'currency'"):
        explain(order_mapping(), order(), "curency")


def test_an_unknown_mapping_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"no mapping .*; nearest: 'canonical\.order -> erp\.salesOrder'"):
        good().mapping("canonical.order -> erp.salesOrdr")


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(max_size=5),
            "kind": st.sampled_from(["usage", "recurring"]),
            "product": st.sampled_from(["SEAT", "SETUP"]),
            "net": st.fixed_dictionaries({"amount": AMOUNTS | AMOUNTS.map(str)}),
        }
    ),
    max_size=4,
)


def floats(value: object) -> list[float]:
    if isinstance(value, dict):
        return [f for inner in value.values() for f in floats(inner)]
    if isinstance(value, list):
        return [f for inner in value for f in floats(inner)]
    return [value] if isinstance(value, float) else []


MAPPING = order_mapping()


@given(LINES, AMOUNTS)
def test_amounts_survive_to_the_last_digit(lines: list[dict[str, Any]], total: Decimal) -> None:
    """Every amount of the source stands in the target, rounded only where the table says so; twice gives the same."""
    document = {**order(), "lines": lines, "total": total}
    made = MAPPING.run(document, refs=REFS)
    assert made == MAPPING.run(document, refs=REFS)
    assert floats(made) == []
    kept = [line for line in lines if line["kind"] != "usage"]
    expected = [Decimal(line["net"]["amount"]).quantize(Decimal("0.01")) for line in kept]
    assert [item["amount"] for item in made["item"]["items"]] == expected


@given(LINES, st.integers(0, 3))
def test_explain_agrees_with_run(lines: list[dict[str, Any]], position: int) -> None:
    """An explanation never shows another value than the document has, and its source leads to the line it came from."""
    document = {**order(), "lines": lines}
    items = MAPPING.run(document, refs=REFS)["item"]["items"]
    if position >= len(items):
        return
    found = explain(MAPPING, document, f"item.items[{position}].amount", refs=REFS)
    assert found.value == items[position]["amount"]
    [(path, source)] = found.sources
    kept = [at for at, line in enumerate(lines) if line["kind"] != "usage"]
    assert path == f"lines[{kept[position]}].net.amount"
    assert Decimal(source) == Decimal(lines[kept[position]]["net"]["amount"])


def test_typed_values_become_documents_and_come_back() -> None:
    """Amounts stay Decimal on the way out; a document that does not fit is a TranslationError that names the table."""
    money = Money(Decimal("10.10"), "EUR")
    assert to_document(money) == {"amount": Decimal("10.10"), "currency": "EUR"}
    assert from_document(to_document(money), Money) == money
    with pytest.raises(MappingFailed, match=r"(?s)a -> money v2 could not fill .*currency"):
        from_document({"amount": "1", "currency": "XXXX"}, Money, table="a -> money", version=2)
    with pytest.raises(MappingFailed, match="amount"):
        from_document({"currency": "EUR"}, Money)


def test_the_reference_page_is_up_to_date() -> None:
    """docs/reference/formulas.md is written from the functions; run `tieline.mapping.reference` when they change."""
    from tieline.mapping.reference import formula_reference

    page = Path(__file__).parents[3] / "docs" / "reference" / "formulas.md"
    assert page.read_text(encoding="utf-8") == formula_reference()
    assert TABLES.exists()
