"""Cases on a screen: by cause, one a line, or one with all that is known of it."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.markup import escape

from tieline.app.cases import CaseGroup, CasePage
from tieline.app.views.words import figure, span
from tieline.cli.output import out, print_table
from tieline.engine.records import CaseRow, CaseState


def print_each(page: CasePage) -> None:
    rows = [[c.id, c.case_class, c.owner, _age(c), c.amount, escape(c.message)] for c in page.cases]
    print_table("", ["case", "class", "owner", "age", "amount", "what happened"], rows)
    if page.after:
        out.print(f"the first {len(page.cases):,}; there are more: narrow them down with --class, --owner or --overdue")


def print_groups(found: list[CaseGroup], state: CaseState) -> None:
    if not found:
        out.print(f"no {state} cases" + (": nothing waits for a person" if state is CaseState.OPEN else ""))
    for group in found:
        count = f"{group.of.count:,} cases" if group.of.count > 1 else "1 case"
        late = f", [red]{group.of.overdue:,} overdue[/]" if group.of.overdue else ""
        money = "".join(f", {figure(sum_of)} {currency}" for currency, sum_of in group.of.money.items())
        out.print(
            f"[bold]{escape(group.of.cause)}[/]  {count}{money}, oldest {_age(group.example)}, "
            f"owner {escape(group.of.owner)}{late}"
        )
        out.print(f"  {group.example.message.splitlines()[0]}", markup=False, soft_wrap=True)
        out.print(f"  e.g. {group.example.id}  next: {group.example.next_step}", markup=False, soft_wrap=True)


def print_case(case: CaseRow) -> None:
    out.print(f"[bold]{case.id}[/]  {case.case_class}  [{_colour(case)}]{case.state}[/]")
    out.print(case.message, markup=False, soft_wrap=True)
    due = f"{case.due_at:%Y-%m-%d %H:%M} UTC"
    print_table(
        "",
        ["", ""],
        [
            ["deal", case.correlation_id],
            ["amount", case.amount],
            ["owner", case.owner + (f" (escalated {case.escalated_at:%Y-%m-%d %H:%M})" if case.escalated_at else "")],
            ["opened", f"{case.opened_at:%Y-%m-%d %H:%M} UTC ({_age(case)} ago)"],
            ["due", due + (f", then {case.escalate_to}" if case.escalate_to else "")],
            ["next step", escape(case.next_step)],
            [
                "actions",
                ", ".join(case.actions) if case.state is CaseState.OPEN else f"{case.decision} by {case.decided_by}",
            ],
            ["cause", escape(case.cause)],
        ],
    )
    _print_details(case)


def _print_details(case: CaseRow) -> None:
    candidates = case.details.get("candidates")
    if candidates:
        mine = case.details.get("customer") or case.details["document"]
        address = mine.get("billing_address", {})
        rows = [
            [
                "ours",
                escape(str(mine.get("name") or mine.get("title") or mine.get("number") or mine["id"])),
                escape(", ".join(filter(None, (address.get(k, "") for k in ("street", "city", "country"))))),
                "",
            ]
        ]
        rows += [
            [escape(c["external_id"]), escape(c["name"]), escape(c["address"]), c["matched_by"]] for c in candidates
        ]
        print_table("candidates", ["id", "name", "address", "matched by"], rows)
    for finding in case.details.get("findings", []):
        out.print(f"  - {finding['message']}", markup=False, soft_wrap=True)
    if "document" in case.details:
        out.print_json(data=case.details["document"])


def _age(case: CaseRow) -> str:
    return span(datetime.now(UTC) - case.opened_at)


def _colour(case: CaseRow) -> str:
    return {CaseState.OPEN: "red", CaseState.DECIDED: "yellow"}.get(case.state, "green")
