"""The named functions of Salesforce's mapping tables. Pure: the same arguments give the same answer."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pycountry

OVERAGE = "*"


def parse_tiers(text: str) -> list[dict[str, Any]]:
    """`10000:0; 50000:0.02; *:0.015` → tiers of up_to (None: without end) and unit_price, both Decimal.

    Each tier is "up to this unit : price of one unit"; `*` is the overage and comes last.
    Raises ValueError for anything else: tiers out of order would bill wrongly without anybody noticing.
    """
    tiers = [_tier(part) for part in text.split(";") if part.strip()]
    bounds = [tier["up_to"] for tier in tiers]
    limits = [bound for bound in bounds if bound is not None]
    if None in bounds[:-1]:
        raise ValueError(f"in {text!r} the overage `*` must come last")
    if any(later <= earlier for earlier, later in pairwise(limits)):
        raise ValueError(f"in {text!r} each tier must reach further than the one before")
    return tiers


def _tier(part: str) -> dict[str, Any]:
    up_to, colon, price = (piece.strip() for piece in part.partition(":"))
    if not (up_to and colon and price):
        raise ValueError(f"the tier {part.strip()!r} must be written like 10000:0.02")
    return {
        "up_to": None if up_to == OVERAGE else _number(up_to, part),
        "unit_price": _number(price, part),
    }


def _number(text: str, part: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ValueError(f"in the tier {part.strip()!r} {text!r} is not an amount")
    return number


def country_code(code: str | None, name: str | None) -> str | None:
    """The ISO 3166 alpha 2 code, from the code field or else from the country's name; None without either.

    Raises ValueError for a country nobody knows.
    """
    for given in (code, name):
        if given and given.strip():
            return _country(given.strip())
    return None


@lru_cache(maxsize=512)
def _country(text: str) -> str:
    try:
        found = pycountry.countries.lookup(text)
    except LookupError:
        raise ValueError(f"{text!r} is not a country of ISO 3166") from None
    return str(found.alpha_2)


def tax_registrations(number: str | None, code: str | None, name: str | None) -> list[dict[str, str]] | None:
    """The account's tax number as a registration in its billing country; None without a number."""
    if not number or not number.strip():
        return None
    country = country_code(code, name)
    if country is None:
        raise ValueError(f"the tax number {number!r} belongs to no country: the billing country is empty")
    return [{"country": country, "number": number.strip()}]


def native_id(canonical_id: str) -> str:
    """`salesforce-006Aa000001XyZ1AAK` → `006Aa000001XyZ1AAK`: ids of Salesforce hold no hyphen, connections may."""
    return canonical_id.rpartition("-")[2]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "country_code": country_code,
    "native_id": native_id,
    "parse_tiers": parse_tiers,
    "tax_registrations": tax_registrations,
}
