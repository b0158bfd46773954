"""The daemon's threads: a thread that ends by itself has died, and ends the process."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

JOIN_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Threads:
    """Starts threads by name, names those that have ended, and waits for their end."""

    def __init__(self) -> None:
        """Begin with none."""
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread; an error that ends it is logged."""

        def run() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001 - any error must end the process and be logged
                _log.exception("thread died", extra={"worker": name})

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def find_dead(self) -> str | None:
        """Return which threads have ended, or None."""
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        return f"thread {', '.join(dead)} is dead" if dead else None

    def join(self) -> None:
        """Wait for every thread to end, at most JOIN_SECONDS for all; those still running are logged."""
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _log.error("thread did not stop in time", extra={"worker": thread.name})
