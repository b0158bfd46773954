"""The dashboard "Relay": whether trades reach the hubs, and how late, for operators of many hosts."""

from typing import Final

from infra.grafana.panels import TRADES_RATE, Dashboard, Panel, Row
from infra.grafana.variables import quantile, rate, select

_BY_JOURNAL = "{{direction}} {{journal_id}}"
_PULLED = 'direction="pull"'
_SEEN = f"last_over_time({select('relay_build_info')}[1d])"
_SILENT = f"time() - min({select('relay_host_last_seen_timestamp_seconds', _PULLED)} > 0)"
_MEMORY = f"{select('process_resident_memory_bytes')} and on (job, instance) {select('relay_build_info')}"


def _by_journal(query: str, how: str = "max") -> str:
    return f"{how} by (direction, journal_id) ({query})"


def _added(name: str) -> str:
    return f"sum by (direction, journal_id) (increase({select(name)}[$__rate_interval]))"


RELAY: Final = Dashboard(
    uid="trading-telemetry-relay",
    title="Relay",
    about="Whether the trades of every host reach the hubs, and how late.",
    links=(("Trading", "trading-telemetry"), ("Pipeline", "trading-telemetry-pipeline")),
    source="relay_build_info",
    rows=(
        Row("Now", (
            Panel("Relays", "Whether Prometheus can scrape each relay.", "none", (
                ("", f"min({select('up')} and on (job, instance) {_SEEN}) or vector(0)"),), 4, "stat",
                ((0.0, "red"), (1.0, "green")), words=((0, "DOWN", "red"), (1, "up", "green"))),
            Panel("Connected", "Whether each relay can use its hosts, or the stream.", "none", (
                ("", f"min({select('relay_connected')}) or vector(0)"),), 4, "stat",
                ((0.0, "red"), (1.0, "green")), words=((0, "NO", "red"), (1, "yes", "green"))),
            Panel("Longest wait", "Of a trade that has not passed yet; normally 0.", "s", (
                ("", f"max({select('relay_lag_seconds')}) or vector(0)"),), 4, "stat",
                ((5.0, "yellow"), (60.0, "red"))),
            Panel("Silent for", "The longest time since something came from a host.", "s", (
                ("", f"{_SILENT} or vector(0)"),), 4, "stat", ((15.0, "yellow"), (60.0, "red"))),
            Panel("Conflicts", "In the last hour: histories of a journal that are not the hub's.", "none", (
                ("", f"sum(increase({select('relay_conflicts_total')}[1h])) or vector(0)"),), 4, "stat",
                ((1.0, "red"),)),
            Panel("Hosts", "Journals from which a hub has trades.", "none", (
                ("", f"count(count by (journal_id) ({select('relay_last_seq', _PULLED)})) or vector(0)"),), 4, "stat"),
        )),
        Row("Flow", (
            Panel("Trades by journal", "Pushed by the hosts, and written to the hubs.", TRADES_RATE, (
                (_BY_JOURNAL, f"sum by (direction, journal_id) ({rate('relay_events_total')})"),)),
            Panel("Wait by journal", "The age of what has not passed yet.", "s", (
                (_BY_JOURNAL, _by_journal(select("relay_lag_seconds"))),), thresholds=((60.0, "red"),)),
            Panel("Trades that wait", "Over a stream: seqs of a journal that have not passed.", "short", (
                (_BY_JOURNAL, _by_journal(select("relay_lag_events"))),)),
            Panel("Time of an acknowledgement", "From sending a message to the copies of the stream.", "s", (
                ("p50", quantile(0.5, "relay_ack_seconds")), ("p99", quantile(0.99, "relay_ack_seconds")))),
        )),
        Row("Faults", (
            Panel("Errors by reason", "What kept trades from passing; see the runbooks.", "short", (
                ("{{direction}} {{reason}}",
                 f"sum by (direction, reason) (increase({select('relay_errors_total')}[$__rate_interval]))"),), 8),
            Panel("Rewinds and fenced messages", "A few at a fault of the stream; many are an alert.", "short", (
                ("rewinds {{direction}} {{journal_id}}", _added("relay_rewinds_total")),
                ("fenced {{journal_id}}", _added("relay_fenced_total"))), 8),
            Panel("Duplicates", "Trades that came again, after a restart or a rewind: no loss.", "short", (
                (_BY_JOURNAL, _added("relay_duplicates_total")),), 8),
            Panel("Since the last sign of each journal", "Idle hosts send a heartbeat over a stream.", "s", (
                ("{{journal_id}}",
                 f"time() - max by (journal_id) ({select('relay_host_last_seen_timestamp_seconds', _PULLED)} > 0)"),)),
            Panel("Memory", "Of each relay.", "bytes", (
                ("{{instance}}", f"max by (instance) ({_MEMORY})"),)),
        )),
    ),
)  # fmt: skip
