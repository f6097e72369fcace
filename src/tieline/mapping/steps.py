"""The small steps that compiled tables call for each field; each raises Unfit with the rest of a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tieline.mapping.values import Unfit, kind_of, plain, rounded, short, to_text


class MissingRef(Unfit):
    """The document that is referred to has no id at the target connection yet."""

    def __init__(self, kind: str, canonical_id: str) -> None:
        self.kind = kind
        self.id = canonical_id
        super().__init__(f"{kind} '{canonical_id}' does not stand in the target system yet")


def reference(refs: Mapping[tuple[str, str], str], kind: str, value: Any) -> str:
    """The external id of a canonical id. Raises MissingRef."""
    canonical = to_text(value)
    found = refs.get((kind, canonical))
    if found is None:
        raise MissingRef(kind, canonical)
    return found


def required(value: Any) -> Any:
    if value is None or value == "":
        raise Unfit("is required, and the source has no value")
    return value


def fitted(value: Any, longest: int, truncate: bool) -> str:
    text = to_text(value)
    if len(text) <= longest:
        return text
    if truncate:
        return text[:longest]
    raise Unfit(f"has {len(text)} characters, and the target takes {longest}")


def rounded_money(value: dict[str, Any], places: int, mode: str) -> dict[str, Any]:
    return {**value, "amount": rounded(value["amount"], places, mode)}


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, None when it is absent."""
    if value is None or isinstance(value, list):
        return value
    raise Unfit(f"holds {kind_of(value)} where a list was expected")


def item_object(item: Any) -> None:
    if not isinstance(item, dict):
        raise Unfit(f"holds the item {short(item)} where an object was expected")


def result(value: Any) -> Any:
    """What a formula or a connector's function gave, as a document may hold it."""
    found = plain(value)
    if found is not None and not isinstance(found, (str, int, Decimal, bool, dict, list)):
        raise Unfit(f"gave {kind_of(value)}, which no document can hold")
    return found
