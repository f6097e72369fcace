"""A trace on a screen of 100 columns: where the money stands first, then what the deal waits for, then its way."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tieline.app.views.resolve import Match
from tieline.app.views.trace import (
    Entry,
    Place,
    Trace,
    TracedCase,
    TracedEffect,
    TracedRun,
    Waiting,
    effect_notes,
    main_line,
    took,
)
from tieline.app.views.words import APPROVAL, figure, kind_words, span
from tieline.engine.records import CaseState, EffectState, RunState

_STATUS = {"Paid": "green", "Needs attention": "red", "Payment failed": "red", "Cancelled": "red"}
_EFFECT = {
    EffectState.APPLIED: ("✓", "green"),
    EffectState.REJECTED: ("✗", "red"),
    EffectState.IN_DOUBT: ("?", "yellow"),
    EffectState.INTENDED: ("…", "yellow"),
}
_SLOW = timedelta(seconds=5)


def print_trace(out: Console, trace: Trace, everything: bool = False) -> None:
    """Header, what it waits for, timeline; `everything` shows notices, confirmations and finished runs too."""
    _header(out, trace)
    _waits(out, trace.waits_for)
    out.print()
    entries = trace.timeline if everything else main_line(trace.timeline)
    out.print(_timeline(entries, everything))
    if everything and trace.echoes:
        out.print(f"[dim]and {trace.echoes} runs that gave way to a newer one of their kind, and did nothing[/]")
    elif len(entries) < len(trace.timeline):
        left_out = len(trace.timeline) - len(entries)
        out.print(f"[dim]--all shows notices, confirmations and finished runs too: {left_out} lines more[/]")


def print_choices(out: Console, matches: list[Match]) -> None:
    """Which documents and deals an ambiguous id may mean, as commands to copy."""
    for match in matches:
        many = f"{len(match.deals)} deals" if len(match.deals) > 1 else match.deals[0] if match.deals else "no deal"
        out.print(f"  {match.what}, of {many}:", markup=False)
        names = match.deals if len(match.deals) > 1 else (match.name,)
        for name in names[:20]:
            out.print(f"    tieline trace {name}", markup=False)
        if len(names) > 20:
            out.print(f"    … and {len(names) - 20} more: tieline events --type OpportunityWon")


# --- header -----------------------------------------------------------------------------------------------------------


def _header(out: Console, trace: Trace) -> None:
    title = trace.name or trace.asked
    who = f", {trace.customer}" if trace.customer else ""
    out.print(f"[bold]{escape(title)}[/]{escape(who)}")
    colour = _STATUS.get(trace.status, "yellow")
    # what a person is asked stands below, with who and until when
    detail = f"  {escape(trace.detail)}" if trace.detail and not trace.waits_for else ""
    out.print(Padding(f"[bold {colour}]{trace.status}[/]{detail}", (0, 0, 0, 2)))
    sold_by = f"  sold by {trace.legal_entity}" if trace.legal_entity else ""
    out.print(f"  [dim]{trace.deal or trace.asked}{sold_by}[/]")
    if trace.money is not None:
        out.print(_money(trace))
    if trace.stands:
        places = ", ".join(_place(place) for place in trace.stands)
        out.print(Padding(Text(places, style="dim"), (0, 0, 0, 2)))


def _money(trace: Trace) -> Table:
    money = trace.money
    assert money is not None  # noqa: S101 - the caller looked
    cells = [("booked", money.booked), ("billed", money.billed)]
    cells += [("credited", money.credited)] if money.credited else []
    cells += [("posted", money.posted), ("paid", money.paid)]
    cells += [("owed", money.owed)] if money.owed else []
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=True, header_style="dim")
    table.add_column("")
    for name, _ in cells:
        table.add_column(name, justify="right")
    table.add_row("", *(f"{figure(value)}" for _, value in cells[:-1]), f"{figure(cells[-1][1])} {money.currency}")
    if money.not_posted:
        table.caption = f"[yellow]{figure(money.not_posted)} {money.currency} billed and not in the ERP yet[/]"
        table.caption_justify = "left"
    return table


def _place(place: Place) -> str:
    names = [place.external_id] if place.display in ("", place.external_id) else [place.external_id, place.display]
    return f"{place.connection} {kind_words(place.kind)} {' = '.join(names)}"


def _waits(out: Console, waiting: list[Waiting]) -> None:
    if not waiting:
        out.print("  waits for nothing", style="dim")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    for column in ("waits for", "whom", "what"):
        table.add_column(column, overflow="fold")
    for at, one in enumerate(waiting):
        due = ""
        if one.due_at is not None:
            due = f"  [{'red]overdue since' if one.overdue else 'dim]due'} {one.due_at:%d %b %H:%M} UTC[/]"
        table.add_row("  waits for" if at == 0 else "", f"[bold]{escape(one.whom)}[/]", f"{escape(one.what)}{due}")
    out.print(table)


# --- timeline ---------------------------------------------------------------------------------------------------------


def _timeline(entries: list[Entry], everything: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=True, header_style="dim")
    table.add_column("UTC", no_wrap=True)
    table.add_column("since start", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("where", no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column("what", overflow="fold", ratio=1)
    day = ""
    for entry in entries:
        if f"{entry.at:%a %d %b %Y}" != day:
            day = f"{entry.at:%a %d %b %Y}"
            table.add_row(f"[bold]{entry.at:%d %b %Y}[/]")
        mark, colour = _mark(entry)
        table.add_row(
            f"{entry.at:%H:%M:%S}[dim].{entry.at.microsecond // 1000:03d}[/]",
            f"[dim]{_since(entry)}[/]",
            f"[{colour}]{mark}[/]" if colour else mark,
            escape(entry.system),
            _what(entry, everything),
        )
        for run in entry.event.runs if entry.event else []:
            if _worth_a_line(run):
                table.add_row("", "", _run_mark(run), "", _run_words(run))
    return table


def _mark(entry: Entry) -> tuple[str, str]:
    if entry.effect is not None:
        return _EFFECT[entry.effect.state]
    if entry.case is not None:
        return ("!", "dim" if entry.case.state is CaseState.CLOSED else "red")
    return ("·", "dim") if entry.what == "notice" else ("◆", "cyan" if entry.what == "event" else "magenta")


def _since(entry: Entry) -> str:
    return "0" if not entry.since_start_s else f"+{span(timedelta(seconds=entry.since_start_s))}"


def _what(entry: Entry, everything: bool) -> str:
    if entry.effect is not None:
        return _effect(entry, entry.effect)
    if entry.case is not None:
        return _case(entry, entry.case)
    done = ", ".join(_short(run) for run in _done(entry)) if everything else ""
    shown = f"[dim]{escape(entry.text)}[/]" if entry.what == "notice" else escape(entry.text)
    return f"{shown}  [dim]→ {escape(done)}[/]" if done else shown


def _effect(entry: Entry, effect: TracedEffect) -> str:
    length = took(effect)
    notes = ([f"[dim]{span(length)}[/]"] if length is not None else []) + [
        f"[yellow]{escape(note)}[/]" for note in effect_notes(effect)
    ]
    if length is not None and length > _SLOW:
        notes[0] = f"[yellow]{span(length)}[/]"
    text = f"{escape(entry.text)}  {', '.join(notes)}"
    return f"{text}\n[red]{escape(effect.error)}[/]" if effect.error else text


def _case(entry: Entry, case: TracedCase) -> str:
    if case.state is CaseState.CLOSED:
        closed = f"  [dim]closed after {span(case.closed_at - entry.at)}[/]" if case.closed_at else ""
        return f"{escape(entry.text)}{closed}"
    word = "approval asked" if case.case_class == APPROVAL else f"case {case.case_class}"
    step = f"\n[dim]{escape(case.next_step)}; actions: {', '.join(case.actions)}[/]" if case.next_step else ""
    decided = ", decided, being carried out" if case.state is CaseState.DECIDED else ", open"
    return f"[red]{word} {case.id}{decided}[/]{step}"


def _done(entry: Entry) -> list[TracedRun]:
    return [run for run in entry.event.runs if run.state is RunState.DONE] if entry.event else []


def _short(run: TracedRun) -> str:
    length = f" {span(run.ended_at - run.started_at)}" if run.ended_at else ""
    return f"{'replay of ' if run.replay else ''}{run.process}{length}"


def _worth_a_line(run: TracedRun) -> bool:
    return run.state not in (RunState.DONE, RunState.SUPERSEDED)


def _run_mark(run: TracedRun) -> str:
    return "[red]✗[/]" if run.state is RunState.CANCELLED else "[yellow]▸[/]"


def _run_words(run: TracedRun) -> str:
    about = f" for {run.waits_for}" if run.waits_for else f": {run.error}" if run.error else ""
    word = {RunState.WAITING: "waits", RunState.CANCELLED: "was cancelled"}.get(run.state, run.state.value)
    return f"[yellow]{escape(f'{run.id} {word}{about}')}[/]"
