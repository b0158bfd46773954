"""Plots as SVG, readable on a light and on a dark page: bars of subjects, and each goal with what was needed of it."""

import html
import math
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from bench.goals import Row
from bench.measure import BEFORE, OURS
from bench.measures.count import SIZES, name_socket, name_step
from bench.measures.scrape import SERIES, name_scrape
from bench.runner import Results

WIDTH: Final = 900
LABELS: Final = 400
VALUES: Final = 90
BAR: Final = 18
STEP: Final = 26
TOP: Final = 40
SCALES: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Of the plot of goals: parts of what is allowed."""

# A page's own colours do not reach into an image, so both are here.
STYLE: Final = """<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.dim{fill:#656d76}
.ours{fill:#0969da}.before{fill:#9a6700}.peer{fill:#8c959f}.yes{fill:#1a7f37}.no{fill:#cf222e}.line{stroke:#8c959f}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#8d96a0}
.ours{fill:#4493f8}.before{fill:#d29922}.peer{fill:#656c76}.yes{fill:#3fb950}.no{fill:#f85149}.line{stroke:#656c76}}
</style>"""


def write_number(value: float) -> str:
    """Write a figure with three digits, and no fewer before the point."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


class Bars(NamedTuple):
    """A plot: one bar for each subject of a measurement that has the figure; several figures are groups of bars."""

    name: str
    title: str
    measure: str
    figures: tuple[str, ...]


COUNTS: Final = tuple(name_of(size) for name_of in (name_step, name_socket) for size in SIZES)
PLOTS: Final[tuple[Bars, ...]] = (
    Bars("post", "POST /trade: CPU of all server processes a request, µs", "post", ("CPU, µs",)),
    Bars("post-p99", "POST /trade: 99th percentile, ms", "post", ("p99, ms",)),
    Bars("count", "Counting a trade: CPU, µs", "count", COUNTS),
    Bars("batch", "A batch of 1,000: CPU a trade, µs", "batch", ("web CPU, µs", "sidecar CPU, µs")),
    Bars("scrape", "A scrape: CPU, ms", "scrape", tuple(map(name_scrape, SERIES))),
)


def draw_bars(plot: Bars, results: Results) -> str:
    """Draw the medians of a figure; nothing without one."""
    bars: list[tuple[str, float, str]] = []
    for figure in plot.figures:
        for subject, found in results.values.get(plot.measure, {}).items():
            if figure in found:
                label = subject if len(plot.figures) == 1 else f"{subject}: {figure.rpartition(', ')[0]}"
                bars.append((label, median(found[figure]), subject if subject in {OURS, BEFORE} else "peer"))
    if not bars:
        return ""
    most = max(value for _, value, _ in bars) or 1
    space = WIDTH - LABELS - VALUES
    parts = []
    for number, (label, value, kind) in enumerate(bars):
        y = TOP + number * STEP
        width = max(1.0, value / most * space)
        parts.append(_label(label, y))
        parts.append(_bar(LABELS, y, width, kind))
        parts.append(f'<text x="{LABELS + width + 6:.1f}" y="{y + 14}">{write_number(value)}</text>')
    return _wrap(plot.title, TOP + len(bars) * STEP + 8, parts)


def draw_goals(rows: Sequence[Row]) -> str:
    """Draw each goal's part of what is allowed, on a logarithmic scale: a bar that ends before the line reaches it."""
    low, high = math.log(SCALES[0]), math.log(SCALES[-1])
    space = WIDTH - LABELS - VALUES

    def place(part: float) -> float:
        return LABELS + (math.log(min(max(part, SCALES[0]), SCALES[-1])) - low) / (high - low) * space

    bottom = TOP + 16 + len(rows) * STEP
    parts = [
        f'<text class="dim" x="{place(scale):.1f}" y="{TOP + 4}" text-anchor="middle">{scale:g}</text>'
        for scale in SCALES
    ]
    for number, row in enumerate(rows):
        y = TOP + 12 + number * STEP
        part = _share(row)
        peer = f" / {row.goal.peer}" if row.goal.peer else ""
        parts.append(_label(f"{row.goal.label}: {row.goal.figure}{peer}".replace("`", ""), y))
        parts.append(
            _bar(place(SCALES[0]), y, max(2.0, place(part) - place(SCALES[0])), "yes" if row.reached else "no")
        )
        parts.append(f'<text x="{place(part) + 6:.1f}" y="{y + 14}">{write_number(part)}</text>')
    parts.append(f'<line class="line" x1="{place(1):.1f}" x2="{place(1):.1f}" y1="{TOP + 8}" y2="{bottom}"/>')
    return _wrap("Each goal: 1 is the bound, less is better", bottom + 8, parts)


def _share(row: Row) -> float:
    judged, bound = row.judged or 0.0, row.goal.bound or 0.0
    above, below = (bound, judged) if row.goal.least else (judged, bound)
    # A goal of none, such as that nothing is missed, is reached or not.
    return above / below if below else (0.0 if row.reached else SCALES[-1])


def _label(text: str, y: int) -> str:
    return f'<text x="{LABELS - 8}" y="{y + 14}" text-anchor="end">{html.escape(text)}</text>'


def _bar(x: float, y: int, width: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>'


def _wrap(title: str, height: int, parts: Sequence[str]) -> str:
    name = html.escape(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">\n'
        f'{STYLE}\n<text class="title" x="8" y="20">{name}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )
