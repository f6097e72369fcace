"""Read a request body: check each field's kind, resolve references, and say what the write changes.

X-NetSuite-PropertyNameValidation and -PropertyValueValidation decide whether an unknown name or a wrong value
refuses the write (Error), is dropped with a warning (Warning) or dropped in silence (Ignore).
Source: REST API browser 2026.1 (header parameters); "Error Handling in REST Web Services".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tieline_sandbox.netsuite.errors import invalid_value, unknown_field, unreadable
from tieline_sandbox.netsuite.field_sets import Field, RecordSpec, Sublist
from tieline_sandbox.netsuite.store import Record, Store, name_of

CUSTOM = re.compile(r"cust(body|entity|col|item|record)_?\w+\Z")


@dataclass
class Reading:
    """How to read one body: what to do with wrong names and values, and what was dropped on the way."""

    store: Store
    names: str = "Warning"
    values: str = "Error"
    custom_fields: frozenset[str] | None = None
    by_name: bool = False  # seeds may write "US01" or "EUR" where the API wants an object
    warnings: list[str] = field(default_factory=list)


def read_body(reading: Reading, spec: RecordSpec, body: Any) -> tuple[Record, dict[str, list[Record]]]:
    """The changed body fields (None clears one) and the lines given for each sublist.

    Raises NetSuiteError INVALID_CONTENT with o:errorPath.
    """
    if not isinstance(body, dict):
        raise unreadable("Invalid content in the request body. A JSON object is expected.")
    fields: Record = {}
    lines: dict[str, list[Record]] = {}
    for name, value in body.items():
        if (sublist := spec.sublists.get(name)) is not None:
            lines[name] = _read_sublist(reading, name, sublist, value)
        else:
            _read_into(fields, reading, spec.fields, spec.custom_prefix, name, value, name)
    return fields, lines


def _read_sublist(reading: Reading, name: str, sublist: Sublist, value: Any) -> list[Record]:
    items = value.get("items") if isinstance(value, dict) else value if reading.by_name else None
    if not isinstance(items, list):
        raise invalid_value(value, name, name)
    prefix = "custcol" if name in ("item", "line") else "cust"
    lines = []
    for index, item in enumerate(items):
        path = f"{name}.items[{index}]"
        if not isinstance(item, dict):
            raise invalid_value(item, name, path)
        line: Record = {}
        for column, cell in item.items():
            _read_into(line, reading, sublist.fields, prefix, column, cell, f"{path}.{column}")
        lines.append(line)
    return lines


def _read_into(
    target: Record, reading: Reading, known: dict[str, Field], prefix: str, name: str, value: Any, path: str
) -> None:
    spec = known.get(name)
    if spec is None:
        if _is_custom(reading, prefix, name):
            target[name] = value
        elif name not in ("links", "id"):
            _drop(reading, reading.names, unknown_field(name, path), path)
        return
    if spec.read_only and not (reading.by_name and name in ("id", "createdFrom")):
        return
    if value is None:
        target[name] = None
        return
    parsed = _PARSERS[spec.kind](value, spec, reading)
    if parsed is None:
        shown = value.get("id", value.get("externalId", value)) if isinstance(value, dict) else value
        _drop(reading, reading.values, invalid_value(shown, name, path), path)
    else:
        target[name] = parsed


def _drop(reading: Reading, mode: str, refusal: Exception, path: str) -> None:
    if mode == "Error":
        raise refusal
    if mode == "Warning":
        reading.warnings.append(path)


def _is_custom(reading: Reading, prefix: str, name: str) -> bool:
    if not name.startswith(prefix) or not CUSTOM.match(name):
        return False
    return reading.custom_fields is None or name in reading.custom_fields


def _text(value: Any, spec: Field, _: Reading) -> str | None:
    if isinstance(value, bool | dict | list) or len(str(value)) > spec.max_length:
        return None
    return str(value)


def _number(value: Any, _: Field, __: Reading) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _integer(value: Any, _: Field, __: Reading) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(value: Any, _: Field, __: Reading) -> bool | None:
    return value if isinstance(value, bool) else None


def _date(value: Any, _: Field, __: Reading) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return None


def _datetime(value: Any, _: Field, __: Reading) -> str | None:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return str(value)


def _object(value: Any, _: Field, __: Reading) -> Any:
    return value if isinstance(value, dict | list) else None


def _reference(value: Any, spec: Field, reading: Reading) -> Record | None:
    """`{"id"}`, `{"externalId"}` or `{"refName"}`; the id wins when several are given."""
    if not isinstance(value, dict):
        if not (reading.by_name or spec.targets == ("invoice",)):
            return None
        value = {"id": str(value), "externalId": str(value), "refName": str(value)}
    if not spec.targets:
        return {key: str(value[key]) for key in ("id", "refName") if key in value} or None
    for kind in spec.targets:
        found = find_reference(reading.store, kind, value)
        if found is not None:
            return found
    return None


def find_reference(store: Store, kind: str, value: Record) -> Record | None:
    entry = None
    if "id" in value:
        entry = store.find(kind, str(value["id"]))
    if entry is None and "externalId" in value:
        entry = store.find_external(kind, str(value["externalId"]))
    if entry is None and "refName" in value:
        entry = store.find_named(kind, str(value["refName"]))
    return None if entry is None else {"id": entry.id, "refName": name_of(entry)}


def reference_to(store: Store, kind: str, record_id: str) -> Record:
    return {"id": record_id, "refName": name_of(store.kinds[kind][record_id])}


def target_kind(store: Store, targets: tuple[str, ...], record_id: str) -> str | None:
    """Which of the target record types holds the id."""
    return next((kind for kind in targets if record_id in store.kinds[kind]), None)


_PARSERS: dict[str, Callable[[Any, Field, Reading], Any]] = {
    "text": _text,
    "number": _number,
    "money": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "object": _object,
    "ref": _reference,
}
