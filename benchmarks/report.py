"""What every benchmark prints and keeps: tables with their machine, results/NAME.json and a bar chart beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

RESULTS = Path(__file__).parent / "results"
BAR_WIDTH, ROW, LEFT, MARGIN = 420, 22, 250, 12
OURS, PEERS = "#0b6e4f", "#9aa5b1"

Row = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """Where the figures were taken; the load says how quiet it was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def heading(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def table(rows: Sequence[Row]) -> None:
    """Rows of the same keys, numbers to the right."""
    if not rows:
        return
    names = list(rows[0])
    cells = [[_shown(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[n]) for row in cells)) for n, name in enumerate(names)]
    right = [isinstance(rows[0][name], int | float) for name in names]
    for line in (names, *cells):
        parts = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(parts).rstrip())


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.3g}"


def keep(name: str, content: Mapping[str, Any]) -> Path:
    """Write results/NAME.json with the machine and the moment."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    told = {"benchmark": name, "at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **content}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def draw(name: str, title: str, unit: str, bars: Sequence[tuple[str, float]]) -> Path:
    """Write results/NAME.svg: a bar for each, ours in green, longest first as given."""
    longest = max((value for _, value in bars), default=1.0) or 1.0
    height = MARGIN * 2 + ROW * (len(bars) + 1)
    width = LEFT + BAR_WIDTH + 110
    font = f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {font}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-weight="600">{escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(bars, start=1):
        top = MARGIN + ROW * place + 4
        colour = OURS if label.startswith("Tieline") else PEERS
        length = value / longest * BAR_WIDTH
        parts.append(f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(label)}</text>')
        bar = f'x="{LEFT}" y="{top + 2}" width="{max(1.0, length):.1f}" height="{ROW - 8}"'
        parts.append(f'<rect {bar} fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{top + 13}">{_shown(value)} {escape(unit)}</text>')
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.svg"
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
    return path
