"""Exposes the web workers' totals as metrics (docs/metrics.md)."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from common.wire.worker_totals import MILLION
from sidecar.families import add_histogram, count, count_by, gauge
from sidecar.workers import Workers


def expose_workers(workers: Workers, active: Sequence[str]) -> Iterator[Metric]:
    """Return every metric of the web process; ``active`` names the workers that reported recently."""
    total = workers.sum_up()
    by_route = ["method", "route"]
    yield count_by("webapp_http_requests", "Requests answered.", [*by_route, "status"], total.requests)
    durations = HistogramMetricFamily(
        "webapp_http_request_duration_seconds", "From a request's arrival to its answer.", labels=by_route
    )
    for kind, histogram in total.durations.items():
        add_histogram(durations, kind.split(" "), histogram)
    yield durations
    yield count_by("webapp_trades_rejected", "Trades rejected, by reason.", ["reason"], total.rejected)
    commits = HistogramMetricFamily("webapp_commit_duration_seconds", "Time of one commit to the journal.", labels=[])
    add_histogram(commits, [], total.commits)
    commit_sizes = HistogramMetricFamily("webapp_commit_trades", "Trades in one commit.", labels=[])
    add_histogram(commit_sizes, [], total.groups)
    yield from (commits, commit_sizes)
    yield count("webapp_process_cpu_seconds", "Processor time of all workers.", total.cpu_micros / MILLION)
    yield count_by("webapp_feed_dropped", "Feed subscribers rejected, by reason.", ["reason"], total.dropped)
    yield count_by(
        "webapp_connections_dropped",
        "Connections rejected, or closed because the client was too slow.",
        ["reason"],
        total.connections_dropped,
    )
    yield count_by("webapp_downloads_rejected", "Downloads rejected, by reason.", ["reason"], total.downloads_rejected)
    reported = [workers.active[worker] for worker in active if worker in workers.active]
    yield gauge("webapp_workers", "Active workers.", len(active))
    yield gauge(
        "webapp_process_resident_memory_bytes",
        "Resident memory of the active workers.",
        sum(totals.resident_bytes for totals in reported),
    )
    yield gauge(
        "webapp_feed_subscribers", "Subscribers of the live feed.", sum(totals.subscribers for totals in reported)
    )
    yield gauge("webapp_connections", "Open connections.", sum(totals.connections for totals in reported))
    yield gauge("webapp_process_open_fds", "Open files of the active workers.", sum(t.open_fds for t in reported))
