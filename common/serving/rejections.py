"""Requests that are rejected: each is counted by its reason, and the reasons are logged at a bounded rate."""

import logging
import threading
from typing import Final

from common.throttle import Throttle

REASONS: Final = (
    "bad_request",
    "busy",
    "host",
    "method",
    "not_found",
    "origin",
    "query",
    "target",
    "timeout",
    "token",
    "too_large",
)
"""Why a request is rejected, in docs/metrics.md."""

LOG_SECONDS: Final = 60.0
"""How often each reason is logged: a Prometheus without the token sends one request per second."""

_log = logging.getLogger(__name__)


class Rejections:
    """The requests rejected since the start, by reason."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts = dict.fromkeys(REASONS, 0)
        self._lock = threading.Lock()
        self._throttle = Throttle(LOG_SECONDS)

    def add(self, reason: str) -> None:
        """Count one request, and log it unless one of its reason was logged within LOG_SECONDS."""
        with self._lock:
            self.counts[reason] += 1
        count = self._throttle.take(reason)
        if count:
            _log.warning("request rejected", extra={"reason": reason, "count": count})
