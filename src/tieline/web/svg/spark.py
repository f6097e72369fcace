"""A row of numbers as a small line, for reading beside its figure. Decoration only: screen readers get the figure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 96, 22

_SVG = Markup(
    '<svg class="spark" width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true" '
    'focusable="false"><polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5" '
    'stroke-linejoin="round"/></svg>'
)


def spark(values: Sequence[float]) -> Markup:
    """The line, from zero at the bottom to the highest value at the top; flat at the bottom where nothing happened."""
    top = max(values, default=0) or 1
    step = WIDTH / max(len(values) - 1, 1)
    points = " ".join(
        f"{place * step:.1f},{HEIGHT - 1 - value / top * (HEIGHT - 2):.1f}" for place, value in enumerate(values)
    )
    return _SVG.format(width=WIDTH, height=HEIGHT, points=points)
