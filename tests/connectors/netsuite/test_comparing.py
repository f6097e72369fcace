"""What NetSuite changes on the way does not count as a difference; amounts, dates and references do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tieline.connectors.netsuite.compare import difference
from tieline.connectors.netsuite.matching import addresses_agree, name_part, same_name, tax_numbers
from tieline.engine.ports import Wire

SENT: Wire = {
    "entity": {"id": "41"},
    "tranDate": "2026-11-23",
    "dueDate": date(2026, 12, 23),
    "memo": "Subscription  S-1",
    "taxTotal": Decimal("19.00"),
    "item": {
        "items": [
            {
                "item": {"id": "7"},
                "quantity": Decimal(7),
                "rate": Decimal("14.28571429"),
                "amount": Decimal("100.00"),
                "custcol_rev_start": "2026-12-01",
            }
        ]
    },
    "apply": {
        "items": [
            {"doc": {"id": "9"}, "apply": True, "amount": Decimal("60.00")},
            {"doc": {"id": "8"}, "apply": True, "amount": Decimal("40.00")},
        ]
    },
}


def found() -> Wire:
    """SENT as NetSuite shows it."""
    return {
        "id": "55",
        "entity": {"links": [], "id": "41", "refName": "CUST0001 Rheinwerk"},
        "tranDate": "2026-11-23T00:00:00Z",
        "dueDate": "2026-12-23",
        "memo": "Subscription S-1 ",
        "item": {
            "totalResults": 1,
            "items": [
                {
                    "links": [],
                    "line": 1,
                    "item": {"id": "7", "refName": "GTX Pro"},
                    "quantity": 7,
                    "rate": Decimal("14.2857"),
                    "amount": 100,
                    "custcol_rev_start": "2026-12-01T08:00:00Z",
                }
            ],
        },
        "apply": {
            "items": [
                {"doc": "8", "apply": True, "amount": 40},
                {"doc": "9", "apply": True, "amount": 60},
                {"doc": "10", "apply": False, "amount": 0, "due": 12},
            ]
        },
    }


def test_a_record_stands_as_sent_in_netsuites_own_shape() -> None:
    assert difference(SENT, found()) == ""


def test_a_phone_number_is_its_digits() -> None:
    assert difference({"phone": "+49 221 555010"}, {"phone": "+49 (221) 555-010"}) == ""
    assert difference({"phone": "+49 221 555010"}, {"phone": "+49 221 555011"}).startswith("phone")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("entity",), {"id": "42"}, "entity.id"),
        (("tranDate",), "2026-11-24T00:00:00Z", "tranDate"),
        (("dueDate",), "2026-12-24", "dueDate"),
        (("item", "items", 0, "amount"), Decimal("100.01"), "item.items[0].amount"),
        (("item", "items"), [], "item.items"),
        (("apply", "items", 0, "amount"), 39, "apply[0].amount"),
        (("apply", "items", 2, "apply"), True, ""),
        (("apply",), {"items": []}, "apply"),
        (("item",), None, "item.items"),
    ],
)
def test_a_difference_that_matters_is_named(path: tuple[str | int, ...], value: object, told: str) -> None:
    record = found()
    place = record
    for part in path[:-1]:
        place = place[part]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    assert difference(SENT, record).startswith(told)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Rheinwerk Pumpen GmbH", "RHEINWERK-PUMPEN", True),
        ("Müller & Söhne AG", "Muller Sohne", True),
        ("A.B.C. Corp", "ABC, Inc.", True),
        ("Limited", "Limited", True),
        ("Limited", "Company", False),
        ("Acme", "Acme Europe", False),
        ("", "", False),
    ],
)
def test_names_are_the_same_but_for_case_marks_punctuation_and_legal_form(one: str, other: str, *, same: bool) -> None:
    assert same_name(one, other) is same


def test_a_name_is_searched_by_its_longest_word() -> None:
    assert [name_part(name) for name in ("Acme Intergalactic Inc", "A.B.C. Corp", "GmbH")] == ["Intergalactic", "", ""]


def test_tax_numbers_are_compared_with_and_without_their_country() -> None:
    assert tax_numbers({"tax_registrations": [{"country": "DE", "number": "DE 123.456"}]}) == ["DE123456", "123456"]
    assert tax_numbers({"tax_registrations": [{"country": "US", "number": "12-345"}]}) == ["12345", "US12345"]
    assert tax_numbers({}) == []


def test_addresses_agree_in_country_and_postal_code_or_city() -> None:
    wanted = {"city": "Köln", "postal_code": "50668", "country": "DE"}
    assert addresses_agree(wanted, [{"city": "Koeln", "zip": "50668", "country": {"id": "DE"}}])
    assert addresses_agree(wanted, [{"city": "KOLN"}])
    assert addresses_agree(wanted, [{}])
    assert not addresses_agree(wanted, [{"city": "Bonn", "zip": "53111", "country": {"id": "DE"}}])
    assert not addresses_agree(wanted, [{"city": "Köln", "zip": "50668", "country": {"id": "AT"}}])
