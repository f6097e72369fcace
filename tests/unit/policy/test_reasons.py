"""The numbers that made a rule ask, worked out from its formula; what cannot be worked out is left out."""

from __future__ import annotations

import pytest

from tieline.policy.reasons import Reason, reasons

DEAL = {
    "contract": {
        "value": {"amount": "300000.00", "currency": "USD"},
        "payment_terms": "Net 60",
        "lines": [{"discount_percent": "40.0"}, {"discount_percent": "10"}, {"discount_percent": "40"}],
    }
}


def test_lines_alike_are_one_reason_and_others_are_none() -> None:
    (found,) = reasons("any(contract.lines, discount_percent > 30)", DEAL)
    assert found == Reason(field="discount", found="40 %", than="more than", limit="30 %", items=(0, 2))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("contract.value.amount > 250000", ["value", "300000 USD", "more than", "250000 USD"]),
        ("contract.payment_terms == 'Net 60'", ["payment terms", "Net 60", "", "Net 60"]),
        ("contract.payment_terms in ['Net 60', 'Net 90']", ["payment terms", "Net 60", "among", "Net 60, Net 90"]),
        ("  $.contract.value.amount >= 1  ", ["value", "300000 USD", "at least", "1 USD"]),
    ],
)
def test_both_sides_are_told_in_their_unit(formula: str, said: list[str]) -> None:
    (found,) = reasons(formula, DEAL)
    assert [found.field, found.found, found.than, found.limit] == said


def test_of_two_conditions_the_one_that_holds_is_told() -> None:
    found = reasons("contract.value.amount > 1000000 or contract.payment_terms == 'Net 60'", DEAL)
    assert [reason.field for reason in found] == ["payment terms"]


@pytest.mark.parametrize(
    "formula", ["known_terms(contract) > 2", "contract.nothing > 3", "not a formula (", "a < b < c"]
)
def test_what_cannot_be_worked_out_is_left_out(formula: str) -> None:
    assert reasons(formula, DEAL) == []
