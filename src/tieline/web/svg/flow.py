"""A process as a drawing: what starts it on top, then what it does in order, with how many runs took each edge."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tieline.app.views.processes import FlowCount
from tieline.app.views.processes_flow import step_words
from tieline.web.present import system

WIDTH = 380
BOX = 300
HEIGHT = 42
GAP = 30
LONGEST = 44
"""Characters that fit into a box."""


def flow_drawing(name: str, triggers: Sequence[str], counts: Sequence[FlowCount], looked_at: int) -> Markup:
    """The drawing. The table beside it says the same to whoever cannot see it."""
    shown = [count for count in counts if not count.step.undoes]
    rows: list[Markup] = [_box(0, "start", " or ".join(triggers), "starts it")]
    for at, count in enumerate(shown, 1):
        rows.append(_edge(at, count.runs, looked_at, sometimes=count.step.sometimes))
        rows.append(_box(at, count.step.does, step_words(count.step), _under(count)))
    end = len(shown) + 1
    rows += [_edge(end, None, looked_at, sometimes=False), _box(end, "end", "done", "")]
    height = (end + 1) * HEIGHT + end * GAP + 2
    return Markup(
        '<svg class="flow" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="How {} goes: {} steps">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>{}</svg>'
    ).format(WIDTH, height, WIDTH, height, name, len(shown), Markup("").join(rows))


def _under(count: FlowCount) -> str:
    step = count.step
    where = ", ".join(map(system, count.systems)) or step.where
    parts = [f"in {where}" if where else "", "for each" if step.many else "", "sometimes" if step.sometimes else ""]
    return ", ".join(part for part in parts if part)


def _top(at: int) -> int:
    return 1 + at * (HEIGHT + GAP)


def _box(at: int, does: str, text: str, under: str) -> Markup:
    top, left = _top(at), (WIDTH - BOX) // 2
    middle = top + (18 if under else 26)
    second = (
        Markup('<text class="under" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            WIDTH // 2, top + 34, _short(under)
        )
        if under
        else Markup("")
    )
    return Markup(
        '<g class="box {}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="{}"/>'
        '<text x="{}" y="{}" text-anchor="middle">{}</text>{}</g>'
    ).format(
        does,
        text,
        left,
        top,
        BOX,
        HEIGHT,
        HEIGHT // 2 if does in ("start", "end") else 6,
        WIDTH // 2,
        middle,
        _short(text),
        second,
    )


def _edge(at: int, runs: int | None, looked_at: int, *, sometimes: bool) -> Markup:
    top = _top(at) - GAP
    said = f"{runs} of {looked_at}" if runs is not None and looked_at else ""
    return Markup(
        '<g class="edge"><path class="{}" d="M{} {} V{}" marker-end="url(#tip)"/><text x="{}" y="{}">{}</text></g>'
    ).format(
        "sometimes" if sometimes else "always",
        WIDTH // 2,
        top,
        top + GAP - 1,
        WIDTH // 2 + 10,
        top + GAP // 2 + 4,
        said,
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
