"""The Trading dashboard, as code: ``python -m infra.grafana.dashboard`` writes dashboards/trading.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DASHBOARD: Final = Path(__file__).parent / "dashboards" / "trading.json"
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

_WIDTH = 24
_CHOSEN = '{symbol=~"$symbol",side=~"$side"}'
_CHOSEN_SYMBOL = '{symbol=~"$symbol"}'


@dataclass(frozen=True)
class Panel:
    """One panel: ``queries`` are (legend, PromQL) pairs, ``width`` is in 24ths of the page."""

    title: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 12
    kind: str = "timeseries"
    alarm: float | None = None


def _quantile(share: float) -> tuple[str, str]:
    query = f"histogram_quantile({share}, sum by (le) (rate(trading_event_delay_seconds_bucket[$__rate_interval])))"
    return f"p{share * 100:g}", query


PANELS: Final = (
    Panel("Trades", "Trades counted since the journal began.", "short", (
        ("", f"sum(trading_trades_total{_CHOSEN})"),), 6, "stat"),
    Panel("Notional", "Price times quantity, all symbols together.", "short", (
        ("", f"sum(trading_notional_total{_CHOSEN})"),), 6, "stat"),
    Panel("Lag", "Seqs that the journal has given and the sidecar has not counted yet.", "short", (
        ("", "sum(sidecar_lag_events)"),), 6, "stat", 1000),
    Panel("Last trade", "When the newest trade happened, by its own time.", "dateTimeFromNow", (
        ("", f"max(trading_last_trade_timestamp_seconds{_CHOSEN_SYMBOL}) * 1000"),), 6, "stat"),
    Panel("Trades a second", "Rate of accepted trades, by symbol and side.", "ops", (
        ("{{symbol}} {{side}}", f"sum by (symbol, side) (rate(trading_trades_total{_CHOSEN}[$__rate_interval]))"),)),
    Panel("Quantity a second", "Rate of traded quantity in units of each symbol, by symbol and side.", "short", (
        ("{{symbol}} {{side}}", f"sum by (symbol, side) (rate(trading_quantity_total{_CHOSEN}[$__rate_interval]))"),)),
    Panel("Notional a second", "Rate of price times quantity, by symbol and side.", "short", (
        ("{{symbol}} {{side}}", f"sum by (symbol, side) (rate(trading_notional_total{_CHOSEN}[$__rate_interval]))"),)),
    Panel("Last price", "Price of each symbol's newest trade.", "short", (
        ("{{symbol}}", f"max by (symbol) (trading_last_price{_CHOSEN_SYMBOL})"),)),
    Panel("Delay from acceptance to counting", "Quantiles of live events; those read from the journal are not in it.",
        "s", (_quantile(0.5), _quantile(0.95), _quantile(0.99))),
    Panel("Recovered from the journal", "Gaps in the hints a second, and events that the journal filled in.", "ops", (
        ("gaps", "sum(rate(sidecar_gaps_total[$__rate_interval]))"),
        ("events from the journal", 'sum(rate(sidecar_events_total{source="journal"}[$__rate_interval]))'))),
)  # fmt: skip


def build_dashboard() -> dict[str, Any]:
    """Build the dashboard in Grafana's schema."""
    return {
        "id": None,
        "uid": "trading-telemetry",
        "title": "Trading",
        "description": "Accepted trades, and the way they take to this page.",
        "tags": ["trading-telemetry"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1s",
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {"refresh_intervals": ["1s", "5s", "30s", "1m"]},
        "timezone": "browser",
        "templating": {"list": [_choose_datasource(), _choose_label("symbol"), _choose_label("side")]},
        "annotations": {"list": []},
        "links": [],
        "panels": _lay_out(),
    }


def _lay_out() -> list[dict[str, Any]]:
    laid: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(PANELS, start=1):
        height = 4 if panel.kind == "stat" else 8
        laid.append({**_draw(panel), "id": number, "gridPos": {"x": x, "y": y, "w": panel.width, "h": height}})
        x += panel.width
        if x >= _WIDTH:
            x, y = 0, y + height
    return laid


def _draw(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    drawn: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries)
        ],
    }
    if panel.kind == "stat":
        drawn["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none", "colorMode": "value"}
    else:
        drawn["options"] = {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"], "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        drawn["fieldConfig"]["defaults"]["custom"] = {"lineWidth": 2, "fillOpacity": 10, "showPoints": "never"}
    return drawn


def _choose_datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "trading-prometheus"},
    }


def _choose_label(label: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": label.title(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values(trading_trades_total, {label})", "refId": "A"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def write_dashboard() -> str:
    """Write the dashboard as the JSON text that is checked in."""
    return json.dumps(build_dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(write_dashboard())
