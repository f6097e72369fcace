"""A table of rules as a sheet: rows by name, cells in words. What finance reads, and what two versions are compared by.

Made from the text alone, so that a version of last year is shown as it was, whatever the code has become since.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from tieline.app.rulebook import RuleKind
from tieline.mapping import ValueMap, describe, load_table, load_value_map
from tieline.mapping.yaml_source import read_yaml

Cells = dict[str, str]


class Sheet(msgspec.Struct, frozen=True):
    """`heading` says what a row is; every row has its cells by column, "" for none."""

    heading: str
    columns: list[str]
    rows: dict[str, Cells]
    owner: str
    note: str


class Change(msgspec.Struct, frozen=True):
    """A row that differs: column → (before, after). `what` is added, taken out or changed."""

    key: str
    what: str
    cells: dict[str, tuple[str, str]]


@lru_cache(maxsize=128)
def sheet_of(kind: str, text: str) -> Sheet:
    """Raises ProblemsFound for a text that is no table of this kind."""
    return _READERS[RuleKind(kind)](text, "<kept>")


def sheet_of_map(value_map: ValueMap) -> Sheet:
    rows = {key: value_map.cells(key) for key in value_map.entries}
    return _sheet("key", rows, value_map.owner, value_map.note)


def differences(before: Sheet, after: Sheet) -> list[Change]:
    """Row by row: first what stands in the new sheet, in its order, then what was taken out."""
    changes = []
    for key in [*after.rows, *(key for key in before.rows if key not in after.rows)]:
        old, new = before.rows.get(key), after.rows.get(key)
        cells = {
            column: ((old or {}).get(column, ""), (new or {}).get(column, ""))
            for column in dict.fromkeys([*after.columns, *before.columns])
            if (old or {}).get(column, "") != (new or {}).get(column, "")
        }
        if old is None or new is None or cells:
            changes.append(Change(key, "added" if old is None else "taken out" if new is None else "changed", cells))
    return changes


def text_difference(before: str, after: str) -> list[str]:
    """Line by line, as programmers read it: `+`, `-` and a few lines around."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _mapping(text: str, file: str) -> Sheet:
    table = load_table(text, file)
    rows = {
        row.target: {
            "where it comes from": row.rule,
            "owner": row.owner if row.owner != table.owner else "",
            "note": row.note,
        }
        for row in describe(table)
    }
    return _sheet("field", rows, table.owner, table.note)


def _value_map(text: str, file: str) -> Sheet:
    return sheet_of_map(load_value_map(text, file))


def _policy(heading: str, rows: Callable[[dict[str, Any]], Iterator[tuple[str, Cells]]]) -> Callable[[str, str], Sheet]:
    def read(text: str, file: str) -> Sheet:
        root, problems = read_yaml(text, file)
        problems.raise_if_any()
        content: dict[str, Any] = root.plain()
        return _sheet(heading, dict(rows(content)), _text(content.get("owner")), _text(content.get("note")))

    return read


def _validation(content: dict[str, Any]) -> Iterator[tuple[str, Cells]]:
    for rule in content.get("entries") or []:
        must = f"`{rule['require']}` must hold" if "require" in rule else f"`{rule.get('refuse')}` must not hold"
        yield (
            rule["name"],
            {
                "condition": must + (f", for each of {rule['each']}" if rule.get("each") else ""),
                "only when": _formula(rule.get("when")),
                "says": _text(rule.get("say")),
                "opens a case of class": _text(rule.get("class") or rule["name"]),
                "owner": _text(rule.get("owner")),
                "note": _text(rule.get("note")),
            },
        )


def _approvals(content: dict[str, Any]) -> Iterator[tuple[str, Cells]]:
    for rule in content.get("entries") or []:
        days = rule.get("within_days", 2)
        yield (
            rule["name"],
            {
                "asked when": _formula(rule.get("when")),
                "who approves": _text(rule.get("approver")),
                "within": f"{days} day{'s' if days != 1 else ''}",
                "then asks": _text(rule.get("escalate_to")),
                "says": _text(rule.get("say")),
                "note": _text(rule.get("note")),
            },
        )


def _routes(content: dict[str, Any]) -> Iterator[tuple[str, Cells]]:
    seen: dict[str, int] = {}
    for route in content.get("routes") or []:
        role = _text(route.get("role"))
        seen[role] = seen.get(role, 0) + 1
        yield (
            role if seen[role] == 1 else f"{role} ({seen[role]})",
            {
                "when": _formula(route.get("when")) or "always",
                "goes to": _text(route.get("to")),
                "from": _text(route.get("from_date")),
                "until": _text(route.get("until_date")),
                "how": "a shadow, not posted" if route.get("shadow") else "",
                "note": _text(route.get("note")),
            },
        )


def _ownership(content: dict[str, Any]) -> Iterator[tuple[str, Cells]]:
    for entity, fields in (content.get("ownership") or {}).items():
        for field, row in fields.items():
            owned = row if isinstance(row, dict) else {"system": row}
            yield (
                f"{entity}: {'every other field' if field == '*' else field}",
                {
                    "system of record": _text(owned.get("system")),
                    "a change elsewhere": _text(owned.get("otherwise") or "refuse"),
                    "owner": _text(owned.get("owner")),
                    "note": _text(owned.get("note")),
                },
            )
    for flow in content.get("sync") or []:
        name = f"{flow.get('entity')}: {flow.get('from')} to {flow.get('to')}"
        yield (
            name,
            {"carries": ", ".join(map(str, flow.get("fields") or ["every field"])), "note": _text(flow.get("note"))},
        )


def _catalogue(content: dict[str, Any]) -> Iterator[tuple[str, Cells]]:
    for what, entries in (("process", content.get("processes")), ("case", content.get("cases"))):
        for name, entry in (entries or {}).items():
            yield (
                f"{what}: {name}",
                {
                    "owner": _text(entry.get("owner")),
                    "within": f"{entry.get('slo_hours')} h",
                    "then asks": _text(entry.get("escalate_to")),
                    "next step": _text(entry.get("next_step")),
                    "note": _text(entry.get("note")),
                },
            )


_READERS: dict[RuleKind, Callable[[str, str], Sheet]] = {
    RuleKind.MAPPING: _mapping,
    RuleKind.VALUE_MAP: _value_map,
    RuleKind.VALIDATION: _policy("rule", _validation),
    RuleKind.APPROVALS: _policy("rule", _approvals),
    RuleKind.ROUTES: _policy("role", _routes),
    RuleKind.OWNERSHIP: _policy("field", _ownership),
    RuleKind.CATALOGUE: _policy("process or class of cases", _catalogue),
}


def _sheet(heading: str, rows: dict[str, Cells], owner: str, note: str) -> Sheet:
    """With the columns that any row has something in."""
    known = dict.fromkeys(column for cells in rows.values() for column in cells)
    columns = [column for column in known if any(cells.get(column) for cells in rows.values())]
    return Sheet(heading, columns, rows, owner, note)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _formula(value: Any) -> str:
    return "" if value is None else f"`{value}`"
