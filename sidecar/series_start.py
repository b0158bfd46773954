"""SeriesStarts: the zero of a new series, just before its first trade, exposed to each Prometheus once.

``increase()`` sees only what changed between two samples, so a counter first scraped at 1 seems never to have grown.
Each Prometheus therefore gets two samples of a young series in one scrape: 0 at the time just before its first trade,
and its current value. Both carry timestamps, so a zero that is sent again is out of order and rejected: it is no reset.
"""

import time
from collections.abc import Callable
from typing import Final

from common.timestamps import Timestamp
from sidecar.state import read_seconds

YOUNG_SECONDS: Final = 300
"""An older series was scraped before, or its start is too old for Prometheus to accept."""

_BEFORE = 0.001


class SeriesStarts:
    """Which series starts one scraper has received; with ``young_seconds`` 0 it receives none."""

    def __init__(self, young_seconds: float = YOUNG_SECONDS, clock: Callable[[], float] = time.time) -> None:
        """Begin with none."""
        self._young_seconds = young_seconds
        self._clock = clock
        self._taken: set[tuple[str, str]] = set()

    def take(self, symbol: str, side: str, created_at: Timestamp | None) -> tuple[float, float] | None:
        """Return the time just before a series started, and now, in seconds since 1970; None if it is not new."""
        if created_at is None or (symbol, side) in self._taken:
            return None
        self._taken.add((symbol, side))
        before, now = read_seconds(created_at) - _BEFORE, self._clock()
        return (before, now) if before < now < before + self._young_seconds else None
