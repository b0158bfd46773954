"""Measures: what this worker has done since it began, kept as plain numbers until it is told to the sidecar."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, cast

import msgspec
from flask import Flask, current_app
from prometheus_client import CollectorRegistry, ProcessCollector

from tape.facts import DURATION_BOUNDS, MILLION, Facts
from tape.histogram import Histogram
from tape.journal_file import JOURNAL_REASONS
from tape.process import PerProcess

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
"""Why a trade may be refused; each begins at 0, so that its first is seen to be one more."""

DROPS: Final = ("full",)
"""Why a subscriber of the feed may be rejected."""

DOWNLOAD_REJECTIONS: Final = ("limit",)
"""Why a download may be rejected."""

CONNECTION_DROPS: Final = ("head_timeout", "write_timeout", "address_limit", "worker_limit", "file_descriptors")
"""Why a connection may be ended, or rejected."""

KINDS_LIMIT: Final = 900
"""Kinds of requests that are counted apart; routes and methods are few, so it is a guard and no more."""


class Measures:
    """The running totals of one worker, from its first moment."""

    def __init__(
        self,
        new_worker: Callable[[], uuid.UUID] = uuid.uuid4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin at zero, under a name that no other worker has."""
        self._facts = Facts(
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
        kind, requests = f"{method} {route}", self._facts.requests
        with self._lock:
            if f"{kind} {status}" not in requests and len(requests) >= KINDS_LIMIT:
                return
            requests[f"{kind} {status}"] = requests.get(f"{kind} {status}", 0) + 1
            histogram = self._facts.durations.setdefault(kind, Histogram.over(DURATION_BOUNDS))
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

    def set_viewers(self, viewers: int) -> None:
        """Note how many feeds are open."""
        self._facts.viewers = viewers

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

    def tell(self, *, ended: bool = False) -> Facts:
        """Give the totals so far, under the next number."""
        # Without /proc there are none.
        process = {sample.name: sample.value for family in self._process.collect() for sample in family.samples}
        with self._lock:
            self._facts.number += 1
            self._facts.ended = ended
            self._facts.cpu_micros = round(process.get("process_cpu_seconds_total", 0) * MILLION)
            self._facts.resident_bytes = int(process.get("process_resident_memory_bytes", 0))
            self._facts.open_fds = int(process.get("process_open_fds", 0))
            return msgspec.json.decode(msgspec.json.encode(self._facts), type=Facts)


def init_app(app: Flask) -> None:
    """Give each worker its own measures."""
    app.extensions["measures"] = PerProcess(Measures)


def current_measures() -> Measures:
    """Give this worker's measures."""
    return cast("PerProcess[Measures]", current_app.extensions["measures"]).get()
