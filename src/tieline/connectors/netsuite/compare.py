"""Whether a record stands in NetSuite as it was sent, seen through what NetSuite changes on the way.

NetSuite adds names and links to references, wraps lines, may tell dates with a time, computes tax and rounds rates,
and lists under `apply` every document that could be settled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from tieline.connectors.sdk import describe_difference
from tieline.engine.ports import Wire

NOT_OURS = frozenset({"rate", "taxTotal"})
"""Computed by NetSuite: the amounts of the lines are what must stand."""

PHONES = frozenset({"phone", "altPhone", "fax", "homePhone", "mobilePhone"})
"""Shown in the format that the company prefers: their digits are compared."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")


def difference(sent: Wire, found: Wire) -> str:
    """The first place where the record is not as sent, "" where it is. `sent` has ids in its references."""
    return describe_difference(*_comparable(sent, found))


def matching_address(sent: Wire, book: Any) -> Wire | None:
    """The line of an address book that holds what was sent; None when there is none."""
    wanted = {name: value for name, value in sent.items() if name == "addressBookAddress"}
    for line in _items(book):
        if not describe_difference(*_comparable(wanted, line)):
            return line
    return None


def released(body: Wire, standing: Wire) -> Wire:
    """The body that also lets go of what the standing payment or credit memo settles and ours does not.

    NetSuite keeps the lines of `apply` that an update leaves out; `"apply": false` takes one back.
    """
    if "apply" not in body:
        return body
    kept = {_id(line.get("doc")) for line in _items(body["apply"])}
    gone = [_id(line.get("doc")) for line in _applied(standing.get("apply"))]
    lines = [{"doc": {"id": one}, "apply": False} for one in gone if one not in kept]
    return {**body, "apply": {"items": [*_items(body["apply"]), *lines]}}


def _comparable(sent: Any, found: Any) -> tuple[Any, Any]:
    if isinstance(sent, Mapping):
        if _is_reference(sent) and not isinstance(found, Mapping):
            return str(sent["id"]), found
        return _objects(sent, found if isinstance(found, Mapping) else {})
    if isinstance(sent, list):
        there = found if isinstance(found, list) else []
        pairs = [_comparable(s, f) for s, f in zip(sent, there, strict=False)]
        return [s for s, _ in pairs] + sent[len(pairs) :], [f for _, f in pairs] + there[len(pairs) :]
    if isinstance(sent, date):
        sent = sent.isoformat()
    if isinstance(sent, str) and isinstance(found, str):
        return _text(sent), _text(found[:10] if _DATE.match(sent) else found)
    return sent, found


def _objects(sent: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Wire, Wire]:
    left: Wire = {}
    right: Wire = dict(found)
    for name, value in sent.items():
        if name in NOT_OURS:
            continue
        there = found.get(name)
        if name == "apply" and isinstance(value, Mapping):
            value, there = _applied(value), _applied(there)
        elif name == "addressBook":
            value, there = _addresses(value, there)
        elif name in PHONES:
            value, there = _digits(value), _digits(there)
        left[name], right[name] = _comparable(value, there)
    return left, right


def _applied(sublist: Any) -> list[Wire]:
    """The lines that settle something, by document: candidates that are not applied do not count."""
    lines = [line for line in _items(sublist) if line.get("apply") is not False and line.get("amount")]
    return sorted(lines, key=lambda line: _id(line.get("doc")))


def _addresses(sent: Any, found: Any) -> tuple[list[Wire], list[Wire]]:
    """Ours must be among those that stand there; others are people's own."""
    ours = [{"addressBookAddress": line.get("addressBookAddress")} for line in _items(sent)]
    return ours, [matching_address(line, found) or {} for line in ours]


def _items(sublist: Any) -> list[Wire]:
    items = sublist.get("items") if isinstance(sublist, Mapping) else None
    return items if isinstance(items, list) else []


def _is_reference(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"id"}


def _id(reference: Any) -> str:
    return str(reference.get("id")) if isinstance(reference, Mapping) else str(reference)


def _digits(phone: Any) -> str:
    return re.sub(r"\D", "", str(phone or ""))


def _text(value: str) -> str:
    return " ".join(value.split())
