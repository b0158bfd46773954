"""RateLimit: how many requests a key may send, by the generic cell rate algorithm, a leaky bucket that is one time."""

import time
from collections.abc import Callable
from typing import Final

KEYS_MAX: Final = 10_000
"""The most keys that are remembered; past it the one that sent nothing for the longest time is forgotten."""


class RateLimit:
    """Allows ``rate`` requests a second for each key, and ``burst`` at once; a rate of 0 allows everything."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._tolerance = self._interval * (burst - 1)
        self._clock = clock
        # When the requests that were allowed would be over if they came one by one; least recent first.
        self._due: dict[str, float] = {}

    def find_wait(self, key: str) -> float:
        """Return 0 when a request is allowed now, otherwise the seconds after which the next one is; count nothing."""
        return max(self._due.get(key, 0.0) - self._clock() - self._tolerance, 0.0)

    def take(self, key: str) -> float:
        """Count one request; return 0 when it is allowed, otherwise the seconds after which the next one is."""
        if not self._interval:
            return 0.0
        now = self._clock()
        due = max(self._due.pop(key, now), now)
        wait = due - now - self._tolerance
        # A rejected request is not counted, so a client that tries again too early does not wait longer for it.
        self._due[key] = due if wait > 0 else due + self._interval
        if len(self._due) > KEYS_MAX:
            del self._due[next(iter(self._due))]
        return max(wait, 0.0)
