"""Throttle: frequent events are logged at a bounded rate and counted in between."""

import threading
import time
from collections.abc import Callable


class Throttle:
    """Allows one log line for each key in every ``seconds``."""

    def __init__(self, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, tuple[float, int]] = {}

    def take(self, key: str) -> int:
        """Count one event; return how many came since this key's last line, or 0 when it is too early for another line.

        Keys are never removed, so there must be few.
        """
        with self._lock:
            last, count = self._since.get(key, (float("-inf"), 0))
            now = self._clock()
            if now - last < self._seconds:
                self._since[key] = last, count + 1
                return 0
            self._since[key] = now, 0
            return count + 1
