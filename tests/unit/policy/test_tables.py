"""Routes, catalogue and ownership: who gets a document, who owns a case, who may write a field."""

from __future__ import annotations

from datetime import date

import pytest

from tieline.errors import ConfigurationError
from tieline.mapping import ProblemsFound
from tieline.policy import Flow, NoRoute, check_flows, load_catalogue, load_ownership, load_routes

ROUTES = """
routes:
  - {role: erp, when: "legal_entity == 'US01'", to: netsuite, until_date: 2026-06-30}
  - {role: erp, when: "legal_entity == 'US01'", to: d365, from_date: 2026-07-01}
  - {role: erp, when: "starts_with(legal_entity, 'DE')", to: sap}
  - {role: erp, when: "legal_entity == 'US01'", to: d365-trial, shadow: true}
  - {role: billing, to: zuora}
"""
US, DE = {"legal_entity": "US01"}, {"legal_entity": "DE07"}
SPRING, SUMMER = date(2026, 6, 30), date(2026, 7, 1)


def test_the_first_route_that_fits_is_taken() -> None:
    """A cut-over is two lines with dates; both days are inclusive."""
    routes = load_routes(ROUTES)
    assert routes.route("erp", US, on=SPRING) == "netsuite"
    assert routes.route("erp", US, on=SUMMER) == "d365"
    assert routes.route("erp", DE, on=SUMMER) == "sap"
    assert routes.route("billing", {}) == "zuora"
    assert routes.connections == {"netsuite", "d365", "d365-trial", "sap", "zuora"}


def test_shadows_run_beside_the_route_and_never_instead() -> None:
    routes = load_routes(ROUTES)
    assert routes.shadows("erp", US, on=SPRING) == ["d365-trial"]
    assert routes.shadows("erp", DE, on=SPRING) == []


def test_no_route_is_an_error_that_says_what_was_tried() -> None:
    """A document never goes to the next-best books."""
    routes = load_routes(ROUTES, file="routes.yaml")
    with pytest.raises(NoRoute, match=r"no route of the role 'erp' fits.*legal_entity == 'US01'"):
        routes.route("erp", {"legal_entity": "FR01"}, on=SPRING)
    with pytest.raises(NoRoute, match="no route has the role 'biling'; nearest: 'billing'"):
        routes.route("biling", {})
    with pytest.raises(ConfigurationError, match="routing needs a day"):
        routes.route("erp", US)
    with pytest.raises(ConfigurationError, match=r"routes.yaml:2: .* could not be judged"):
        load_routes("routes:\n  - {role: erp, when: a + 1 > 2, to: x}", file="routes.yaml").route("erp", {})


def test_mistakes_in_routes_are_told() -> None:
    text = (
        "routes:\n  - {role: erp, to: a}\n  - {role: erp, to: b, form_date: 2026-01-01}\n  - {to: c, from_date: soon}\n"
    )
    with pytest.raises(ProblemsFound) as caught:
        load_routes(text, file="r.yaml")
    assert [str(p) for p in caught.value.problems] == [
        "r.yaml:3:1: this route is never taken: the one on line 2 always fits",
        "r.yaml:3:24: unknown key 'form_date' in a route; nearest: 'from_date'",
        "r.yaml:4:5: a route needs 'role'",
        "r.yaml:4:24: 'soon' is not a date like 2026-01-31",
    ]


CATALOGUE = """
processes:
  quote-to-cash: {owner: revops, slo_hours: 48, escalate_to: cfo}
cases:
  default: {owner: finance-ops, slo_hours: 24, escalate_to: controller, next_step: Read the message.}
  unknown-product: {owner: product, slo_hours: 4, next_step: Add the product to the product map.}
"""


def test_every_case_has_an_owner() -> None:
    """A class nobody described goes to the default owner under its own name."""
    catalogue = load_catalogue(CATALOGUE)
    assert catalogue.case_class("unknown-product").owner == "product"
    unknown = catalogue.case_class("new-class")
    assert (unknown.name, unknown.owner, unknown.slo_hours) == ("new-class", "finance-ops", 24)
    assert catalogue.process("quote-to-cash").escalate_to == "cfo"
    with pytest.raises(ConfigurationError, match="nearest: 'quote-to-cash'"):
        catalogue.process("quote-to-cahs")


def test_mistakes_in_the_catalogue_are_told() -> None:
    with pytest.raises(ProblemsFound) as caught:
        load_catalogue("processes: {a: {owner: x, slo_hours: 0}}\ncases: {b: {onwer: x, slo_hours: 1}}", file="c.yaml")
    assert [p.message for p in caught.value.problems] == [
        "'slo_hours' must be at least 1",
        "the cases need an entry 'default'",
        "'b' needs 'owner'",
        "unknown key 'onwer' in 'b'; nearest: 'owner'",
    ]


OWNERSHIP = """
ownership:
  customer:
    "*": salesforce
    credit_limit: {system: netsuite, otherwise: case}
    phone: {system: salesforce, otherwise: ignore}
sync:
  - {from: salesforce, to: netsuite, entity: customer, fields: [name, phone]}
  - {from: netsuite, to: salesforce, entity: customer, fields: [credit_limit]}
  - {from: salesforce, to: zuora, entity: customer, fields: [name]}
"""


def test_only_the_system_of_record_may_write() -> None:
    """A field without a row follows the `*` of its entity; an entity without rows is written by nobody."""
    table = load_ownership(OWNERSHIP)
    assert table.may_write("customer", "name", "salesforce")
    assert not table.may_write("customer", "name", "netsuite")
    assert table.may_write("customer", "credit_limit", "netsuite")
    assert table.decide("customer", "credit_limit", "salesforce") == "case"
    assert table.decide("customer", "phone", "netsuite") == "ignore"
    assert table.decide("customer", "name", "netsuite") == "refuse"
    assert not table.may_write("invoice", "total", "zuora")
    assert table.systems("customer") == {"salesforce", "netsuite"}


def test_a_graph_that_can_oscillate_is_refused_with_the_loop() -> None:
    """The proof is the loop itself: system by system, for the field that goes round."""
    text = OWNERSHIP + "  - {from: zuora, to: hubspot, entity: customer, fields: [name]}\n"
    text += "  - {from: hubspot, to: zuora, entity: customer, fields: ['*']}\n"
    with pytest.raises(ProblemsFound) as caught:
        load_ownership(text, file="o.yaml")
    messages = [p.message for p in caught.value.problems]
    assert messages == ["'name' of customer can go round: hubspot → zuora → hubspot"]


def test_writing_back_to_the_owner_is_refused() -> None:
    """A copy that writes to its original is a loop, and a write the guard would refuse at run time."""
    table = load_ownership(OWNERSHIP)
    back = Flow("zuora", "salesforce", "customer", ("name",))
    messages = [p.message for p in check_flows(table, [back])]
    assert "zuora writes to salesforce, which owns 'name' of customer" in messages
    assert "'name' of customer can go round: salesforce → zuora → salesforce" in messages


def test_a_loop_of_every_field_is_told_once() -> None:
    table = load_ownership("ownership: {customer: {a: x, b: x}}")
    flows = [Flow("y", "z", "customer", ("*",)), Flow("z", "y", "customer", ("*",))]
    assert [p.message for p in check_flows(table, flows)] == ["every field of customer can go round: y → z → y"]


def test_mistakes_in_the_matrix_are_told() -> None:
    with pytest.raises(ProblemsFound) as caught:
        load_ownership("ownership: {c: {a: {sytem: x}, b: {system: y, otherwise: refuze}}}\nsync: [{from: x, to: x}]")
    messages = [p.message for p in caught.value.problems]
    assert "unknown key 'sytem' in 'c.a'; nearest: 'system'" in messages
    assert "'refuze' is none of refuse, ignore, case; nearest: 'refuse'" in messages
    assert "a synchronisation needs 'entity'" in messages
    assert "a system is not synchronised with itself" in messages
