"""Validation and approval tables: findings in the business's words; what cannot be judged does not pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tieline.mapping import ProblemsFound, schema_of
from tieline.policy import load_approvals, load_rules

VALIDATION = """
rules: validation
version: 2
owner: finance
entries:
  - name: known-product
    each: lines
    when: "kind != 'usage'"
    let: {nearest: "nearest_product(product)"}
    require: known_product(product)
    say: "Product `{product}` on line {number} of {$.name} has no item; nearest: `{nearest}`"
    class: unknown-product
    cause: "unknown-product:{product}"
    owner: product
  - name: discount
    refuse: max(lines.discount) > limit
    let: {limit: "lookup_limit(entity)"}
    say: "The discount of {max(lines.discount)} % is above {limit} %"
  - name: dates
    each: lines
    require: starts_on <= ends_on
    say: "Line {_index + 1} ends before it starts"
"""
APPROVALS = """
rules: approvals
owner: finance
entries:
  - name: big
    when: amount >= 100000
    approver: cfo
    within_days: 3
    escalate_to: ceo
    say: "{name}: {amount} {currency}"
  - name: discounted
    when: any(lines, discount > 20)
    approver: sales-ops
    say: "{count(lines, discount > 20)} lines"
"""
FACTS: dict[str, Any] = {
    "known_product": lambda code: code in {"SEAT", "SETUP"},
    "nearest_product": lambda code: "SEAT",
    "lookup_limit": lambda entity: 40,
}


def deal(**changes: Any) -> dict[str, Any]:
    line = {"number": 1, "kind": "recurring", "product": "SEAT", "discount": 10}
    line |= {"starts_on": "2026-01-01", "ends_on": "2026-12-31"}
    lines = changes.pop("lines", [{}])
    base = {"name": "Deal", "entity": "DE01", "amount": Decimal(500), "currency": "EUR"}
    return {**base, "lines": [{**line, **extra} for extra in lines], **changes}


def test_a_sound_deal_has_no_findings() -> None:
    assert load_rules(VALIDATION, functions=FACTS).evaluate(deal()) == []


def test_a_finding_tells_rule_class_cause_place_and_owner() -> None:
    """Equal causes are equal texts, so that one correction can release all deals that wait for it."""
    lines = [{}, {"product": "SEET", "number": 2}, {"product": "X", "kind": "usage"}]
    [found] = load_rules(VALIDATION, functions=FACTS).evaluate(deal(lines=lines))
    assert found.message == "Product `SEET` on line 2 of Deal has no item; nearest: `SEAT`"
    assert (found.rule, found.case_class, found.cause) == ("known-product", "unknown-product", "unknown-product:SEET")
    assert (found.path, found.owner) == ("lines[1]", "product")


def test_every_broken_rule_is_found() -> None:
    """A deal comes back once, with everything that is wrong with it."""
    lines = [{"product": "A", "discount": 50}, {"ends_on": "2025-12-31", "discount": Decimal("12.5")}]
    found = load_rules(VALIDATION, functions=FACTS).evaluate(deal(lines=lines))
    assert [f.rule for f in found] == ["known-product", "discount", "dates"]
    assert found[1].message == "The discount of 50 % is above 40 %"
    assert (found[1].case_class, found[1].cause, found[1].owner) == ("discount", "discount", "finance")
    assert found[2].message == "Line 2 ends before it starts"


def test_a_rule_that_cannot_be_judged_is_broken() -> None:
    """Missing facts and unreadable values stop a deal; they never let it through."""
    rules = load_rules(VALIDATION, functions={**FACTS, "known_product": lambda code: 1 / 0})
    found = rules.evaluate(deal(lines=[{"discount": "a lot"}, {"discount": 1}]))
    assert [f.rule for f in found] == ["known-product", "known-product", "discount"]
    assert "could not be judged at lines[0]: known_product() failed" in found[0].message
    [whole] = [f for f in rules.evaluate({**deal(), "lines": "none"}) if f.rule == "dates"]
    assert "could not be judged" in whole.message


def test_a_let_is_computed_only_when_it_is_needed() -> None:
    """Looking for the nearest product costs time; a rule that holds never asks for it."""
    asked: list[str] = []
    facts = {**FACTS, "nearest_product": asked.append}
    rules = load_rules(VALIDATION, functions=facts)
    rules.evaluate(deal())
    assert asked == []
    rules.evaluate(deal(lines=[{"product": "X"}]))
    assert asked == ["X"]


def test_a_blank_in_a_message_is_shown() -> None:
    """A message never fails, and never has a hole nobody notices."""
    text = "rules: validation\nentries: [{name: n, refuse: 'true', say: 'a {missing} b {1 / 0} c {many}'}]"
    [found] = load_rules(text).evaluate({"many": ["x", 1]})
    assert found.message == "a (blank) b {1 / 0} c x, 1"


def test_approvals_name_who_how_soon_and_who_next() -> None:
    approvals = load_approvals(APPROVALS)
    assert approvals.ask(deal()) == []
    big, discounted = approvals.ask(deal(amount=Decimal("100000.00"), lines=[{"discount": 21}]))
    assert (big.approver, big.within_days, big.escalate_to) == ("cfo", 3, "ceo")
    assert big.message == "Deal: 100000.00 EUR"
    assert (discounted.rule, discounted.within_days, discounted.message) == ("discounted", 2, "1 lines")


def test_an_approval_that_cannot_be_judged_is_asked_for() -> None:
    needed = load_approvals(APPROVALS).ask(deal(amount="much", lines=[]))
    assert [n.rule for n in needed] == ["big"]
    assert "could not be judged" in needed[0].message


class Line(msgspec.Struct):
    product: str
    quantity: Decimal


class Deal(msgspec.Struct):
    name: str
    lines: list[Line]


def test_every_mistake_of_a_table_is_told_with_its_place() -> None:
    """Formulas in braces of messages too, with the column inside of the message."""
    text = """rules: validation
entries:
  - {name: a, each: lins, require: "true", say: x}
  - {name: b, each: lines, require: "quantty > 0", say: "{produkt} and {1 +}"}
  - {name: c, require: "name", refuse: "true", say: x}
  - {name: c, refuse: name, say: x, clas: y}
  - {name: c, require: "true", let: {a: b, b: "1"}}
"""
    with pytest.raises(ProblemsFound) as caught:
        load_rules(text, schema=schema_of(Deal), file="v.yaml")
    assert [str(p) for p in caught.value.problems] == [
        "v.yaml:3:21: unknown field 'lins'; nearest: 'lines'",
        "v.yaml:4:38: unknown field 'quantty'; nearest: 'quantity'",
        "v.yaml:4:59: unknown field 'produkt'; nearest: 'product'",
        "v.yaml:4:75: the formula ends too early: something is missing",
        "v.yaml:5:5: a rule has exactly one of 'require' and 'refuse'",
        "v.yaml:6:23: 'refuse' gives yes or no, and this gives text",
        "v.yaml:6:37: unknown key 'clas' in a rule; nearest: 'class'",
        "v.yaml:7:5: a rule needs 'say'",
        "v.yaml:7:41: unknown field 'b'",
    ]
    with pytest.raises(ProblemsFound, match="this table must say `rules: approvals`"):
        load_approvals(VALIDATION, functions=FACTS)
    twice = "rules: validation\nentries: [{name: n, refuse: 'true', say: a}, {name: n, refuse: 'true', say: a}]"
    with pytest.raises(ProblemsFound, match="two rules are named 'n'"):
        load_rules(twice)
