"""Corrections beside files: what counts, what stands in the file, and a file edited without touching the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.errors import ConfigurationError
from tieline.mapping import ValueMap, load_value_map
from tieline.mapping.corrections import Correction, Corrections, Standing
from tieline.mapping.value_map_text import edit_value_map, write_value_map

NOW = datetime(2026, 1, 5, tzinfo=UTC)
FILE = """\
# what products are called
value_map: products
version: 1
owner: revops
entries:
  Basic:   {billing: B, erp: "Basic 1"}  # the first
  Pro:     {billing: P, erp: Pro 1}

  # sold until 2025
  Old:
    billing: O
    erp: Old 1
"""


def corrections(*made: tuple[str, dict[str, str], dict[str, str] | None]) -> Corrections:
    """(key, value, former), the n-th at place n of the log."""
    found = Corrections()
    for seq, (key, value, former) in enumerate(made, 1):
        found.add("products", Correction(seq=seq, key=key, value=value, former=former, by="rita", reason="", at=NOW))
    return found


def row(billing: str, erp: str) -> dict[str, str]:
    return {"billing": billing, "erp": erp}


def products(text: str = FILE) -> ValueMap:
    return load_value_map(text, "products.yaml")


def test_a_correction_counts_until_the_file_holds_it_and_then_not_again() -> None:
    made = corrections(("Pro", {"erp": "Pro 2"}, row("P", "Pro 1")))
    before = made.over(products())
    assert before.value_map.cells("Pro") == row("P", "Pro 2")
    assert (before.value_map.version, before.standing) == (2, {"Pro": Standing.TO_EXPORT})
    exported = products(edit_value_map(FILE, {"Pro": row("P", "Pro 2")}, 2, "f"))
    after = made.over(exported)
    assert (after.value_map.label, after.standing) == (before.value_map.label, {"Pro": Standing.IN_FILE})


def test_a_file_that_was_changed_meanwhile_is_a_conflict_and_the_correction_stays_in_force() -> None:
    made = corrections(("Pro", {"erp": "Pro 2"}, row("P", "Pro 1")))
    over = made.over(products(FILE.replace("Pro 1", "Pro 9")))
    assert over.standing == {"Pro": Standing.CONFLICT}
    assert over.value_map.cells("Pro") == row("P", "Pro 2")


def test_what_was_exported_is_the_files_own_from_then_on() -> None:
    """Edited there later, the file is right; put back to how it was before, the correction counts again."""
    made = corrections(("Pro", {"erp": "Pro 2"}, row("P", "Pro 1")))
    made.exported("products", ["Pro"], 1)
    edited = made.over(products(FILE.replace("Pro 1", "Pro 9")))
    assert (edited.value_map.cells("Pro")["erp"], edited.standing) == ("Pro 9", {"Pro": Standing.IN_FILE})
    assert made.over(products()).standing == {"Pro": Standing.TO_EXPORT}


def test_a_correction_behind_an_edit_of_the_exported_file_counts() -> None:
    made = corrections(("Pro", {"erp": "Pro 2"}, row("P", "Pro 1")), ("Pro", {"erp": "Pro 3"}, row("P", "Pro 9")))
    made.exported("products", ["Pro"], 1)
    over = made.over(products(FILE.replace("Pro 1", "Pro 9")))
    assert (over.value_map.cells("Pro")["erp"], over.standing) == ("Pro 3", {"Pro": Standing.TO_EXPORT})


def test_an_addition_that_was_taken_back_leaves_nothing_to_export() -> None:
    made = corrections(("New", row("N", "New 1"), {}), ("New", {}, row("N", "New 1")))
    over = made.over(products())
    assert "New" not in over.value_map.entries
    assert over.standing == {"New": Standing.IN_FILE}


def test_a_correction_for_columns_that_the_map_lost_is_a_conflict_and_stops_nothing() -> None:
    over = corrections(("Pro", {"psa": "x"}, None)).over(products())
    assert (over.standing, over.value_map) == ({"Pro": Standing.CONFLICT}, products())


def test_corrections_from_before_the_former_value_was_kept_count_as_ever() -> None:
    over = corrections(("Pro", {"erp": "Pro 2"}, None)).over(products())
    assert (over.value_map.cells("Pro"), over.standing) == (row("P", "Pro 2"), {"Pro": Standing.TO_EXPORT})


def test_an_edit_leaves_remarks_spaces_and_order_as_they_were() -> None:
    changed = {"Pro": row("P", "Pro 2"), "Old": row("O", "yes"), "New: one": row("Q", "12")}
    assert edit_value_map(FILE, changed, 4, "f").splitlines() == [
        "# what products are called",
        "value_map: products",
        "version: 4",
        "owner: revops",
        "entries:",
        '  Basic:   {billing: B, erp: "Basic 1"}  # the first',
        "  Pro:     {billing: P, erp: Pro 2}",
        "",
        "  # sold until 2025",
        "  Old:",
        "    billing: O",
        '    erp: "yes"',
        '  "New: one": {billing: Q, erp: "12"}',
    ]


def test_an_entry_is_taken_out_with_its_lines() -> None:
    left = edit_value_map(FILE, {"Old": {}}, 2, "f")
    assert "Old" not in left
    assert left.count("\n") == FILE.count("\n") - 3


def test_a_file_in_windows_lines_stays_so() -> None:
    text = edit_value_map(FILE.replace("\n", "\r\n"), {"New": row("N", "n")}, 2, "f")
    assert text.count("\r\n") == text.count("\n") == FILE.count("\n") + 1


def test_a_file_that_only_a_person_can_edit_is_said_to_be_so() -> None:
    with pytest.raises(ConfigurationError, match=r"f is written in a way that only a person can edit"):
        edit_value_map("value_map: m\nversion: 1\nentries: {a: x, b: y}\n", {"a": {"value": "z"}}, 2, "f")


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12).filter(
    str.strip
)


@settings(max_examples=30, deadline=None)
@given(key=words, value=words)
def test_any_words_come_back_as_they_were_written(key: str, value: str) -> None:
    """Whatever a person types: quotes, colons, yes and no, other scripts."""
    text = edit_value_map(FILE, {key: row("x", value)}, 2, "f")
    assert load_value_map(text).cells(key) == row("x", value)
    written = write_value_map(load_value_map(text))
    assert load_value_map(written).content_hash == load_value_map(text).content_hash
