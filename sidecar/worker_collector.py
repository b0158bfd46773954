"""What the web workers tell of themselves, as metrics (docs/metrics.md)."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from common.wire.worker_totals import MILLION
from sidecar.families import add_histogram, count, count_by, gauge
from sidecar.workers import Workers


def expose_workers(workers: Workers, live: Sequence[str]) -> Iterator[Metric]:
    """Give every metric of the web process; ``live`` names the workers that serve now."""
    total = workers.sum_up()
    by_route = ["method", "route"]
    yield count_by("webapp_http_requests", "Requests answered.", [*by_route, "status"], total.requests)
    durations = HistogramMetricFamily(
        "webapp_http_request_duration_seconds", "From a request's arrival to its answer.", labels=by_route
    )
    for kind, histogram in total.durations.items():
        add_histogram(durations, kind.split(" "), histogram)
    yield durations
    yield count_by("webapp_trades_rejected", "Trades refused, by reason.", ["reason"], total.rejected)
    commits = HistogramMetricFamily("webapp_commit_duration_seconds", "Time of one commit to the journal.", labels=[])
    add_histogram(commits, [], total.commits)
    groups = HistogramMetricFamily("webapp_commit_trades", "Trades that shared one commit.", labels=[])
    add_histogram(groups, [], total.groups)
    yield from (commits, groups)
    yield count("webapp_process_cpu_seconds", "Processor time of all workers.", total.cpu_micros / MILLION)
    yield count_by(
        "webapp_feed_dropped", "Subscribers of the feed that were rejected, by reason.", ["reason"], total.dropped
    )
    yield count_by(
        "webapp_connections_dropped",
        "Connections rejected, or ended because the client kept the server waiting.",
        ["reason"],
        total.connections_dropped,
    )
    yield count_by("webapp_downloads_rejected", "Downloads rejected, by reason.", ["reason"], total.downloads_rejected)
    serving = [workers.active[worker] for worker in live if worker in workers.active]
    yield gauge("webapp_workers", "Workers that serve.", len(live))
    yield gauge(
        "webapp_process_resident_memory_bytes",
        "Memory of the workers that serve.",
        sum(facts.resident_bytes for facts in serving),
    )
    yield gauge("webapp_feed_subscribers", "Open feeds.", sum(facts.subscribers for facts in serving))
    yield gauge("webapp_connections", "Open connections.", sum(facts.connections for facts in serving))
    yield gauge("webapp_process_open_fds", "Open files of the workers that serve.", sum(f.open_fds for f in serving))
