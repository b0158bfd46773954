"""Panels and their layout in Grafana's dashboard schema, used by every dashboard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from common.settings import Settings
from infra.grafana.variables import DATASOURCE, list_variables

DESK_URL: Final = f"http://{Settings().write_webapp_address()}/"
"""The desk at its default address: Grafana reads the dashboards without the settings."""

TRADES_RATE: Final = "suffix: trades/s"
EVENTS_RATE: Final = "suffix: events/s"

_WIDTH = 24

Thresholds = tuple[tuple[float, str], ...]
"""Pairs (from, colour): the colour from that value on; below the first it is green."""


@dataclass(frozen=True)
class Panel:
    """One panel: ``queries`` are (legend, PromQL) pairs, ``width`` is in 24ths of the dashboard.

    With ``repeat`` it is drawn once for each chosen value of that variable. ``words`` are (value, word, colour), to be
    shown instead. With ``names`` a stat shows the legends and not the values.
    """

    title: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 12
    kind: str = "timeseries"
    thresholds: Thresholds = ()
    stacked: bool = False
    floor: float | None = 0
    ceiling: float | None = None
    decimals: int | None = None
    repeat: str = ""
    words: tuple[tuple[int, str, str], ...] = ()
    names: bool = False

    @property
    def height(self) -> int:
        """The height in grid rows."""
        return 4 if self.kind in {"stat", "gauge"} else 8


@dataclass(frozen=True)
class Row:
    """A titled row of panels."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; ``choices`` are labels with a variable, and a metric that has them.

    Every dashboard also has the variables data source, job and instance, of those that have the metric ``source``.
    """

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    choices: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = field(default=())
    source: str = "sidecar_build_info"


def build(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard in Grafana's schema."""
    return {
        "id": None,
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": f"{dashboard.about} Times are in UTC, as on the desk, unless another zone is chosen.",
        "tags": ["trading-telemetry"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1s",
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {"refresh_intervals": ["1s", "5s", "30s", "1m"]},
        "timezone": "utc",
        "templating": {"list": list_variables(dashboard.source, dashboard.choices)},
        "annotations": {"list": []},
        "links": [*(_link(title, f"/d/{uid}") for title, uid in dashboard.links), _link("Desk", DESK_URL)],
        "panels": list(_lay_out(dashboard.rows)),
    }


def _lay_out(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number = y = 0
    for row in rows:
        number += 1
        position = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        yield {"type": "row", "title": row.title, "collapsed": False, "panels": [], "id": number, "gridPos": position}
        y += 1
        x = 0
        for panel in row.panels:
            number += 1
            position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield {**_draw(panel), "id": number, "gridPos": position}
            x += panel.width
            if x >= _WIDTH:
                x, y = 0, y + panel.height


def _draw(panel: Panel) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}, *({"color": c, "value": value} for value, c in panel.thresholds)]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.floor is not None:
        defaults["min"] = panel.floor
    if panel.ceiling is not None:
        defaults["max"] = panel.ceiling
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.words:
        options = {str(value): {"text": word, "color": colour} for value, word, colour in panel.words}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 2,
            "fillOpacity": 40 if panel.stacked else 10,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
        }
    repeat = {"repeat": panel.repeat, "repeatDirection": "v"} if panel.repeat else {}
    shape = "heatmap" if panel.kind == "heatmap" else "time_series"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        **repeat,
        "fieldConfig": {"defaults": defaults, "overrides": _SIDES if "side" in str(panel.queries) else []},
        "options": _OPTIONS[panel.kind] | ({"textMode": "name"} if panel.names else {}),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query,
                "legendFormat": legend or "__auto",
                "format": shape,
                "instant": panel.kind == "bargauge",
                "range": panel.kind != "bargauge",
                "exemplar": "_bucket" in query and panel.kind == "timeseries",
            }
            for index, (legend, query) in enumerate(panel.queries)
        ],
    }


_SIDES: Final = [
    {
        "matcher": {"id": "byRegexp", "options": f"/\\b{side}$/"},
        "properties": [{"id": "color", "value": {"mode": "shades", "fixedColor": colour}}],
    }
    for side, colour in (("BUY", "green"), ("SELL", "red"))
]
"""Buys are green and sells red in each panel that has them, as on the desk."""

_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "stat": {"reduceOptions": _REDUCE, "graphMode": "area", "colorMode": "value", "textMode": "auto"},
    "gauge": {"reduceOptions": _REDUCE, "showThresholdMarkers": True, "showThresholdLabels": False},
    "bargauge": {"reduceOptions": _REDUCE, "orientation": "horizontal", "displayMode": "gradient"},
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 32},
        "yAxis": {"axisPlacement": "left"},
        "cellGap": 1,
        "tooltip": {"mode": "single", "yHistogram": True},
    },
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


def _link(title: str, url: str) -> dict[str, Any]:
    here = url.startswith("/")
    return {
        "title": title,
        "type": "link",
        "url": url,
        "icon": "dashboard" if here else "external link",
        "keepTime": here,
        "targetBlank": not here,
    }
