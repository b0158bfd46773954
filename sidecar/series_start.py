"""SeriesStarts: the zero that a new series had before its first trade, told to Prometheus once.

``increase()`` sees only what changed between two samples, so a counter that is first seen at 1 seems never to have
grown. Each Prometheus is told of a young series twice in one scrape: 0 at the moment before its first trade, and its
value now. Both carry their times, so a zero that was told before is out of order and refused: it is no reset.
"""

import time
from collections.abc import Callable
from typing import Final

from common.timestamps import Timestamp
from sidecar.state import read_seconds

YOUNG_SECONDS: Final = 300
"""An older series was seen before, or its beginning is past what Prometheus still takes."""

_BEFORE = 0.001


class SeriesStarts:
    """Which series one scraper was told the beginning of; with ``young_seconds`` 0 it is told of none."""

    def __init__(self, young_seconds: float = YOUNG_SECONDS, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing told."""
        self._young_seconds = young_seconds
        self._clock = clock
        self._told: set[tuple[str, str]] = set()

    def tell(self, symbol: str, side: str, created_at: Timestamp | None) -> tuple[float, float] | None:
        """Give the moment before a series began, and now, in seconds since 1970; None when it is not new."""
        if created_at is None or (symbol, side) in self._told:
            return None
        self._told.add((symbol, side))
        before, now = read_seconds(created_at) - _BEFORE, self._clock()
        return (before, now) if before < now < before + self._young_seconds else None
