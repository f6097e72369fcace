"""The money of a deal as bars, one for each stage, all to one scale. Decoration only: the figure stands beside it."""

from __future__ import annotations

from decimal import Decimal

from markupsafe import Markup

WIDTH, HEIGHT = 240, 14

_SVG = Markup(
    '<svg class="way" width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true" '
    'focusable="false"><rect class="rest" width="{rest}" height="{height}" rx="2"/>'
    '<rect class="{tone}" width="{part}" height="{height}" rx="2"/></svg>'
)


def bar(amount: Decimal, of: Decimal, most: Decimal, *, differs: bool = False) -> Markup:
    """`amount` as a bar, before a paler one of what it is to reach; `most` is the amount that fills the width."""
    tone = "part differs" if differs else "part"
    return _SVG.format(width=WIDTH, height=HEIGHT, rest=_width(of, most), part=_width(amount, most), tone=tone)


def _width(amount: Decimal, most: Decimal) -> str:
    share = max(amount, Decimal(0)) / most if most > 0 else Decimal(0)
    return f"{min(share, Decimal(1)) * WIDTH:.1f}"
