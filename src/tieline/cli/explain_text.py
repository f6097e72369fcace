"""A lineage on a screen: one field with all its steps, or every field of a document on a line each."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from tieline.app.views.explain import FieldLineage, Lineage
from tieline.app.views.origin import Step
from tieline.app.views.words import kind_words
from tieline.engine.records import EffectState


def print_lineage(out: Console, lineage: Lineage, field: str) -> None:
    """With a field its whole way back; without one a table of all fields."""
    _head(out, lineage)
    if field:
        for one in lineage.fields:
            _steps(out, one)
        return
    out.print(_table(lineage))
    out.print(
        f"[dim]the whole way of one field: tieline explain {lineage.connection} {lineage.kind} "
        f"{escape(lineage.document)} FIELD[/]",
        soft_wrap=True,
    )


def _head(out: Console, lineage: Lineage) -> None:
    name = f"{lineage.connection} {kind_words(lineage.kind)} {lineage.external_id or lineage.canonical_id}"
    number = f" ({escape(lineage.document)})" if lineage.document not in (lineage.external_id, "") else ""
    state = (
        "" if lineage.state is EffectState.APPLIED else f"  [yellow]{lineage.state.value}: it does not stand there[/]"
    )
    out.print(f"[bold]{escape(name)}[/]{number}{state}")
    if lineage.same_version:
        out.print(f"  [dim]made by {escape(lineage.recorded)}, which is in force now; run {escape(lineage.run_id)}[/]")
    elif not lineage.recorded:
        out.print("  [yellow]linked by a person: nothing was sent[/]")
    else:
        out.print(
            f"  [yellow]made by {escape(lineage.recorded)}; in force now is {escape(lineage.in_force or 'none')}[/]"
        )
        out.print("  [yellow]values are those that were sent, rules are today's; differences are marked[/]")
    out.print()


def _steps(out: Console, one: FieldLineage) -> None:
    out.print(f"[bold]{escape(one.field)} = {escape(str(one.value))}[/]")
    if one.remark:
        out.print(f"  [yellow]{escape(one.remark)}[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for at, step in enumerate(one.steps):
        table.add_row(f"{'' if at == 0 else '← '}{escape(step.what)}", _step(step, at == 0))
    out.print(Padding(table, (0, 0, 1, 2)))


def _step(step: Step, first: bool) -> str:
    field = escape(short_field(step.field))
    lines = [] if first else [f"[bold]{field} = {escape(str(step.value))}[/]", escape(step.where)]
    if step.rule:
        lines.append(f"rule: {escape(step.rule)}{f' ({escape(step.note)})' if step.note else ''}")
    elif step.note:
        lines.append(escape(step.note))
    if step.reads:
        lines.append(f"reads: {escape('; '.join(step.reads))}")
    if step.table:
        lines.append(f"[dim]{escape(step.table)}, {step.owner}, {short_file(step.file)}:{step.line}[/]")
    return "\n".join(lines)


def _table(lineage: Lineage) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("field", overflow="fold", ratio=4)
    table.add_column("value", overflow="fold", ratio=3)
    table.add_column("rule", overflow="fold", ratio=5)
    table.add_column("owner, line", overflow="fold", ratio=2)
    group = ""
    for one in lineage.fields:
        before, _, name = one.field.rpartition("].")
        if before != group and before:
            table.add_row(f"[dim]{escape(before)}][/]")
        group = before
        step = one.steps[0] if one.steps else None
        rule = escape(step.rule) if step else ""
        remark = f"\n[yellow]{escape(one.remark)}[/]" if one.remark else ""
        owner = f"[dim]{step.owner} {Path(step.file).name}:{step.line}[/]" if step else ""
        shown = f"  {escape(name)}" if before else escape(name)
        table.add_row(f"[bold]{shown}[/]", escape(str(one.value)), f"{rule}{remark}", owner)
    return table


def short_field(field: str) -> str:
    """A path that fits a line: `….recurringFlatFee.listPrice` where the whole one is long."""
    return field if len(field) <= 50 else "…." + ".".join(field.split(".")[-2:])


def short_file(file: str) -> str:
    """The end of a path that a person recognises: `netsuite/mappings/invoice.yaml`."""
    return "/".join(Path(file).parts[-3:])
