"""WorkerMetrics: what this worker has done since it began, kept as plain numbers until it is told to the sidecar."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, cast

import msgspec
from flask import Flask, current_app
from prometheus_client import CollectorRegistry, ProcessCollector
from uuid6 import uuid7

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
    "journal_id",
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
"""Why a trade may be refused; each begins at 0, so that its first is seen to be one more."""

DROPS: Final = ("full",)
"""Why a subscriber of the feed may be rejected."""

DOWNLOAD_REJECTIONS: Final = ("limit",)
"""Why a download may be rejected."""

CONNECTION_DROPS: Final = ("head_timeout", "write_timeout", "address_limit", "worker_limit", "file_descriptors")
"""Why a connection may be ended, or rejected."""


class WorkerMetrics:
    """The running totals of one worker, from its first moment."""

    def __init__(
        self,
        new_worker: Callable[[], uuid.UUID] = uuid7,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin at zero, under a name that no other worker has, and that is past those of earlier ones."""
        self._facts = WorkerTotals(
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
        requests, durations = self._facts.requests, self._facts.durations
        with self._lock:
            # Routes and methods are few, so it is a guard and no more.
            request = place(f"{method} {route} {status}", requests, REQUESTS_MAX, OTHER_REQUEST)
            requests[request] = requests.get(request, 0) + 1
            kind = place(f"{method} {route}", durations, DURATIONS_MAX, OTHER_ROUTE)
            histogram = durations.setdefault(kind, Histogram.over(DURATION_BOUNDS))
            histogram.observe(seconds, request_id, self._clock())

    def count_rejection(self, reason: str) -> None:
        """Count one refused trade."""
        with self._lock:
            self._facts.rejected[reason] = self._facts.rejected.get(reason, 0) + 1

    def observe_commit(self, seconds: float, trades: int) -> None:
        """Count one commit and the trades that shared it."""
        with self._lock:
            self._facts.commits.observe(seconds)
            self._facts.groups.observe(trades)

    def set_subscribers(self, count: int) -> None:
        """Note how many feeds are open."""
        self._facts.subscribers = count

    def count_drop(self, reason: str) -> None:
        """Count one subscriber that was rejected."""
        with self._lock:
            self._facts.dropped[reason] = self._facts.dropped.get(reason, 0) + 1

    def count_download_rejection(self, reason: str) -> None:
        """Count one download that was rejected."""
        with self._lock:
            self._facts.downloads_rejected[reason] = self._facts.downloads_rejected.get(reason, 0) + 1

    def set_connections(self, connections: int) -> None:
        """Note how many connections are open."""
        self._facts.connections = connections

    def count_connection_drop(self, reason: str) -> None:
        """Count one connection that was ended or rejected."""
        with self._lock:
            self._facts.connections_dropped[reason] = self._facts.connections_dropped.get(reason, 0) + 1

    def snapshot(self, *, ended: bool = False) -> WorkerTotals:
        """Give the totals so far, under the next number."""
        # Without /proc there are none.
        process = {sample.name: sample.value for family in self._process.collect() for sample in family.samples}
        with self._lock:
            self._facts.number += 1
            self._facts.ended = ended
            self._facts.cpu_micros = round(process.get("process_cpu_seconds_total", 0) * MILLION)
            self._facts.resident_bytes = int(process.get("process_resident_memory_bytes", 0))
            self._facts.open_fds = int(process.get("process_open_fds", 0))
            return msgspec.json.decode(msgspec.json.encode(self._facts), type=WorkerTotals)


def init_app(app: Flask) -> None:
    """Give each worker its own measures."""
    app.extensions["measures"] = PerProcess(WorkerMetrics)


def current_metrics() -> WorkerMetrics:
    """Give this worker's measures."""
    return cast("PerProcess[WorkerMetrics]", current_app.extensions["measures"]).get()
