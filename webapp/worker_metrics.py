"""WorkerMetrics: every metric of this worker, declared once; the sidecar adds up those of all (docs/metrics.md)."""

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.registry import Collector
from uuid_utils.compat import uuid7

from common.journal.file import JOURNAL_REASONS
from common.wire.worker_totals import WorkerTotals
from webapp.totals import read_totals

AUTH_FAILURES: Final = (
    "no_credential",
    "token_unknown",
    "token_expired",
    "token_revoked",
    "session_ended",
    "scope",
    "csrf",
    "password",
    "too_many_attempts",
    "forwarded",
)
"""Why a request may be rejected for its credential."""

REJECTIONS: Final = (
    "host",
    "origin",
    "invalid",
    "json",
    "bad_request",
    "not_found",
    "key_reused",
    "key_in_flight",
    "too_large",
    "request_timeout",
    "rate_limit",
    "unsupported_media_type",
    "bug",
    "hub",
    *AUTH_FAILURES,
    *(f"journal_{reason}" for reason in JOURNAL_REASONS),
)
"""Why a trade may be rejected."""

CONNECTION_DROPS: Final = ("head_timeout", "write_timeout", "address_limit", "worker_limit", "file_descriptors")
"""Why a connection may be closed or rejected."""

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMIT_SIZE_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

Route = tuple[str, str]
"""A method and the rule of a route."""


class WorkerMetrics:
    """The metrics of one worker since it started; a series whose labels are known beforehand starts at 0.

    The values of a label come from the code, never from a client: printable ASCII without spaces.
    """

    def __init__(self, routes: Iterable[Route] = (), new_worker: Callable[[], uuid.UUID] = uuid7) -> None:
        """Declare every metric, with a unique worker name that sorts after those of earlier workers."""
        self._worker = new_worker().hex
        self._numbers = itertools.count(1)
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "webapp_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._durations = Histogram(
            "webapp_http_request_duration_seconds",
            "From a request's arrival to its answer.",
            ["method", "route"],
            buckets=DURATION_BOUNDS,
            registry=registry,
        )
        self.rejections = Counter(
            "webapp_trades_rejected", "Trades rejected, by reason.", ["reason"], registry=registry
        )
        self.auth_failures = Counter(
            "webapp_auth_failures", "Requests rejected for their credential, by reason.", ["reason"], registry=registry
        )
        self.commit_seconds = Histogram(
            "webapp_commit_duration_seconds",
            "Time of one commit to the journal.",
            buckets=DURATION_BOUNDS,
            registry=registry,
        )
        self.commit_trades = Histogram(
            "webapp_commit_trades", "Trades in one commit.", buckets=COMMIT_SIZE_BOUNDS, registry=registry
        )
        self.feed_drops = Counter(
            "webapp_feed_dropped", "Feed subscribers rejected, by reason.", ["reason"], registry=registry
        )
        self.workers_configured = Gauge("webapp_workers_configured", "Web workers that should run.", registry=registry)
        self.feed_subscribers = Gauge("webapp_feed_subscribers", "Subscribers of the live feed.", registry=registry)
        self.connections = Gauge("webapp_connections", "Open connections.", registry=registry)
        self.connection_drops = Counter(
            "webapp_connections_dropped",
            "Connections rejected, or closed because the client was too slow.",
            ["reason"],
            registry=registry,
        )
        self.download_rejections = Counter(
            "webapp_downloads_rejected", "Downloads rejected, by reason.", ["reason"], registry=registry
        )
        registry.register(_Process())

        for metric, reasons in (
            (self.rejections, REJECTIONS),
            (self.auth_failures, AUTH_FAILURES),
            (self.feed_drops, ("full",)),
            (self.connection_drops, CONNECTION_DROPS),
            (self.download_rejections, ("limit",)),
        ):
            for reason in reasons:
                metric.labels(reason)
        # Not in the registry: reading an unused histogram takes as long as reading any other.
        self._known = {"webapp_http_request_duration_seconds": [" ".join(route) for route in routes]}
        self._requests_by: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count_request(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """Count one answered request; ``request_id`` is the exemplar of its duration."""
        key = (method, route, status)
        found = self._requests_by.get(key)
        if found is None:
            # Looking up a series by its labels takes longer than counting in it.
            found = self._requests.labels(method, route, status), self._durations.labels(method, route)
            self._requests_by[key] = found
        requests, durations = found
        requests.inc()
        durations.observe(seconds, {"request_id": request_id})

    def observe_commit(self, seconds: float, trades: int) -> None:
        """Count one commit, its seconds and its trades."""
        self.commit_seconds.observe(seconds)
        self.commit_trades.observe(trades)

    def snapshot(self, *, ended: bool = False) -> WorkerTotals:
        """Return the totals, with the next number."""
        return WorkerTotals(self._worker, next(self._numbers), ended, read_totals(self.registry, self._known))


class _Process(Collector):
    """What the library knows of this process, as far as it adds up over workers; without /proc nothing."""

    _HELP: Final = {
        "webapp_process_cpu_seconds": "Processor time of all workers.",
        "webapp_process_resident_memory_bytes": "Resident memory of the active workers.",
        "webapp_process_open_fds": "Open files of the active workers.",
    }

    def __init__(self) -> None:
        self._all = ProcessCollector(namespace="webapp", registry=None)

    def collect(self) -> Iterator[Metric]:
        """Return processor time, memory and open files."""
        for metric in self._all.collect():
            if metric.name in self._HELP:
                metric.documentation = self._HELP[metric.name]
                yield metric
