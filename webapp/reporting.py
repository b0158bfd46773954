"""Reporting: a worker sends its totals to the sidecar every REPORT_SECONDS, and once more when it ends."""

from typing import Final, cast

from flask import Flask

from common.process import PerProcess
from webapp.concurrency import every
from webapp.publisher import Publisher
from webapp.worker_metrics import WorkerMetrics

REPORT_SECONDS: Final = 0.5


def start_reporting(app: Flask) -> None:
    """Send this worker's totals now, so that its socket connects, and every REPORT_SECONDS until it ends."""
    every(REPORT_SECONDS, lambda: _get_publisher(app).report(_get_metrics(app).snapshot()))


def end_reporting(app: Flask) -> None:
    """Send this worker's final totals; what it counted since its last report is lost if the sidecar is away."""
    _get_publisher(app).report(_get_metrics(app).snapshot(ended=True))


def _get_metrics(app: Flask) -> WorkerMetrics:
    return cast("PerProcess[WorkerMetrics]", app.extensions["worker_metrics"]).get()


def _get_publisher(app: Flask) -> Publisher:
    return cast("PerProcess[Publisher]", app.extensions["publisher"]).get()
