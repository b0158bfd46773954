"""Reporting: a worker tells its measures each second, and once more when it ends."""

import logging
from typing import Final, cast

from flask import Flask

from common.errors import TapeError
from common.process import PerProcess
from webapp.concurrency import every
from webapp.publisher import Publisher
from webapp.worker_metrics import WorkerMetrics

REPORT_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


def start_reporting(app: Flask) -> None:
    """Tell this worker's measures again and again, as long as it lives."""
    every(REPORT_SECONDS, lambda: _find_publisher(app).report(_find_measures(app).snapshot()))


def end_reporting(app: Flask) -> None:
    """Tell this worker's measures for the last time, and write them down too: nobody will say them again."""
    facts = _find_measures(app).snapshot(ended=True)
    publisher = _find_publisher(app)
    publisher.report(facts)
    if not facts.requests:
        return
    try:
        publisher.keep(facts)
    except TapeError as error:
        _log.error("last words not kept", extra={"reason": error.reason, "detail": error.detail})


def _find_measures(app: Flask) -> WorkerMetrics:
    return cast("PerProcess[WorkerMetrics]", app.extensions["measures"]).get()


def _find_publisher(app: Flask) -> Publisher:
    return cast("PerProcess[Publisher]", app.extensions["publisher"]).get()
