"""The formula language: exact, typed, bounded, and without a way to Python."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.mapping import EvaluationError, FormulaError, compile_formula, function, load_value_map, schema_of
from tieline.mapping.formula import check_formula
from tieline.mapping.functions import BUILTINS
from tieline.mapping.reference import SAMPLE, shown
from tieline.mapping.shapes import Shape

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12)


class Net(msgspec.Struct):
    amount: Decimal
    currency: str = "EUR"


class Line(msgspec.Struct):
    product: str
    Quantity: Decimal
    net: Net
    kind: str = ""
    starts_on: date | None = None


class Order(msgspec.Struct):
    number: str
    lines: list[Line]
    active: bool = True
    total: Net | None = None


ORDER = Shape.from_schema(schema_of(Order))


def value(text: str, document: Any = None) -> Any:
    return compile_formula(text).evaluate({} if document is None else document)


@pytest.mark.parametrize("name", BUILTINS)
def test_each_function_does_what_the_reference_says(name: str) -> None:
    """The examples of docs/reference/formulas.md are what the functions give."""
    known = BUILTINS[name]
    assert known.doc
    assert shown(value(known.example, SAMPLE)) == known.result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", Decimal("0.3")),
        ("10 / 4", Decimal("2.5")),
        ("-(2 - 5) * 3", Decimal(9)),
        ("1 < 2 <= 2 < 3", True),
        ("3 > 2 > 2", False),
        ("a & '-' & 1.50", "x-1.50"),
        ("missing & 'a'", "a"),
        ("missing > 1 or missing == blank", True),
        ("not missing", True),
        ("a in ['x', 'y'] and a not in ['z']", True),
        ("'yes' if n > 1 else 'no'", "yes"),
        ("n + amount_as_text", Decimal("14.50")),
        ("amount_as_text > n", True),
        ("sum(lines.net.amount)", Decimal("350.50")),
        ("count(lines)", Decimal(3)),
        ("lines[1].product", "SETUP"),
        ("first(lines, $.n * quantity, product == 'SEAT')", Decimal(4)),
        ("field('a')", "x"),
        ("day < date(2026, 2, 1)", True),
        ("true and (false or true)", True),
        ("if_error(number(a), 0)", Decimal(0)),
        ("round(2.5, 0, 'half_even')", Decimal(2)),
    ],
)
def test_operators_and_fields(text: str, expected: object) -> None:
    """What finance people write means what a spreadsheet would make of it, to the last digit."""
    document = {**SAMPLE, "a": "x", "n": 2, "amount_as_text": "12.50", "day": "2026-01-31"}
    assert value(text, document) == expected


@pytest.mark.parametrize(
    "text",
    [
        "().__class__.__bases__",
        "''.__class__",
        "__import__('os')",
        "a.__class__",
        "__builtins__",
        "open('/etc/passwd')",
        "eval('1')",
        "lambda: 1",
        "[x for x in lines]",
        "{x: 1}",
        "{1, 2}",
        "(1, 2)",
        "(x := 1)",
        "f'{a}'",
        "'%s' % a",
        "'{0.__class__}'.format(a)",
        "a.upper()",
        "a()()",
        "2 ** 999999999",
        "1 << 9999",
        "7 // 2",
        "a[b]",
        "a[0:5]",
        "a[-1]",
        "b'x'",
        "1j",
        "0x10",
        "1e400",
        "9" * 101,
        "...",
        "await x",
        "yield x",
        "sum(*lines)",
        "round(x=1)",
        "a is b",
        "a; b",
        "a\nb",
        "(a) or (b",
        "a) or (b",
        "'\\x41'",
        "'open",
        "1 # comment",
        "r'x'",
        "(" * 300 + "1" + ")" * 300,
        "-" * 1000 + "1",
        "not " * 400 + "true",
        "+".join("1" * 900),
        "1 +" + " 1 +" * 600 + " 1",
        "",
        "   ",
    ],
)
def test_nothing_but_the_language_is_read(text: str) -> None:
    """Everything that could reach Python, or never end, is refused when the table is loaded."""
    with pytest.raises(FormulaError):
        compile_formula(text)


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 1000000000",
        "replace(replace(replace(big, 'a', big), 'a', big), 'a', big)",
        "big & big & big",
        "concat(big, big)",
        "join([big, big, big])",
        "text(huge)",
        "text(1, 99)",
        "round(1, 999999)",
        "round(1, 2, lines)",
        "round(1, 2, 'up')",
        "add_months('2026-01-01', 100000)",
        "date(2026, 2, 30)",
        "mid('a', 0, 1)",
        "sum(many)",
        "unique(numbers)",
        "huge * huge * huge * huge",
        "1 / 0",
        "1 / (n - n)",
        "number('x')",
        "number('١٢')",
        "missing + 1",
        "infinite + 1",
        "fraction + 1",
        "n and true",
        "n > lines",
        "day + 1",
        "n.amount",
    ],
)
def test_what_cannot_be_computed_is_a_sentence(text: str) -> None:
    """No evaluation fills the memory, and each that fails names the reason instead of a Python error."""
    document = {"big": "a" * 60_000, "huge": Decimal("1E+5000"), "infinite": Decimal("Infinity"), "fraction": 0.5}
    document |= {"many": list(range(100_001)), "numbers": list(range(2_000)), "n": 3, "day": date(2026, 1, 1)}
    document |= {"lines": [1]}
    with pytest.raises((EvaluationError, FormulaError)) as caught:
        value(text, document)
    assert "Traceback" not in str(caught.value)
    assert "decimal." not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("Quantty * 2", 1, "unknown field 'Quantty'"),
        ("sum(lines, Quantty)", 12, "unknown field 'Quantty'; nearest: 'Quantity'"),
        ("sum(lines.net.amont)", 5, "unknown field 'amont' in lines.net; nearest: 'amount'"),
        ("number + 1", 1, "this is text, and left of + number is needed"),
        ("number + number", 1, "+ adds numbers; texts are joined with &"),
        ("round(1.5, 2, 3, 4)", 1, "round() takes 1 to 3 arguments, 4 given"),
        ("round(active)", 7, "this is boolean, and as argument 1"),
        ("roud(1)", 1, "unknown function 'roud'; nearest: 'round'"),
        ("sum(number)", 5, "this is text"),
        ("sum(lines)", 5, "this is object, and inside sum() number is needed"),
        ("count(lines, net.amount)", 14, "yes or no is needed"),
        ("lines.net.amount > 1", 1, "list and number have no order"),
        ("active == 'yes'", 1, "boolean and text never agree here"),
        ("total.amount == 'a lot'", 1, "number and text never agree here"),
        ("number and active", 1, "this is text, and beside `and` yes or no is needed"),
        ("lines & 'x'", 1, "& joins texts, and this is list"),
        ("lookup('terms', number)", 8, "unknown value map 'terms'"),
        ("number.first", 1, "'number' is text and has no field 'first'"),
        ("'ä' & Quantty", 7, "unknown field 'Quantty'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(text: str, column: int, message: str) -> None:
    """The checker knows the schema and names the column and the nearest word."""
    with pytest.raises(FormulaError) as caught:
        compile_formula(text, shape=ORDER)
    assert message in caught.value.message
    assert caught.value.column == column


def test_all_mistakes_of_a_formula_are_told() -> None:
    formula = check_formula("nmber & lnes & roud(1)", shape=ORDER)
    assert len(formula.issues) == 3


def test_the_fields_a_formula_reads_are_listed() -> None:
    """Lineage needs every path, also inside aggregates and from the root."""
    formula = compile_formula("sum(lines, net.amount, kind != 'usage') + total.amount + $.rate")
    assert [str(path) for path in formula.reads] == [
        "lines",
        "lines.net.amount",
        "lines.kind",
        "total.amount",
        "$.rate",
    ]


def test_a_callers_function_is_typed_and_its_error_becomes_ours() -> None:
    """Facts of the caller answer with exact numbers; a fault in one is a sentence about the document."""
    known = {"SEAT"}
    facts = BUILTINS.with_([function("known_product", lambda code: code in known, "text -> boolean")])
    facts = facts.with_({"broken": lambda code: {}[code], "three": lambda: 3})
    assert compile_formula("known_product('SEAT')", functions=facts).evaluate({}) is True
    assert compile_formula("three() / 2", functions=facts).evaluate({}) == Decimal("1.5")
    with pytest.raises(FormulaError, match="argument 1 of known_product"):
        compile_formula("known_product(1)", functions=facts)
    with pytest.raises(EvaluationError, match=r"broken\(\) failed"):
        compile_formula("broken('x')", functions=facts).evaluate({})


def test_lookups_know_their_columns() -> None:
    maps = {"terms": load_value_map("value_map: terms\nentries: {Net 30: {erp: '4'}}")}
    assert compile_formula("lookup('terms', t, 'erp')", value_maps=maps).evaluate({"t": "Net 30"}) == "4"
    with pytest.raises(FormulaError, match="no column 'epr'; nearest: 'erp'"):
        compile_formula("lookup('terms', t, 'epr')", value_maps=maps)
    with pytest.raises(EvaluationError, match="'Net 31' is not in value map 'terms'; nearest: 'Net 30'"):
        compile_formula("lookup('terms', t, 'erp')", value_maps=maps).evaluate({"t": "Net 31"})


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_arithmetic_is_exact(a: Decimal, b: Decimal, c: Decimal) -> None:
    """Sums and products equal those of fractions, and nothing ever becomes a binary float."""
    result = value("a * b + c - a", {"a": a, "b": b, "c": c})
    assert type(result) is Decimal
    assert Fraction(result) == Fraction(a) * Fraction(b) + Fraction(c) - Fraction(a)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """Arithmetic that means the same in Python and in formulas."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "y", "z", "2", "0.5", "13"]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    shape = draw(st.sampled_from(["({l} + {r})", "({l} - {r})", "({l} * {r})", "({l} if {l} < {r} else {r})", "-{l}"]))
    return shape.format(l=left, r=right)


@given(expressions(), AMOUNTS, AMOUNTS, st.integers(-(10**9), 10**9))
def test_formulas_agree_with_python(text: str, x: Decimal, y: Decimal, z: int) -> None:
    """The same expression, with the same numbers as exact fractions, has the same value."""
    names = {"x": Fraction(x), "y": Fraction(y), "z": Fraction(z)}
    expected = eval(text.replace("0.5", "half"), {"half": Fraction(1, 2), **names})
    assert Fraction(value(text, {"x": x, "y": y, "z": z})) == expected


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever somebody types is a formula or a FormulaError, and evaluates or says why not."""
    with suppress(FormulaError, EvaluationError):
        compile_formula(text).evaluate({})
