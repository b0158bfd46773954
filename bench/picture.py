"""Pictures of the dashboards: ``python -m bench.picture`` runs a stack under load and draws what Prometheus returns.

Each panel's own query over the last SECONDS is drawn at the panel's position, without Grafana.
"""

import html
import math
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import requests
from playwright.sync_api import sync_playwright

from infra.grafana.dashboard import FILES
from infra.grafana.panels import build
from tests.conftest import ROOT, require_program
from tests.system.prometheus import Prometheus
from tests.system.stack import Stack

SECONDS: Final = 90
RATE: Final = 120
IMAGES: Final = ROOT / "docs" / "img"

Series = tuple[str, list[tuple[float, float]]]

_COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#14b8a6", "#ec4899", "#84cc16")
_VARIABLES = {"$__rate_interval": "4s", "$__range": f"{SECONDS}s"} | dict.fromkeys(
    ("$job", "$instance", "$symbol", "$side", "$quote"), ".+"
)
_STYLE = """
:root{color-scheme:light dark;--bg:light-dark(#f4f5f7,#111217);--panel:light-dark(#fff,#181b1f);
--ink:light-dark(#1f2328,#d5d7db);--dim:light-dark(#6b7280,#8e9199);--line:light-dark(#e3e5e8,#2c3036)}
body{margin:0;background:var(--bg);color:var(--ink);font:13px system-ui,sans-serif}
h1{font-size:17px;margin:0;padding:12px 14px 6px}
.grid{display:grid;grid-template-columns:repeat(24,1fr);grid-auto-rows:30px;gap:6px;padding:0 12px 12px}
.row{font-weight:600;align-self:end;color:var(--dim)}
.panel{background:var(--panel);border:1px solid var(--line);border-radius:4px;padding:6px 8px;overflow:hidden;
display:flex;flex-direction:column}
.title{font-weight:600;font-size:12px}.value{font-size:30px;font-weight:600;margin:auto;white-space:nowrap}
svg{flex:1;min-height:0;width:100%}.legend{font-size:10px;color:var(--dim)}
.legend span{white-space:nowrap}
.legend i{display:inline-block;width:9px;height:3px;margin:0 4px 3px 8px}
.bar{display:flex;align-items:center;gap:6px;margin:4px 0}
.bar b{height:16px;border-radius:2px}text{fill:var(--dim);font-size:10px}
"""


def query_range(url: str, query: str) -> list[Series]:
    """Return the series of a query over the last SECONDS."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    end = time.time()
    parameters = {"query": query, "start": end - SECONDS, "end": end, "step": 1}
    answer = requests.post(f"{url}/api/v1/query_range", data=parameters, timeout=30).json()
    found: list[Series] = []
    for series in answer["data"]["result"]:
        points = [(at, float(value)) for at, value in series["values"] if math.isfinite(float(value))]
        found.append((" ".join(v for k, v in series["metric"].items() if k != "__name__"), points))
    return [(name, points) for name, points in found if points]


def write_number(value: float, unit: str) -> str:
    """Write a value in its unit, as short as Grafana does."""
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit == "dateTimeFromNow":
        return f"{max(0, time.time() - value / 1000):.0f} s ago"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.2f} s"
    scale, signs = (1024, ("", "Ki", "Mi", "Gi")) if unit == "bytes" else (1000, ("", " K", " Mil", " Bil"))
    power = 0
    while abs(value) >= scale and power < len(signs) - 1:
        value, power = value / scale, power + 1
    tail = {"ops": " ops/s", "reqps": " req/s", "bytes": "B"}.get(unit, "")
    return f"{value:.3g}{' ' if unit == 'bytes' else ''}{signs[power]}{tail}"


def draw_lines(panel: dict[str, Any], found: Sequence[Series]) -> str:
    """Draw a time series panel."""
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked, unit = custom["stacking"]["mode"] == "normal", panel["fieldConfig"]["defaults"]["unit"]
    times = sorted({float(round(at)) for _, points in found for at, _ in points})
    below = dict.fromkeys(times, 0.0)
    lines: list[list[tuple[float, float]]] = []
    for _, points in found:
        line = [(float(round(at)), value + (below[round(at)] if stacked else 0)) for at, value in points]
        below.update(line)
        lines.append(line)
    values = [value for line in lines for _, value in line]
    low = min(*values, panel["fieldConfig"]["defaults"].get("min", min(values)), values[0])
    high = max(values) if max(values) > low else low + 1
    width, height, left = 58 * panel["gridPos"]["w"], 200, 62

    def point(at: float, value: float) -> str:
        x = left + (at - times[0]) / max(1, times[-1] - times[0]) * (width - left)
        return f"{x:.1f},{height - 12 - (value - low) / (high - low) * (height - 22):.1f}"

    parts = [
        f'<line x1="{left}" x2="{width}" y1="{y}" y2="{y}" stroke="var(--line)"/>'
        f'<text x="{left - 6}" y="{y + 3}" text-anchor="end">'
        f"{write_number(high - (y - 10) / (height - 22) * (high - low), unit)}</text>"
        for y in (10, 10 + (height - 22) / 2, height - 12)
    ]
    for number, line in reversed(list(enumerate(lines))):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(point(at, value) for at, value in line)
        if stacked:
            ends = f"{point(line[-1][0], low)} {point(line[0][0], low)}"
            parts.append(f'<polygon points="{path} {ends}" fill="{colour}" fill-opacity=".9"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    names = "".join(
        f'<span><i style="background:{_COLOURS[n % len(_COLOURS)]}"></i>{html.escape(name)}'
        f" {write_number(value, unit)}</span> "
        for n, (name, value) in enumerate((name, points[-1][1]) for name, points in found)
    )
    drawn = f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{"".join(parts)}</svg>'
    return f'{drawn}<div class="legend">{names}</div>'


def draw_bars(panel: dict[str, Any], found: Sequence[Series]) -> str:
    """Draw a bar gauge panel."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    newest = sorted(((points[-1][1], name) for name, points in found), reverse=True)
    return "".join(
        f'<div class="bar"><span style="width:90px">{html.escape(name)}</span>'
        f'<b style="width:{value / newest[0][0] * 55:.0f}%;background:#3b82f6"></b>{write_number(value, unit)}</div>'
        for value, name in newest
    )


def draw_heatmap(_: dict[str, Any], found: Sequence[Series]) -> str:
    """Draw a heatmap panel: the buckets' own rates, not their sums."""
    rows = sorted(((math.inf if "Inf" in name else float(name), dict(points)) for name, points in found))
    times = sorted({at for _, points in rows for at in points})
    own: list[tuple[str, list[float]]] = []
    below: dict[float, float] = {}
    for bound, points in rows:
        own.append(
            (
                "+Inf" if bound == math.inf else f"{bound:,.0f}",
                [max(0.0, points.get(at, 0) - below.get(at, 0)) for at in times],
            )
        )
        below = points
    most = max(value for _, values in own for value in values) or 1
    height, width, left = 16 * len(own), 1400, 80
    cell = (width - left) / len(times)
    cells = "".join(
        f'<rect x="{left + n * cell:.1f}" y="{height - 16 * (row + 1)}" width="{cell:.1f}" height="15"'
        f' fill="#3b82f6" fill-opacity="{value / most:.2f}"/>'
        for row, (_, values) in enumerate(own)
        for n, value in enumerate(values)
    )
    names = "".join(
        f'<text x="{left - 8}" y="{height - 16 * row - 4}" text-anchor="end">{name}</text>'
        for row, (name, _) in enumerate(own)
    )
    return f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{cells}{names}</svg>'


def draw_value(panel: dict[str, Any], found: Sequence[Series]) -> str:
    """Draw a stat or gauge panel: its newest value, in the colour of its threshold."""
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0][1][-1][1]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    colour = {"green": "#10b981", "yellow": "#d97706", "red": "#ef4444"}[steps[-1]["color"]]
    return f'<div class="value" style="color:{colour}">{write_number(value, defaults["unit"])}</div>'


_DRAW = {
    "stat": draw_value,
    "gauge": draw_value,
    "timeseries": draw_lines,
    "bargauge": draw_bars,
    "heatmap": draw_heatmap,
}


def write_page(dashboard: dict[str, Any], url: str) -> Iterator[str]:
    """Write a dashboard as a page, from Prometheus's data."""
    yield f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><h1>{dashboard['title']}</h1><div class=grid>"
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        area = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
        if panel["type"] == "row":
            yield f'<div class=row style="{area}">{html.escape(panel["title"])}</div>'
            continue
        found: list[Series] = []
        for target in panel["targets"]:
            legend = re.sub(r"[^\w/: ]", "", re.sub(r"\{\{.*?\}\}", "", target["legendFormat"].replace("__auto", "")))
            for name, points in query_range(url, target["expr"]):
                found.append((" ".join(part for part in (legend.strip(), name) if part), points))
        body = _DRAW[panel["type"]](panel, found) if found else '<div class="value">No data</div>'
        yield f'<div class=panel style="{area}"><div class=title>{html.escape(panel["title"])}</div>{body}</div>'
    yield "</div>"


def main() -> None:
    """Run the stack, query, draw."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        with (
            Stack(folder, WEB_CONCURRENCY="2") as stack,
            Prometheus(folder, stack.settings["SIDECAR_HTTP_PORT"]) as prometheus,
        ):
            stack.start()
            with stack.under_trades(RATE):
                until = time.monotonic() + SECONDS + 10
                while time.monotonic() < until:
                    stack.post({"symbol": ""})
                    requests.get(f"{stack.web_url}/", timeout=10)
                    time.sleep(0.5)
                pages = {
                    board.title.lower(): "".join(write_page(build(board), prometheus.url)) for board in FILES.values()
                }
        browser = playwright.chromium.launch(executable_path=require_program("chromium"), args=["--no-sandbox"])
        for title, text in pages.items():
            for scheme, suffix in (("light", ""), ("dark", "-dark")):
                page = browser.new_page(viewport={"width": 1440, "height": 600}, color_scheme=scheme)  # type: ignore[arg-type]
                page.set_content(text)
                page.screenshot(path=IMAGES / f"dashboard-{title}{suffix}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
