"""The dashboard "Pipeline": whether every accepted trade is counted, for operators."""

from typing import Final

from infra.grafana.panels import EVENTS_RATE, TRADES_RATE, Dashboard, Panel, Row
from infra.grafana.variables import quantile, rate, select

_FAILED = 'status=~"5.."'
_ERRORS = (
    f"(sum({rate('webapp_http_requests_total', _FAILED)}) or vector(0)) / sum({rate('webapp_http_requests_total')})"
)
_SEEN = f"last_over_time({select('sidecar_build_info')}[1d])"
_FIRING = select("ALERTS", 'alertstate="firing"')
_NO_ALERT = f'label_replace(vector(0) unless on () {_FIRING}, "alertname", "none", "", "")'
_SILENT = (
    f"time() - {select('trading_source_last_trade_timestamp_seconds')}"
    f" > on (job, instance, source) {select('trading_silence_limit_seconds')}"
)
_SHARES = (0.5, 0.95, 0.99)
_USED = f"1 - sum({select('sidecar_journal_free_bytes')}) / sum({select('sidecar_journal_disk_bytes')})"


def _quantiles(name: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"p{share * 100:g}", quantile(share, name)) for share in _SHARES)


PIPELINE: Final = Dashboard(
    uid="trading-telemetry-pipeline",
    title="Pipeline",
    about="Whether every accepted trade is counted, and how fast.",
    links=(("Trading", "trading-telemetry"), ("Relay", "trading-telemetry-relay")),
    rows=(
        Row("Now", (
            Panel("Sidecar", "Whether Prometheus can scrape each sidecar that it scraped in the last day.", "none", (
                ("", f"min({select('up')} and on (job, instance) {_SEEN}) or vector(0)"),), 4, "stat",
                ((0.0, "red"), (1.0, "green")), words=((0, "DOWN", "red"), (1, "up", "green"))),
            Panel("Alerts", "The alerts that fire; their links are in Prometheus and in the message.", "none", (
                ("{{alertname}}", f"sum by (alertname) ({_FIRING}) or {_NO_ALERT}"),), 12, "stat", ((1.0, "red"),),
                names=True),
            Panel("Restarts", "Of the sidecar, in the last hour.", "none", (
                ("", f"sum(changes({select('process_start_time_seconds')}[1h]))"),), 4, "stat", ((1.0, "yellow"),)),
            Panel("Silent sources", "Sources that were silent for longer than SILENCE_AFTER allows.", "none", (
                ("", f"count({_SILENT}) or vector(0)"),), 4, "stat", ((1.0, "red"),)),
        )),
        Row("Health", (
            Panel("Lag", "Trades in the journal that are not counted yet; normally 0.", "short", (
                ("", f"sum({select('sidecar_lag_events')})"),), 4, "stat", ((100.0, "yellow"), (1000.0, "red"))),
            Panel("Workers", "Active web workers, and how many are configured.", "none", (
                ("active", f"sum({select('webapp_workers')})"),
                ("configured", f"sum({select('webapp_workers_configured')})")), 4, "stat",
                ((0.0, "red"), (1.0, "green"))),
            Panel("Errors", "Share of requests answered with 5xx.", "percentunit", (
                ("", _ERRORS),), 4, "stat", ((0.01, "yellow"), (0.05, "red"))),
            Panel("Delay p99", "From acceptance to counting, live events.", "s", (
                ("", quantile(0.99, "trading_event_delay_seconds")),), 4, "stat", ((0.5, "yellow"), (1.0, "red"))),
            Panel("Snapshot age", "Time since the counters were last saved.", "s", (
                ("", f"time() - min({select('sidecar_snapshot_timestamp_seconds')})"),), 4, "stat",
                ((10.0, "yellow"), (60.0, "red"))),
            Panel("Journal disk", "Used share of the journal's disk.", "percentunit", (
                ("", _USED),), 4, "gauge", ((0.8, "yellow"), (0.9, "red")), ceiling=1),
        )),
        Row("Counting", (
            Panel("Accepted and counted", "The two lines should coincide.", TRADES_RATE, (
                ("accepted", f"sum({rate('webapp_commit_trades_sum')})"),
                ("counted", f"sum({rate('trading_trades_total')})"))),
            Panel("Delay from acceptance to counting", "Live events only; not those read from the journal.", "s",
                _quantiles("trading_event_delay_seconds"), thresholds=((1.0, "red"),)),
            Panel("Lag over time", "Trades in the journal that are not counted yet.", "short", (
                ("{{instance}}", f"sum by (instance) ({select('sidecar_lag_events')})"),), 8),
            Panel("Events by source", "Hints arrive live; lost ones are read from the journal.", EVENTS_RATE, (
                ("{{source}}", f"sum by (source) ({rate('sidecar_events_total')})"),), 8, stacked=True),
            Panel("Gaps, duplicates, rejected messages", "Gaps and duplicates are no losses; rejected messages come "
                "from unknown programs or another version.", EVENTS_RATE, (
                ("gaps", f"sum({rate('sidecar_gaps_total')})"),
                ("duplicates", f"sum({rate('sidecar_duplicates_total')})"),
                ("rejected: {{reason}}", f"sum by (reason) ({rate('sidecar_messages_rejected_total')})")), 8),
        )),
        Row("HTTP", (
            Panel("Requests per second by route", "All requests, by route and status.", "reqps", (
                ("{{method}} {{route}} {{status}}",
                 f"sum by (method, route, status) ({rate('webapp_http_requests_total')})"),), stacked=True),
            Panel("Duration by route, p99", "From arrival to answer; exemplars carry request ids.", "s", (
                ("{{method}} {{route}}", quantile(0.99, "webapp_http_request_duration_seconds", "method", "route")),)),
            Panel("Trades rejected per second", "By the reason in the answer.", TRADES_RATE, (
                ("{{reason}}", f"sum by (reason) ({rate('webapp_trades_rejected_total')})"),
                ("all", f"sum({rate('webapp_trades_rejected_total')})"))),
            Panel("Commit time", "One commit to the journal, including its sync to disk.", "s",
                _quantiles("webapp_commit_duration_seconds")),
        )),
        Row("Journal and snapshots", (
            Panel("Commit size", "Trades in one commit, which grows with the load.", "short", (
                ("mean", f"sum({rate('webapp_commit_trades_sum')}) / sum({rate('webapp_commit_trades_count')})"),
                ("p95", quantile(0.95, "webapp_commit_trades"))), 6),
            Panel("Journal size", "The journal's file with its write-ahead log.", "bytes", (
                ("journal", f"sum({select('sidecar_journal_size_bytes')})"),), 6),
            Panel("Snapshot failures", "Per interval; counting continues, but a restart takes longer.", "short", (
                ("failed", f"sum(increase({select('sidecar_snapshot_failures_total')}[$__rate_interval]))"),), 6),
            Panel("Symbols", "Symbols with their own series; trades per second counted under other.", "short", (
                ("own series", f"sum({select('sidecar_symbols')})"),
                ("overflow trades/s", f"sum({rate('sidecar_overflow_trades_total')})")), 6),
        )),
        Row("Processes and subscribers", (
            Panel("Memory", "Resident memory of all web workers and of the sidecar.", "bytes", (
                ("web", f"sum({select('webapp_process_resident_memory_bytes')})"),
                ("sidecar", f"sum({select('process_resident_memory_bytes')})")), 6),
            Panel("Processor", "Processor time used per second: 1 is one core.", "short", (
                ("web", f"sum({rate('webapp_process_cpu_seconds_total')})"),
                ("sidecar", f"sum({rate('process_cpu_seconds_total')})")), 6),
            Panel("Open files", "Open files of all web workers and of the sidecar.", "short", (
                ("web", f"sum({select('webapp_process_open_fds')})"),
                ("sidecar", f"sum({select('process_open_fds')})")), 6),
            Panel("Live feed", "Subscribers of the live feed; subscribers rejected per second.", "short", (
                ("subscribers", f"sum({select('webapp_feed_subscribers')})"),
                ("{{reason}}", f"sum by (reason) ({rate('webapp_feed_dropped_total')})")), 6),
        )),
    ),
)  # fmt: skip
