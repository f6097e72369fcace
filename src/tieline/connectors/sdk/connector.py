"""How a connector presents itself, and how a probe compares what was sent with what stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from tieline.engine.ports import Connector, Manifest


def no_page(url: str, kind: str, external_id: str, response: Mapping[str, Any]) -> str:
    """Of a vendor whose records have no page."""
    return ""


class ConnectorType(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor folder exports as CONNECTOR, and what the entry point names.

    `settings` is the frozen Struct of its settings (secrets already resolved); `open(name, settings)` connects
    lazily; `mappings` is the folder of the tables it ships; `functions` what those tables may call.
    `schemas` names the wire types: "salesforce.opportunity" → TypedDict, against which tables are checked.
    `describes_fields`: what it opens also tells the fields of an account (sdk/schema.py).
    `record_page` is the address where people look at a record in the vendor's own pages: from the connection's `url`,
    our kind, the id there, and what the vendor answered when it was written; "" where there is none.
    """

    vendor: str
    settings: type[Any]
    open: Callable[[str, Any], Connector]
    manifest: Manifest
    mappings: Path
    functions: Mapping[str, Callable[..., Any]] = {}
    schemas: Mapping[str, Any] = {}
    describes_fields: bool = False
    record_page: Callable[[str, str, str, Mapping[str, Any]], str] = no_page


def stands_as_sent(sent: Any, found: Any) -> bool:
    """Whether everything that was sent is found there; what the vendor adds does not count."""
    return describe_difference(sent, found) == ""


def describe_difference(sent: Any, found: Any, path: str = "") -> str:
    """The first place where what is found differs from what was sent, "" where it does not.

    Numbers are compared by value (1.50 = "1.5"), lists element by element, a reference {"id": "12"} by what it has.
    """
    if isinstance(sent, Mapping):
        if not isinstance(found, Mapping):
            return f"{path or 'document'}: sent an object, found {found!r}"
        for name, value in sent.items():
            if difference := describe_difference(value, found.get(name), f"{path}.{name}" if path else name):
                return difference
        return ""
    if isinstance(sent, list):
        if not isinstance(found, list) or len(found) != len(sent):
            return f"{path}: sent {len(sent)} elements, found {len(found) if isinstance(found, list) else found!r}"
        pairs = enumerate(zip(sent, found, strict=True))
        return next((d for i, (s, f) in pairs if (d := describe_difference(s, f, f"{path}[{i}]"))), "")
    return "" if _same(sent, found) else f"{path}: sent {sent!r}, found {found!r}"


def _same(sent: Any, found: Any) -> bool:
    if sent == found or (sent in (None, "") and found in (None, "")):
        return True
    if isinstance(sent, bool) or isinstance(found, bool):
        return False
    try:
        return Decimal(str(sent)) == Decimal(str(found))
    except InvalidOperation:
        return str(sent) == str(found)
