"""What finance reads: mapping tables, value maps, policies, and the classes of cases."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import tieline
from tieline.app.reference.markdown import page, sentence, table
from tieline.app.reference.shipped import template
from tieline.engine.cases import EVENT_CONFLICT
from tieline.mapping import Table, ValueMap, describe


def mappings() -> str:
    """Every shipped table, rule by rule, and every value map."""
    tables = [template().mappings.mapping(name).table for name in template().mappings.names]
    maps = template().mappings.value_maps.values()
    parts = [
        (
            "The tables that the connectors ship, rule by rule, as `tieline explain` words them. A project "
            "replaces a table by one of the same name in its `mappings/`. How to write one: [write a "
            "mapping](../how-to/write-a-mapping.md)."
        ),
    ]
    for one in tables:
        parts += [
            f"## {one.name}",
            _origin(one),
            table(("field", "rule", "owner", "note"), [_rule(one, r) for r in describe(one)]),
        ]
    parts.append("## Value maps")
    for value_map in maps:
        parts += [f"### {value_map.name}", _origin(value_map), _entries(value_map)]
    return page("Mapping tables", *parts)


def _rule(of: Table, row: Any) -> tuple[str, ...]:
    return f"`{row.target}`", row.rule, row.owner if row.owner != of.owner else "", row.note


def _origin(of: Table | ValueMap) -> str:
    note = f" {sentence(of.note)}" if of.note else ""
    return f"Version {of.version}, owner {of.owner or 'nobody'}, `{_shipped_in(of.file)}`.{note}"


def _shipped_in(file: str) -> str:
    return Path(file).relative_to(Path(tieline.__file__).parent).as_posix()


def _entries(value_map: ValueMap) -> str:
    if not value_map.columns:
        return table(("key", "value"), [(key, str(value)) for key, value in value_map.entries.items()])
    columns = sorted(value_map.columns)
    rows = [
        (key, *(str(row.get(c, "")) for c in columns))
        for key, row in value_map.entries.items()
        if isinstance(row, dict)
    ]
    return table(("key", *columns), rows)


def policies() -> str:
    """What the template's policies say: validation, approvals, routes, owners of processes."""
    project = template()
    checks = [
        (
            rule.name,
            f"`{rule.test.text}` must {'' if rule.wanted else 'not '}hold"
            + (f" for each of {rule.each}" if rule.each else "")
            + (f", only when `{rule.when.text}`" if rule.when else ""),
            rule.say.text,
            f"`{rule.case_class}`",
        )
        for rule in project.validation.rules
    ]
    asked = [
        (a.name, f"`{a.when.text}`", a.approver, f"{a.within_days} days, then {a.escalate_to}", a.say.text)
        for a in project.approvals.rules
    ]
    routed = [
        (route.role, f"`{route.when.text}`" if route.when else "always", route.to, "shadow" if route.shadow else "")
        for route in project.routes.routes
    ]
    owned = [(f"`{p.name}`", p.owner, f"{p.slo_hours} h", p.escalate_to) for p in project.catalogue.processes.values()]
    return page(
        "Policies of the quote-to-cash template",
        "What `tieline init` puts into `policies/`; it is the project's from then on. A rule that cannot be "
        "judged counts as broken.",
        "## Validation",
        "Judged before anything is created anywhere. A broken rule is a case.",
        table(("rule", "requires", "says", "case class"), checks),
        "## Approvals",
        table(("rule", "asked when", "of", "within", "says"), asked),
        "## Routes",
        table(("role", "when", "goes to", ""), routed),
        "## Processes",
        table(("process", "owner", "within", "then asks"), owned),
    )


def cases() -> str:
    """Every class of cases: whose it is, how long it may take, what to do first."""
    catalogue = template().catalogue
    named = [(f"`{c.name}`", c.owner, f"{c.slo_hours} h", c.escalate_to, c.next_step) for c in catalogue.cases.values()]
    unnamed = sorted(classes_in_code() - set(catalogue.cases))
    return page(
        "Cases",
        "Owner, time and next step come from `policies/catalogue.yaml` of the project; this is the "
        "template's. What to do with one: [handle cases](../how-to/handle-cases.md). An approval takes its "
        "owner and time from its rule.",
        table(("class", "owner", "within", "then asks", "next step"), named),
        "## Classes that take `default`",
        table(("class",), [(f"`{name}`",) for name in unnamed]),
    )


def classes_in_code() -> set[str]:
    """The case classes that the engine and the shipped processes open; `KIND` stands for any kind of document."""
    found = {EVENT_CONFLICT}
    for room in ("engine", "processes"):
        for path in sorted((Path(tieline.__file__).parent / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "case_class":
                    found |= _texts(node.value)
    return found


def _texts(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        return {"".join(str(p.value) if isinstance(p, ast.Constant) else "KIND" for p in node.values)}
    return set()
