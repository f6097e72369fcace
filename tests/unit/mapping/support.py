"""What the mapping tests share: the fixture tables and the functions they name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from tieline.mapping import Mapping, MappingSet, read_json

TABLES = Path(__file__).parent / "tables"
NAME = "canonical.order -> erp.salesOrder"
REFS = {("customer", "salesforce-001"): "12"}


def parse_tiers(text: str) -> list[Decimal]:
    """`1;2.5` as numbers."""
    return [Decimal(part) for part in text.split(";")]


def title(number: str, currency: str) -> str:
    """A function of two fields."""
    return f"{number}/{currency}"


FUNCTIONS: dict[str, Any] = {"parse_tiers": parse_tiers, "title": title}


def good() -> MappingSet:
    """The set of good tables."""
    return MappingSet.load(TABLES / "good", functions=FUNCTIONS)


def order_mapping() -> Mapping:
    """The order table, compiled."""
    return good().mapping(NAME)


def order() -> dict[str, Any]:
    """A fresh order document."""
    document: dict[str, Any] = read_json(TABLES / "good" / "order.json")
    return document
