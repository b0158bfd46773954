"""Reporting: a worker sends its totals to the sidecar every REPORT_SECONDS, and once more when it ends."""

from typing import Final

from webapp.concurrency import every
from webapp.services import Services

REPORT_SECONDS: Final = 0.5


def start_reporting(mine: Services) -> None:
    """Send this worker's totals now, so that its socket connects, and every REPORT_SECONDS until it ends."""
    every(REPORT_SECONDS, lambda: mine.publisher.report(mine.metrics.snapshot()))


def end_reporting(mine: Services) -> None:
    """Send this worker's final totals; what it counted since its last report is lost if the sidecar is away."""
    mine.publisher.report(mine.metrics.snapshot(ended=True))
