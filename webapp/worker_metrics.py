"""WorkerMetrics: the running totals of this worker, kept as plain numbers and reported to the sidecar."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, cast

import msgspec
from flask import Flask, current_app
from prometheus_client import CollectorRegistry, ProcessCollector
from uuid_utils.compat import uuid7

from common.histogram import Histogram
from common.journal.file import JOURNAL_REASONS
from common.process import PerProcess
from common.wire.worker_totals import (
    DURATION_BOUNDS,
    DURATIONS_MAX,
    MILLION,
    OTHER_REQUEST,
    OTHER_ROUTE,
    REQUESTS_MAX,
    WorkerTotals,
    place,
)

REJECTIONS: Final = (
    "host",
    "origin",
    "invalid",
    "json",
    "bad_request",
    "csrf",
    "key_reused",
    "key_in_flight",
    "too_large",
    "request_timeout",
    "unsupported_media_type",
    "bug",
    *(f"journal_{reason}" for reason in JOURNAL_REASONS),
)
"""Why a trade may be rejected; each starts at 0, so that the first rejection is an increase."""

DROPS: Final = ("full",)
"""Why a subscriber of the feed may be rejected."""

DOWNLOAD_REJECTIONS: Final = ("limit",)
"""Why a download may be rejected."""

CONNECTION_DROPS: Final = ("head_timeout", "write_timeout", "address_limit", "worker_limit", "file_descriptors")
"""Why a connection may be closed or rejected."""


class WorkerMetrics:
    """The totals of one worker since it started."""

    def __init__(
        self,
        new_worker: Callable[[], uuid.UUID] = uuid7,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start at zero, with a unique worker name that sorts after those of earlier workers."""
        self._totals = WorkerTotals(
            new_worker().hex,
            rejected=dict.fromkeys(REJECTIONS, 0),
            dropped=dict.fromkeys(DROPS, 0),
            connections_dropped=dict.fromkeys(CONNECTION_DROPS, 0),
            downloads_rejected=dict.fromkeys(DOWNLOAD_REJECTIONS, 0),
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._process = ProcessCollector(registry=CollectorRegistry())

    def count_request(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """Count one answered request."""
        requests, durations = self._totals.requests, self._totals.durations
        with self._lock:
            # Routes and methods are few; the limits are only a safeguard.
            request = place(f"{method} {route} {status}", requests, REQUESTS_MAX, OTHER_REQUEST)
            requests[request] = requests.get(request, 0) + 1
            kind = place(f"{method} {route}", durations, DURATIONS_MAX, OTHER_ROUTE)
            histogram = durations.setdefault(kind, Histogram.over(DURATION_BOUNDS))
            histogram.observe(seconds, request_id, self._clock())

    def count_rejection(self, reason: str) -> None:
        """Count one rejected trade."""
        with self._lock:
            self._totals.rejected[reason] = self._totals.rejected.get(reason, 0) + 1

    def observe_commit(self, seconds: float, trades: int) -> None:
        """Count one commit, its seconds and its trades."""
        with self._lock:
            self._totals.commits.observe(seconds)
            self._totals.groups.observe(trades)

    def set_subscribers(self, count: int) -> None:
        """Set the number of open feeds."""
        self._totals.subscribers = count

    def count_drop(self, reason: str) -> None:
        """Count one rejected subscriber."""
        with self._lock:
            self._totals.dropped[reason] = self._totals.dropped.get(reason, 0) + 1

    def count_download_rejection(self, reason: str) -> None:
        """Count one rejected download."""
        with self._lock:
            self._totals.downloads_rejected[reason] = self._totals.downloads_rejected.get(reason, 0) + 1

    def set_connections(self, connections: int) -> None:
        """Set the number of open connections."""
        self._totals.connections = connections

    def count_connection_drop(self, reason: str) -> None:
        """Count one connection that was closed or rejected."""
        with self._lock:
            self._totals.connections_dropped[reason] = self._totals.connections_dropped.get(reason, 0) + 1

    def snapshot(self, *, ended: bool = False) -> WorkerTotals:
        """Return a copy of the totals, with the next number."""
        # Without /proc there are no process metrics.
        process = {sample.name: sample.value for family in self._process.collect() for sample in family.samples}
        with self._lock:
            self._totals.number += 1
            self._totals.ended = ended
            self._totals.cpu_micros = round(process.get("process_cpu_seconds_total", 0) * MILLION)
            self._totals.resident_bytes = int(process.get("process_resident_memory_bytes", 0))
            self._totals.open_fds = int(process.get("process_open_fds", 0))
            return msgspec.json.decode(msgspec.json.encode(self._totals), type=WorkerTotals)


def init_app(app: Flask) -> None:
    """Give each worker its metrics."""
    app.extensions["worker_metrics"] = PerProcess(WorkerMetrics)


def current_metrics() -> WorkerMetrics:
    """Return this worker's metrics."""
    return cast("PerProcess[WorkerMetrics]", current_app.extensions["worker_metrics"]).get()
