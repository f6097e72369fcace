"""JSON Schemas of the policy tables, for editors that complete and check YAML while it is written."""

from __future__ import annotations

from typing import Any

from tieline.mapping.formats import DIALECT, closed
from tieline.policy import catalogue, ownership, routes, rules

_FORMULA: dict[str, Any] = {"type": ["string", "number", "boolean"], "description": "a formula"}
_HOURS: dict[str, Any] = {"type": "integer", "minimum": 1}
_SPECIAL: dict[str, Any] = {
    "when": _FORMULA,
    "require": _FORMULA,
    "refuse": _FORMULA,
    "let": {"type": "object", "additionalProperties": _FORMULA},
    "within_days": _HOURS,
    "slo_hours": _HOURS,
    "shadow": {"type": "boolean"},
    "version": {"type": "integer"},
}


def policy_formats() -> dict[str, dict[str, Any]]:
    """The schema of each kind of policy table, by the name of the kind."""
    validation = closed(rules.VALIDATION_KEYS, ("name", "say"), _SPECIAL)
    validation["oneOf"] = [{"required": ["require"]}, {"required": ["refuse"]}]
    approval = closed(rules.APPROVAL_KEYS, ("name", "when", "approver", "say"), _SPECIAL)
    route = closed(routes.ROUTE_KEYS, ("role", "to"), _SPECIAL)
    process = closed(catalogue.PROCESS_KEYS, ("owner", "slo_hours"), _SPECIAL)
    case = closed(catalogue.CASE_KEYS, ("owner", "slo_hours"), _SPECIAL)
    found = {
        "validation": _rules("validation", validation),
        "approvals": _rules("approvals", approval),
        "routes": closed(routes.TABLE_KEYS, ("routes",), {**_SPECIAL, "routes": _list(route)}),
        "catalogue": closed(
            catalogue.TABLE_KEYS,
            ("processes", "cases"),
            {**_SPECIAL, "processes": _named(process), "cases": _named(case)},
        ),
        "ownership": _ownership(),
    }
    return {name: {"$schema": DIALECT, "title": f"Tieline {name} table", **schema} for name, schema in found.items()}


def _rules(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    return closed(
        rules.TABLE_KEYS, ("rules", "entries"), {**_SPECIAL, "rules": {"const": kind}, "entries": _list(entry)}
    )


def _ownership() -> dict[str, Any]:
    row = closed(ownership.FIELD_KEYS, ("system",), {"otherwise": {"enum": list(ownership.OTHERWISE)}})
    matrix = _named(_named({"anyOf": [{"type": "string"}, row]}))
    flow = closed(ownership.SYNC_KEYS, ("from", "to", "entity"), {"fields": _list({"type": "string"})})
    return closed(ownership.TABLE_KEYS, ("ownership",), {**_SPECIAL, "ownership": matrix, "sync": _list(flow)})


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": entry}
