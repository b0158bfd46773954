"""The log of overflow: which symbols past the limit are traded most."""

import logging
import time
from collections.abc import Callable
from typing import Final

from sidecar.counters import Counters

LOG_SECONDS: Final = 60.0
LOG_SYMBOLS: Final = 5

_log = logging.getLogger(__name__)


class OverflowLog:
    """Logs symbols past the limit, the most frequent first, at most every LOG_SECONDS."""

    def __init__(self, counters: Counters, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep what is counted, and the limit."""
        self._counters = counters
        self._limit = limit
        self._clock = clock
        self._logged = 0
        self._logged_at = float("-inf")

    def step(self) -> None:
        """Log when trades were counted past the limit since the last time."""
        with self._counters.lock:
            state = self._counters.state
            trades, names = state.overflow_trades, state.overflow_symbols.copy()
        if trades == self._logged or self._clock() - self._logged_at < LOG_SECONDS:
            return
        worst = sorted(names, key=names.__getitem__, reverse=True)[:LOG_SYMBOLS]
        _log.warning("symbol limit exceeded", extra={"trades": trades, "limit": self._limit, "worst": worst})
        self._logged, self._logged_at = trades, self._clock()
