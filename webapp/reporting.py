"""Reporting: a worker sends its totals to the sidecar every REPORT_SECONDS, and once more when it ends."""

import logging
from typing import Final, cast

from flask import Flask

from common.errors import TelemetryError
from common.process import PerProcess
from webapp.concurrency import every
from webapp.publisher import Publisher
from webapp.worker_metrics import WorkerMetrics

REPORT_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


def start_reporting(app: Flask) -> None:
    """Send this worker's totals every REPORT_SECONDS until it ends."""
    every(REPORT_SECONDS, lambda: _get_publisher(app).report(_get_metrics(app).snapshot()))


def end_reporting(app: Flask) -> None:
    """Send this worker's final totals, and write them to the journal, since this message may be lost too."""
    totals = _get_metrics(app).snapshot(ended=True)
    publisher = _get_publisher(app)
    publisher.report(totals)
    if not totals.requests:
        return
    try:
        publisher.write_totals(totals)
    except TelemetryError as error:
        _log.error("final totals not written", extra={"reason": error.reason, "detail": error.detail})


def _get_metrics(app: Flask) -> WorkerMetrics:
    return cast("PerProcess[WorkerMetrics]", app.extensions["worker_metrics"]).get()


def _get_publisher(app: Flask) -> Publisher:
    return cast("PerProcess[Publisher]", app.extensions["publisher"]).get()
